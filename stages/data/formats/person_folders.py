"""One folder a person, photos in it: the layout of LFW, RMFRD and most collections of one's own.

A dataset of your own needs no more than a module of its name in `stages/data/adapters` that says

    from stages.data.formats import person_folders
    photos = person_folders.photos
"""

from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.core.images import SUFFIXES
from stages.data.files import Files
from stages.data.photo import Photo, Reject


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield every image file that lies in a folder; the folder's name is the person, wherever that folder lies.

    Raises:
        UnmaskError: there is not one photo in a folder.
    """
    some = False
    for file in files.names():
        path = PurePosixPath(file)
        if path.suffix.lower() not in SUFFIXES:
            continue
        if len(path.parts) < 2:
            yield Reject(file, "no_person", "it lies in no person's folder")
            continue
        some = True
        yield Photo(file, identity=path.parent.name, name=path.stem)
    if not some:
        raise UnmaskError("no photo lies in a person's folder: expected <person>/<photo>.jpg")
