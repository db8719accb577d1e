"""Train a model with mmengine so that it can be killed at any moment and continues where it was."""

import csv
import hashlib
import importlib.metadata
import json
import pickle
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import cv2
import mmengine.device.utils
import torch
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_dist_info
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS
from mmengine.runner import Runner, set_random_seed
from pydantic import Field, model_validator
from torch import nn
from torch.utils.data import DataLoader, Dataset

from stages.compute import device, weights
from stages.core import code, metrics
from stages.core.errors import UnmaskError
from stages.core.metrics import DIGITS
from stages.core.outputs import whole_file
from stages.core.parallel import settings
from stages.core.params import Section
from stages.core.tables import Face
from stages.training import launch, precision
from stages.training.hooks import CurveHook, FiniteLossHook, ProgressHook, SeedHook
from stages.training.precision import Precision
from stages.training.stream import Stream

SCRATCH = Path(".scratch")
LOADERS = 4  # processes that make samples for a GPU
PACKAGES = (  # that trainings compute with
    "mmcv-lite",
    "mmdet",
    "mmengine",
    "mmsegmentation",
    "numpy",
    "opencv-python",
    "pytorch-metric-learning",
    "torch",
    "torchvision",
)


class Schedule(Section):
    """How long and how fast to train."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    """At its highest: it rises over the first twentieth of the steps and falls to 0 on a cosine."""
    weight_decay: float = Field(ge=0)
    checkpoint_every: int = Field(ge=1)
    """Steps; a run that is killed loses at most so many."""
    precision: Precision
    """Of convolutions; auto: bfloat16 where the device has instructions for it, which is faster, else float32."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.steps % self.checkpoint_every:
            raise ValueError(f"steps ({self.steps}) must be a multiple of checkpoint_every ({self.checkpoint_every})")
        return self


@OPTIM_WRAPPERS.register_module()
class BFloat16OptimWrapper(OptimWrapper):
    """Runs the forward pass under autocast; mmengine's AmpOptimWrapper does so on GPUs only.

    The weights stay float32, and unlike float16 it needs no scaled loss.
    """

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Yield within autocast."""
        with super().optim_context(model), torch.autocast(device.of(model).type, torch.bfloat16):
            yield


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class PartsOptimWrapperConstructor:
    """Gives parts of a model an optimizer each, as the two sides of a GAN need them.

    Args:
        optim_wrapper_cfg: of each wrapper; `parts` are the names of the model's modules that get one.
        paramwise_cfg: mmengine's, not used.
    """

    def __init__(self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: object = None) -> None:
        del paramwise_cfg
        self.config = dict(optim_wrapper_cfg)
        self.parts = self.config.pop("parts")

    def __call__(self, model: nn.Module) -> OptimWrapperDict:
        """Return the wrappers by the parts' names."""
        model = unwrapped(model)
        wrappers = {}
        for name in self.parts:
            parameters = [weight for weight in getattr(model, name).parameters() if weight.requires_grad]
            optimizer = OPTIMIZERS.build({**self.config["optimizer"], "params": parameters})
            wrappers[name] = OPTIM_WRAPPERS.build({**self.config, "optimizer": optimizer})
        return OptimWrapperDict(**wrappers)


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
        self, weights_file: Path, about: Mapping[str, Any], curve: Path, costs: Path, model: nn.Module | None = None
    ) -> None:
        """Write curve, costs and weights (of the whole model, if no other is given), then delete the checkpoints."""
        with whole_file(curve) as staging, staging.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: f"{value:.{DIGITS + 2}g}" for name, value in row.items()} for row in self.rows)
        metrics.write(costs, self.cost)
        weights.save(weights_file, model or self.model, {**about, "precision": self.cost["precision"]})
        self.forget()

    def summary(self, faces: Sequence[Face]) -> dict[str, Any]:
        """Return on how many faces of how many people it was trained, and its last losses."""
        return {
            "faces": len(faces),
            "identities": len({face["identity"] for face in faces}),
            "last": {name: value for name, value in self.rows[-1].items() if "loss" in name},
        }

    def forget(self) -> None:
        """Delete the checkpoints."""
        shutil.rmtree(self.work, ignore_errors=True)


def train(
    build: Callable[[], nn.Module],
    samples: Dataset[Any],
    schedule: Schedule,
    *,
    name: str,
    seed: int,
    key: str,
    parts: Sequence[str] = (),
    last: bool = True,
) -> Trained:
    """Train a model; continue if a run with the same name and key was killed.

    Args:
        build: makes the untrained model, an mmengine `BaseModel`. It is called after torch was seeded.
        samples: `samples[round * len(samples) + index]` is the sample at `index`, changed by what chance gives for that
            round: a dict of `inputs` and `data_samples`, the latter with `face_id` in its metainfo.
        schedule: steps, batch size, learning rate.
        name: of what is trained, for the progress bar and the folder of checkpoints.
        seed: of weights, order and augmentation.
        key: of everything that the result depends on, see `key_of`.
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
    set_random_seed(seed, deterministic=True)
    # A GPU has no deterministic kernel for some of what is used here, upsampling among them.
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # which takes time, and only finds bugs
    numbers = precision.chosen(schedule.precision, device.chosen())
    work = SCRATCH / name / f"{key}-{numbers}"
    work.mkdir(parents=True, exist_ok=True)
    checkpoint = _latest(work)
    curve = CurveHook()
    runner = Runner(
        # channels_last is what convolutions on a CPU are fastest with
        model=launch.synchronized(build()).to(memory_format=torch.channels_last),
        work_dir=str(work),
        train_dataloader=_loader(samples, schedule, seed, rank, world),
        train_cfg={"by_epoch": True, "max_epochs": schedule.steps // schedule.checkpoint_every},
        **_optimization(schedule, numbers, parts),
        default_hooks={
            "logger": None,
            "checkpoint": {"type": "SafeCheckpointHook", "interval": 1, "max_keep_ckpts": 2},
        },
        custom_hooks=[SeedHook(seed), FiniteLossHook(), curve, ProgressHook(f"{name} in {numbers}")],
        randomness={"seed": seed},
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
    model = unwrapped(model)
    for part in parts:
        setattr(model, part, unwrapped(getattr(model, part)))
    model.cpu().train(False)
    return Trained(model, curve.rows, _cost(curve, schedule, numbers), work)


def unwrapped(model: nn.Module) -> nn.Module:
    """Return a model, or a part of one, without the wrapper through which several processes train it."""
    return model.module if is_model_wrapper(model) else model  # type: ignore[return-value]


def key_of(about: Mapping[str, Any], inputs: Sequence[Path], module: Path) -> str:
    """Return a short key of all that a training's result depends on; with another key no run is continued.

    Args:
        about: params.
        inputs: files and folders, of which the content counts.
        module: of the stage: its code counts, all that it imports of ours, and the versions of `PACKAGES`.
    """
    # The build for the CPU, 2.14.1+cpu, is that version.
    versions = {name: importlib.metadata.version(name).partition("+")[0] for name in PACKAGES}
    digest = hashlib.blake2b(json.dumps([about, versions], sort_keys=True, default=str).encode(), digest_size=8)
    for entry in (*inputs, *sorted(code.closure(module))):
        for file in sorted(entry.rglob("*")) if entry.is_dir() else [entry]:
            if file.is_file() and "__pycache__" not in file.parts:
                with file.open("rb") as content:
                    digest.update(hashlib.file_digest(content, "blake2b").digest())
    return digest.hexdigest()


def _latest(work: Path) -> Path | None:
    """Return the newest checkpoint that is whole: a run killed while it wrote one has left a torn file."""
    for path in sorted(work.glob("epoch_*.pth"), key=lambda path: -int(path.stem.removeprefix("epoch_"))):
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError):
            path.unlink()
            continue
        return path
    return None


def _loader(samples: Dataset[Any], schedule: Schedule, seed: int, rank: int, world: int) -> DataLoader[Any]:
    per_epoch = schedule.checkpoint_every * schedule.batch_size
    # On a CPU a worker would only take time from the threads that train, which wait for each other.
    workers = LOADERS if device.chosen().type != "cpu" else 0
    return DataLoader(
        samples,
        batch_size=schedule.batch_size // world,
        sampler=Stream(len(samples), per_epoch, seed, rank, world),  # type: ignore[arg-type]
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


def _optimization(schedule: Schedule, numbers: str, parts: Sequence[str]) -> dict[str, Any]:
    """Return AdamW and a learning rate that rises linearly and falls on a cosine."""
    rise = max(1, schedule.steps // 20)
    return {
        "optim_wrapper": {
            "type": "OptimWrapper" if numbers == "float32" else "BFloat16OptimWrapper",
            "optimizer": {
                "type": "AdamW",
                "lr": schedule.learning_rate,
                "weight_decay": schedule.weight_decay,
                "fused": True,  # three times as fast on a CPU
            },
            "clip_grad": {"max_norm": 10.0},
            **({"constructor": "PartsOptimWrapperConstructor", "parts": list(parts)} if parts else {}),
        },
        "param_scheduler": [
            {"type": "LinearLR", "start_factor": 0.05, "by_epoch": False, "begin": 0, "end": rise},
            {"type": "CosineAnnealingLR", "by_epoch": False, "begin": rise, "end": schedule.steps, "eta_min": 0.0},
        ],
    }


def _cost(curve: CurveHook, schedule: Schedule, numbers: str) -> dict[str, Any]:
    images = schedule.steps * schedule.batch_size
    return {
        "seconds": curve.seconds,
        "images": images,
        "images_per_second": images / max(curve.seconds, 1e-9),
        "peak_memory_mb": device.peak_memory() / 2**20,
        "device": device.name(),
        "threads": torch.get_num_threads(),
        "precision": numbers,
    }
