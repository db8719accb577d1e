"""Small changes by chance of aligned faces to train on. Images are RGB uint8 (H, W, 3), square."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels
from stages.faces.resize import resized_pixels

Rng = np.random.Generator


def jitter(side: int, rng: Rng, *, degrees: float, scale: float, shift: float) -> NDArray[np.float64]:
    """Return a map (2, 3) from an image of `side` pixels to another one, turned, scaled and shifted by chance.

    Standard deviations are `degrees` of the turn, `scale` of the scale's logarithm, and `shift` in sides.
    """
    turn, zoom = rng.normal(0, degrees), float(np.exp(rng.normal(0, scale)))
    center = ((side - 1) / 2, (side - 1) / 2)
    matrix = np.asarray(cv2.getRotationMatrix2D(center, turn, zoom), np.float64)
    matrix[:, 2] += rng.normal(0, shift, 2) * side
    return matrix


def relight(image: Pixels, rng: Rng, *, contrast: float, brightness: float) -> Pixels:
    """Return an image of any shape with another contrast and brightness.

    `contrast` is the standard deviation of the logarithm of the factor, `brightness` that of the offset, of 255.
    """
    gain, offset = np.exp(rng.normal(0, contrast)), rng.normal(0, brightness)
    return np.clip(np.round((image.astype(np.float32) - 128) * gain + 128 + offset), 0, 255).astype(np.uint8)


def augment(image: Pixels, size: int, rng: Rng) -> Pixels:
    """Turn, scale, shift, mirror, blur and relight a face by chance, to tell who or what it is; (size, size, 3)."""
    side = image.shape[0]
    matrix = jitter(side, rng, degrees=5, scale=0.05, shift=0.02)
    # Moved at its own size and shrunk after that: what interpolation takes away, the small image would not have.
    image = np.asarray(cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_CUBIC), np.uint8)
    image = resized_pixels(image, (size, size))
    if rng.random() < 0.5:
        image = image[:, ::-1]
    if rng.random() < 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.2)), np.uint8)
    return relight(image, rng, contrast=0.2, brightness=12)
