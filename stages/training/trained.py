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
        cost: seconds, images per second and peak memory in MB: measured, so never the same twice; and what they are of:
            the images seen, the device, its threads and the precision.
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
    ) -> dict[str, Any]:
        """Write weights, curve and costs, then delete the checkpoints.

        Args:
            out: of the weights.
            about: what their header says.
            results: where curve and costs go.
            faces: it was trained on.
            network: what is kept of the model; the whole, if none is given.

        Returns:
            On how many faces of how many people it was trained, the network's parameters, and the last losses.
        """
        columns = list(self.rows[0])
        write_csv(results.curve, columns, ([f"{row[name]:.{DIGITS + 2}g}" for name in columns] for row in self.rows))
        metrics.write(results.costs, self.cost)
        network = network or self.model
        weights.save(out, network, {**about, "precision": self.cost["precision"]})
        self.forget()
        return {
            "faces": len(faces),
            "identities": len({face["identity"] for face in faces}),
            "parameters": weights.parameters(network),
            "last": {name: value for name, value in self.rows[-1].items() if "loss" in name},
        }

    def forget(self) -> None:
        """Delete the checkpoints."""
        shutil.rmtree(self.work, ignore_errors=True)
