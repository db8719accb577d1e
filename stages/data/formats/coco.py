"""COCO's JSON: `images`, `annotations` with polygons, `categories`; those whose name holds "mask" are masks.

A dataset of your own needs a module of its name in `stages/data/adapters` that says

    from stages.data.formats import coco
    photos = coco.photos
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Photo, Reject
from stages.faces.parts import MASK

Corners = tuple[float, ...]


def photos(files: Files, label: str = "mask") -> Iterator[Photo | Reject]:
    """Yield the photos that the JSON files list, their masks as polygons; each counts as a person of its own.

    Args:
        files: of the dataset.
        label: what a mask's category holds, in small or capital letters.

    Raises:
        UnmaskError: there is no JSON in COCO's form, or none of its categories has such a name.
    """
    by_name: dict[str, list[str]] = defaultdict(list)
    for file in files.names():
        by_name[PurePosixPath(file).name].append(file)
    some = False
    for file in files.names():
        if not file.lower().endswith(".json") or (content := _content(files, file)) is None:
            continue
        some = True
        names = {_id(entry, "id"): str(entry.get("name")) for entry in content["categories"]}
        masks = {number for number, name in names.items() if label.lower() in name.lower()}
        if not masks:
            raise UnmaskError(f"{file}: none of its categories ({', '.join(names.values())}) holds {label!r}")
        of_image: dict[str, list[Any]] = defaultdict(list)
        for annotation in content["annotations"]:
            if _id(annotation, "category_id") in masks:
                of_image[_id(annotation, "image_id")].append(annotation.get("segmentation"))
        for image in content["images"]:
            yield _photo(files, by_name, str(image.get("file_name")), of_image[_id(image, "id")])
    if not some:
        raise UnmaskError("no JSON in COCO's form found: expected `images`, `annotations` and `categories`")


def _id(entry: dict[str, Any], key: str) -> str:
    """Return the id under a key; a number and anything else by its text."""
    return str(entry.get(key))


def _photo(files: Files, by_name: dict[str, list[str]], listed: str, segmentations: list[Any]) -> Photo | Reject:
    wanted = PurePosixPath(listed.replace("\\", "/"))
    found = [listed] if listed in files else by_name.get(wanted.name, [])
    if len(found) != 1:
        return Reject(listed, "file_missing", f"{len(found)} files have this name")
    polygons: list[Corners] = []
    for segmentation in segmentations:
        corners = _corners(segmentation)
        if corners is None:
            return Reject(found[0], "bad_shape", "a mask is no list of polygons (run-length codes are not read)")
        polygons += corners
    name = PurePosixPath(found[0]).with_suffix("").as_posix().replace("/", "-")
    masks = tuple((MASK, corners) for corners in polygons)
    return Photo(found[0], f"photo-{name}", name, wears_mask=bool(masks), polygons=masks)


def _corners(segmentation: Any) -> list[Corners] | None:
    """Return the corners of each polygon, None if there is anything else."""
    if not isinstance(segmentation, list) or not segmentation:
        return None
    found = []
    for polygon in segmentation:
        try:
            corners = np.array(polygon, float)
        except (TypeError, ValueError, OverflowError):
            return None
        if corners.ndim != 1 or len(corners) < 6 or len(corners) % 2 or not np.isfinite(corners).all():
            return None
        if np.abs(corners).max() > 1e5:
            return None
        found.append(tuple(corners.tolist()))
    return found


def _content(files: Files, file: str) -> dict[str, Any] | None:
    """Return the content of a file in COCO's form, None if it has another one."""
    try:
        content = json.loads(files.text(file))
    except (UnmaskError, ValueError, RecursionError):
        return None
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in keys):
        return None
    return content if all(isinstance(entry, dict) for key in keys for entry in content[key]) else None
