"""ORL, "The Database of Faces" (AT&T Laboratories Cambridge): s1/1.pgm to s40/10.pgm, 92x112, gray."""

from dataclasses import replace

from stages.data.files import Files
from stages.data.formats import person_folders
from stages.data.photo import Photo, Photos

WOMEN = frozenset({"s8", "s10", "s32", "s35"})  # seen on the photos; the publisher gives no list


def photos(files: Files) -> Photos:
    """Yield the 400 photos of 40 people."""
    return person_folders.photos(files, _known, conditions={}, splits={})


def _known(photo: Photo) -> Photo:
    sex = "female" if photo.identity in WOMEN else "male"
    return replace(photo, name=photo.name.zfill(2), sex=sex, wears_mask=False)
