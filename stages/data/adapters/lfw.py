"""Labeled Faces in the Wild, any of its alignments: lfw*/<Name>/<Name>_<NNNN>.jpg, 250x250, as a tar or a folder.

pairs.txt beside them is read by `verify.pairs`. sexes.csv is a list of the user's own: a line `identity,sex`, then one
for each person.
"""

import re
from dataclasses import replace

from stages.core.errors import UnmaskError
from stages.core.tables import SEXES
from stages.core.text import table
from stages.data.files import Files
from stages.data.formats import person_folders
from stages.data.photo import Photo, Photos, Reject

LIST = "sexes.csv"


def photos(files: Files) -> Photos:
    """Yield all photos; one that is not named after its folder is rejected.

    Raises:
        UnmaskError: there is none, or sexes.csv has other columns, another sex, or a person twice.
    """
    sex_of = _sexes(files) if LIST in files else {}

    def known(photo: Photo) -> Photo | Reject:
        if not re.fullmatch(re.escape(photo.identity) + r"_\d{4}", photo.name):
            return Reject(photo.file, "bad_name", f"expected {photo.identity}_<NNNN>.jpg")
        return replace(photo, sex=sex_of.get(photo.identity), wears_mask=False)  # press photos of 2002 and 2003

    return person_folders.photos(files, known, conditions={}, splits={})


def _sexes(files: Files) -> dict[str, str]:
    found = {}
    for entry in table(files.text(LIST), LIST, ["identity", "sex"], unique="identity"):
        sex = entry["sex"].lower()
        if sex not in SEXES:
            raise UnmaskError(f"{LIST}, line {entry.line}: sex is {sex!r}, not one of {', '.join(SEXES)}")
        found[entry["identity"]] = sex
    return found
