"""The light of a face. A generator has learned from well-lit photos, and fills a dark face with blotches of color."""

import cv2
import numpy as np

from stages.core.images import Pixels
from stages.faces.landmarks import Points

LIT = 200.0  # of 255: what the brightest 5 % of a well-lit face reach
MOST = 16.0  # times as bright: of darker ones hardly a digit is left
BRIGHTEST = 95  # percentile; means of 90 to 130 give the same PSNR of val faces, in the dark 0.1 dB less


def gain(face: Pixels, points: Points, hole: Pixels) -> float:
    """Return how many times brighter a face must be to be well lit; 1 if it is, or if nothing of it is seen.

    Args:
        face: RGB uint8 (H, W, 3).
        points: its landmarks, (68, 2), pixels.
        hole: what is not seen of it, uint8 (H, W), above 0.
    """
    outline = np.zeros(face.shape[:2], np.uint8)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.round(points).astype(np.int32)), 255)
    seen = face[(outline > 0) & (hole == 0)]
    if not seen.size:
        return 1.0
    return float(np.clip(LIT / max(float(np.percentile(seen, BRIGHTEST)), 1.0), 1.0, MOST))


def times(image: Pixels, factor: float) -> Pixels:
    """Return an image so many times as bright; what is brighter than 255 is 255."""
    return np.asarray(cv2.convertScaleAbs(image, alpha=factor), np.uint8)
