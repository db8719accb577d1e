"""Regions of an image: how well one that was found agrees with the true one, and a wider one."""

import cv2
import numpy as np
from numpy.typing import NDArray


def scores(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> dict[str, float]:
    """Return IoU, recall, precision and accuracy of one image's region; a region rightly found empty has all 1."""
    both, either = int((truth & found).sum()), int((truth | found).sum())
    return {
        "iou": both / either if either else 1.0,
        "recall": both / int(truth.sum()) if truth.any() else 1.0,
        "precision": both / int(found.sum()) if found.any() else 1.0,
        "accuracy": float((truth == found).mean()),
    }


def widened(region: NDArray[np.uint8], hundredths: float) -> NDArray[np.uint8]:
    """Return a region (H, W) widened on all sides by hundredths of the image's width, rounded to whole pixels."""
    radius = round(hundredths * region.shape[1] / 100)
    if not radius:
        return region
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    return np.asarray(cv2.dilate(region, disk), np.uint8)
