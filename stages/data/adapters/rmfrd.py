"""RMFRD: AFDB_face_dataset/<person>/*.jpg without a mask, AFDB_masked_face_dataset/<person>/*.jpg with a real one.

Names of files may begin with the face type (see `stages.data.formats.afdb`); those of the copy on Kaggle do not. In the
table the name of a masked photo begins with `masked-`, as both folders of a person may have files of one name.

Run on a made-up copy only.
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.core.images import SUFFIXES
from stages.data.files import Files
from stages.data.formats import afdb
from stages.data.photo import Photo, Reject

FOLDERS = {"AFDB_face_dataset": False, "AFDB_masked_face_dataset": True}


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield all photos of both folders.

    Raises:
        UnmaskError: there is not one photo in either folder.
    """
    some = False
    for file in files.names():
        path = PurePosixPath(file)
        masked = FOLDERS.get(path.parent.parent.name)
        if path.suffix.lower() not in SUFFIXES or masked is None:
            continue
        some = True
        name = f"masked-{path.stem}" if masked else path.stem
        yield Photo(file, path.parent.name, name, wears_mask=masked, face_type=afdb.face_type(path.stem))
    if not some:
        raise UnmaskError(f"no photo found: expected {' and '.join(FOLDERS)}, with <person>/<photo>.jpg in them")
