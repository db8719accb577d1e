"""Which photo of a dataset an annotation file names, and of which split it is."""

import functools
import posixpath
import re
from collections import defaultdict
from pathlib import PurePosixPath
from urllib.parse import unquote

from stages.data.files import Files
from stages.data.formats.layout import SPLITS, split_of


def find(files: Files, by: str, listed: str) -> list[str]:
    """Return the photos that a name in the file `by` may mean; one if it is found.

    A path is relative to the file that names it, or else to the dataset. A photo that lies elsewhere, as after a move
    to another computer, is found by its name and by as many folders before it as agree, in the same split.
    """
    for name in dict.fromkeys((listed.replace("\\", "/"), unquote(listed.replace("\\", "/")))):
        for path in (posixpath.normpath(posixpath.join(posixpath.dirname(by), name)), posixpath.normpath(name)):
            if path in files:
                return [path]
        wanted = PurePosixPath(name)
        split = split_of(wanted) or split_by(by)
        named = files.named(wanted.name) or _in_small_letters(files).get(wanted.name.lower(), [])
        found = [path for path in map(PurePosixPath, named) if split in {None, split_of(path) or split}]
        ranks = {path: (_common(path.parts[::-1], wanted.parts[::-1]), _beside(path, by)) for path in found}
        found = [path for path in found if ranks[path] == max(ranks.values())]
        if found:
            return [path.as_posix() for path in found]
    return []


@functools.lru_cache(maxsize=1)
def _in_small_letters(files: Files) -> dict[str, list[str]]:
    """Return the files by name in small letters: Windows does not tell a.jpg from A.JPG."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in files.images():
        found[path.name.lower()].append(path.as_posix())
    return found


def split_by(file: str) -> str | None:
    """Return the split that an annotation file is of, by its folders, or else by a word of its own name."""
    path = PurePosixPath(file)
    words = re.findall("[a-z]+", path.stem.casefold())  # instances_train2017
    return split_of(path) or next((SPLITS[word] for word in words if word in SPLITS), None)


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    """Return how many steps of two paths agree before the first that differs."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _beside(path: PurePosixPath, by: str) -> int:
    return _common(path.parent.parts, PurePosixPath(by).parent.parts)
