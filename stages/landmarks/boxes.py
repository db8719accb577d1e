"""Where the faces are: dlib's HOG detector, then its CNN detector; both are in the package face_recognition_models."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import cv2
import dlib
import numpy as np

from stages.core.images import Pixels
from stages.faces.dlib_models import model_file
from stages.faces.landmarks import Points

CNN_BELOW = 0.2  # a CNN box less sure than this is no face; dlib's own default lets 0 through


@dataclass(frozen=True)
class Box:
    """A face found: `left`, `top`, `right`, `bottom`, in pixels, and what by: `centerface`, `hog`, `cnn` or `crop`."""

    left: float
    top: float
    right: float
    bottom: float
    by: str
    sure: float = 1.0  # probability, where the detector gives one

    @property
    def area(self) -> float:
        """Return the box's area in square pixels."""
        return max(0.0, self.right - self.left) * max(0.0, self.bottom - self.top)

    def holds(self, points: Points) -> bool:
        """Tell whether the mean of landmarks (n, 2) lies in it."""
        x, y = points.mean(0)
        return bool(self.left <= x <= self.right and self.top <= y <= self.bottom)


@functools.cache
def _hog() -> Any:
    return dlib.get_frontal_face_detector()


@functools.cache
def _cnn() -> Any:
    return dlib.cnn_face_detection_model_v1(model_file("mmod_human_face_detector.dat"))


def find(image: Pixels, *, short_side: int, long_side: int) -> list[Box]:
    """Return the faces in an RGB photo (H, W, 3), the largest first; the CNN is asked only if HOG finds none.

    Args:
        image: RGB uint8.
        short_side: a photo with a shorter side is enlarged to it: HOG sees no face below 80 pixels.
        long_side: a photo with a longer side is shrunk to it, to bound time and memory.
    """
    scaled, scale = _scaled(image, short_side, long_side)
    if found := list(_hog()(scaled, 0)):
        return _boxes(found, scale, "hog")
    return _boxes([found.rect for found in _cnn()(scaled, 0) if found.confidence >= CNN_BELOW], scale, "cnn")


def _scaled(image: Pixels, short_side: int, long_side: int) -> tuple[Pixels, float]:
    height, width = image.shape[:2]
    scale = min(max(1.0, short_side / min(height, width)), long_side / max(height, width))
    if scale == 1:
        return image, scale
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=interpolation), np.uint8), scale


def _boxes(rectangles: list[Any], scale: float, by: str) -> list[Box]:
    boxes = [Box(r.left() / scale, r.top() / scale, r.right() / scale, r.bottom() / scale, by) for r in rectangles]
    return sorted(boxes, key=lambda box: (-box.area, box.left, box.top))


def whole_crop(image: Pixels) -> Box:
    """Return the box that a face fills which was cropped tightly: the picture's middle, as HOG would draw it."""
    height, width = image.shape[:2]
    side = 0.8 * min(height, width)
    center_x, center_y = width / 2, height * 0.55
    return Box(center_x - side / 2, center_y - side / 2, center_x + side / 2, center_y + side / 2, "crop")


def around(points: Points) -> Box:
    """Return the box that HOG would draw around a face with landmarks (68, 2) which CenterFace found."""
    low, high = points.min(0), points.max(0)
    (x, y), side = (low + high) / 2, float((high - low).max())
    y -= 0.09 * side
    return Box(float(x) - side / 2, float(y) - side / 2, float(x) + side / 2, float(y) + side / 2, "centerface")


def main_face(boxes: list[Box], image: Pixels) -> Box:
    """Return the box that the photo is about: of those at least half as large as the largest, the most central."""
    height, width = image.shape[:2]
    large = [box for box in boxes if box.area >= boxes[0].area / 2]
    return min(large, key=lambda box: math.dist((box.left + box.right, box.top + box.bottom), (width, height)))
