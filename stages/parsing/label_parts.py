"""Give every face a label map of its parts: the publisher's, or a weak one drawn from the landmarks.

python -m stages.parsing.label_parts --faces data/aligned/orl --out data/labeled/orl --results metrics/label_parts-orl
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.tables import Face
from stages.faces import parts
from stages.figures import sheets


class Params(StageParams):
    """This stage has none."""


def label_parts(faces: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Add `labels` and `labels_by` to every face of a table: the 19 classes of CelebAMask-HQ, see `stages.faces.parts`.

    Args:
        faces: a table of bare faces with landmarks, and with labels where the publisher gives them. Labels of none of
            the parts say nothing of them.
        out: the table to write. A face that has neither, or that wears a real mask (which landmarks don't show, and
            which may have the class `mask` in the publisher's labels), gets null, and is counted.
        results: where the numbers go, and a contact sheet of label maps.
        params: none.

    Returns:
        How many faces were labeled by whom (`landmarks` are weak labels), and how much of the images each class covers.

    Raises:
        UnmaskError: a label map has an unknown class id, or another size than its image.
    """
    del params
    numbers = tables.map_faces(_labeled, faces, out, needs=["image", "landmarks"], adds=["labels", "labels_by"])
    sheets.show_table(
        out,
        results.figure,
        title="Parts of faces",
        caption=lambda face: face["face_id"].split("/", 1)[1],
        picture=lambda face: (
            sheets.with_labels(images.decode(face["image"]), images.decode_gray(face["labels"]))
            if face["labels"]
            else images.decode(face["image"])
        ),
        legend={
            word: label
            for label, (name, word) in enumerate(zip(parts.CLASSES, sheets.in_words(parts.CLASSES), strict=True))
            if label and numbers[f"share {name}"]
        },
    )
    labeled = numbers["publisher"] + numbers["landmarks"]
    return {
        "faces": numbers["faces"],
        "labels_by": {"publisher": numbers["publisher"], "landmarks_weak": numbers["landmarks"]},
        "not_labeled": {reason: numbers[reason] for reason in ("wears_mask", "no_landmarks")},
        "mean_share": {name: numbers[f"share {name}"] / max(labeled, 1) for name in parts.CLASSES},
    }


def _labeled(face: Face) -> tuple[Face, Mapping[str, float]]:
    image = images.decode(face["image"])
    labels = None if face.get("labels") is None else images.decode_gray(face["labels"])
    present = set() if labels is None else _checked(labels, image.shape)
    if parts.MASK in present or (face.get("wears_mask") and not present):
        return {**face, "labels": None, "labels_by": None}, {"wears_mask": 1}
    if labels is not None and present:
        by = "publisher"
    elif face["landmarks"] is None:
        return {**face, "labels": None, "labels_by": None}, {"no_landmarks": 1}
    else:
        by, labels = "landmarks", parts.from_landmarks(face["landmarks"], *image.shape[:2])
    shares = np.bincount(labels.ravel(), minlength=len(parts.CLASSES)) / labels.size
    numbers = {f"share {name}": float(share) for name, share in zip(parts.CLASSES, shares, strict=True)}
    return {**face, "labels": images.encode_png(labels), "labels_by": by}, {by: 1, **numbers}


def _checked(labels: parts.Labels, shape: tuple[int, ...]) -> set[int]:
    """Return which classes but the background a publisher's label map has."""
    if labels.shape != shape[:2]:
        raise UnmaskError(
            f"its label map is {labels.shape[1]}x{labels.shape[0]} pixels, its image {shape[1]}x{shape[0]}"
        )
    present = set(np.unique(labels).tolist()) - {parts.CLASSES.index("background")}
    if unknown := sorted(present - set(range(len(parts.NAMES)))):
        raise UnmaskError(f"its label map has the unknown class {unknown[0]}; known are 0 to {parts.MASK}")
    return present


if __name__ == "__main__":
    run_stage("parsing.label_parts")
