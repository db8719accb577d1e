"""The one place that makes OpenMMLab run on today's torch without a compiler: import mmdet and mmseg through here.

mmcv's compiled extension cannot be built against current torch, and mmcv-lite has none, so `import mmcv.ops` fails with
"No module named 'mmcv._ext'". `enable()` supplies that module. Its `nms` and `roi_align` are torchvision's kernels (the
same C++ and CUDA code from which mmcv's stem); every other op raises an error that says what is missing. A real
extension, if one is installed, is left alone.
"""

import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

from stages.common.errors import UnmaskError

EXTENSION = "mmcv._ext"


def enable() -> None:
    """Make `mmcv.ops`, mmdet and mmseg importable; calling it again does nothing."""
    if EXTENSION in sys.modules or importlib.util.find_spec(EXTENSION) is not None:
        return
    module = _Extension(EXTENSION)
    # mmcv and mmengine ask importlib whether the extension exists, which looks at its spec.
    module.__spec__ = importlib.machinery.ModuleSpec(EXTENSION, loader=None, origin=__file__)
    module.nms = _nms  # type: ignore[attr-defined]
    module.roi_align_forward = _roi_align_forward  # type: ignore[attr-defined]
    module.roi_align_backward = _roi_align_backward  # type: ignore[attr-defined]
    sys.modules[EXTENSION] = module


class _Extension(types.ModuleType):
    """Has every op by name, as mmcv checks on import; all but three of them only raise."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> NoReturn:
            raise UnmaskError(
                f"the op {name!r} is not in mmcv-lite: this model needs full mmcv, built for your torch; or choose a "
                f"config without it"
            )

        return missing


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the boxes kept, by falling score.

    Args:
        boxes: (n, 4), x1, y1, x2, y2.
        scores: (n,).
        iou_threshold: above which the box with the lower score goes.
        offset: 1 if x2 and y2 are the last pixels inside, 0 if they are borders.
    """
    if offset:
        boxes = boxes + boxes.new_tensor([0, 0, offset, offset])
    return torchvision_nms(boxes, scores, iou_threshold)


def _average_only(pool_mode: int) -> None:
    if pool_mode != 1:
        raise UnmaskError("RoIAlign with pool_mode='max' is not in mmcv-lite: use pool_mode='avg', or full mmcv")


def _roi_align_forward(  # noqa: PLR0913 -- mmcv's signature
    features: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `output` (k, c, aligned_height, aligned_width) from features (n, c, h, w) and rois (k, 5)."""
    del argmax_y, argmax_x
    _average_only(pool_mode)
    pooled = torch.ops.torchvision.roi_align(
        features, rois, spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
    )
    output.copy_(pooled)


def _roi_align_backward(  # noqa: PLR0913 -- mmcv's signature
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    *,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Add the gradient of the features to `grad_input` (n, c, h, w)."""
    del argmax_y, argmax_x
    _average_only(pool_mode)
    gradient = torch.ops.torchvision._roi_align_backward(
        grad_output,
        rois,
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )
    grad_input.add_(gradient)


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
