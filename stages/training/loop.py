"""Train a model with mmengine so that it can be killed at any moment and continues where it was."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import cv2
import mmengine.device.utils
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_dist_info
from mmengine.runner import Runner, set_random_seed
from pydantic import Field, model_validator
from torch import nn
from torch.utils.data import DataLoader

from stages.compute import device
from stages.core.errors import UnmaskError
from stages.core.parallel import settings
from stages.core.params import Section
from stages.training import checkpoints, launch, optimization, precision
from stages.training.hooks import CurveHook, FiniteLossHook, ProgressHook, SeedHook
from stages.training.precision import Precision
from stages.training.stream import Stream
from stages.training.trained import Trained

SCRATCH = Path(".scratch")
LOADERS = 4  # processes that make samples for a GPU


class Schedule(Section):
    """How long and how fast to train."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    """At its highest: it rises over the first twentieth of the steps and falls to 0 on a cosine."""
    weight_decay: float = Field(ge=0)
    """Of matrices and kernels; biases, norms and a recognizer's vectors of people do not decay."""
    checkpoint_every: int = Field(ge=1)
    """Steps; a run that is killed loses at most so many."""
    precision: Precision
    """Of convolutions; auto: bfloat16 where the device has instructions for it, which is faster, else float32."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.steps % self.checkpoint_every:
            raise ValueError(f"steps ({self.steps}) must be a multiple of checkpoint_every ({self.checkpoint_every})")
        return self


class Samples(Protocol):
    """What a training learns from, such as `samples.FaceSamples`.

    `samples[round * len(samples) + index]` is the sample at `index`, changed by what chance gives for that round: a
    dict of `inputs` and `data_samples`, the latter with `face_id` in its metainfo.
    """

    seed: int
    """Of all chance of this training: weights, order and changes; from `seeding.derived`."""

    def __len__(self) -> int: ...
    def __getitem__(self, key: int) -> Any: ...


def train(
    build: Callable[[], nn.Module],
    samples: Samples,
    schedule: Schedule,
    *,
    name: str,
    key: str,
    parts: Sequence[str] = (),
    last: bool = True,
) -> Trained:
    """Train a model; continue if a run with the same name and key was killed.

    Args:
        build: makes the untrained model, an mmengine `BaseModel`. It is called after torch was seeded.
        samples: what it learns from.
        schedule: steps, batch size, learning rate.
        name: of what is trained, for the progress bar and the folder of checkpoints.
        key: of everything that the result depends on, see `checkpoints.key_of`.
        parts: modules of the model that get an optimizer each, which its `train_step` uses; none: one for all.
        last: whether this program trains nothing after it, so that of several processes all but the first end.

    Raises:
        UnmaskError: the loss was not finite, or the batch cannot be shared among the processes.
    """
    launch.join()
    mmengine.device.utils.DEVICE = str(device.chosen())  # it would take any GPU that it finds
    rank, world = get_dist_info()
    if schedule.batch_size % world:
        raise UnmaskError(f"{name}: a batch of {schedule.batch_size} cannot be shared by {world} processes")
    torch.set_num_threads(settings().threads)
    cv2.setNumThreads(0)
    set_random_seed(samples.seed, deterministic=True)
    # A GPU has no deterministic kernel for some of what is used here, upsampling among them.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # which takes time, and only finds bugs
    numbers = precision.chosen(schedule.precision, device.chosen())
    work = SCRATCH / name / f"{key}-{numbers}"
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = checkpoints.latest(work)
    curve = CurveHook()
    runner = Runner(
        # channels_last is what convolutions on a CPU are fastest with
        model=launch.synchronized(build()).to(memory_format=torch.channels_last),
        work_dir=str(work),
        train_dataloader=_loader(samples, schedule, rank, world),
        train_cfg={"by_epoch": True, "max_epochs": schedule.steps // schedule.checkpoint_every},
        **optimization.options(
            steps=schedule.steps,
            learning_rate=schedule.learning_rate,
            weight_decay=schedule.weight_decay,
            precision=numbers,
            parts=parts,
        ),
        default_hooks={
            "logger": None,
            "checkpoint": {"type": "SafeCheckpointHook", "interval": 1, "max_keep_ckpts": 2},
        },
        custom_hooks=[SeedHook(samples.seed), FiniteLossHook(), curve, ProgressHook(f"{name} in {numbers}")],
        randomness={"seed": samples.seed},
        log_level="ERROR",
        experiment_name=f"{name}-{key}",
        resume=checkpoint is not None,
        load_from=str(checkpoint) if checkpoint else None,
        **launch.runner_options(apart=bool(parts)),
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning)  # of mmengine, on its own defaults
        model: nn.Module = runner.train()
    if last:
        launch.leave(rank)
    model = optimization.unwrapped(model)
    for part in parts:
        setattr(model, part, optimization.unwrapped(getattr(model, part)))
    model.cpu().train(False)
    images = schedule.steps * schedule.batch_size
    cost = {
        "seconds": curve.seconds,
        "images": images,
        "images_per_second": images / max(curve.seconds, 1e-9),
        "step_seconds": curve.step_seconds,
        "peak_memory_mb": device.peak_memory() / 2**20,
        "device": device.name(),
        "threads": torch.get_num_threads(),
        "precision": numbers,
    }
    return Trained(model, curve.rows, cost, work)


def _loader(samples: Samples, schedule: Schedule, rank: int, world: int) -> DataLoader[Any]:
    per_epoch = schedule.checkpoint_every * schedule.batch_size
    # On a CPU a worker would only take time from the threads that train, which wait for each other. Beside another GPU
    # than NVIDIA's the system is macOS, where a worker does not inherit the file that faces are read from.
    workers = LOADERS if device.chosen().type == "cuda" else 0
    return DataLoader(
        samples,  # type: ignore[arg-type]
        batch_size=schedule.batch_size // world,
        sampler=Stream(len(samples), per_epoch, samples.seed, rank, world),  # type: ignore[arg-type]
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=pseudo_collate,
        worker_init_fn=_one_thread,
        generator=torch.Generator(),  # not torch's own, whose state would then differ after a restart
    )


def _one_thread(worker: int) -> None:
    del worker
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
