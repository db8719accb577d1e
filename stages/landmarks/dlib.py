"""Backend `dlib`: the 68-point shape predictor of the package face_recognition_models.

V. Kazemi and J. Sullivan, "One millisecond face alignment with an ensemble of regression trees", CVPR 2014.
"""

import functools
from typing import Any

import dlib
import numpy as np

from stages.common.images import Pixels
from stages.common.tables import Face
from stages.faces.landmarks import Points
from stages.landmarks.boxes import Box, model_file

NEEDS_BOX = True


@functools.cache
def _predictor() -> Any:
    return dlib.shape_predictor(model_file("shape_predictor_68_face_landmarks.dat"))


def points(image: Pixels, face: Face, box: Box) -> Points:
    """Return the landmarks of the face in a box of an RGB image (H, W, 3), float32 (68, 2), in pixels."""
    del face
    rectangle = dlib.rectangle(*(round(side) for side in (box.left, box.top, box.right, box.bottom)))
    shape = _predictor()(image, rectangle)
    return np.array([(point.x, point.y) for point in shape.parts()], np.float32)
