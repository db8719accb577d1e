"""What happens beside the training itself: progress, curves, and a stop when the loss is not finite."""

import math
import statistics
import time
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.hooks import CheckpointHook, Hook
from mmengine.registry import HOOKS

from stages.core import costs
from stages.core.errors import UnmaskError
from stages.core.progress import Progress
from stages.core.seeding import derived

SHOWN_AT_A_TIME = 20  # face_ids in a message


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, its files loadable with torch's `weights_only=True`.

    mmengine saves its message hub as pickled HistoryBuffers, which torch's safe loader refuses; allowing them would
    allow `getattr` and with it any code. The hub holds curves and no state of the training, so an empty one is saved.
    """

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Empty the message hub."""
        del runner
        checkpoint["message_hub"] = {"log_scalars": {}, "runtime_info": {}, "resumed_keys": {}}


@HOOKS.register_module()
class SeedHook(Hook):
    """Seeds torch at every checkpoint, so that a run that continues from one draws what it would have drawn."""

    priority = "VERY_HIGH"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def before_train_epoch(self, runner: Any) -> None:
        """Seed torch's generators by the epoch."""
        torch.manual_seed(derived(self.seed, "torch", runner.epoch))


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stops the training when the loss is not finite, before that is saved."""

    priority = "VERY_HIGH"

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Raise an UnmaskError that names the step and the faces of the batch."""
        del batch_idx
        loss = float((outputs or {})["loss"])
        if not math.isfinite(loss):
            faces = [str(sample.metainfo.get("face_id")) for sample in data_batch["data_samples"]]
            more = f" and {len(faces) - SHOWN_AT_A_TIME} more" if len(faces) > SHOWN_AT_A_TIME else ""
            raise UnmaskError(
                f"the loss is {loss} at step {runner.iter + 1}, on the batch {', '.join(faces[:SHOWN_AT_A_TIME])}{more}"
                f": look at these faces, or lower the learning rate; the next run continues before this step"
            )


@HOOKS.register_module()
class CurveHook(Hook):
    """Keeps the mean of each loss between two checkpoints, and the seconds spent, through restarts.

    Attributes:
        rows: one a checkpoint: `step`, `lr`, and each of the losses.
        seconds: of training, over all runs.
        each: seconds of each step of this run, its samples included.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self.each: list[float] = []
        self._sums: dict[str, float] = {}
        self._steps = 0
        self._since = self._last = 0.0

    @property
    def step_seconds(self) -> float | None:
        """Return the median over the steps of this run but the first, which is slow; None if this run made none."""
        return statistics.median(self.each[1:] or self.each) if self.each else None

    def before_train_epoch(self, runner: Any) -> None:
        """Start the clock."""
        del runner
        self._sums, self._steps = {}, 0
        self._since = self._last = time.perf_counter()

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Add up the losses."""
        del runner, batch_idx, data_batch
        self._steps += 1
        before, self._last = self._last, time.perf_counter()
        self.each.append(self._last - before)
        for name, value in (outputs or {}).items():
            if "loss" in name:
                self._sums[name] = self._sums.get(name, 0.0) + float(value)

    def after_train_epoch(self, runner: Any) -> None:
        """Add a row."""
        self.seconds += time.perf_counter() - self._since
        losses = {name: total / self._steps for name, total in sorted(self._sums.items())}
        rate = next(iter(runner.optim_wrapper.get_lr().values()))[0]
        self.rows.append({"step": runner.iter, "lr": rate, **losses})

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Save the rows with the weights."""
        del runner
        checkpoint["curve"] = {"rows": self.rows, "seconds": self.seconds}

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take up the rows of the run that is continued."""
        del runner
        self.rows, self.seconds = checkpoint["curve"]["rows"], checkpoint["curve"]["seconds"]


@HOOKS.register_module()
class ProgressHook(Hook):
    """Shows steps, the time of one, how much is left of this training and of the whole run, and the loss.

    Args:
        label: what is trained, and in which precision.
    """

    priority = "LOW"

    def __init__(self, label: str) -> None:
        self.label = label
        self._progress: Progress

    def before_train(self, runner: Any) -> None:
        """Begin where the training starts or continues."""
        rest = costs.rest_of_the_run()
        self._progress = Progress(runner.max_iters, self.label, "steps", done=runner.iter, rest=rest)

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Mapping[str, Any] | None = None
    ) -> None:
        """Count a step."""
        del runner, batch_idx, data_batch
        self._progress.update(note=f"loss {float((outputs or {})['loss']):.3f}")

    def after_train(self, runner: Any) -> None:
        """Close the bar."""
        del runner
        self._progress.close()
