"""Photos and label maps in two folders, images/<name>.jpg and labels/<name>.png, or beside each other.

Folders within them, or around them, are the same for both: images/train/a.jpg and labels/train/a.png, train/images/a.jpg
and train/labels/a.png. A label map is read by its indices, see `stages.data.labels`.
"""

import os.path
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats.layout import split_of
from stages.data.photo import Color, Photo, Photos, Reject
from stages.faces.parts import MASK

IMAGES = ("images", "image", "img", "imgs", "img_dir", "JPEGImages")
LABELS = ("labels", "label", "masks", "mask", "ann_dir", "annotations", "SegmentationClass")

Key = tuple[tuple[str, ...], tuple[str, ...], str]  # folders around those of the photos or labels, within, and the name


def photos(
    files: Files,
    class_id: int,
    *,
    index: int | Iterable[int | Color] | None = None,
    images: Sequence[str] = IMAGES,
    labels: Sequence[str] = LABELS,
    label_suffix: str = "",
    below: str = "",
    **known: Any,
) -> Photos:
    """Yield all photos that have a label map of the same name; each counts as a person of its own.

    Args:
        files: of the dataset.
        class_id: what is looked for in the label maps, see `stages.faces.parts`.
        index: of it in them, or several, or colors (red, green, blue); None: a label map has one beside the background.
        images: names that the folder of photos may have.
        labels: names that the folder of label maps beside it may have.
        label_suffix: what the name of a label map has more than the photo's: `_mask` for a.jpg and a_mask.png. With it
            both may lie in one folder.
        below: a folder in which both lie; others are not looked at.
        known: fields of `Photo` that all photos have in common.

    Raises:
        UnmaskError: there is no photo in such folders.
    """
    paths = [path for path in files.images() if not below or below in path.parts]
    maps: dict[Key, list[str]] = defaultdict(list)
    found: list[tuple[PurePosixPath, Key]] = []
    for path in paths:
        is_label = path.stem.endswith(label_suffix)
        if is_label and (key := _key(path, labels, label_suffix)):
            maps[key].append(path.as_posix())
        elif key := _key(path, images):
            found.append((path, key))
    if label_suffix and not found:  # beside each other
        for path in paths:
            if path.stem.endswith(label_suffix):
                maps[path.parent.parts, (), path.stem.removesuffix(label_suffix)].append(path.as_posix())
            else:
                found.append((path, (path.parent.parts, (), path.stem)))
    if not found:
        raise UnmaskError(
            f"no photo found: expected a folder {' or '.join(images)}, and beside it {' or '.join(labels)}"
        )
    meant = None if index is None else (index,) if isinstance(index, int) else tuple(index)
    if class_id == MASK and "wears_mask" not in known and not known.get("empty_is_bare"):
        known["wears_mask"] = True
    shared = len(os.path.commonprefix([before for _, (before, _, _) in found]))
    for path, (before, within, stem) in found:
        label = maps.get((before, within, stem), [])
        name = "-".join((*before[shared:], *within, stem))
        if len(label) == 1:
            said = {"split": split_of(path), "label_files": ((class_id, label[0]),), "label_index": meant, **known}
            yield Photo(path.as_posix(), f"photo-{name}", name, **said)
        else:
            wanted = f"{stem}{label_suffix} in {' or '.join(labels)}"
            yield Reject(path.as_posix(), "no_label", f"{len(label) or 'no'} label maps of the name {wanted}")


def _key(path: PurePosixPath, names: Sequence[str], suffix: str = "") -> Key | None:
    """Return what a photo and its label map have in common; None if no folder on the way has one of the names."""
    folders = path.parts[:-1]
    lower = {name.lower() for name in names}
    place = next((place for place in range(len(folders) - 1, -1, -1) if folders[place].lower() in lower), None)
    if place is None:
        return None
    return folders[:place], folders[place + 1 :], path.stem.removesuffix(suffix)
