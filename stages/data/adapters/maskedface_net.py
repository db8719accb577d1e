"""MaskedFace-Net: FFHQ's photos with a drawn mask, worn properly (<NNNNN>_Mask.jpg) or not (<NNNNN>_Mask_<how>.jpg).

Nobody says who is on a photo, so each photo of FFHQ counts as a person of its own.

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
    """Yield all photos; all wear a mask.

    Raises:
        UnmaskError: there is not one photo of such a name.
    """
    some = False
    for file in files.names():
        path = PurePosixPath(file)
        if path.suffix.lower() not in SUFFIXES:
            continue
        found = re.fullmatch(r"(\d{5})_(Mask\w*)", path.stem)
        if not found:
            yield Reject(file, "bad_name", "expected <NNNNN>_Mask….jpg")
            continue
        some = True
        yield Photo(file, f"photo-{found[1]}", found[2], wears_mask=True)
    if not some:
        raise UnmaskError("no photo found: expected <NNNNN>_Mask….jpg")
