"""Flickr-Faces-HQ: images1024x1024/<NN000>/<NNNNN>.png, or thumbnails128x128, and the JSON with 68 landmarks each.

Nobody says who is on a photo, so each counts as a person of its own. The JSON's landmarks are those of the 1024-pixel
photos. Its `category` is the split: training or validation; the validation photos are taken for testing.

Run on a made-up copy only.
"""

import json
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Photo, Reject
from stages.faces.landmarks import Points

LIST = "ffhq-dataset-v2.json"
SPLITS = {"training": "train", "validation": "test"}
SIDES = {"images1024x1024": 1024, "thumbnails128x128": 128}


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield all photos with their landmarks.

    Raises:
        UnmaskError: there is not one photo, or the JSON is missing or not as published.
    """
    lists = [name for name in files.names() if PurePosixPath(name).name == LIST]
    if not lists:
        raise UnmaskError(f"{LIST} is missing: it has the landmarks")
    try:
        entries = json.loads(files.text(lists[0]))
    except (json.JSONDecodeError, RecursionError) as error:
        raise UnmaskError(f"{lists[0]} is no whole JSON: {error}") from None
    if not isinstance(entries, dict):
        raise UnmaskError(f"{lists[0]}: expected an object with the entries '0' to '69999'")
    some = False
    for file in files.names():
        found = re.search(r"(?:^|/)(images1024x1024|thumbnails128x128)/(?:\d+/)?(\d{5})\.png$", file)
        if not found:
            continue
        some = True
        kind, number = found.groups()
        entry = entries.get(str(int(number)))
        points = _points(entry, SIDES[kind])
        if points is None:
            yield Reject(file, "bad_landmarks", f"{LIST}, entry {int(number)}: not 68 pairs of finite numbers")
            continue
        split = SPLITS.get(str(entry.get("category")))
        yield Photo(file, identity=f"photo-{number}", name=number, split=split, landmarks=points)
    if not some:
        raise UnmaskError("no photo images1024x1024/<NN000>/<NNNNN>.png or thumbnails128x128/… found")


def _points(entry: Any, side: int) -> Points | None:
    image = entry.get("image") if isinstance(entry, dict) else None
    try:
        points = np.array(image["face_landmarks"], np.float32)  # type: ignore[index] -- anything else is a TypeError
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if points.shape != (68, 2) or not np.isfinite(points).all():
        return None
    return points * np.float32(side / 1024)
