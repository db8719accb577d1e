"""Faces with mask regions in COCO's format, which mmdet and others read, and COCO's average precision."""

import contextlib
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from stages.core.images import Pixels, encode_png

CLASSES = ("face_mask",)
IMAGES, ANNOTATIONS = "images", "annotations.json"


@dataclass(frozen=True)
class Example:
    """An image and the masks in it.

    Attributes:
        name: of the image, unique: `<face_id>` or `<face_id>/<number>`.
        image: RGB uint8 (H, W, 3).
        regions: uint8 (H, W), not 0 where the mask is; an empty one is no mask.
    """

    name: str
    image: Pixels
    regions: tuple[Pixels, ...]


@dataclass(frozen=True)
class Found:
    """What a detector found in one image.

    Attributes:
        boxes: x1, y1, x2, y2 in pixels, float32 (n, 4).
        scores: float32 (n,), falling.
        regions: bool (n, H, W).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    regions: NDArray[np.bool_]


@dataclass(frozen=True)
class Outlined:
    """An image without its pixels: what is kept of it for COCO's scores.

    Attributes:
        name: of the image, unique.
        shape: height and width, pixels.
        masks: the masks in it that are not empty, run-length encoded.
        found: what a detector found in it, the most certain first: score, box and region, as COCO has them.
    """

    name: str
    shape: tuple[int, int]
    masks: list[dict[str, Any]]
    found: list[dict[str, Any]]


NOTHING = Found(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 0, 0), bool))


def outlined(example: Example, found: Found = NOTHING) -> Outlined:
    """Return what is kept of an image and of what was found in it."""
    height, width = example.image.shape[:2]
    detections = [
        {
            "score": float(score),
            "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
            "segmentation": encode(region),
        }
        for (x1, y1, x2, y2), score, region in zip(found.boxes, found.scores, found.regions, strict=True)
    ]
    masks = [encode(region > 0) for region in example.regions if region.any()]
    return Outlined(example.name, (height, width), masks, detections)


def write(examples: Iterable[Example], folder: Path) -> int:
    """Write images and annotations.json into a folder; return how many masks there are."""

    def written() -> Iterator[Outlined]:
        for example in examples:
            path = folder / IMAGES / f"{example.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encode_png(example.image))
            yield outlined(example)

    content = _described(written())
    (folder / ANNOTATIONS).write_text(json.dumps(content), encoding="utf-8")
    return len(content["annotations"])


def _described(examples: Iterable[Outlined]) -> dict[str, Any]:
    """Return what annotations.json says of examples."""
    entries: list[dict[str, Any]] = []
    masks: list[dict[str, Any]] = []
    for number, example in enumerate(examples, 1):
        height, width = example.shape
        entries.append({"id": number, "file_name": f"{example.name}.png", "height": height, "width": width})
        for encoded in example.masks:
            masks.append(
                {
                    "id": len(masks) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "iscrowd": 0,
                    "bbox": rle.toBbox(encoded).tolist(),
                    "area": float(rle.area(encoded)),
                    "segmentation": encoded,
                }
            )
    classes = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
    return {"images": entries, "annotations": masks, "categories": classes}


def encode(region: NDArray[np.bool_]) -> dict[str, Any]:
    """Return a region (H, W) run-length encoded, as JSON types."""
    encoded = rle.encode(np.asfortranarray(region, np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode("ascii")}


def average_precision(examples: Sequence[Outlined]) -> dict[str, dict[str, float]]:
    """Return COCO's AP of boxes (`box`) and regions (`segm`): the mean over IoU 0.50 to 0.95, and at 0.50 and 0.75.

    Without a single mask in the examples there is no recall and no AP: the result is empty.
    """
    content = _described(examples)
    if not content["annotations"]:
        return {}
    detections = [
        {"image_id": number, "category_id": 1, **one} for number, of in enumerate(examples, 1) for one in of.found
    ]
    if not detections:
        return {kind: {"ap": 0.0, "ap50": 0.0, "ap75": 0.0} for kind in ("box", "segm")}
    result = {}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints tables
        truth = COCO()
        truth.dataset = {**content, "info": {}}
        truth.createIndex()
        for kind, name in (("bbox", "box"), ("segm", "segm")):
            evaluation = COCOeval(truth, truth.loadRes([dict(one) for one in detections]), kind)
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            result[name] = dict(zip(("ap", "ap50", "ap75"), map(float, evaluation.stats[:3]), strict=True))
    return result
