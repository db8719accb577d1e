"""The one place that knows on which device networks compute: the CPU, or a GPU.

`parallel.device` of params.yaml says which, or `UNMASK_DEVICE`, which wins; see `stages.core.parallel`. Networks for
inference are put there by `placed`, and faces go through them by `apply`, in batches.
"""

import itertools
import math
import os
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.core.errors import UnmaskError
from stages.core.parallel import settings

Network = TypeVar("Network", bound=nn.Module)
Result = TypeVar("Result")
Array = NDArray[Any]
# Pixels that go through a network at once. On a CPU, features of more than 7 faces of 112 pixels don't fit its caches,
# and from 16 images on (faces and their mirror images) torch takes slower kernels; a GPU wants more.
AT_ONCE = {"cpu": 4 * 150 * 150, "cuda": 64 * 112 * 112, "mps": 64 * 112 * 112}


def chosen() -> torch.device:
    """Return the device on which all networks of this process compute.

    Of several processes of a training each has a GPU of its own, whatever number the setting says.

    Raises:
        UnmaskError: torch cannot compute on the device that was asked for; the message names the setting.
    """
    wanted = settings().device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    found = torch.device(wanted)
    if found.type == "cuda":
        index = int(os.environ.get("LOCAL_RANK", found.index or 0))
        found = torch.device("cuda", index)
        n = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if index >= n:
            raise _unusable(wanted, f"torch {torch.__version__} finds {n or 'no'} GPU{'s' * (n > 1)} here")
    if found.type == "mps" and not torch.backends.mps.is_available():
        raise _unusable(wanted, f"torch {torch.__version__} finds no such GPU here")
    if found.type != "cpu":
        try:  # a GPU may be there and too old for this torch, or full
            torch.ones(1, device=found).add_(1)
        except RuntimeError as error:
            raise _unusable(wanted, str(error).splitlines()[0]) from None
    return found


def _unusable(wanted: str, why: str) -> UnmaskError:
    asked = "UNMASK_DEVICE" if os.environ.get("UNMASK_DEVICE") else "parallel.device in params.yaml"
    return UnmaskError(f"{asked}: the device {wanted!r} cannot be used, as {why}; set it to cpu to compute without it")


def placed(network: Network) -> Network:
    """Return a network on the device, in evaluation mode, its convolutions laid out as they are fastest."""
    return network.eval().to(device=chosen(), memory_format=torch.channels_last)  # type: ignore[call-overload]


def of(network: nn.Module) -> torch.device:
    """Return the device that a network is on."""
    return next(value.device for part in (network.parameters(), network.buffers()) for value in part)


def apply(work: Callable[..., Any], on: torch.device, *columns: Sequence[Array]) -> list[Any]:
    """Return what a network says of many items, which it is given in batches.

    Args:
        work: maps batches of the columns, tensors on the device, to a tensor with a row an item, or to several.
        on: the device.
        columns: arrays (h, w, …), as many in each: of faces, say, and of their regions. Neighbors of one shape share a
            batch. Images (h, w, 3) arrive as (n, 3, h, w), laid out in memory as they were.

    Returns:
        An array an item, or a tuple of them.
    """
    found: list[Any] = []
    with torch.inference_mode():
        for batch in batches(columns[0], on):
            said = work(*(_tensor(column[batch]).to(on, non_blocking=True) for column in columns))
            if isinstance(said, Tensor):
                found.extend(said.cpu().numpy())
            else:
                found.extend(zip(*(part.cpu().numpy() for part in said), strict=True))
    return found


def batches(items: Sequence[Array], on: torch.device) -> Iterator[slice]:
    """Yield the indices of batches of arrays (h, w, …): neighbors of one shape, as many as the device is best with.

    They are about as long as each other, so that no face is left over: for one small image, torch takes other kernels
    than for several, which round otherwise.
    """
    start = 0
    for shape, alike in itertools.groupby(item.shape for item in items):
        n = len(list(alike))
        n_batches = math.ceil(n / max(1, AT_ONCE[on.type] // math.prod(shape[:2])))
        ends = [start + n * index // n_batches for index in range(n_batches + 1)]
        yield from map(slice, ends[:-1], ends[1:])
        start += n


def _tensor(arrays: Sequence[Array]) -> Tensor:
    stacked = torch.from_numpy(np.stack(arrays))
    return stacked.permute(0, 3, 1, 2) if stacked.ndim == 4 else stacked


def by_name(names: Sequence[str], work: Callable[[str, list[int]], Sequence[Result]]) -> list[Result]:
    """Return a result for each index in `names`: `work` is called once a name, with the indices that have it."""
    found: dict[int, Result] = {}
    for name in dict.fromkeys(names):
        indices = [index for index, one in enumerate(names) if one == name]
        found |= dict(zip(indices, work(name, indices), strict=True))
    return [found[index] for index in range(len(names))]


def providers(available: Sequence[str]) -> list[Any]:
    """Return on what onnxruntime computes: the device, if among its build's providers one is for it, else the CPU."""
    found: list[Any] = ["CPUExecutionProvider"]
    device = chosen()
    if device.type == "cuda" and "CUDAExecutionProvider" in available:
        found.insert(0, ("CUDAExecutionProvider", {"device_id": device.index}))
    return found


def name() -> str:
    """Return what the device is called: a GPU's model, else its kind."""
    on = chosen()
    return torch.cuda.get_device_name(on) if on.type == "cuda" else on.type


def peak_memory() -> int:
    """Return the most memory that this process has taken so far, in bytes: the GPU's, if it computes on one."""
    if chosen().type == "cuda":
        return torch.cuda.max_memory_allocated(chosen())
    kilobyte = 1 if sys.platform == "darwin" else 1024  # in which the system counts memory
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * kilobyte
