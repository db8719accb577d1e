"""A plain folder of photos, in which nobody says who is who: each counts as a person of its own."""

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import layout
from stages.data.formats.person_folders import CONDITIONS
from stages.data.photo import Photo, Photos, reader
from stages.photos.names import plain


@reader
def photos(files: Files) -> Photos:
    """Yield every image file; its path without suffix, in one word, is its name."""
    paths = files.images()
    if not paths:
        raise UnmaskError("there is no image file")
    marks = layout.marks(paths, {**CONDITIONS, **layout.SPLITS})
    for path in paths:
        name = path.with_suffix("").as_posix().replace("/", "-")
        said = [plain(folder.name) for folder in path.parents[:-1] if folder in marks]
        yield Photo(
            path.as_posix(),
            identity=f"photo-{name}",
            name=name,
            split=next((layout.SPLITS[one] for one in said if one in layout.SPLITS), None),
            wears_mask=next((CONDITIONS[one] for one in said if one in CONDITIONS), None),
        )
