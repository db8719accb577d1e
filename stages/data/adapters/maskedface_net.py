"""MaskedFace-Net: FFHQ's photos with a drawn mask, worn properly (<NNNNN>_Mask.jpg) or not (<NNNNN>_Mask_<how>.jpg).

Nobody says who is on a photo, so each photo of FFHQ counts as a person of its own.

Run on a made-up copy only.
"""

from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject

EXPECTED = "<NNNNN>_Mask….jpg"


def photos(files: Files) -> Photos:
    """Yield all photos; all wear a mask."""
    found = files.matching(r"(?:^|/)(\d{5})_(Mask\w*)\.\w+$", EXPECTED)
    masked = {match.string: match for match in found}
    for path in files.images():
        if match := masked.get(path.as_posix()):
            yield Photo(match.string, f"photo-{match[1]}", match[2], wears_mask=True)
        else:
            yield Reject(path.as_posix(), "bad_name", f"expected {EXPECTED}")
