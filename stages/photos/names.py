"""How people name photos in their lists, and which photo of a face table is meant."""

import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from stages.photos.kinds import SUFFIXES


def plain(name: str) -> str:
    """Return a name in small letters, with `_` for blanks, hyphens and underscores, as tables of names have it."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFC", name).casefold().strip())


class Names:
    """The names `person/photo` of a table's photos, the ends of their face ids.

    A photo's own name begins with the conditions and splits among the folders around it, so anna/masked/1.jpg is
    anna/masked-1, and one of which nobody knows the person has its path for both, trip/1.jpg is photo-trip-1/trip-1.
    """

    def __init__(self, known: Collection[str]) -> None:
        self.known = frozenset(known)
        self._of_photo: dict[str, set[str]] = defaultdict(set)
        for name in self.known:
            self._of_photo[name.partition("/")[2]].add(name)

    def find(self, written: str) -> set[str]:
        """Return the photos that a path may mean, or a file's name; one that has this very name is meant alone.

        The suffix of a photo may be there or not, and folders before the person's, as of another computer, say nothing.
        """
        for text in dict.fromkeys((written, unquote(written))):
            if found := self._find(text):
                return found
        return set()

    def _find(self, written: str) -> set[str]:
        path = PurePosixPath(written.replace("\\", "/"))
        whole = [path.name, *([path.stem] if path.suffix.lower() in SUFFIXES else [])]
        folders = [folder for folder in path.parts[:-1] if folder not in {"/", ".."}]
        for name in whole:
            exact = "/".join([*folders, name])
            found = {exact} if exact in self.known else self.known.intersection(_readings(folders, name))
            if found := found or (set() if folders else self._of_photo.get(name, set())):
                return set(found)
        return set()

    def numbered(self, person: str, number: int) -> set[str]:
        """Return the photos that may be a person's of this number: LFW's Bo_Li_0001, if it is there, or Bo_Li/1."""
        found: set[str] = set()
        for who, digits in itertools.product({person, person.replace(" ", "_")}, range(1, 7)):
            n = str(number).zfill(digits)
            found |= self.known & {f"{who}/{who}_{n}", f"{who}/{n}"}
        return {name for name in found if name.endswith(f"_{number:04d}")} or found


def _readings(folders: list[str], name: str) -> Iterator[str]:
    """Yield what a table may call a photo in some folders: any may be the person's, the first ones may say nothing."""
    for start in range(len(folders) + 1):
        inner = folders[start:]
        for spelled in (str, plain):
            whole = "-".join([*map(spelled, inner), name])
            yield f"photo-{whole}/{whole}"
            for place, person in enumerate(inner):
                others = [spelled(folder) for folder in inner[:place] + inner[place + 1 :]]
                yield f"{person}/{'-'.join([*others, name])}"
