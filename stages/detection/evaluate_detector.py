"""Score the detector on people it was not trained on: the test people, and those to choose by.

python -m stages.detection.evaluate_detector --faces data/masked/oracle/orl --weights models/detector.safetensors \
    --results metrics/evaluate_detector
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
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
    """Whose scores stand at the top; those of `val` stand below `val` in any case."""
    score_threshold: float = Field(ge=0, le=1)
    """From this score on, what was found counts as a mask."""


class Judged(NamedTuple):
    """A face of the table, and what was found in it."""

    face: tables.Face
    example: coco.Example
    found: coco.Found
    region: NDArray[np.bool_]
    """The most certain mask, if its score is above the threshold, bool (H, W)."""


def evaluate_detector(faces: Path, weights: Path, results: Results, params: Params) -> dict[str, Any]:
    """Score a detector on the faces of a split.

    Args:
        faces: a table of faces with drawn masks; a face without one is an image in which nothing should be found.
        weights: what `train_detector` wrote.
        results: where the numbers go, and a contact sheet of what was found in the faces of the split.
        params: section `evaluate_detector`.

    Returns:
        COCO's AP of boxes and regions (left out if no face has a mask); over the faces with a mask the mean IoU of its
        region with the most certain one found (0 if none was), over all, by style and by position; how many masks were
        missed, and in how many bare faces one was found. Below `val` the same of the people of split `val`, by which
        one may choose; null if the table has none of them, and left out if they are the split that is scored anyway.

    Raises:
        UnmaskError: the split has no faces, or the weights are not a detector's.
    """
    found_in = detector.load(weights)
    judged = _judged(found_in, faces, params.split, params.score_threshold)
    if not judged:
        raise UnmaskError(f"{faces} has no face in split {params.split!r}")
    shown = [(one.example.name.split("/", 1)[1], one.example.image, one.region.astype(np.uint8)) for one in judged]
    sheets.show_labels(shown, results.figure, title="Masks that the detector finds, on people not seen in training")
    result = {"split": params.split, **_scores(judged)}
    if params.split != "val":
        to_choose_by = _judged(found_in, faces, "val", params.score_threshold)
        result["val"] = _scores(to_choose_by) if to_choose_by else None
    return result


def _judged(found_in: detector.Detector, faces: Path, split: str, score_threshold: float) -> list[Judged]:
    """Return the faces of a split and what the detector finds in them."""
    wanted = ["face_id", "split", "image", "mask", "mask_style", "mask_position"]
    rows = [face for face in tables.read(faces, wanted) if face["split"] == split]
    examples = [
        coco.Example(
            face["face_id"],
            images.decode(face["image"]),
            () if face["mask"] is None else (images.decode_gray(face["mask"]),),
        )
        for face in rows
    ]
    found = found_in([example.image for example in examples])
    certain = [one.regions[:1][one.scores[:1] >= score_threshold].any(0) for one in found]
    return [Judged(*one) for one in zip(rows, examples, found, certain, strict=True)]


def _scores(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the scores of at least one face; see `evaluate_detector`."""
    masked, missed, wrong = list[tables.Face](), 0, 0
    for face, example, _, region in judged:
        truth = example.regions[0] > 0 if example.regions else np.zeros(region.shape, bool)
        if not truth.any():
            wrong += int(region.any())
            continue
        missed += int(not region.any())
        masked.append({**face, "iou": regions.scores(truth, region)["iou"]})
    return {
        "faces": len(judged),
        "masks": len(masked),
        **coco.average_precision([one.example for one in judged], [one.found for one in judged]),
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
