"""Gender folders of Kaggle: <Training|Validation>/<female|male>/*, photos of unknown people, many with drawn masks.

The publisher's validation photos are taken for testing. Nobody says which photos have a mask.

Run on a made-up copy only.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.core.images import SUFFIXES
from stages.core.tables import SEXES
from stages.data.files import Files
from stages.data.photo import Photo, Reject

SPLITS = {"training": "train", "validation": "test"}


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield all photos with sex and split; each counts as a person of its own.

    Raises:
        UnmaskError: there is not one photo in such folders.
    """
    some = False
    for file in files.names():
        path = PurePosixPath(file)
        sex, split = path.parent.name.lower(), SPLITS.get(path.parent.parent.name.lower())
        if path.suffix.lower() not in SUFFIXES or sex not in SEXES or split is None:
            continue
        some = True
        name = re.sub(r"\s+", "_", path.stem)
        yield Photo(file, identity=f"{split}-{sex}-{name}", name=name, sex=sex, split=split)
    if not some:
        raise UnmaskError("no photo found: expected Training/female, Training/male, Validation/female, Validation/male")
