"""Photos and label maps in two folders, images/<name>.jpg and labels/<name>.png, or beside each other.

Folders within them, or around them, are the same for both: images/train/a.jpg and labels/train/a.png, or
train/images/a.jpg and train/labels/a.png. A label map is read by its indices, see `stages.data.labels`.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, Unpack

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats.layout import listed_splits, split_of
from stages.data.photo import AdapterError, Color, Known, Photo, Photos, Reject, reader
from stages.faces.parts import MASK

IMAGES = ("images", "image", "img", "imgs", "img_dir", "JPEGImages")
LABELS = ("labels", "label", "masks", "mask", "ann_dir", "annotations", "SegmentationClass")

Key = tuple[tuple[str, ...], tuple[str, ...], str]  # folders around those of the photos or labels, within, and the name


@reader
def photos(
    files: Files,
    class_id: int = MASK,
    *,
    index: int | Iterable[int] | Iterable[Color] | None = None,
    images: Sequence[str] = IMAGES,
    labels: Sequence[str] = LABELS,
    label_suffix: str = "",
    below: str = "",
    **known: Unpack[Known],
) -> Photos:
    """Yield all photos that have a label map of the same name; each counts as a person of its own.

    Args:
        files: of the dataset.
        class_id: what is looked for in the label maps, see `stages.faces.parts`.
        index: of it in them, or several in a list, or colors (red, green, blue); None: a label map has one index beside
            the background.
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
    found, maps = _in_folders(paths, images, labels, label_suffix)
    if label_suffix and not found:
        found, maps = _beside_each_other(paths, label_suffix)
    if not found:
        raise UnmaskError(
            f"no photo found: expected a folder {' or '.join(images)}, and beside it {' or '.join(labels)}"
        )
    meant, splits = _meant(index), listed_splits(files, [path for path, _ in found])
    if class_id == MASK and "wears_mask" not in known and not known.get("empty_is_bare"):
        known["wears_mask"] = True
    around = list(zip(*{before for _, (before, _, _) in found}, strict=False))
    shared = next((place for place, names in enumerate(around) if len(set(names)) > 1), len(around))
    for path, (before, within, stem) in found:
        label = maps.get((before, within, stem), [])
        name = "-".join((*before[shared:], *within, stem))
        if len(label) == 1:
            split = split_of(path) or splits.get(path.as_posix())
            said: dict[str, Any] = {
                "split": split,
                "label_files": ((class_id, label[0]),),
                "label_index": meant,
                **known,
            }
            yield Photo(path.as_posix(), f"photo-{name}", name, **said)
        else:
            wanted = f"{stem}{label_suffix} in {' or '.join(labels)}"
            yield Reject(path.as_posix(), "no_label", f"{len(label) or 'no'} label maps of the name {wanted}")


def _meant(index: Any) -> tuple[int, ...] | tuple[Color, ...] | None:
    """Return what is meant in label maps; a tuple of three numbers is a color."""
    if index is None:
        return None
    is_color = isinstance(index, tuple) and len(index) == 3 and all(isinstance(one, int) for one in index)
    meant = (index,) if isinstance(index, int) or is_color else tuple(index)
    if not meant or not (
        all(isinstance(one, int) for one in meant)
        or all(isinstance(one, tuple | list) and len(one) == 3 for one in meant)
    ):
        raise AdapterError(f"image_label_pairs.photos: index is {index!r}: write 2, [1, 2] or [(128, 0, 0)]")
    return meant


def _in_folders(
    paths: Iterable[PurePosixPath], images: Iterable[str], labels: Iterable[str], suffix: str
) -> tuple[list[tuple[PurePosixPath, Key]], dict[Key, list[str]]]:
    """Return the photos with their keys, and the label maps by theirs; the innermost folder of such a name counts."""
    found: list[tuple[PurePosixPath, Key]] = []
    maps: dict[Key, list[str]] = defaultdict(list)
    photos_in, labels_in = ({name.lower() for name in names} for names in (images, labels))
    for path in paths:
        folders = [folder.lower() for folder in path.parts[:-1]]
        places = [place for place, folder in enumerate(folders) if folder in photos_in | labels_in]
        if not places:
            continue
        before, within, folder = path.parts[: places[-1]], path.parts[places[-1] + 1 : -1], folders[places[-1]]
        if folder in labels_in and path.stem.endswith(suffix):
            maps[before, within, path.stem.removesuffix(suffix)].append(path.as_posix())
        elif folder in photos_in:
            found.append((path, (before, within, path.stem)))
    return found, maps


def _beside_each_other(
    paths: Iterable[PurePosixPath], suffix: str
) -> tuple[list[tuple[PurePosixPath, Key]], dict[Key, list[str]]]:
    """Return the same of files that lie in one folder."""
    found: list[tuple[PurePosixPath, Key]] = []
    maps: dict[Key, list[str]] = defaultdict(list)
    for path in paths:
        if path.stem.endswith(suffix):
            maps[path.parent.parts, (), path.stem.removesuffix(suffix)].append(path.as_posix())
        else:
            found.append((path, (path.parent.parts, (), path.stem)))
    return found, maps
