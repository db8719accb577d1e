"""A face in the light in which a generator has learned, and alone.

A dark face it fills with blotches of color. And as the mean face with which it starts takes its light from all that is
seen, skin beside a blue wall or a bright sky would be too red or violet.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.faces.regions import widened

LIT = 200.0  # of 255: what the brightest 5 % of a well-lit face reach
MOST = 16.0  # times as bright: of darker ones hardly a digit is left
BRIGHTEST = 95  # percentile; means of 90 to 130 give the same PSNR of val faces, in the dark 0.1 dB less
DARKEST = 0.5  # of that: eyes, brows, hair and dark glasses are no skin
AROUND = 6.0  # of the image's width, in hundredths: what is so near to a face stays; 3 to 15 hardly differ
FADES = 0.047  # of the image's width: standard deviation of the blur from there on


def lit(face: Pixels, points: Points, hole: Pixels) -> tuple[Pixels, float]:
    """Return a face well lit, all around it in the mean color of its skin, and how many times brighter it is.

    Args:
        face: RGB uint8 (H, W, 3).
        points: its landmarks, (68, 2), pixels.
        hole: what is not seen of it, uint8 (H, W), above 0.

    Returns:
        The face as it is, and 1, if nothing of it is seen.
    """
    outline = np.zeros(face.shape[:2], np.uint8)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.round(points).astype(np.int32)), 255)
    seen = face[(outline > 0) & (hole == 0)]
    if not seen.size:
        return face, 1.0
    brightest = float(np.percentile(seen, BRIGHTEST))
    skin = seen[seen.max(1) >= DARKEST * brightest]
    gain = float(np.clip(LIT / max(brightest, 1.0), 1.0, MOST))
    return times(_alone(face, widened(outline, AROUND), skin.mean(0)), gain), gain


def times(image: Pixels, factor: float) -> Pixels:
    """Return an image so many times as bright; what is brighter than 255 is 255."""
    return np.asarray(cv2.convertScaleAbs(image, alpha=factor), np.uint8)


def _alone(face: Pixels, near: Pixels, color: NDArray[np.floating]) -> Pixels:
    """Return a face with a color in place of what is not `near`, uint8 (H, W), 0 or 255; one fades into the other."""
    share = cv2.GaussianBlur(near.astype(np.float32) / 255, (0, 0), FADES * face.shape[1])[..., None]
    return np.rint(share * face + (1 - share) * color.astype(np.float32)).astype(np.uint8)
