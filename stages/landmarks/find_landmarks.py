"""Find the 68 landmarks of every face, and whether it is a profile or blurred.

python -m stages.landmarks.find_landmarks --faces data/clean/orl --out data/landmarks/orl \
    --results metrics/find_landmarks-orl
"""

import functools
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.images import Pixels
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.tables import Face
from stages.faces.face_type import FACE_TYPES
from stages.figures import sheets
from stages.landmarks.search import FaceTypes, Search, main_face


class Params(StageParams):
    """Section `find_landmarks:` of params.yaml."""

    search: Search
    face_types: FaceTypes
    masked_from: float = Field(ge=0, le=1)
    """Of the faces of whom nobody said whether they wear masks; if the network sees fewer, all of these are bare."""


def find_landmarks(faces: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Add `landmarks`, `landmarks_by` and `face_type` to a face table, and `wears_mask` where nobody said.

    What the publisher says of a face stays. Of the others the network says which wear a mask. It errs now and then, so
    if it sees fewer than `masked_from` of them masked, they are taken for bare, and their landmarks are found as such.

    Args:
        faces: the table of the clean photos.
        out: the table to write; a face without landmarks stays in it, with nulls.
        results: where the numbers go, and a contact sheet of faces with their landmarks drawn on them.
        params: section `find_landmarks`.

    Returns:
        How many faces each backend and detector found, how many are of each face type, how many were seen to wear a
        mask that nobody had told of, how many of these were not believed, of how many faces nobody knows whether they
        wear one, and what is unusual.
    """
    work = functools.partial(_with_landmarks, params=params)
    adds = ["landmarks", "landmarks_by", "face_type", "wears_mask"]
    numbers = tables.map_faces(work, faces, out, needs=["image"], adds=adds)
    few = numbers["mask seen"] < params.masked_from * numbers["nobody said"]
    doubted = numbers["mask seen"] if few else 0
    if doubted:
        print(
            f"{faces}: of {numbers['nobody said']} faces of whom nobody said, {doubted} seem to wear a mask, less than "
            f"find_landmarks.masked_from ({params.masked_from:g}): all of them count as bare. If some do wear masks, "
            "say so in the adapter",
            file=sys.stderr,
        )
        again = functools.partial(_as_bare, given=_given(faces, out), params=params)
        changes = tables.map_faces(again, out, out)
        del changes["faces"]
        numbers.update(changes)
    sheets.show_table(
        out,
        results.figure,
        title="Landmarks, what found them, face type; the hardest first",
        caption=lambda face: f"{face['landmarks_by'] or 'not found'} {face['face_type'] or ''}",
        picture=sheets.with_points,
        by=["landmarks_by"],
        first=lambda face: face["landmarks_by"] not in {"dlib_hog", "csv"},
    )
    return {
        "faces": numbers["faces"],
        "found_by": {name.removeprefix("by "): n for name, n in numbers.items() if name.startswith("by ") and n},
        "not_found": numbers["not found"],
        "masks_seen": numbers["mask seen"],
        "masks_not_believed": doubted,
        "unknown_whether_masked": numbers["nobody said"] - numbers["mask seen"] + doubted,
        "face_types": {name: numbers[f"type {name}"] for name in FACE_TYPES},
        "photos_with_several_faces": numbers["several faces"],
        "landmarks_outside_the_image": numbers["outside"],
    }


def _with_landmarks(face: Face, params: Params, *, masks: bool = True) -> tuple[Face, Counter[str]]:
    image = images.decode(face["image"])
    found, seen = main_face(image, face, params.search, masks=masks)
    wears_mask = face.get("wears_mask")
    numbers = Counter({"nobody said": int(wears_mask is None)})
    if found is None:
        result = {**face, "landmarks": None, "landmarks_by": None, "face_type": None, "wears_mask": wears_mask}
    else:
        kind = face.get("face_type") or params.face_types.of(image, found.points)
        about = {"landmarks_by": found.by, "face_type": kind, "wears_mask": True if found.masked else wears_mask}
        result = {**face, "landmarks": found.points, **about}
        numbers["several faces"] = int(seen > 1)
        numbers["mask seen"] = int(found.masked and wears_mask is None)
    numbers.update(_counts(result, image))
    return result, numbers


def _counts(face: Face, image: Pixels) -> dict[str, int]:
    """Return what is counted of the landmarks that were found."""
    points = face["landmarks"]
    if points is None:
        return {"not found": 1}
    height, width = image.shape[:2]
    outside = bool(((points < 0) | (points > np.array([width - 1, height - 1]))).any())
    return {f"by {face['landmarks_by']}": 1, f"type {face['face_type']}": 1, "outside": int(outside)}


def _given(faces: Path, out: Path) -> dict[str, Face]:
    """Return by face_id what was known of the faces whose mask the network alone saw."""
    known = ["face_id", *(name for name in ("wears_mask", "face_type") if name in tables.columns(faces))]
    return {
        before["face_id"]: {"face_type": None, **before, "wears_mask": None, "landmarks": None}
        for before, after in tables.joined(faces, out, known, ["face_id", "wears_mask"])
        if before.get("wears_mask") is None and after["wears_mask"]
    }


def _as_bare(face: Face, given: Mapping[str, Face], params: Params) -> tuple[Face, Mapping[str, float]]:
    """Look again, for a bare face, if the network alone saw a mask; return what that changes of the numbers."""
    if face["face_id"] not in given:
        return face, {}
    bare, _ = _with_landmarks({**face, **given[face["face_id"]]}, params, masks=False)
    image = images.decode(face["image"])
    change = Counter(_counts(bare, image))
    change.subtract(_counts(face, image))
    return bare, change


if __name__ == "__main__":
    run_stage("landmarks.find_landmarks")
