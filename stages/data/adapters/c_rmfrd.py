"""c-RMFRD, the cleaned RMFRD, a test set: <person>/<photo> in any folder, masked and bare told apart by their names.

A photo's name in the table is that of its file, so the published lists of pairs, galleries and probes name it.

Run on a made-up copy only; its lists of pairs, galleries and probes are real.
"""

from dataclasses import replace

from stages.data.files import Files
from stages.data.formats import afdb, person_folders
from stages.data.photo import Photo, Photos, Reject


def photos(files: Files) -> Photos:
    """Yield all photos; one whose name has no face type is rejected."""
    return person_folders.photos(files, _known, conditions={}, splits={})


def _known(photo: Photo) -> Photo | Reject:
    face_type = afdb.face_type(photo.name)
    if face_type is None:
        return Reject(photo.file, "bad_name", "expected <profile 0|1>_<blurred 0|1>_…")
    masked = not afdb.is_bare(photo.name, photo.identity)
    return replace(photo, wears_mask=masked, face_type=face_type, split="test")
