"""labelme's JSON beside each photo: polygons and rectangles with labels, of which those that hold "mask" are masks."""

from pathlib import PurePosixPath
from typing import Any

import numpy as np

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject, finite
from stages.faces.parts import MASK

CORNERS = {"polygon": 3, "rectangle": 2}  # at least
FARTHEST = 1e5  # pixels; OpenCV cannot draw beyond that


def photos(files: Files, label: str = "mask") -> Photos:
    """Yield the photo of each JSON, its masks as polygons; each counts as a person of its own.

    A mask's label holds this one, in small or capital letters. A photo on which nothing has such a label wears no mask.
    """
    some = False
    for file in files.names():
        if not file.lower().endswith(".json"):
            continue
        entry = _entry(files, file)
        if entry is None:
            yield Reject(file, "bad_json", "no JSON of labelme: expected `shapes` and `imagePath`")
            continue
        some = True
        path = PurePosixPath(file)
        photo = path.parent / PurePosixPath(entry["imagePath"].replace("\\", "/")).name
        shapes = [shape for shape in entry["shapes"] if label.lower() in str(shape.get("label")).lower()]
        polygons = [corners for shape in shapes if (corners := _corners(shape))]
        if photo.as_posix() not in files:
            yield Reject(file, "file_missing", f"{photo.name} is not beside it")
        elif len(polygons) < len(shapes):
            yield Reject(photo.as_posix(), "bad_shape", f"{path.name}: a mask is no polygon and no rectangle")
        else:
            yield masked(photo, polygons)
    if not some:
        raise UnmaskError("no JSON of labelme found: expected <photo>.json with `shapes` beside each photo")


def masked(photo: PurePosixPath, polygons: list[tuple[float, ...]]) -> Photo:
    """Return a photo of a person of its own that wears a mask if there are polygons of one."""
    name = photo.with_suffix("").as_posix().replace("/", "-")
    masks = tuple((MASK, corners) for corners in polygons)
    return Photo(photo.as_posix(), f"photo-{name}", name, wears_mask=bool(masks), polygons=masks)


def _entry(files: Files, file: str) -> dict[str, Any] | None:
    try:
        entry = files.json(file)
    except UnmaskError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("imagePath"), str):
        return None
    shapes = entry.get("shapes")
    return entry if isinstance(shapes, list) and all(isinstance(shape, dict) for shape in shapes) else None


def _corners(shape: dict[str, Any]) -> tuple[float, ...] | None:
    """Return x and y of each corner, None if it is no such shape."""
    kind = str(shape.get("shape_type") or "polygon")  # old files have no type
    points = finite(shape.get("points"), -1, 2)
    if points is None or kind not in CORNERS or len(points) < CORNERS[kind] or np.abs(points).max() > FARTHEST:
        return None
    if kind == "rectangle":
        (left, top), (right, bottom) = points[:2]
        points = np.array([(left, top), (right, top), (right, bottom), (left, bottom)])
    return tuple(points.ravel().tolist())
