"""Find the 68 landmarks of every face, and whether it is a profile or blurred.

python -m stages.find_landmarks --faces data/clean/orl --out data/landmarks/orl \
    --figure metrics/figures/find_landmarks-orl.png --metrics metrics/find_landmarks-orl.json
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.common import figures, images, tables
from stages.common.command import run_stage
from stages.common.params import StageParams
from stages.common.tables import Face
from stages.faces.face_type import FACE_TYPES
from stages.landmarks.search import FaceTypes, Search, main_face


class Params(StageParams):
    """Section `find_landmarks:` of params.yaml."""

    search: Search
    face_types: FaceTypes


def find_landmarks(faces: Path, out: Path, figure: Path, params: Params) -> dict[str, Any]:
    """Add `landmarks`, `landmarks_by` and `face_type` to a face table, and `wears_mask` where nobody said.

    Args:
        faces: the table of the clean photos.
        out: the table to write; a face without landmarks stays in it, with nulls.
        figure: a contact sheet of faces with their landmarks drawn on them.
        params: section `find_landmarks`.

    Returns:
        How many faces each backend and detector found, how many are of each face type, how many were seen to wear a
        mask that nobody had told of, and what is unusual.
    """
    work = functools.partial(_with_landmarks, params=params)
    adds = ["landmarks", "landmarks_by", "face_type", "wears_mask"]
    numbers = tables.map_faces(work, faces, out, needs=["image"], adds=adds)
    figures.show_table(
        out,
        figure,
        title="Landmarks, what found them, face type; the hardest first",
        caption=lambda face: f"{face['landmarks_by'] or 'not found'} {face['face_type'] or ''}",
        picture=figures.with_points,
        by=["landmarks_by"],
        first=lambda face: face["landmarks_by"] not in {"dlib_hog", "csv"},
    )
    return {
        "faces": numbers["faces"],
        "found_by": {name.removeprefix("by "): number for name, number in numbers.items() if name.startswith("by ")},
        "not_found": numbers["not found"],
        "masks_seen": numbers["mask seen"],
        "face_types": {name: numbers[f"type {name}"] for name in FACE_TYPES},
        "photos_with_several_faces": numbers["several faces"],
        "landmarks_outside_the_image": numbers["outside"],
    }


def _with_landmarks(face: Face, params: Params) -> tuple[Face, Mapping[str, float]]:
    image = images.decode(face["image"])
    found, seen = main_face(image, face, params.search)
    wears_mask = face.get("wears_mask")
    if found is None:
        nothing = {"landmarks": None, "landmarks_by": None, "face_type": None, "wears_mask": wears_mask}
        return {**face, **nothing}, {"not found": 1}
    kind = face.get("face_type") or params.face_types.of(image, found.points)
    height, width = image.shape[:2]
    outside = ((found.points < 0) | (found.points > [width - 1, height - 1])).any()
    numbers = {f"by {found.by}": 1, f"type {kind}": 1, "several faces": int(seen > 1), "outside": int(outside)}
    numbers["mask seen"] = int(found.masked and wears_mask is None)
    about = {"landmarks_by": found.by, "face_type": kind, "wears_mask": True if found.masked else wears_mask}
    return {**face, "landmarks": found.points, **about}, numbers


if __name__ == "__main__":
    run_stage("find_landmarks")
