"""MLFW, a test set: aligned/<Name>_<NNNN>_<NNNN>.jpg, LFW's people behind drawn masks, and pairs.txt.

pairs.txt is read by `verify.pairs`. Where the folder `aligned` is missing, `origin` is read: the same photos, the same
names.

Run on a made-up copy only.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from stages.core.errors import UnmaskError
from stages.core.images import SUFFIXES
from stages.data.files import Files
from stages.data.photo import Photo, Reject


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield the photos of one of the two folders; the other's are rejected as `other_alignment`.

    Raises:
        UnmaskError: there is not one photo in either folder.
    """
    of_folder: dict[str, list[PurePosixPath]] = {"aligned": [], "origin": []}
    for path in map(PurePosixPath, files.names()):
        if path.suffix.lower() in SUFFIXES and path.parent.name in of_folder:
            of_folder[path.parent.name].append(path)
    chosen = "aligned" if of_folder["aligned"] else "origin"
    if not of_folder[chosen]:
        raise UnmaskError("no photo found: expected aligned/<Name>_<NNNN>_<NNNN>.jpg or origin/…")
    for folder, paths in of_folder.items():
        for path in paths:
            person = re.fullmatch(r"(.+?)_\d{4}(?:_\d+)?", path.stem)
            if folder != chosen:
                yield Reject(path.as_posix(), "other_alignment", f"photos of {chosen} are taken")
            elif not person:
                yield Reject(path.as_posix(), "bad_name", "expected <Name>_<NNNN>_<NNNN>.jpg")
            else:
                yield Photo(path.as_posix(), person[1], path.stem, split="test")
