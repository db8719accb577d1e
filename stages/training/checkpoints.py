"""With which checkpoint a training that was killed goes on: the newest whole one of the same code, params and data."""

import hashlib
import importlib.metadata
import json
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from stages.core import code

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


def latest(work: Path) -> Path | None:
    """Return the newest checkpoint that is whole: a run killed while it wrote one has left a torn file."""
    for path in sorted(work.glob("epoch_*.pth"), key=lambda path: -int(path.stem.removeprefix("epoch_"))):
        try:
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, OSError, EOFError, ValueError, pickle.UnpicklingError):
            path.unlink()
            continue
        return path
    return None
