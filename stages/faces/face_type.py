"""Face_Mask_Generator's face type: `<p>_<b>`, p = 1 for a profile, b = 1 for a blurred photo."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.faces.landmarks import Points, face_size, yaw

FACE_TYPES = ("0_0", "0_1", "1_0", "1_1")
SHARPNESS_SIDE = 96  # pixels that a face is brought to before its sharpness is measured


def sharpness(image: NDArray[np.uint8], points: Points) -> float:
    """Return how sharp a face in an RGB image (H, W, 3) is: 0 for a flat one, about 1 for a crisp one.

    It is the standard deviation of the Laplacian over that of the brightness, inside the box of the landmarks, with
    the face brought to one size. So neither the contrast nor the resolution of the photo counts, only whether what
    could be seen at that size is there. After J. L. Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy", ICPR 2000.
    """
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(points.min(0)), 0, [width - 1, height - 1]).astype(int)
    right, bottom = np.clip(np.ceil(points.max(0)), [left + 1, top + 1], [width, height]).astype(int)
    gray = cv2.cvtColor(image[top:bottom, left:right], cv2.COLOR_RGB2GRAY).astype(np.float32)
    scale = SHARPNESS_SIDE / max(face_size(points), 1.0)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    gray = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=interpolation).astype(np.float32)
    contrast = float(gray.std())
    if min(gray.shape) < 3 or contrast < 1:
        return 0.0
    return float(cv2.Laplacian(gray, cv2.CV_32F)[1:-1, 1:-1].std()) / contrast


def face_type(image: NDArray[np.uint8], points: Points, *, profile_above: float, blurred_below: float) -> str:
    """Return the face type of a face with 68 landmarks in an RGB image (H, W, 3).

    A head with a yaw above `profile_above` is a profile, a face with a sharpness below `blurred_below` is blurred.
    """
    return f"{abs(yaw(points)) > profile_above:d}_{sharpness(image, points) < blurred_below:d}"
