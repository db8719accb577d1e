"""A plain folder of photos, in which nobody says who is who: each counts as a person of its own."""

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Photo, Photos


def photos(files: Files) -> Photos:
    """Yield every image file; its path without suffix, in one word, is its name."""
    paths = files.images()
    if not paths:
        raise UnmaskError("there is no image file")
    for path in paths:
        name = path.with_suffix("").as_posix().replace("/", "-")
        yield Photo(path.as_posix(), identity=f"photo-{name}", name=name)
