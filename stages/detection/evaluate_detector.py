"""Score the detector on people it was not trained on.

python -m stages.detection.evaluate_detector --faces data/masked/oracle/orl --weights models/detector.safetensors \
    --results metrics/evaluate_detector
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import StageParams
from stages.core.results import Results
from stages.detection import coco, detector
from stages.faces import regions
from stages.figures import sheets


class Params(StageParams):
    """Section `evaluate_detector:` of params.yaml."""

    split: Literal["train", "val", "test"]
    score_threshold: float = Field(ge=0, le=1)
    """From this score on, what was found counts as a mask."""


def evaluate_detector(faces: Path, weights: Path, results: Results, params: Params) -> dict[str, Any]:
    """Score a detector on the faces of a split.

    Args:
        faces: a table of faces with drawn masks; a face without one is an image in which nothing should be found.
        weights: what `train_detector` wrote.
        results: where the numbers go, and a contact sheet of what was found.
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
    found = found_in([example.image for example in examples])
    above_threshold = [one.regions[:1][one.scores[:1] >= params.score_threshold].any(0) for one in found]
    masked, missed, wrong = list[tables.Face](), 0, 0
    for face, example, region in zip(rows, examples, above_threshold, strict=True):
        truth = example.regions[0] > 0 if example.regions else np.zeros(region.shape, bool)
        if not truth.any():
            wrong += int(region.any())
            continue
        missed += int(not region.any())
        masked.append({**face, "iou": regions.scores(truth, region)["iou"]})
    shown = [
        (example.name.split("/", 1)[1], example.image, region.astype(np.uint8))
        for example, region in zip(examples, above_threshold, strict=True)
    ]
    sheets.show_labels(shown, results.figure, title="Masks that the detector finds, on people not seen in training")
    return {
        "split": params.split,
        "faces": len(rows),
        "masks": len(masked),
        **coco.average_precision(examples, found),
        "mask_iou": {
            **({"mean": float(np.mean([face["iou"] for face in masked]))} if masked else {}),
            "by_style": _means(masked, "mask_style"),
            "by_position": _means(masked, "mask_position"),
        },
        "missed": missed,
        "found_on_bare_faces": wrong,
    }


def _means(faces: list[tables.Face], by: str) -> dict[str, float]:
    values = sorted({face[by] for face in faces})
    return {value: float(np.mean([face["iou"] for face in faces if face[by] == value])) for value in values}


if __name__ == "__main__":
    run_stage("detection.evaluate_detector")
