"""Draw the same masks on the photos, find landmarks anew behind them, and align by these: what users meet.

python -m stages.masks.mask_photos --faces data/landmarks/orl --templates data/mask_templates \
    --out data/masked/realistic/orl --results metrics/mask_photos-orl

`render_masks` draws on faces that were aligned by the landmarks of the bare photo. Nobody has these of a person who
wears a mask: its alignment is an oracle's.
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.tables import Face
from stages.faces import alignment
from stages.faces.landmarks import Points, five_points
from stages.figures import sheets
from stages.landmarks import align_faces, find_landmarks
from stages.landmarks.behind_masks import apart
from stages.landmarks.search import Search, main_face
from stages.masks import render_masks
from stages.masks.looks import Looks
from stages.masks.rendering import Template


class Params(StageParams):
    """The sections of params.yaml that make an aligned face with a mask; the stage has no own one."""

    top_level: ClassVar = ("seed", "render_masks", "find_landmarks", "align_faces")

    seed: int = Field(ge=0)
    render_masks: Looks
    find_landmarks: find_landmarks.Params
    align_faces: align_faces.Params


def mask_photos(faces: Path, templates: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Draw on each photo the mask that `render_masks` draws on the aligned face, and align what is seen of it.

    Nobody tells the search that a mask is worn, nor where the face is.

    Args:
        faces: a table of photos with landmarks.
        templates: folder of the user's own masks.
        out: the table of aligned faces to write, with the columns of `render_masks`. A face that got no mask, as it
            wears a real one, or by `render_masks.share`, is aligned by the landmarks that it has. A face that is not
            found behind its mask cannot be aligned and is left out, and counted.
        results: where the numbers go, and a contact sheet of aligned faces with the landmarks that were found.
        params: sections `render_masks`, `find_landmarks` and `align_faces`.

    Returns:
        How many faces got a mask, how many of these were not found behind it, by what the others were found, how many
        of them were taken for another place of the photo, and how far the five points of the alignment lie from those
        of the bare photo, on average, in pixels of the aligned image. And how many faces got no mask, and how many had
        no landmarks to draw one by, or such as coincide.
    """
    work = functools.partial(
        _seen_behind,
        own=params.render_masks.own_styles(templates),
        search=_by_sight(params.find_landmarks.search),
        params=params,
    )
    adds = ["mask", "mask_style", "mask_position", "mask_color"]
    numbers = tables.map_faces(work, faces, out, needs=["image", "landmarks", "face_type"], adds=adds)
    sheets.show_table(
        out,
        results.figure,
        title="Faces behind drawn masks, aligned by landmarks found behind them",
        caption=lambda face: f"{face['landmarks_by']} {face['mask_style'] or ''}",
        picture=sheets.with_points,
        by=["landmarks_by"],
    )
    return {
        "faces": numbers["faces"],
        "masked": numbers["drawn"],
        "not_found": numbers["not found"],
        "found_elsewhere": numbers["elsewhere"],
        "found_by": {name.removeprefix("by "): n for name, n in numbers.items() if name.startswith("by ") and n},
        "mean_pixels_off": numbers["off"] / max(numbers["drawn"] - numbers["not found"] - numbers["elsewhere"], 1),
        "not_masked": numbers["not masked"],
        "without_landmarks": numbers["no landmarks"],
        "landmarks_coincide": numbers["landmarks coincide"],
    }


def _by_sight(search: Search) -> Search:
    """Return a search that does not know landmarks which came with the photos: they are of faces without a mask."""
    return search.model_copy(update={"backends": search.with_box or ["dlib"]})


def _seen_behind(
    face: Face, own: Mapping[str, Template], search: Search, params: Params
) -> tuple[Face | None, Mapping[str, float]]:
    masked, _ = render_masks.masked(face, own, params.render_masks, params.seed)
    bare_points, numbers = face["landmarks"], dict[str, float]()
    if masked["mask"] is not None:
        numbers = {"drawn": 1}
        found, _ = main_face(images.decode(masked["image"]), {"wears_mask": None}, search)
        if found is None:
            return None, {"drawn": 1, "not found": 1}
        masked |= {"landmarks": found.points, "landmarks_by": found.by}
        numbers[f"by {found.by}"] = 1
        if apart(found.points, bare_points):
            numbers["elsewhere"] = 1
        else:
            numbers["off"] = _pixels_off(found.points, bare_points, params.align_faces)
    result, counted = align_faces.aligned(masked, params.align_faces)
    if result is None and masked["mask"] is not None:  # what was found has no extent
        return None, {"drawn": 1, "not found": 1}
    lost = {"no landmarks": counted.get("no landmarks", 0), "landmarks coincide": counted.get("degenerate", 0)}
    return result, {**numbers, **lost, "not masked": int(masked["mask"] is None and result is not None)}


def _pixels_off(found: Points, bare: Points, align: align_faces.Params) -> float:
    """Return the mean distance of the five points from those of the bare photo, in pixels of the aligned image."""
    scale = alignment.scale_of(align.matrix(bare))
    return scale * float(np.linalg.norm(five_points(found) - five_points(bare), axis=1).mean())


if __name__ == "__main__":
    run_stage("masks.mask_photos")
