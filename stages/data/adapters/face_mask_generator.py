"""Face_Mask_Generator (AvLab-CV): photos with a CSV of 68 landmarks and a face type each.

The CSV's columns are sub_folder, image_name, face_type (`0_0` to `1_1`) and part_<0…67>_<x|y>; sub_folder starts with a
backslash and names the person. A metadata.csv, which the tool `export` writes beside it, is another list.
"""

from pathlib import PurePosixPath

import numpy as np

from stages.core.errors import UnmaskError
from stages.core.text import Entry, table
from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject, finite
from stages.faces.face_type import FACE_TYPES

KEYS = ("sub_folder", "image_name", "face_type")
POINTS = tuple(f"part_{point}_{axis}" for point in range(68) for axis in "xy")
PAIRS = tuple(zip(POINTS[::2], POINTS[1::2], strict=True))


def photos(files: Files) -> Photos:
    """Yield the photos that the CSV files list; a line that cannot be used is rejected with its number.

    Raises:
        UnmaskError: there is no such CSV, or a column is missing.
    """
    lists = [name for name in files.names() if name.lower().endswith(".csv") and not name.endswith("metadata.csv")]
    if not lists:
        raise UnmaskError("no CSV of landmarks found: expected columns sub_folder, image_name, face_type, part_0_x, …")
    for name in lists:
        for entry in table(files.text(name), name, [*KEYS, *POINTS]):
            yield _photo(files, entry, f"{name}, line {entry.line}")


def _photo(files: Files, row: Entry, line: str) -> Photo | Reject:
    folder = row["sub_folder"].replace("\\", "/").strip("/ ")
    wanted = PurePosixPath(folder, row["image_name"])
    found = files.named(str(wanted))
    if not found:
        return Reject(str(wanted), "file_missing", f"{line} names it")
    file = found[0]
    if row["face_type"] not in FACE_TYPES:
        return Reject(file, "bad_face_type", f"{line}: {row['face_type']!r} is none of {', '.join(FACE_TYPES)}")
    points = finite([[row[x], row[y]] for x, y in PAIRS], 68, 2, dtype=np.float32)
    if points is None:
        return Reject(file, "bad_landmarks", f"{line}: not 68 pairs of finite numbers")
    identity = PurePosixPath(folder).name or wanted.stem
    return Photo(file, identity, wanted.stem, landmarks=points, face_type=row["face_type"])
