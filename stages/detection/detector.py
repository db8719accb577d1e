"""A detector of masks: an mmdet Mask R-CNN, its training samples, and what it says about images."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from stages.compute import device
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.seeding import derived
from stages.detection.coco import ANNOTATIONS, CLASSES, IMAGES, Found
from stages.faces.resize import resized_pixels
from stages.training import openmmlab

openmmlab.enable()

import mmdet.datasets  # noqa: E402 -- registers its transforms
import mmdet.models  # noqa: E402 -- registers its models
from mmcv.transforms import BaseTransform  # noqa: E402
from mmdet.models.dense_heads import RPNHead  # noqa: E402
from mmdet.registry import MODELS, TRANSFORMS  # noqa: E402
from mmdet.structures import DetDataSample  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.model import revert_sync_batchnorm  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from stages.compute import weights  # noqa: E402
from stages.training import encoder  # noqa: E402, F401 -- registers itself

CONFIGS = Path(__file__).parent / "configs"
DEFAULT = "mask_rcnn_r18"
KIND = "detector"


def config(name: str) -> Config:
    """Return a config: one of this package, one of mmdet's (`mmdet::…`) or a file.

    One that is not of this package gets our number of classes, and what our Mask R-CNN does to its training images.

    Raises:
        UnmaskError: there is none, it cannot be read, it finds no masks, or its number of classes is not the data's.
    """
    param = "train_detector.config"
    chosen = openmmlab.config(name, CONFIGS, "mmdet", param)
    if not any("mask_head" in part for part in openmmlab.parts(chosen.model)):
        raise UnmaskError(f"{param}: {name} finds boxes alone, and regions are wanted: it has no mask_head")
    ours = openmmlab.is_ours(name, CONFIGS)
    if not ours or "train_pipeline" not in chosen:
        chosen.train_pipeline = openmmlab.config(DEFAULT, CONFIGS, "mmdet", param).train_pipeline
    if not ours:
        openmmlab.set_classes(chosen.model, len(CLASSES))
        chosen.model.get("data_preprocessor", {}).pop("batch_augments", None)  # which pad to the size of COCO's photos
    for part in openmmlab.parts(chosen.model):
        if part.get("num_classes", len(CLASSES)) != len(CLASSES):
            raise UnmaskError(
                f"{CONFIGS / name}.py: num_classes is {part['num_classes']}, the data have {len(CLASSES)} class"
            )
    return chosen


@MODELS.register_module()
class CoarseRPNHead(RPNHead):  # type: ignore[misc] -- mmdet has no types
    """Proposes boxes from all features but the finest, which are there for the outlines of masks."""

    def forward(self, x: tuple[Tensor, ...]) -> tuple[list[Tensor], list[Tensor]]:
        """Return scores and box changes of each level but the first."""
        scores, changes = super().forward(x[1:])
        return scores, changes


@TRANSFORMS.register_module()
class BoxesFromMasks(BaseTransform):  # type: ignore[misc] -- mmcv has no types
    """Draws each box around its mask anew: a turned box is larger than the box around what is turned in it."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace `gt_bboxes`; masks that were shifted out of the image are left out."""
        kept = results["gt_masks"].areas > 0
        results["gt_masks"] = results["gt_masks"][kept]
        for name in ("gt_bboxes_labels", "gt_ignore_flags"):
            results[name] = results[name][kept]
        results["gt_bboxes"] = results["gt_masks"].get_bboxes(type(results["gt_bboxes"]))
        return results


class Samples(Dataset[Any]):
    """mmdet's CocoDataset over a folder that `coco.write` wrote, changed by chance in each round through it.

    Sample `round * n + index` is always the same, so a training that is continued sees what it would have seen. Its
    longer side has `size` pixels. A pipeline begins with what loads an image and its masks.
    """

    def __init__(self, folder: Path, pipeline: Sequence[Mapping[str, Any]], size: int, seed: int) -> None:
        init_default_scope("mmdet")
        image, masks, *changes = pipeline
        # Pillow averages where it shrinks, as `resized_pixels` does; OpenCV would not.
        resize = {"type": "Resize", "scale": (size, size), "keep_ratio": True, "backend": "pillow"}
        self.dataset = mmdet.datasets.CocoDataset(
            data_root=str(folder),
            ann_file=ANNOTATIONS,
            data_prefix={"img": f"{IMAGES}/"},
            metainfo={"classes": CLASSES},
            pipeline=[image, masks, resize, *changes],
        )
        self.seed = seed

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.dataset)

    def __getitem__(self, key: int) -> dict[str, Any]:
        """Return sample `round * len + index`."""
        turn, index = divmod(key, len(self.dataset))
        seed = derived(self.seed, "transforms", turn, index)
        random.seed(seed)  # mmdet's transforms draw from the global generators
        np.random.seed(seed)  # noqa: NPY002
        init_default_scope("mmdet")  # of the worker
        sample: dict[str, Any] = self.dataset[index]
        name = Path(sample["data_samples"].img_path).relative_to(Path(self.dataset.data_prefix["img"]))
        sample["data_samples"].set_metainfo({"face_id": name.with_suffix("").as_posix()})
        return sample


class Detector:
    """A trained Mask R-CNN of mmdet, and the longer side in pixels of the images it was trained on."""

    def __init__(self, network: nn.Module, size: int) -> None:
        self.network = device.placed(revert_sync_batchnorm(network))
        self.size = size

    def __call__(self, images: Sequence[Pixels]) -> list[Found]:
        """Return the masks found in RGB images (H, W, 3) of any size, the most certain first."""
        on = device.of(self.network)
        return [one for batch in device.batches(images, on) for one in self._found_in(images[batch])]

    def _found_in(self, images: Sequence[Pixels]) -> list[Found]:
        inputs, samples = [], []
        for image in images:
            height, width = image.shape[:2]
            scale = self.size / max(height, width)
            shape = (max(1, round(height * scale)), max(1, round(width * scale)))
            scaled = resized_pixels(image, shape)
            # The network was trained on what OpenCV reads, and turns BGR into RGB itself.
            inputs.append(torch.from_numpy(np.ascontiguousarray(scaled[..., ::-1].transpose(2, 0, 1))))
            factor = (shape[1] / width, shape[0] / height)
            samples.append(
                DetDataSample(metainfo={"img_shape": shape, "ori_shape": (height, width), "scale_factor": factor})
            )
        with torch.inference_mode():
            results = self.network.test_step({"inputs": inputs, "data_samples": samples})
        return [_found(result.pred_instances) for result in results]


def _found(instances: Any) -> Found:
    order = torch.argsort(instances.scores, descending=True, stable=True)
    boxes, scores, regions = (instances[name][order].cpu().numpy() for name in ("bboxes", "scores", "masks"))
    return Found(boxes, scores, regions.astype(bool))


def load(path: Path) -> Detector:
    """Return the detector that `train_detector` wrote.

    Raises:
        UnmaskError: no such file, or weights of something else or of another config.
    """
    about, state = weights.load(path, KIND)
    network = openmmlab.build("mmdet", about["model"])
    weights.fill(network, state, path)
    return Detector(network, about["size"])
