"""300-W's .pts files: the landmarks of a photo, beside it or in a folder of their own.

`version: 1`, `n_points: 68`, and a line `x y` for each point between `{` and `}`. Pixels are counted from 1, as MATLAB
does (so menpo's importer reads them, too); here, from 0.
"""

import re
from pathlib import PurePosixPath
from typing import Any, Unpack

import numpy as np

from stages.core import text
from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import layout
from stages.data.formats.wflw import TO_68
from stages.data.photo import Known, Photo, Photos, Reject, finite, reader
from stages.faces.landmarks import Points


@reader
def photos(files: Files, **known: Unpack[Known]) -> Photos:
    """Yield each photo with its landmarks; each counts as a person of its own. 98 points are taken for WFLW's.

    Args:
        files: of the dataset.
        known: fields of `Photo` that all photos have in common.

    Raises:
        UnmaskError: there is no such file.
    """
    listed = [PurePosixPath(name) for name in files.names() if name.lower().endswith(".pts")]
    if not listed:
        raise UnmaskError("no landmarks found: expected <photo>.pts beside each photo")
    used = set()
    for pair in layout.pairs(files.images(), listed):
        if isinstance(pair, Reject):
            yield pair
            continue
        photo, source = pair[0].as_posix(), pair[1].as_posix()
        used.add(pair[1])
        try:
            landmarks = points(files, source)
        except UnmaskError as error:
            yield Reject(photo, "bad_landmarks", str(error))
            continue
        name = "-".join(layout.key(pair[0]))
        said: dict[str, Any] = {"split": layout.split_of(pair[0]), "landmarks": landmarks, **known}
        yield Photo(photo, f"photo-{name}", name, **said)
    for path in listed:
        if path not in used:
            yield Reject(path.as_posix(), "file_missing", "no photo of this name goes with it, or several do")


def points(files: Files, source: str) -> Points:
    """Return the landmarks in a .pts file, float32 (68, 2), pixels from 0.

    Raises:
        UnmaskError: it is none, or has neither 68 nor 98 points.
    """
    lines = [(number, line.strip()) for number, line in text.lines(files.text(source))]
    texts = [line for _, line in lines]
    if texts.count("{") != 1 or texts[-1] != "}":
        raise UnmaskError(f"{source}: expected a line for each point between one {{ and, at the end, one }}")
    head, inside = lines[: texts.index("{")], lines[texts.index("{") + 1 : -1]
    found = []
    for number, line in inside:
        point = finite(line.split(), 2)
        if point is None:
            raise UnmaskError(f"{source}, line {number}: expected x and y of a point, got {line[:80]!r}")
        found.append(point)
    stated = next((int(words[1]) for _, line in head if (words := re.fullmatch(r"n_points:\s*(\d{1,9})", line))), None)
    if stated not in {None, len(found)}:
        raise UnmaskError(f"{source}: it has {len(found)} points, and n_points says {stated}")
    if len(found) not in {68, 98}:
        raise UnmaskError(f"{source}: it has {len(found)} points, neither 68 (300-W) nor 98 (WFLW)")
    array = np.array(found, np.float32) - 1
    return array if len(found) == 68 else array[TO_68]
