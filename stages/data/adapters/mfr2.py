"""MFR2, a test set: mfr2/<Name>/<Name>_<NNNN>.png, and mfr2_labels.txt: lines `Name, number, mask` (or no-mask).

pairs.txt beside them is read by `verify.pairs`.

Run on a made-up copy only.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import person_folders
from stages.data.photo import Photo, Reject

LABELS = "mfr2_labels.txt"
BARE = "no-mask"


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield all photos, and whether a mask is worn.

    Raises:
        UnmaskError: the labels are missing or not as published, or there is not one photo.
    """
    kinds = _labels(files)
    for photo in person_folders.photos(files):
        if isinstance(photo, Reject):
            yield photo
            continue
        number = re.fullmatch(re.escape(photo.identity) + r"_(\d{4})", photo.name)
        if not number:
            yield Reject(photo.file, "bad_name", f"expected {photo.identity}_<NNNN>.png")
        elif (kind := kinds.get((photo.identity, int(number[1])))) is None:
            yield Reject(photo.file, "not_in_list", f"{LABELS} has no line for it")
        else:
            yield replace(photo, wears_mask=kind != BARE, split="test")


def _labels(files: Files) -> dict[tuple[str, int], str]:
    names = [name for name in files.names() if PurePosixPath(name).name == LABELS]
    if not names:
        raise UnmaskError(f"{LABELS} is missing: it says who wears a mask")
    found = {}
    for line_number, line in enumerate(files.text(names[0]).splitlines(), 1):
        words = [word.strip() for word in line.split(",")]
        if words == [""]:
            continue
        if len(words) != 3 or not words[1].isdecimal():
            raise UnmaskError(f"{LABELS}, line {line_number}: expected `Name, number, kind`, got {line[:80]!r}")
        found[words[0], int(words[1])] = words[2]
    return found
