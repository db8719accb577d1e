"""What the names of folders say: the split."""

import re
import unicodedata
from pathlib import PurePosixPath

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def plain(name: str) -> str:
    """Return a name in small letters, with `_` for blanks, hyphens and underscores, as tables of names have it."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFC", name).casefold().strip())


def split_of(path: PurePosixPath) -> str | None:
    """Return the split that the innermost folder of its name says; None if no folder of a path has such a name."""
    return next((SPLITS[plain(step)] for step in reversed(path.parts[:-1]) if plain(step) in SPLITS), None)
