"""MFSD: MSFD/1/face_crop/<name> and MSFD/1/face_crop_segmentation/<name>, white where the mask is.

The whole photos in 1/img and 2/img, with several faces each, are left out.

Run on a made-up copy only.
"""

import functools

from stages.data.formats import image_label_pairs
from stages.faces.parts import MASK

photos = functools.partial(
    image_label_pairs.photos,
    class_id=MASK,
    images=("face_crop",),
    labels=("face_crop_segmentation",),
    wears_mask=True,
)
