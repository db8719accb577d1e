"""What the names of folders say: the split, whether masks are worn, and which label file is of which photo."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from stages.core import text
from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.photo import Reject
from stages.photos.names import plain

SPLITS = {
    "train": "train",
    "training": "train",
    "trainset": "train",
    "val": "val",
    "valid": "val",
    "dev": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
    "testset": "test",
    "eval": "test",
    "evaluation": "test",
}
IMAGES = frozenset({"images", "image", "imgs", "img", "jpegimages"})
LABELS = frozenset({"annotations", "annotation", "labels", "label", "xmls", "xml", "landmarks", "points", "pts"})

Key = tuple[str, ...]


def split_of(path: PurePosixPath) -> str | None:
    """Return the split that the innermost folder of its name says; None if no folder of a path has such a name."""
    return next((SPLITS[plain(step)] for step in reversed(path.parts[:-1]) if plain(step) in SPLITS), None)


def listed_splits(files: Files, photos: Iterable[PurePosixPath] | None = None) -> dict[str, str]:
    """Return the split of each photo, by its name in a dataset, that lists such as VOC's ImageSets/Main/train.txt name.

    They are called train.txt, val.txt and so on; a line begins with the name of a photo, with or without its folder and
    suffix. Of a name that several photos have, they say nothing.

    Raises:
        UnmaskError: two lists of different splits name the same photo, or one is no text.
    """
    of_stem: dict[str, list[str]] = defaultdict(list)
    for photo in files.images() if photos is None else photos:
        of_stem[photo.stem].append(photo.as_posix())
    found: dict[str, tuple[str, str]] = {}
    for file in files.names():
        path = PurePosixPath(file)
        if path.suffix.lower() != ".txt" or plain(path.stem) not in SPLITS:
            continue
        split = SPLITS[plain(path.stem)]
        for _, line in text.lines(files.text(file)):
            for name in (line.strip(), *line.split()[:1]):
                photos = of_stem.get(PurePosixPath(name).stem) or of_stem.get(PurePosixPath(name).name, [])
                if len(photos) == 1:
                    other, by = found.setdefault(photos[0], (split, file))
                    if other != split:
                        raise UnmaskError(f"{photos[0]} stands in both {by} and {file}: a photo is in one split")
                    break
    return {photo: split for photo, (split, _) in found.items()}


def key(path: PurePosixPath) -> Key:
    """Return what a photo and its label file have in common: folders but those of `IMAGES` and `LABELS`, and the stem.

    So images/a.jpg goes with annotations/a.xml, images/train/a.jpg with labels/train/a.txt, train/images/a.jpg with
    train/labels/a.txt, and a.jpg with a.xml beside it.
    """
    folders = [step for step in path.parts[:-1] if plain(step) not in IMAGES | LABELS]
    return tuple(unicodedata.normalize("NFC", step) for step in (*folders, path.stem))


def by_key(paths: Iterable[PurePosixPath]) -> dict[Key, list[PurePosixPath]]:
    """Return the paths of each key, in their order."""
    found: dict[Key, list[PurePosixPath]] = defaultdict(list)
    for path in paths:
        found[key(path)].append(path)
    return found


def pairs(
    photos: Iterable[PurePosixPath], labels: Iterable[PurePosixPath]
) -> Iterator[tuple[PurePosixPath, PurePosixPath] | Reject]:
    """Yield each photo with its label file (see `key`), or why there is none that is its own for sure."""
    labels_of = by_key(labels)
    for key, found in by_key(photos).items():
        of_key = labels_of.get(key, [])
        for photo in found:
            if not of_key:
                yield Reject(photo.as_posix(), "no_label", f"no label file of the name {photo.stem} goes with it")
            elif len(found) > 1:
                others = " and ".join(path.as_posix() for path in found if path != photo)
                yield Reject(photo.as_posix(), "same_name", f"{of_key[0]} may be of {others}, too: keep one of them")
            elif len(of_key) > 1:
                several = " and ".join(path.as_posix() for path in of_key)
                yield Reject(photo.as_posix(), "several_labels", f"{several} are of this name: keep one of them")
            else:
                yield photo, of_key[0]


def marks(paths: Iterable[PurePosixPath], names: Mapping[str, object]) -> frozenset[PurePosixPath]:
    """Return the folders on the way to some files that say something of all that lies in them, by `names`.

    A folder is one if it has such a name and so have all folders beside it. `test` beside `train` is one, and `test`
    beside `anna` and `ben` is a person's.
    """
    inside: dict[PurePosixPath, set[PurePosixPath]] = defaultdict(set)
    for path in paths:
        for folder in path.parents[:-1]:
            inside[folder.parent].add(folder)
    levels = (level for level in inside.values() if all(plain(folder.name) in names for folder in level))
    return frozenset(folder for level in levels for folder in level)
