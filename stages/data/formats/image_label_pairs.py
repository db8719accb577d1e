"""Photos and masks in two folders: images/<name>.jpg and labels/<name>.png, 255 (above 127) or 1 where a class is."""

from collections.abc import Sequence
from typing import Any

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject

IMAGES, LABELS = ("images", "image", "img", "imgs"), ("labels", "label", "masks", "mask")


def photos(
    files: Files,
    class_id: int,
    *,
    images: Sequence[str] = IMAGES,
    labels: Sequence[str] = LABELS,
    below: str = "",
    **known: Any,
) -> Photos:
    """Yield all photos that have a mask of the same name; each counts as a person of its own.

    Args:
        files: of the dataset.
        class_id: what the masks show, see `stages.faces.parts`.
        images: names that the folder of photos may have.
        labels: names that the folder of masks beside it may have.
        below: a folder in which both lie; others are not looked at.
        known: fields of `Photo` that all photos have in common.
    """
    paths = [path for path in files.images() if not below or below in path.parts]
    masks = {(path.parent.parent, path.stem): path.as_posix() for path in paths if path.parent.name in labels}
    found = [path for path in paths if path.parent.name in images]
    if not found:
        raise UnmaskError(
            f"no photo found: expected a folder {' or '.join(images)}, and beside it {' or '.join(labels)}"
        )
    for path in found:
        if mask := masks.get((path.parent.parent, path.stem)):
            yield Photo(path.as_posix(), f"photo-{path.stem}", path.stem, label_files=((class_id, mask),), **known)
        else:
            yield Reject(path.as_posix(), "no_label", f"no mask of the name {path.stem} in {' or '.join(labels)}")
