"""The 68 landmarks of 300-W (iBUG): index groups and simple geometry.

Points are float32 (68, 2), x to the right and y down, in pixels; pixel centers lie at whole numbers. "Left" and
"right" are those of the image.

Source of the order: C. Sagonas et al., "300 Faces in-the-Wild Challenge", ICCV Workshops 2013, figure 1.
"""

import math

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.floating]

JAW = slice(0, 17)  # from the left ear over the chin to the right ear
LEFT_BROW = slice(17, 22)
RIGHT_BROW = slice(22, 27)
NOSE_BRIDGE = slice(27, 31)  # from between the eyes to the tip
NOSE_BASE = slice(31, 36)
LEFT_EYE = slice(36, 42)
RIGHT_EYE = slice(42, 48)
OUTER_LIP = slice(48, 60)
INNER_LIP = slice(60, 68)

CHIN, BRIDGE_TOP, NOSE_TIP, SUBNASALE = 8, 27, 30, 33
NOSE_WING = (31, 35)  # left, right
MOUTH_LEFT, MOUTH_RIGHT, LIP_TOP, LIP_BOTTOM = 48, 54, 51, 57

# Where each point goes when the image is mirrored.
FLIP = np.concatenate(
    [
        np.arange(16, -1, -1),  # jaw
        np.arange(26, 16, -1),  # brows
        [27, 28, 29, 30, 35, 34, 33, 32, 31],  # nose
        [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40],  # eyes
        [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55],  # outer lip
        [64, 63, 62, 61, 60, 67, 66, 65],  # inner lip
    ]
)


def eye_centers(points: Points) -> Points:
    """Return the centers of the left and the right eye, (2, 2)."""
    return np.stack([points[LEFT_EYE].mean(0), points[RIGHT_EYE].mean(0)])


def five_points(points: Points) -> Points:
    """Return eye centers, nose tip and mouth corners, (5, 2), the order of the ArcFace template."""
    return np.concatenate([eye_centers(points), points[[NOSE_TIP, MOUTH_LEFT, MOUTH_RIGHT]]])


def flip(points: Points, width: int) -> Points:
    """Return the landmarks of the mirrored image of `width` pixels."""
    mirrored = points[FLIP].copy()
    mirrored[:, 0] = width - 1 - mirrored[:, 0]
    return mirrored


def jaw_point(points: Points, position: float) -> Points:
    """Return the point (2,) on the jaw line at `position` from 0 (left ear) over 8 (chin) to 16 (right ear)."""
    index = min(int(position), 15)
    share = position - index
    return points[index] * (1 - share) + points[index + 1] * share


def face_size(points: Points) -> float:
    """Return the size of a face in pixels: the diagonal of its landmarks' bounding box over the square root of 2.

    Unlike the distance between the eyes it hardly changes when the head turns.
    """
    width, height = points.max(0) - points.min(0)
    return math.hypot(width, height) / math.sqrt(2)


def yaw(points: Points) -> float:
    """Return how far the head is turned, from -1 to 1: 0 is frontal, 1 is a nose tip over the right end of the jaw.

    It is the nose tip's place between the two cheeks, measured along the line through the eyes, so that a tilted head
    does not look like a turned one.
    """
    left, right = eye_centers(points)
    axis = right - left
    cheeks = points[JAW] @ axis
    low, high = float(cheeks.min()), float(cheeks.max())
    if high <= low:
        return 0.0
    return min(1.0, max(-1.0, 2 * (float(points[NOSE_TIP] @ axis) - low) / (high - low) - 1))
