"""A GPU that is not there: tensors that say they are on it, while their content is in this machine's memory.

torch's FakeTensorMode knows devices, too, but tensors in it have no content, and without a driver no gradient: a
training step, a box that is found, a value that decides what comes next cannot be run there. Here all of it runs as on
the CPU, and each function of torch that is called with tensors of both devices is an error, as on a GPU.

What is seen is what Python code of this project and of others hands to torch; what torch's own functions do inside is
taken to be right. In a backward pass torch hands out gradients that do not say where they are, so that tensors of both
devices pass there. Nothing is said about a GPU's kernels: which are missing, how fast and how exact they are.
"""

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from stages.compute import device
from stages.training import loop, openmmlab

openmmlab.enable()

from mmcv.ops.roi_align import RoIAlignFunction  # noqa: E402 -- importable only now

GPU = torch.device("cuda", 0)
# Functions that take an index from the CPU, or bring content from one device to the other.
INDEXES = {Tensor.__getitem__, Tensor.__setitem__, Tensor.index_put_, torch.index_put_, torch.index_put}
COPIES = {
    torch._has_compatible_shallow_copy_type,
    Tensor.copy_,
    Tensor.data.__set__,
    Tensor.grad.__set__,
    Tensor.type_as,
}
MOVES = {Tensor.to, Tensor.cuda, Tensor.cpu}


class OnGpu(Tensor):
    """A tensor that says it is on the GPU."""

    device = GPU  # type: ignore[assignment]
    is_cuda = True  # type: ignore[assignment]

    @classmethod
    def __torch_function__(cls, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _called(func, args, kwargs or {})

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnGpu":
        if id(self) not in memo:
            with torch._C.DisableTorchFunctionSubclass():
                memo[id(self)] = brought(self.detach().clone()).requires_grad_(self.requires_grad)
            if isinstance(self, torch.nn.Parameter):
                memo[id(self)] = torch.nn.Parameter(memo[id(self)], self.requires_grad)
        return memo[id(self)]

    def numpy(self, **_: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first")

    def __array__(self, *_: Any) -> Any:
        return self.numpy()


class TwoDevicesError(RuntimeError):
    """A function got tensors of both devices."""


def brought(value: Any) -> Any:
    """Return a result with its tensors on the GPU."""
    if isinstance(value, Tensor):
        return value if isinstance(value, OnGpu) else value.as_subclass(OnGpu)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(brought, value))
    if type(value) in {list, tuple}:
        return type(value)(map(brought, value))
    if type(value).__module__ == "torch.return_types":
        return type(value)(tuple(map(brought, value)))
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, OnGpu):
        return value.as_subclass(Tensor)
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return type(value)(map(_plain, value)) if type(value) in {list, tuple} else value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _tensors(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


def _is_gpu(wanted: Any) -> bool:
    return wanted is not None and torch.device(wanted).type == "cuda"


def _target(args: Any, kwargs: Any) -> Any:
    """Return the device to which `Tensor.to` moves; None if it only changes the type."""
    for one in (*args[1:], *kwargs.values()):
        if isinstance(one, Tensor):
            return one.device
        if isinstance(one, torch.device | str):
            return one
    return None


def _without_device(args: Any, kwargs: Any) -> tuple[Any, Any]:
    def plain(one: Any) -> Any:
        return torch.device("cpu") if isinstance(one, torch.device | str) and _is_device(one) else one

    return tuple(map(plain, args)), {name: plain(one) for name, one in kwargs.items()}


def _is_device(value: Any) -> bool:
    return isinstance(value, torch.device) or value == "cpu" or str(value).startswith("cuda")


def _called(func: Any, args: Any, kwargs: Any) -> Any:
    given = list(_tensors((args, kwargs)))
    here = [one for one in given if isinstance(one, OnGpu)]
    if func in MOVES:
        target = {Tensor.cpu: "cpu", Tensor.cuda: GPU}.get(func) or _target(args, kwargs)
        to_gpu = bool(here and isinstance(args[0], OnGpu)) if target is None else _is_gpu(target)
        with torch._C.DisableTorchFunctionSubclass():
            args, kwargs = _without_device(args, kwargs)
            moved = args[0] if func is Tensor.cuda else func(*args, **kwargs)
            return brought(moved) if to_gpu else moved.as_subclass(Tensor)
    looked_at = [args[0]] if func in INDEXES else given
    elsewhere = [one for one in looked_at if not isinstance(one, OnGpu) and one.ndim]
    in_backward = torch._C._current_graph_task_id() != -1  # where torch hands out gradients that say nothing
    if here and elsewhere and func not in COPIES and not in_backward:
        shapes = [tuple(one.shape) for one in elsewhere]
        raise TwoDevicesError(
            f"{getattr(func, '__name__', func)}: tensors of shapes {shapes} are on the CPU, others not"
        )
    wanted = kwargs.get("device")
    on_gpu = _is_gpu(wanted) if wanted is not None else bool(here)
    if func in INDEXES:
        on_gpu = isinstance(args[0], OnGpu)
    if wanted is not None:
        args, kwargs = _without_device(args, kwargs)
    if isinstance(func, types.FunctionType):  # written in Python, it may ask its arguments where they are
        found = func(*_plain(args), **_plain(kwargs))
    else:
        with torch._C.DisableTorchFunctionSubclass():
            found = func(*args, **kwargs)
    return brought(found) if on_gpu else found


class _Mode(TorchFunctionMode):
    """Sees the functions that make tensors, and those that bring some to the GPU."""

    def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if any(isinstance(one, OnGpu) for one in _tensors((args, kwargs))):
            return _called(func, args, kwargs)
        if func in MOVES and (func is Tensor.cuda or _is_gpu(_target(args, kwargs))):
            return _called(func, args, kwargs)
        if _is_gpu(kwargs.get("device")) and func is not torch._C._nn._parse_to:
            return _called(func, args, kwargs)
        return func(*args, **kwargs)


OF_ROI_ALIGN = RoIAlignFunction.backward


def _of_roi_align(context: Any, gradient: Tensor) -> Any:
    """Call what goes other ways on a GPU and on a CPU, by where the gradient is."""
    return OF_ROI_ALIGN(context, brought(gradient))


@contextmanager
def pretended() -> Iterator[None]:
    """Pretend that there is a GPU."""
    overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with (
            mock.patch.object(device, "chosen", return_value=GPU),
            mock.patch.object(device, "peak_memory", return_value=0),
            mock.patch.object(device, "name", return_value="a pretended GPU"),
            mock.patch.object(loop, "LOADERS", 0),
            mock.patch.object(RoIAlignFunction, "backward", staticmethod(_of_roi_align)),
            _Mode(),
        ):
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(overwrite)
