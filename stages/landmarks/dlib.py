"""Backend `dlib`: the 68-point shape predictor of the package face_recognition_models.

V. Kazemi and J. Sullivan, "One millisecond face alignment with an ensemble of regression trees", CVPR 2014.
"""

import functools
from typing import Any

import cv2
import dlib
import numpy as np

from stages.core.images import Pixels
from stages.faces import landmarks
from stages.faces.dlib_models import model_file
from stages.faces.landmarks import Points
from stages.landmarks.boxes import Box

FACE = 200  # pixels to which the box of a face is scaled
MARGIN = 0.5  # around it, of its side
PLACES = ((-0.03, -0.03, 1), (0.03, 0, 0.95), (0, 0.03, 1.05))  # of boxes: shift to the right, down, and zoom


@functools.cache
def _predictor() -> Any:
    return dlib.shape_predictor(model_file("shape_predictor_68_face_landmarks.dat"))


def points(image: Pixels, box: Box) -> Points:
    """Return the landmarks of the face in a box of an RGB image (H, W, 3), float32 (68, 2), in pixels.

    The predictor gives whole pixels and depends on how the box lies. So the face is brought to one size, predicted in
    several boxes, as it is and mirrored, and the mean is taken.
    """
    side = max(box.right - box.left, box.bottom - box.top, 1.0)
    scale, canvas = FACE / side, round(FACE * (1 + 2 * MARGIN))
    corner = np.array([(box.left + box.right - side) / 2, (box.top + box.bottom - side) / 2]) - MARGIN * side
    matrix = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]]]) * scale
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    crop = np.asarray(cv2.warpAffine(gray, matrix, (canvas, canvas), flags=cv2.INTER_LINEAR), np.uint8)
    mirrored = np.ascontiguousarray(crop[:, ::-1])
    found = []
    for shift_x, shift_y, zoom in PLACES:
        center_x, center_y, half = canvas / 2 + shift_x * FACE, canvas / 2 + shift_y * FACE, zoom * FACE / 2
        found.append(_predict(crop, center_x, center_y, half))
        found.append(landmarks.flip(_predict(mirrored, canvas - center_x, center_y, half), canvas))
    return np.asarray(np.mean(found, 0) / scale + corner, np.float32)


def _predict(image: Pixels, x: float, y: float, half: float) -> Points:
    rectangle = dlib.rectangle(*(round(side) for side in (x - half, y - half, x + half, y + half)))
    return np.array([(point.x, point.y) for point in _predictor()(image, rectangle).parts()], np.float32)
