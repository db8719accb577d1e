"""COCO's JSON: `images`, `annotations` with polygons, `categories`; those whose name holds "mask" are masks."""

from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats.labelme import FARTHEST, masked
from stages.data.photo import Photo, Photos, Reject, finite

KEYS = ("images", "annotations", "categories")


def photos(files: Files, label: str = "mask") -> Photos:
    """Yield the photos that the JSON files list, their masks as polygons; each counts as a person of its own.

    A mask's category holds the label, in small or capital letters.

    Raises:
        UnmaskError: there is no JSON in COCO's form, or none of its categories has such a name.
    """
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
            yield _photo(files, str(image.get("file_name")), of_image[_id(image, "id")])
    if not some:
        raise UnmaskError("no JSON in COCO's form found: expected `images`, `annotations` and `categories`")


def _id(entry: dict[str, Any], key: str) -> str:
    """Return the id under a key; a number and anything else by its text."""
    return str(entry.get(key))


def _photo(files: Files, listed: str, segmentations: list[Any]) -> Photo | Reject:
    found = [listed] if listed in files else files.named(PurePosixPath(listed.replace("\\", "/")).name)
    if len(found) != 1:
        return Reject(listed, "file_missing", f"{len(found)} files have this name")
    polygons = [polygon for segmentation in segmentations for polygon in _polygons(segmentation)]
    if None in polygons:
        return Reject(found[0], "bad_shape", "a mask is no list of polygons (run-length codes are not read)")
    return masked(PurePosixPath(found[0]), polygons)


def _polygons(segmentation: Any) -> list[tuple[float, ...] | None]:
    """Return x and y of each polygon's corners one after the other; None in place of anything else."""
    if not isinstance(segmentation, list):
        return [None]
    found = [finite(polygon, -1) for polygon in segmentation or [None]]
    return [
        None if xy is None or len(xy) < 6 or len(xy) % 2 or np.abs(xy).max() > FARTHEST else tuple(xy.tolist())
        for xy in found
    ]


def _content(files: Files, file: str) -> dict[str, Any] | None:
    """Return the content of a file in COCO's form, None if it has another one."""
    try:
        content = files.json(file)
    except UnmaskError:
        return None
    if not isinstance(content, dict) or not all(isinstance(content.get(key), list) for key in KEYS):
        return None
    return content if all(isinstance(entry, dict) for key in KEYS for entry in content[key]) else None
