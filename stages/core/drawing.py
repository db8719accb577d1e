"""OpenCV draws between pixels if it is given whole numbers of a fraction of one: that fraction, for all that draws."""

import numpy as np
from numpy.typing import NDArray

FRACTION_BITS = 4  # 16ths of a pixel; the argument `shift` of OpenCV's functions


def in_fractions(points: NDArray[np.floating]) -> NDArray[np.int32]:
    """Return points in pixels as whole numbers of 16ths of a pixel, int32 of the same shape."""
    return np.round(points * (1 << FRACTION_BITS)).astype(np.int32)
