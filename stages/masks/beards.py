"""Beards, drawn on faces to train on.

They hide no face, but look like something that does: a network that saw few of them takes a beard for a mask or for
the end of the face, and in a small dataset few people have one.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.core.images import Pixels
from stages.faces.landmarks import (
    BRIDGE_TOP,
    CHIN,
    JAW,
    MOUTH_LEFT,
    MOUTH_RIGHT,
    NOSE_BASE,
    NOSE_TIP,
    OUTER_LIP,
    Points,
    face_size,
)

Rng = np.random.Generator


def draw(image: Pixels, points: Points, rng: Rng) -> Pixels:
    """Return a face with a beard, a goatee, a moustache or stubble, by chance; a gray photo stays gray.

    The image is RGB uint8 (H, W, 3) and is not changed, the landmarks are float32 (68, 2), in pixels.
    """
    size = face_size(points)
    cover = np.zeros(image.shape[:2], np.float32)
    chin, lip = rng.random() < 0.85, rng.random() < 0.75  # where it grows
    if chin or not lip:
        _fill(cover, _chin(points, full=rng.random() < 0.7, rng=rng))
    if lip:
        _fill(cover, _moustache(points, rng))
    lips = np.zeros_like(cover)
    _fill(lips, points[OUTER_LIP])
    if rng.random() < 0.7:  # else it grows over them
        cover *= 1 - lips
    cover = cv2.GaussianBlur(cover, (0, 0), max(0.3, size * rng.uniform(0.01, 0.05)))
    grain = cv2.GaussianBlur(
        rng.standard_normal(cover.shape, np.float32), (0, 0), max(0.3, size * rng.uniform(0.003, 0.012))
    )
    grain *= rng.uniform(0.03, 0.2) / max(float(grain.std()), 1e-6)
    cover = np.clip(cover * (rng.uniform(0.25, 0.95) + grain), 0, 1)[..., None]
    column, row = np.clip(np.round(points[NOSE_TIP]), 0, np.array(image.shape[1::-1]) - 1).astype(int)
    hair = image[row, column].astype(np.float32) * rng.uniform(0.1, 0.75)
    return np.asarray(np.round(image + (hair - image) * cover), np.uint8)


def draw_on_some(image: Pixels, points: Points, rng: Rng, share: float) -> Pixels:
    """Return the image, on a share of all calls with a beard drawn by chance; see `draw`."""
    return draw(image, points, rng) if rng.random() < share else image


def _chin(points: Points, *, full: bool, rng: Rng) -> Points:
    """Return the outline of what grows on cheeks and chin, or on the chin alone."""
    down = (points[CHIN] - points[BRIDGE_TOP]) * rng.uniform(0.0, 0.12)
    corners = points[[MOUTH_RIGHT, MOUTH_LEFT]]
    if not full:
        side = (corners[0] - corners[1]) * rng.uniform(-0.2, 0.2)
        return np.concatenate([corners + np.stack([side, -side]), points[6:11] + down])
    start = int(rng.integers(1, 5))
    jaw = points[JAW][start : 17 - start] + down
    inner = corners + (points[NOSE_BASE].mean(0) - corners.mean(0)) * rng.uniform(-0.6, 0.5)
    return np.concatenate([jaw, inner])


def _moustache(points: Points, rng: Rng) -> Points:
    """Return the outline of what grows between nose and lip."""
    top = points[NOSE_BASE]
    bottom = points[54:47:-1]
    wider = (bottom[0] - bottom[-1]) * rng.uniform(-0.1, 0.15)
    bottom = bottom + np.linspace(1, -1, len(bottom))[:, None] * wider
    return np.concatenate([top * 0.7 + points[50:53].mean(0) * 0.3, bottom])


def _fill(cover: NDArray[np.float32], outline: Points) -> None:
    cv2.fillPoly(cover, [in_fractions(outline)], 1.0, cv2.LINE_AA, FRACTION_BITS)
