"""Labeled Faces in the Wild, any of its alignments: lfw*/<Name>/<Name>_<NNNN>.jpg, 250x250, as a tar or a folder.

pairs.txt beside them is read by `verify.pairs`; sexes.csv is a list of the user's own, see `sexes`.
"""

import re
from dataclasses import replace

from stages.data.files import Files
from stages.data.formats import person_folders, sexes
from stages.data.photo import Photo, Photos, Reject


def photos(files: Files) -> Photos:
    """Yield all photos; one that is not named after its folder is rejected."""
    sex_of = sexes.of_people(files)

    def known(photo: Photo) -> Photo | Reject:
        if not re.fullmatch(re.escape(photo.identity) + r"_\d{4}", photo.name):
            return Reject(photo.file, "bad_name", f"expected {photo.identity}_<NNNN>.jpg")
        return replace(photo, sex=sex_of.get(photo.identity), wears_mask=False)  # press photos of 2002 and 2003

    return person_folders.photos(files, known)
