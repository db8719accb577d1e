"""A region that is whole, and whose edge is that of the photo: networks see small crops, and tear what has a print."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels

CRACK = 0.035  # half the width of a crack that is closed, of the region's width
CRUMB = 0.2  # of the largest piece: a smaller one is no part of the mask
SMALL = 256  # pixels of the window's longer side at which the filter's coefficients are computed
SMOOTH = 1e-4  # squared contrast, of 0 to 1, below which an edge of the photo does not count

Plane = NDArray[np.float32]


def mended(region: Pixels) -> Pixels:
    """Return a region (H, W), 0 or 255, without cracks, holes and crumbs: a mask is of one piece.

    Pieces that are nearly as large as the largest one stay, as a hand may lie between them.
    """
    n, pieces, sizes, _ = cv2.connectedComponentsWithStats(region, connectivity=8)
    if n == 1:
        return region
    areas = sizes[1:, cv2.CC_STAT_AREA]
    large = 1 + np.flatnonzero(areas >= CRUMB * areas.max())
    whole = np.where(np.isin(pieces, large), np.uint8(255), np.uint8(0))
    radius = round(CRACK * region.shape[1])
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1,) * 2)
    padded = cv2.morphologyEx(np.pad(whole, 2 * radius + 1), cv2.MORPH_CLOSE, disk)
    around = padded.copy()
    cv2.floodFill(around, None, (0, 0), 255)
    inner = slice(2 * radius + 1, -2 * radius - 1)
    return np.asarray((padded | ~around)[inner, inner], np.uint8)


def refined(photo: Pixels, region: Pixels, radius: float) -> Pixels:
    """Return a region whose edge lies on the photo's edge, where there is one nearby.

    By the fast guided filter (K. He and J. Sun, arXiv:1505.00996; K. He, J. Sun and X. Tang, Guided Image Filtering,
    PAMI 2013): within each window the region is a linear function of the photo's colors.

    Args:
        photo: RGB uint8 (H, W, 3).
        region: uint8 (H, W), not 0 where something was found.
        radius: by how much the edge may move, pixels.

    Returns:
        uint8 (H, W), 0 or 255.
    """
    found = np.zeros(region.shape, np.uint8)
    rows, columns = (np.flatnonzero((region > 0).any(axis)) for axis in (1, 0))
    if not len(rows):
        return found
    margin = int(np.ceil(2 * radius)) + 1
    window = tuple(slice(max(0, some[0] - margin), some[-1] + 1 + margin) for some in (rows, columns))
    colors, there = np.float32(photo[window]) / 255, np.float32(region[window] > 0)
    height, width = there.shape
    scale = min(1, SMALL / max(height, width))
    shape = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = [cv2.resize(some, shape, interpolation=cv2.INTER_AREA) for some in (colors, there)]
    gain, offset = _coefficients(small[0], small[1], max(1, round(radius * scale)))
    gain, offset = (cv2.resize(some, (width, height), interpolation=cv2.INTER_LINEAR) for some in (gain, offset))
    found[window] = np.where((gain * colors).sum(2) + offset >= 0.5, np.uint8(255), np.uint8(0))
    return found


def _coefficients(colors: Plane, there: Plane, radius: int) -> tuple[Plane, Plane]:
    """Return by which gains (h, w, 3) and offset (h, w) the region follows from the colors (h, w, 3) around a pixel."""

    def mean(values: Plane) -> Plane:
        return np.asarray(cv2.boxFilter(values, -1, (2 * radius + 1,) * 2, borderType=cv2.BORDER_REFLECT), np.float32)

    of_colors, of_region = mean(colors), mean(there)
    products = np.stack([mean(colors * colors[..., channel, None]) for channel in range(3)], 2)
    variance = products - of_colors[..., None] * of_colors[..., None, :] + SMOOTH * np.eye(3, dtype=np.float32)
    covariance = mean(colors * there[..., None]) - of_colors * of_region[..., None]
    gain = np.linalg.solve(variance, covariance[..., None])[..., 0]
    return mean(gain), mean(of_region - (gain * of_colors).sum(2))
