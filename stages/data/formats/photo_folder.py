"""A plain folder of photos, in which nobody says who is who: each counts as a person of its own.

A dataset of your own needs no more than a module of its name in `stages/data/adapters` that says

    from stages.data.formats import photo_folder
    photos = photo_folder.photos
"""

from stages.data.files import Files
from stages.data.photo import Photo, Photos


def photos(files: Files) -> Photos:
    """Yield every image file; its path without suffix, in one word, is its name.

    Raises:
        UnmaskError: there is not one.
    """
    for found in files.matching(r"(.+)\.\w+$", "there is no image file"):
        name = found[1].replace("/", "-")
        yield Photo(found.string, identity=f"photo-{name}", name=name)
