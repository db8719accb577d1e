"""Labeled Faces in the Wild, any of its alignments: lfw*/<Name>/<Name>_<NNNN>.jpg, 250x250, as a tar or a folder.

pairs.txt beside them is read by `verify.pairs`.
"""

import re
from collections.abc import Iterator

from stages.datasets import person_folders
from stages.datasets.files import Files
from stages.datasets.photo import Photo, Reject


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield all photos; one that is not named after its folder is rejected."""
    for photo in person_folders.photos(files):
        if isinstance(photo, Reject) or re.fullmatch(re.escape(photo.identity) + r"_\d{4}", photo.name):
            yield photo
        else:
            yield Reject(photo.file, "bad_name", f"expected {photo.identity}_<NNNN>.jpg")
