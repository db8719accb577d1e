"""What a training leaves: weights, the curve of its losses, and what it cost."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from stages.compute import weights
from stages.core import metrics
from stages.core.metrics import DIGITS
from stages.core.outputs import write_csv
from stages.core.results import Results
from stages.core.tables import Face


@dataclass(frozen=True)
class Trained:
    """A finished training.

    Attributes:
        model: with its last weights, in evaluation mode, on the CPU.
        rows: the curve, see `hooks.CurveHook`.
        cost: seconds, images per second, seconds of a step (the median) and peak memory in MB: measured, so never the
            same twice; and what they are of: the images seen, the device, its threads and the precision.
        work: folder of the checkpoints.
    """

    model: nn.Module
    rows: list[dict[str, float]]
    cost: dict[str, Any]
    work: Path

    def write(
        self,
        out: Path,
        about: Mapping[str, Any],
        results: Results,
        faces: Sequence[Face],
        network: nn.Module | None = None,
        others: Sequence["Trained"] = (),
    ) -> dict[str, Any]:
        """Write weights, curve and costs, then delete the checkpoints.

        Args:
            out: of the weights.
            about: what their header says.
            results: where curve and costs go.
            faces: it was trained on.
            network: what is kept of the model; the whole, if none is given.
            others: trainings of networks that are kept with it: costs are added up, their checkpoints deleted, too.

        Returns:
            On how many faces of how many people it was trained, the network's parameters, and the last losses.
        """
        columns = list(self.rows[0])
        write_csv(results.curve, columns, ([f"{row[name]:.{DIGITS + 2}g}" for name in columns] for row in self.rows))
        metrics.write(results.costs, self._cost_with(others))
        network = network or self.model
        weights.save(out, network, {**about, "precision": self.cost["precision"]})
        for run in (self, *others):
            run.forget()
        return {
            "faces": len(faces),
            "identities": len({face["identity"] for face in faces}),
            "parameters": weights.parameters(network),
            "last": {name: value for name, value in self.rows[-1].items() if "loss" in name},
        }

    def _cost_with(self, others: Sequence["Trained"]) -> dict[str, Any]:
        """Return what this training and others cost together; this one came last, so its peak is that of all."""
        if not others:
            return self.cost
        sums = {what: sum(run.cost[what] for run in (self, *others)) for what in ("seconds", "images")}
        speed = sums["images"] / max(sums["seconds"], 1e-9)
        return {**self.cost, **sums, "images_per_second": speed, "trainings": 1 + len(others)}

    def forget(self) -> None:
        """Delete the checkpoints."""
        shutil.rmtree(self.work, ignore_errors=True)
