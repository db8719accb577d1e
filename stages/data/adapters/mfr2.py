"""MFR2, a test set: mfr2/<Name>/<Name>_<NNNN>.png, and mfr2_labels.txt: lines `Name, number, mask` (or no-mask).

pairs.txt beside them is read by `verify.pairs`.

Run on a made-up copy only.
"""

import re
from dataclasses import replace

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import person_folders
from stages.data.photo import Photo, Photos, Reject

LABELS = "mfr2_labels.txt"
BARE = "no-mask"


def photos(files: Files) -> Photos:
    """Yield all photos, and whether a mask is worn.

    Raises:
        UnmaskError: the labels are missing or not as published, or there is not one photo.
    """
    labels = files.named(LABELS)
    if not labels:
        raise UnmaskError(f"{LABELS} is missing: it says who wears a mask")
    lines = files.lines(labels[0], r"([^,]*?)\s*,\s*(\d+)\s*,\s*([^,]*)", "`Name, number, kind`")
    kinds = {(line[1], int(line[2])): line[3] for line in lines}

    def known(photo: Photo) -> Photo | Reject:
        number = re.fullmatch(re.escape(photo.identity) + r"_(\d{4})", photo.name)
        if not number:
            return Reject(photo.file, "bad_name", f"expected {photo.identity}_<NNNN>.png")
        kind = kinds.get((photo.identity, int(number[1])))
        if kind is None:
            return Reject(photo.file, "not_in_list", f"{LABELS} has no line for it")
        return replace(photo, wears_mask=kind != BARE, split="test")

    return person_folders.photos(files, known, conditions={}, splits={})
