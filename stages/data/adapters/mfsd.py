"""MFSD: MSFD/1/face_crop/<name> and MSFD/1/face_crop_segmentation/<name>, white where the mask is.

The whole photos in 1/img and 2/img, with several faces each, are left out.

Run on a made-up copy only.
"""

from collections.abc import Iterator
from dataclasses import replace

from stages.data.files import Files
from stages.data.formats import image_label_pairs
from stages.data.photo import Photo, Reject
from stages.faces.parts import MASK


def photos(files: Files) -> Iterator[Photo | Reject]:
    """Yield the crops of masked faces with their masks; each counts as a person of its own.

    Raises:
        UnmaskError: there is no folder of crops.
    """
    for photo in image_label_pairs.photos(files, MASK, images=("face_crop",), labels=("face_crop_segmentation",)):
        yield photo if isinstance(photo, Reject) else replace(photo, wears_mask=True)
