"""Draw a mask on every face, from its landmarks.

python -m stages.masks.render_masks --faces data/aligned/orl --templates data/mask_templates \
    --out data/masked/oracle/orl --results metrics/render_masks-orl

Given a plain folder of photos instead of a face table, it masks every bare face in every photo, writes the photos to
`masked/` and the mask regions to `regions/`, and says in index.csv what it did with each file and with its faces, the
largest first:

python -m stages.masks.render_masks --faces my/photos --templates data/mask_templates --out my/masked
"""

import functools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.images import Pixels
from stages.core.params import StageParams, load
from stages.core.results import Results
from stages.core.seeding import generator
from stages.core.tables import Face
from stages.faces.warp import CollinearPointsError
from stages.figures import sheets
from stages.landmarks.search import FaceTypes, Search, all_faces
from stages.masks.looks import Looks
from stages.masks.rendering import Template
from stages.masks.shapes import POSITIONS
from stages.masks.share import is_drawn
from stages.photos import folders

NOT_MASKED = ("wears_mask", "no_landmarks", "landmarks_on_a_line", "not_drawn_by_share")


class Params(Looks, StageParams):
    """Section `render_masks:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)


def render_masks(faces: Path, templates: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Draw a mask on every face of a table; add `mask`, `mask_style`, `mask_position` and `mask_color`.

    The mask of a face is drawn by chance from the seed and the face's id alone: it does not depend on other faces.

    Args:
        faces: a table with landmarks.
        templates: folder of the user's own masks, one folder each with mask.png (with alpha) and template.yaml.
        out: the table to write. A face that wears a real mask (but with `over_worn`), has no usable landmarks, or got
            none by `share` stays as it is, with nulls in the four columns.
        results: where the numbers go, and a contact sheet.
        params: section `render_masks`.

    Returns:
        How many faces got which style and position, how many none and why, and how much of the image masks cover.
    """
    work = functools.partial(masked, own=params.own_styles(templates), looks=params, seed=params.seed)
    adds = ["mask", "mask_style", "mask_position", "mask_color"]
    numbers = tables.map_faces(work, faces, out, needs=["image", "landmarks", "face_type"], adds=adds)
    sheets.show_table(
        out,
        results.figure,
        title="Masks drawn",
        caption=lambda face: f"{face['mask_style'] or 'none'} {face['mask_position'] or ''}",
    )
    drawn = sum(numbers[f"style {style}"] for style in params.styles)
    return {
        "faces": numbers["faces"],
        "masked": drawn,
        "not_masked": {reason: numbers[reason] for reason in NOT_MASKED},
        "outside_the_image": numbers["outside"],
        "styles": {style: numbers[f"style {style}"] for style in params.styles},
        "positions": {position: numbers[f"position {position}"] for position in POSITIONS},
        "mean_share_covered": numbers["covered"] / max(drawn, 1),
    }


def photos_folder(faces: Path, templates: Path, out: Path, params: Params) -> dict[str, Any]:
    """Draw a mask on every bare face in every photo of a folder; see the module's description."""
    work = functools.partial(
        _masked_photo,
        own=params.own_styles(templates),
        params=params,
        search=load(Search, "find_landmarks.search"),
        face_types=load(FaceTypes, "find_landmarks.face_types"),
    )
    return folders.map_photos(work, faces, out)


def masked(face: Face, own: Mapping[str, Template], looks: Looks, seed: int) -> tuple[Face, Mapping[str, float]]:
    """Return a face with the mask that chance gives it, and what is counted; see `render_masks`."""
    bare = {**face, "mask": None, "mask_style": None, "mask_position": None, "mask_color": None}
    reason = _why_not(face, looks, seed)
    if reason:
        return bare, {reason: 1}
    image = images.decode(face["image"])
    try:
        rng = generator(seed, "render_masks", face["face_id"])
        look, drawn, region = looks.draw(image, face["landmarks"], face["face_type"], rng, own)
    except CollinearPointsError:
        return bare, {"landmarks_on_a_line": 1}
    result = {
        **face,
        "image": images.encode_png(drawn),
        "mask": images.encode_png(region),
        "mask_style": look.style,
        "mask_position": look.position,
        "mask_color": None if look.style in own else "#" + bytes(look.color).hex(),
    }
    numbers = {
        f"style {look.style}": 1,
        f"position {look.position}": 1,
        "covered": float((region > 0).mean()),
        "outside": int(not region.any()),
    }
    return result, numbers


def _why_not(face: Face, looks: Looks, seed: int) -> str | None:
    if face.get("wears_mask") and not looks.over_worn:
        return "wears_mask"
    if face["landmarks"] is None:
        return "no_landmarks"
    return None if is_drawn(face["face_id"], looks.share, seed) else "not_drawn_by_share"


def _masked_photo(
    name: str, photo: Pixels, own: Mapping[str, Template], params: Params, search: Search, face_types: FaceTypes
) -> folders.Outcome:
    found = all_faces(photo, search)
    masked, region, said = photo, np.zeros(photo.shape[:2], np.uint8), []
    for index, face in reversed(list(enumerate(found))):  # the small ones first, as they stand behind
        if face.masked and not params.over_worn:
            said.append("wears_mask")
            continue
        kind = face_types.of(photo, face.points)
        rng = generator(params.seed, "render_masks", f"{name}/{index}")
        try:
            look, masked, covered = params.draw(masked, face.points, kind, rng, own)
        except CollinearPointsError:
            said.append("landmarks_on_a_line")
            continue
        region |= covered
        said.append(f"{look.style} {look.position}")
    pictures = {"masked": images.encode_png(masked), "regions": images.encode_png(region)}
    not_masked = Counter(word for word in said if word in NOT_MASKED)
    what = "no_face" if not found else "masked" if len(said) > not_masked.total() else "not_masked"
    return folders.Outcome(what, len(found), "; ".join(reversed(said)), pictures, not_masked)


if __name__ == "__main__":
    run_stage("masks.render_masks")
