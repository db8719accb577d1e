"""MaskedFace-Net: FFHQ's photos with a drawn mask, worn properly (<NNNNN>_Mask.jpg) or not (<NNNNN>_Mask_<how>.jpg).

Nobody says who is on a photo, so each photo of FFHQ counts as a person of its own.

Run on a made-up copy only.
"""

from stages.data.files import Files
from stages.data.photo import Photo, Photos, Reject

EXPECTED = "<NNNNN>_Mask….jpg"


def photos(files: Files) -> Photos:
    """Yield all photos; all wear a mask."""
    found = {match.string: match for match in files.matching(r"(?:^|/)(\d{5})_(Mask\w*)\.\w+$", EXPECTED)}
    for file in map(str, files.images()):
        if match := found.get(file):
            yield Photo(file, f"photo-{match[1]}", match[2], wears_mask=True)
        else:
            yield Reject(file, "bad_name", f"expected {EXPECTED}")
