"""A parser: an mmseg model, built from its config, and what it says about images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.compute import device
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.resize import resized
from stages.training import openmmlab

openmmlab.enable()

import mmseg.models  # noqa: E402, F401 -- registers its models
from mmcv.cnn.utils import fuse_conv_bn  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.model import revert_sync_batchnorm  # noqa: E402
from mmengine.structures import PixelData  # noqa: E402
from mmseg.structures import SegDataSample  # noqa: E402

from stages.compute import weights  # noqa: E402
from stages.parsing import networks  # noqa: E402, F401 -- registers ours

CONFIGS = Path(__file__).parent / "configs"
KIND = "parser"
IMAGENET = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}  # of pixels, 0 to 255


def read_config(name: str, classes: int, param: str) -> Config:
    """Return a config: one of this package, one of mmseg's (`mmseg::…`) or a file.

    One that is not of this package gets our number of classes, and our inputs: RGB, of any size.

    Raises:
        UnmaskError: there is none, it cannot be read, or it has another number of classes or no decode head.
    """
    chosen = openmmlab.config(name, CONFIGS, "mmseg", param)
    heads = chosen.model.get("decode_head")
    if not isinstance(heads, dict):
        raise UnmaskError(f"{param}: {name}: a parser asks one decode head of mmseg, its `model` has none or several")
    if not openmmlab.is_ours(name, CONFIGS):
        openmmlab.set_classes(chosen.model, classes)
        inputs = chosen.model.setdefault("data_preprocessor", {"type": "SegDataPreProcessor", **IMAGENET})
        inputs.update({"bgr_to_rgb": False, "size_divisor": 1, "size": None, "test_cfg": None})
    if heads.get("num_classes") != classes:
        raise UnmaskError(
            f"{CONFIGS / name}.py: num_classes is {heads.get('num_classes')}, the labels have {classes} classes"
        )
    return chosen


def config(name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `model` of a config file of this package with changes by dotted key, as plain Python types."""
    return changed(openmmlab.config(name, CONFIGS, "mmseg", "config"), changes)


def changed(chosen: Config, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the `model` of a config with changes by dotted key, as plain Python types."""
    chosen.merge_from_dict({f"model.{key}": value for key, value in changes.items()})
    return dict(chosen.model.to_dict())


class Parser:
    """A trained segmentor of mmseg, its classes by id, and the side in pixels of the images it was trained on."""

    def __init__(self, network: nn.Module, classes: tuple[str, ...], size: int) -> None:
        # Batch norms folded into the convolutions before them: a quarter less time for the same numbers.
        self.network = device.placed(fuse_conv_bn(revert_sync_batchnorm(network).eval()))
        self.classes = classes
        self.size = size

    def __call__(self, images: Sequence[Pixels]) -> list[Pixels]:
        """Return the class of each pixel, uint8 (H, W), of RGB images (H, W, 3).

        Images of another size than the network's are scaled to it, and what it says is scaled back, so that any square
        crop can be parsed.
        """
        return device.apply(self.classes_of, device.of(self.network), images)

    def likely(self, images: Sequence[Pixels], of: int) -> list[NDArray[np.float32]]:
        """Return how likely each pixel of the same images is of a class, float32 (H, W), 0 to 1."""
        return device.apply(lambda batch: self._logits(batch).softmax(1)[:, of], device.of(self.network), images)

    def classes_of(self, images: Tensor) -> Tensor:
        """Return the class of each pixel, uint8 (n, H, W), of images uint8 (n, 3, H, W), on the network's device."""
        return self._logits(images).argmax(1).byte()

    def _logits(self, images: Tensor) -> Tensor:
        inputs, shape = images.float(), images.shape[2:]
        if shape != (self.size, self.size):
            inputs = resized(inputs, (self.size, self.size))
        preprocessor = self.network.data_preprocessor
        logits = self.network((inputs - preprocessor.mean) / preprocessor.std, mode="tensor")
        return nn.functional.interpolate(logits, shape, mode="bilinear", align_corners=False)


def load(path: Path, name: str) -> Parser:
    """Return the parser that `train_parser` wrote.

    Raises:
        UnmaskError: no such file, or it holds another model, or weights of another config.
    """
    about, state = weights.load(path, KIND)
    if about["name"] != name:
        raise UnmaskError(f"{path} holds weights of {about['name']}, not of {name}")
    network = openmmlab.build("mmseg", about["model"])
    weights.fill(network, state, path)
    return Parser(network, tuple(about["classes"]), about["size"])


def sample(image: Pixels, labels: Pixels, face_id: str) -> dict[str, Any]:
    """Return what mmseg trains on: an image (H, W, 3) and its label map (H, W).

    Raises:
        UnmaskError: they differ in size.
    """
    if image.shape[:2] != labels.shape:
        raise UnmaskError(f"face {face_id}: image and label map differ in size")
    data = SegDataSample(metainfo={"face_id": face_id, "img_shape": labels.shape})
    data.set_data({"gt_sem_seg": PixelData(data=torch.from_numpy(labels[None].astype(np.int64)))})
    planes = np.ascontiguousarray(image.transpose(2, 0, 1))
    return {"inputs": torch.from_numpy(planes), "data_samples": data}
