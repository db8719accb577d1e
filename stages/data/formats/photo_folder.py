"""A plain folder of photos, in which nobody says who is who: each counts as a person of its own.

A dataset of your own needs no more than a module of its name in `stages/data/adapters` that says

    from stages.data.formats import photo_folder
    photos = photo_folder.photos
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.core.images import SUFFIXES
from stages.data.files import Files
from stages.data.photo import Photo, Reject


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield every image file; its path without suffix, in one word, is its name.

    Raises:
        UnmaskError: there is not one.
    """
    some = False
    for file in files.names():
        path = PurePosixPath(file)
        if path.suffix.lower() in SUFFIXES:
            some = True
            name = re.sub("/", "-", path.with_suffix("").as_posix())
            yield Photo(file, identity=f"photo-{name}", name=name)
    if not some:
        raise UnmaskError("there is no image file")
