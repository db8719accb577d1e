"""RMFRD: AFDB_face_dataset/<person>/*.jpg without a mask, AFDB_masked_face_dataset/<person>/*.jpg with a real one.

Names of files may begin with the face type (see `stages.data.formats.afdb`); those of the copy on Kaggle do not. In the
table the name of a masked photo begins with `masked-`, as both folders of a person may have files of one name.

Run on a made-up copy only.
"""

from stages.data.files import Files
from stages.data.formats import afdb
from stages.data.photo import Photo, Photos

LAYOUT = "AFDB_face_dataset and AFDB_masked_face_dataset, with <person>/<photo>.jpg in them"


def photos(files: Files) -> Photos:
    """Yield all photos of both folders."""
    for found in files.matching(r"(?:^|/)AFDB_(masked_)?face_dataset/([^/]+)/([^/]+)\.\w+$", LAYOUT):
        masked, person, stem = found.groups()
        name = f"masked-{stem}" if masked else stem
        yield Photo(found.string, person, name, wears_mask=bool(masked), face_type=afdb.face_type(stem))
