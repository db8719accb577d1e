"""Thin-plate splines: the smooth map that takes given points to given points."""

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RBFInterpolator

CELLS = 8  # a dense map is computed on so many cells a side, and interpolated between them


class CollinearPointsError(ValueError):
    """Points that span no plane fix no map of it."""


class ThinPlateSpline:
    """The map of the plane with the least bending energy that takes `source` to `target`.

    F. L. Bookstein, "Principal warps: thin-plate splines and the decomposition of deformations", PAMI 1989. With three
    points it is an affine map.

    Args:
        source: (n, 2), n from 3 on, not all on a line.
        target: (n, m), where they go.
        stiffness: 0 goes through every point; more bends less and misses points by more.

    Raises:
        CollinearPointsError: the source points lie on a line or coincide.
    """

    def __init__(self, source: NDArray[np.floating], target: NDArray[np.floating], stiffness: float = 0.0) -> None:
        source = np.asarray(source, np.float64)
        # Points of unit spread around 0 keep the system well conditioned at any image size.
        self._mean = source.mean(0)
        self._spread = float(np.abs(source - self._mean).mean()) or 1.0
        source = (source - self._mean) / self._spread
        if np.linalg.det(source.T @ source) < 1e-9:
            raise CollinearPointsError("the points lie on a line or coincide")
        # scipy's kernel r² log r is half of Bookstein's r² log r².
        self._map = RBFInterpolator(source, target, smoothing=stiffness / 2, kernel="thin_plate_spline", degree=1)

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return points (k, 2) mapped, (k, m)."""
        return self._map((np.asarray(points, np.float64) - self._mean) / self._spread)

    def dense(self, width: int, height: int) -> NDArray[np.float32]:
        """Return the map of every pixel of an image, (m, height, width), interpolated between a coarse grid."""
        # One grid point more on each side: cubic interpolation looks at four.
        steps = np.arange(-1, CELLS + 2) / CELLS
        x, y = steps * max(width - 1, 1), steps * max(height - 1, 1)
        grid = np.column_stack([np.tile(x, len(y)), np.repeat(y, len(x))])
        coarse = self(grid).T.astype(np.float32).reshape(-1, len(y), len(x))
        return np.asarray(_cubic(height) @ coarse @ _cubic(width).T, np.float32)


@functools.lru_cache(maxsize=256)
def _cubic(length: int) -> NDArray[np.float32]:
    """Return weights (length, CELLS + 3) that interpolate from grid points to pixels: R. Keys' cubic convolution.

    Its slope is continuous, or folds would show facets on a large face.
    """
    place = np.linspace(1, CELLS + 1, length)
    distance = np.abs(place[:, None] - np.arange(CELLS + 3))
    near = (1.5 * distance - 2.5) * distance**2 + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return np.where(distance < 1, near, np.where(distance < 2, far, 0)).astype(np.float32)
