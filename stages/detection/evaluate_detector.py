"""Score the detector on people it was not trained on.

python -m stages.detection.evaluate_detector --faces data/masked/orl --weights models/detector.safetensors \
    --figure metrics/figures/evaluate_detector.png --metrics metrics/evaluate_detector.json
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import StageParams
from stages.detection import coco, detector
from stages.faces import regions
from stages.figures import sheets

BATCH = 8


class Params(StageParams):
    """Section `evaluate_detector:` of params.yaml."""

    split: Literal["train", "val", "test"]
    score_threshold: float = Field(ge=0, le=1)
    """From this score on, what was found counts as a mask."""


def evaluate_detector(faces: Path, weights: Path, figure: Path, params: Params) -> dict[str, Any]:
    """Score a detector on the faces of a split.

    Args:
        faces: a table of faces with drawn masks; a face without one is an image in which nothing should be found.
        weights: what `train_detector` wrote.
        figure: a contact sheet of what was found.
        params: section `evaluate_detector`.

    Returns:
        COCO's AP of boxes and regions (left out if no face has a mask); over the faces with a mask the mean IoU of its
        region with the most certain one found (0 if none was), over all, by style and by position; how many masks were
        missed, and in how many bare faces one was found.

    Raises:
        UnmaskError: the split has no faces, or the weights are not a detector's.
    """
    found_in = detector.load(weights)
    wanted = ["face_id", "split", "image", "mask", "mask_style", "mask_position"]
    rows = [face for face in tables.read(faces, wanted) if face["split"] == params.split]
    if not rows:
        raise UnmaskError(f"{faces} has no face in split {params.split!r}")
    examples = [
        coco.Example(
            face["face_id"],
            images.decode(face["image"]),
            () if face["mask"] is None else (images.decode_gray(face["mask"]),),
        )
        for face in rows
    ]
    found = [
        one
        for start in range(0, len(examples), BATCH)
        for one in found_in([example.image for example in examples[start : start + BATCH]])
    ]
    above_threshold = [
        one.regions[0]
        if len(one.scores) and one.scores[0] >= params.score_threshold
        else np.zeros(example.image.shape[:2], bool)
        for example, one in zip(examples, found, strict=True)
    ]
    by_style: dict[str, list[float]] = {}
    by_position: dict[str, list[float]] = {}
    missed = wrong = 0
    for face, example, region in zip(rows, examples, above_threshold, strict=True):
        truth = example.regions[0] > 0 if example.regions else np.zeros(region.shape, bool)
        if not truth.any():
            wrong += int(region.any())
            continue
        missed += int(not region.any())
        iou = regions.scores(truth, region)["iou"]
        by_style.setdefault(face["mask_style"], []).append(iou)
        by_position.setdefault(face["mask_position"], []).append(iou)
    shown = [
        (example.name.split("/", 1)[1], example.image, region.astype(np.uint8))
        for example, region in zip(examples, above_threshold, strict=True)
    ]
    sheets.show_labels(shown, figure, title="Masks that the detector finds, on people not seen in training")
    every = [iou for style in by_style.values() for iou in style]
    return {
        "split": params.split,
        "faces": len(rows),
        "masks": len(every),
        **coco.average_precision(examples, found),
        "mask_iou": {
            **({"mean": float(np.mean(every))} if every else {}),
            "by_style": _means(by_style),
            "by_position": _means(by_position),
        },
        "missed": missed,
        "found_on_bare_faces": wrong,
    }


def _means(values: dict[str, list[float]]) -> dict[str, float]:
    return {name: float(np.mean(some)) for name, some in sorted(values.items())}


if __name__ == "__main__":
    run_stage("detection.evaluate_detector")
