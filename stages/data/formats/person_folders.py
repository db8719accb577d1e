"""One folder a person, photos in it: the layout of LFW, RMFRD and most collections of one's own."""

from collections.abc import Callable

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject


def photos(files: Files, known: Callable[[Photo], Photo | Reject] = lambda photo: photo) -> Photos:
    """Yield every image file that lies in a folder; the folder's name is the person, wherever that folder lies.

    The function `known` adds to a photo what else is known of it, or rejects it.
    """
    paths = files.images()
    if all(len(path.parts) < 2 for path in paths):
        raise UnmaskError("no photo lies in a person's folder: expected <person>/<photo>.jpg")
    for path in paths:
        if len(path.parts) < 2:
            yield Reject(path.name, "no_person", "it lies in no person's folder")
        else:
            yield known(Photo(path.as_posix(), identity=path.parent.name, name=path.stem))
