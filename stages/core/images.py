"""The image cells of face tables to arrays and back: RGB uint8 (H, W, 3), or uint8 (H, W) for masks and labels."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.errors import UnmaskError

Pixels = NDArray[np.uint8]


def decode(data: bytes) -> Pixels:
    """Return the image in a face table's cell as RGB uint8 (H, W, 3).

    Raises:
        UnmaskError: the cell holds no image.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if image is None:
        raise UnmaskError("the image column holds bytes that are no PNG or JPEG")
    return np.asarray(image, np.uint8)


def decode_gray(data: bytes) -> Pixels:
    """Return a one-channel PNG cell (a mask, a label map) as uint8 (H, W), values untouched.

    Raises:
        UnmaskError: the cell holds no image.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE) if data else None
    if image is None:
        raise UnmaskError("a mask or labels column holds bytes that are no PNG")
    return np.asarray(image, np.uint8)


def is_gray(image: Pixels) -> bool:
    """Tell whether the three channels of an RGB image (H, W, 3) are equal everywhere."""
    red, green, blue = cv2.split(image)
    return np.array_equal(red, green) and np.array_equal(green, blue)


def encode_png(image: Pixels) -> bytes:
    """Return the PNG bytes of an RGB (H, W, 3) or one-channel (H, W) uint8 array; equal channels are stored once."""
    if image.ndim == 3:
        image = image[..., 0] if is_gray(image) else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2BGR), np.uint8)
    ok, data = cv2.imencode(".png", image)
    if not ok:
        raise UnmaskError(f"an image of shape {image.shape} cannot be encoded as PNG")
    return data.tobytes()


def shrunk(photo: Pixels, side: int) -> Pixels:
    """Return an RGB photo (H, W, 3) with a longer side of at most `side` pixels; a smaller one stays as it is."""
    scale = side / max(photo.shape[:2])
    if scale >= 1:
        return photo
    size = [max(1, round(length * scale)) for length in photo.shape[1::-1]]
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)
