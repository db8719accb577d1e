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
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torchvision.ops import nms as torchvision_nms

from stages.core.errors import UnmaskError

EXTENSION = "mmcv._ext"
# mmengine asks pkg_resources where a recipe lies, which warns about itself at every start.
warnings.filterwarnings("ignore", message="pkg_resources is deprecated", category=UserWarning)


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


def build(scope: str, model: Mapping[str, Any]) -> nn.Module:
    """Return the network of a config, its weights drawn by torch's generator.

    A SyncBN in it needs several processes; mmengine makes it a BN where a training has one.

    Args:
        scope: the package whose names the config uses, `mmseg` or `mmdet`; it is imported by now.
        model: the config.
    """
    from mmengine.config import ConfigDict  # noqa: PLC0415 -- most that imports this module needs no mmengine yet
    from mmengine.registry import MODELS, init_default_scope  # noqa: PLC0415

    init_default_scope(scope)
    network: nn.Module = MODELS.build(ConfigDict(model))
    return network


def config(name: str, folder: Path, scope: str, param: str) -> Any:
    """Return a config of mmengine, without the weights that it would download.

    Args:
        name: of a file in the folder; or of one of the package, such as `mmseg::segformer/segformer_mit-b2_….py`; or a
            file of the user's. It runs as Python does, so it must be one that you trust.
        folder: of our own configs.
        scope: the package, `mmseg` or `mmdet`.
        param: names it in params.yaml.

    Raises:
        UnmaskError: there is none, it cannot be read, or it has no `model`.
    """
    from mmengine.config import Config  # noqa: PLC0415 -- most that imports this module needs no mmengine yet

    path = _config_file(name, folder, scope)
    if path is None:
        known = ", ".join(sorted(file.stem for file in folder.glob("*.py") if not file.stem.startswith("_")))
        raise UnmaskError(
            f"{param}: {name!r} is not allowed: one of {known}, a file, or one of {scope}'s, as {scope}::…"
        )
    try:
        chosen = Config.fromfile(path)
    except Exception as error:  # a config is a program
        raise UnmaskError(f"{param}: {path} cannot be read as a config: {error}") from None
    if not isinstance(chosen.get("model"), dict):
        raise UnmaskError(f"{param}: {path} has no `model`, so it is no config of a network, but a part of one")
    for part in parts(chosen.model):
        if part.get("pretrained"):
            part["pretrained"] = None
        if isinstance(part.get("init_cfg"), dict) and part["init_cfg"].get("type") == "Pretrained":
            part["init_cfg"] = None
    return chosen


def is_ours(name: str, folder: Path) -> bool:
    """Tell whether a config is one of a folder of ours, which is made for our classes."""
    return (folder / f"{name}.py").is_file()


def own_files(name: str) -> list[Path]:
    """Return the file of the user's own that a config's name is; else nothing."""
    return [file for file in [Path(name)] if file.is_file()]


def parts(model: Any) -> Iterator[dict[str, Any]]:
    """Yield all mappings in a config, the outer ones first."""
    if isinstance(model, dict):
        yield model
    for inner in model.values() if isinstance(model, dict) else model if isinstance(model, list | tuple) else ():
        yield from parts(inner)


def set_classes(model: Any, n: int) -> None:
    """Give all heads of a config `n` classes; weights of classes in its losses become those of n, 1.0 each."""
    for part in parts(model):
        before = part.get("num_classes")
        if not isinstance(before, int):
            continue
        part["num_classes"] = n
        for loss in parts(part):
            weights = loss.get("class_weight")
            if isinstance(weights, list | tuple) and len(weights) in {before, before + 1}:
                loss["class_weight"] = [1.0] * n + list(weights[before:])  # the last one may be that of no object


def _config_file(name: str, folder: Path, scope: str) -> Path | None:
    """Return the file of a config; None if there is none."""
    package, found, inside = name.partition("::")
    if found:
        spec = importlib.util.find_spec(scope) if package == scope else None
        places = [Path(place) / ".mim/configs" for place in (spec.submodule_search_locations or ())] if spec else []
        files = [place / f"{inside.removesuffix('.py')}.py" for place in places]
    else:
        files = [folder / f"{name}.py", Path(name)] if name.endswith(".py") or "/" not in name else [Path(name)]
    return next((file for file in files if file.is_file()), None)


def _wide(tensor: Tensor) -> Tensor:
    """Return a bfloat16 tensor as float32, as torchvision's kernels know no bfloat16; any other as it is."""
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


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
    return torchvision_nms(_wide(boxes), _wide(scores), iou_threshold)


def _sampling(
    rois: Tensor,
    shape: tuple[int, int],
    bins: tuple[int, int],
    scale: float,
    per_bin: int,
    aligned: bool,
) -> tuple[Tensor, Tensor]:
    """Return RoIAlign as two matrices a RoI, of rows (k, bins[0], h) and of columns (k, bins[1], w).

    As a RoI's sides are those of the image, bilinear sampling and the mean within a bin act on rows and columns apart:
    pooled = rows @ features @ columns.T. On a CPU that is several times as fast as torchvision's kernel, whose backward
    pass runs on one core.
    """
    first, last = _wide(rois)[:, 1:3] * scale, _wide(rois)[:, 3:5] * scale  # x, y
    if aligned:
        first, last = first - 0.5, last - 0.5
    size = (last - first) if aligned else (last - first).clamp(min=1)
    matrices = []
    for axis, length, n in ((1, shape[0], bins[0]), (0, shape[1], bins[1])):
        steps = (torch.arange(n * per_bin, device=rois.device) + 0.5) / (n * per_bin)
        places = first[:, axis, None] + steps * size[:, axis, None]
        inside = (places >= -1) & (places <= length)
        near = places.clamp(0, length - 1)[..., None] - torch.arange(length, device=rois.device)
        weights = (1 - near.abs()).clamp(min=0) * inside[..., None]
        matrices.append(weights.reshape(len(rois), n, per_bin, length).mean(2))
    return matrices[0], matrices[1]


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
    if sampling_ratio > 0 and not features.is_cuda:
        n, c, h, w = features.shape
        down, across = _sampling(rois, (h, w), (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned)
        for image in range(n):
            of = (rois[:, 0] == image).nonzero()[:, 0]
            columns = down[of].flatten(0, 1) @ _wide(features[image]).transpose(0, 1).reshape(h, c * w)
            pooled = columns.reshape(len(of), aligned_height * c, w) @ across[of].transpose(1, 2)
            output[of] = pooled.reshape(len(of), aligned_height, c, aligned_width).transpose(1, 2).to(output.dtype)
        return
    pooled = torch.ops.torchvision.roi_align(
        _wide(features), _wide(rois), spatial_scale, aligned_height, aligned_width, sampling_ratio, aligned
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
    if sampling_ratio > 0 and not grad_input.is_cuda:
        n, c, h, w = grad_input.shape
        down, across = _sampling(rois, (h, w), (aligned_height, aligned_width), spatial_scale, sampling_ratio, aligned)
        for image in range(n):
            of = (rois[:, 0] == image).nonzero()[:, 0]
            pooled = _wide(grad_output[of]).transpose(1, 2).reshape(len(of), aligned_height * c, aligned_width)
            columns = (pooled @ across[of]).reshape(len(of) * aligned_height, c * w)
            gradient = down[of].flatten(0, 1).T @ columns
            grad_input[image] += gradient.reshape(h, c, w).transpose(0, 1).to(grad_input.dtype)
        return
    gradient = torch.ops.torchvision._roi_align_backward(
        _wide(grad_output),
        _wide(rois),
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        aligned,
    )
    grad_input.add_(gradient)
