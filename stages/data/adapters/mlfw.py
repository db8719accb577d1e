"""MLFW, a test set: aligned/<Name>_<NNNN>_<NNNN>.jpg, LFW's people behind drawn masks, and pairs.txt.

pairs.txt is read by `verify.pairs`. Where the folder `aligned` is missing, `origin` is read: the same photos, the same
names.

Run on a made-up copy only.
"""

import re

from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject


def photos(files: Files) -> Photos:
    """Yield the photos of one of the two folders; the other's are rejected as `other_alignment`."""
    layout = "aligned/<Name>_<NNNN>_<NNNN>.jpg or origin/…"
    found = files.matching(r"(?:^|/)(aligned|origin)/([^/]+)\.\w+$", layout)
    chosen = min(match[1] for match in found)  # aligned, if there are such
    for match in found:
        person = re.fullmatch(r"(.+?)_\d{4}(?:_\d+)?", match[2])
        if match[1] != chosen:
            yield Reject(match.string, "other_alignment", f"photos of {chosen} are taken")
        elif not person:
            yield Reject(match.string, "bad_name", "expected <Name>_<NNNN>_<NNNN>.jpg")
        else:
            yield Photo(match.string, person[1], match[2], split="test")
