"""Score the detector on people it was not trained on: the test people, and those to choose by.

python -m stages.detection.evaluate_detector --faces data/masked/oracle/orl --weights models/detector.safetensors \
    --results metrics/evaluate_detector
"""

import functools
import itertools
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import StageParams
from stages.core.results import Results
from stages.detection import coco, detector
from stages.faces import regions
from stages.figures import sheets

BATCH = 32
COLUMNS = ["face_id", "split", "image", "mask", "mask_style", "mask_position"]
Shown = tuple[str, Pixels, Pixels]
"""Caption, image, and the region that was found, 1 in it."""


class Params(StageParams):
    """Section `evaluate_detector:` of params.yaml."""

    split: Literal["train", "val", "test"]
    """Whose scores stand at the top; those of `val` stand below `val` in any case."""
    score_threshold: float = Field(ge=0, le=1)
    """From this score on, what was found counts as a mask."""


class Judged(NamedTuple):
    """What is kept of a face of the table."""

    outlined: coco.Outlined
    style: str
    """Of its mask."""
    position: str
    """Likewise."""
    iou: float | None
    """Of its mask and the most certain one found, if its score is above the threshold, else 0; None without a mask."""
    found: bool
    """Whether there is one with such a score."""


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
    weights = weights.absolute()
    _detector(weights)  # or no part is begun

    def judged(split: str, to_show: Collection[str] = ()) -> tuple[list[Judged], list[Shown]]:
        work = functools.partial(_judged, weights=weights, split=split, to_show=to_show, params=params)
        found = tables.map_parts(work, faces, needs=COLUMNS, label=f"{results.metrics.stem} {split}")
        return [one for some, _ in found for one in some], [one for _, some in found for one in some]

    rows = tables.read(faces, ["face_id", "split"])
    of_split = [face["face_id"] for face in rows if face["split"] == params.split]
    if not of_split:
        raise UnmaskError(f"{faces} has no face in split {params.split!r}")
    tested, shown = judged(params.split, set(tables.evenly(of_split, sheets.SHEET_FACES)))
    sheets.show_labels(shown, results.figure, title="Masks that the detector finds, on people not seen in training")
    result = {"split": params.split, **_scores(tested)}
    if params.split != "val":
        to_choose_by, _ = judged("val")
        result["val"] = _scores(to_choose_by) if to_choose_by else None
    return result


_detector = functools.cache(detector.load)  # once in a worker


def _judged(
    part: Path, weights: Path, split: str, to_show: Collection[str], params: Params
) -> tuple[list[Judged], list[Shown]]:
    """Return what the detector finds in the faces of a part that are of a split, and those that are to be shown."""
    judged, shown = list[Judged](), list[Shown]()
    rows = (face for face in tables.read_part(part, COLUMNS) if face["split"] == split)
    while batch := list(itertools.islice(rows, BATCH)):
        examples = [
            coco.Example(
                face["face_id"],
                images.decode(face["image"]),
                () if face["mask"] is None else (images.decode_gray(face["mask"]),),
            )
            for face in batch
        ]
        found_in = _detector(weights)([example.image for example in examples])
        for face, example, found in zip(batch, examples, found_in, strict=True):
            certain = np.asarray(found.regions[:1][found.scores[:1] >= params.score_threshold].any(0))
            truth = example.regions[0] > 0 if example.regions else np.zeros(certain.shape, bool)
            iou = regions.scores(truth, certain)["iou"] if truth.any() else None
            outlined = coco.outlined(example, found)
            judged.append(Judged(outlined, face["mask_style"], face["mask_position"], iou, bool(certain.any())))
            if face["face_id"] in to_show:
                shown.append((face["face_id"].split("/", 1)[1], example.image, certain.astype(np.uint8)))
    return judged, shown


def _scores(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return the scores of at least one face; see `evaluate_detector`."""
    ious = [one.iou for one in judged if one.iou is not None]
    return {
        "faces": len(judged),
        "masks": len(ious),
        **coco.average_precision([one.outlined for one in judged]),
        "mask_iou": {
            **({"mean": float(np.mean(ious))} if ious else {}),
            "by_style": _means([(one.style, one.iou) for one in judged]),
            "by_position": _means([(one.position, one.iou) for one in judged]),
        },
        "missed": sum(one.iou is not None and not one.found for one in judged),
        "found_on_bare_faces": sum(one.iou is None and one.found for one in judged),
    }


def _means(ious: Sequence[tuple[str, float | None]]) -> dict[str, float]:
    """Return the mean IoU of faces with a mask, by a property of it."""
    by: dict[str, list[float]] = {}
    for name, iou in ious:
        if iou is not None:
            by.setdefault(name, []).append(iou)
    return {name: float(np.mean(by[name])) for name in sorted(by)}


if __name__ == "__main__":
    run_stage("detection.evaluate_detector")
