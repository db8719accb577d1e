"""Gender folders of Kaggle: <Training|Validation>/<female|male>/*, photos of unknown people, many with drawn masks.

The publisher's validation photos are taken for testing. Nobody says which photos have a mask.

Run on a made-up copy only.
"""

import re

from stages.data.files import Files
from stages.data.photo import Photo, Photos

SPLITS = {"training": "train", "validation": "test"}


def photos(files: Files) -> Photos:
    """Yield all photos with sex and split; each counts as a person of its own."""
    folders = "Training/female, Training/male, Validation/female, Validation/male"
    for found in files.matching(r"(?i)(?:^|/)(training|validation)/(female|male)/([^/]+)\.\w+$", folders):
        split, sex, name = SPLITS[found[1].lower()], found[2].lower(), re.sub(r"\s+", "_", found[3])
        yield Photo(found.string, identity=f"{split}-{sex}-{name}", name=name, sex=sex, split=split)
