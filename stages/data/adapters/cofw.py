"""COFW: COFW_train_color.mat (845 photos of LFPW, 500 of COFW) and COFW_test_color.mat (507), MATLAB v7.3.

Nobody says who is on a photo, so each counts as a person of its own. Its 29 landmarks are not those of 300-W and are
not read; `find_landmarks` finds its own.

Run on a made-up copy only.
"""

from stages.data.files import Files
from stages.data.photo import Photo, Photos

IMAGE = r"(?:^|/)COFW_(train|test)(?:_color)?\.mat/Is(?:Tr|T)/(\d+)\.png$"


def photos(files: Files) -> Photos:
    """Yield all photos with the publisher's split."""
    for found in files.matching(IMAGE, "COFW_train_color.mat or COFW_test_color.mat with IsTr or IsT"):
        split, number = found.groups()
        yield Photo(found.string, f"photo-{split}-{number}", number, split=split)
