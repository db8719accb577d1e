"""Bring every face to one place and size: the ArcFace template, or the crop of FFHQ.

python -m stages.landmarks.align_faces --faces data/landmarks/orl --out data/aligned/orl \
    --results metrics/align_faces-orl
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.tables import Face
from stages.faces import alignment
from stages.figures import sheets


class Params(alignment.Align, StageParams):
    """Section `align_faces:` of params.yaml."""


def align_faces(faces: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Warp images, landmarks and labels of a face table by one similarity transform a face.

    Args:
        faces: a table with landmarks.
        out: the table to write. A face without landmarks cannot be aligned and is left out, and counted.
        results: where the numbers go, and a contact sheet of aligned faces with their landmarks.
        params: section `align_faces`.

    Returns:
        How many faces were aligned, how many could not be and why, how much they were enlarged, and how much of the
        result lies outside the photo and is black.
    """
    work = functools.partial(aligned, params=params)
    numbers = tables.map_faces(work, faces, out, needs=["image", "landmarks"])
    sheets.show_table(
        out,
        results.figure,
        title="Aligned faces and their landmarks",
        caption=lambda face: face["face_id"].split("/", 1)[1],
        picture=sheets.with_points,
    )
    n = max(numbers["aligned"], 1)
    return {
        "faces": numbers["aligned"],
        "left_out": {"no_landmarks": numbers["no landmarks"], "landmarks_coincide": numbers["degenerate"]},
        "mean_scale": numbers["scale"] / n,
        "mean_share_outside_the_photo": numbers["outside"] / n,
    }


def aligned(face: Face, params: Params) -> tuple[Face | None, Mapping[str, float]]:
    """Return a face in its place: image, landmarks, labels and the region of a drawn mask; and what is counted.

    None in its place if it has no landmarks, or such as give no transform.
    """
    if face["landmarks"] is None:
        return None, {"no landmarks": 1}
    try:
        matrix = params.matrix(face["landmarks"])
    except alignment.DegenerateLandmarksError:
        return None, {"degenerate": 1}
    image = images.decode(face["image"])
    result = {
        **face,
        "image": images.encode_png(alignment.warp(image, matrix, params.side)),
        "landmarks": alignment.apply(matrix, face["landmarks"]),
    }
    for name in ("labels", "mask"):
        if face.get(name) is not None:
            region = alignment.warp(images.decode_gray(face[name]), matrix, params.side, nearest=True)
            result[name] = images.encode_png(region)
    covered = alignment.warp(np.ones(image.shape[:2], np.uint8), matrix, params.side, nearest=True)
    numbers = {"aligned": 1, "scale": alignment.scale_of(matrix), "outside": 1 - float(covered.mean())}
    return result, numbers


if __name__ == "__main__":
    run_stage("landmarks.align_faces")
