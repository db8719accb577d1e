"""c-RMFRD, the cleaned RMFRD, a test set: <person>/<photo> in any folder, masked and bare told apart by their names.

A photo's name in the table is that of its file, so the published lists of pairs, galleries and probes name it.

Run on a made-up copy only; its lists of pairs, galleries and probes are real.
"""

from collections.abc import Iterator
from dataclasses import replace

from stages.data.files import Files
from stages.data.formats import afdb, person_folders
from stages.data.photo import Photo, Reject


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield all photos; one whose name has no face type is rejected.

    Raises:
        UnmaskError: there is not one photo in a person's folder.
    """
    for photo in person_folders.photos(files):
        if isinstance(photo, Reject):
            yield photo
        elif (face_type := afdb.face_type(photo.name)) is None:
            yield Reject(photo.file, "bad_name", "expected <profile 0|1>_<blurred 0|1>_…")
        else:
            masked = not afdb.is_bare(photo.name, photo.identity)
            yield replace(photo, wears_mask=masked, face_type=face_type, split="test")
