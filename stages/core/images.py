"""Encoded images to arrays and back. Arrays are RGB uint8 (H, W, 3), or uint8 (H, W) for masks and labels."""

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stages.core.errors import UnmaskError

Pixels = NDArray[np.uint8]

# What publishers ship. Other formats that Pillow knows (EPS runs Ghostscript) have no place in a face dataset.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
Image.MAX_IMAGE_PIXELS = None  # open_photo has a limit of its own and asks before it decodes
SUFFIXES = frozenset({".jpg", ".jpeg", ".jfif", ".png", ".webp", ".bmp", ".pgm", ".ppm", ".tif", ".tiff", ".gif"})


class UnreadableImageError(Exception):
    """These bytes are no image that can be trusted; `reason` is a short name to count by, the text says more."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


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


def open_photo(data: bytes, max_pixels: int) -> tuple[Pixels, bool]:
    """Decode a photo as it came from outside: any of `FORMATS`, any colour mode, turned upright by its EXIF tag.

    Args:
        data: the file's bytes, whatever its name says.
        max_pixels: more than these are refused before they are decoded.

    Returns:
        The photo as RGB uint8 (H, W, 3), and whether `data` itself may stand in a face table: a PNG or JPEG, 8-bit
        grey or RGB, already upright.

    Raises:
        UnreadableImageError: `empty`, `unreadable` (not an image, or a truncated one) or `too_large`.
    """
    if not data:
        raise UnreadableImageError("empty", "zero bytes")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as photo:
            if photo.width * photo.height > max_pixels:
                raise UnreadableImageError("too_large", f"{photo.width}x{photo.height} pixels")
            photo.load()
            upright = ImageOps.exif_transpose(photo)
            as_it_is = photo.format in {"JPEG", "PNG"} and photo.mode in {"L", "RGB"} and upright.size == photo.size
            as_it_is = as_it_is and photo.getexif().get(0x0112, 1) == 1  # the EXIF orientation tag
            return np.asarray(_rgb(upright)), as_it_is
    except UnidentifiedImageError:
        raise UnreadableImageError("unreadable", "not an image file") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        # Pillow raises each of these for damaged files of one format or another.
        raise UnreadableImageError("unreadable", str(error)) from None


def _rgb(photo: Image.Image) -> Image.Image:
    if photo.mode.startswith("I"):  # 16-bit gray; Pillow would clip it at 255
        deep = np.asarray(photo, np.uint32)
        return Image.fromarray((deep >> 8).astype(np.uint8)).convert("RGB")
    if photo.mode in {"LA", "PA", "RGBA", "La", "RGBa"} or "transparency" in photo.info:
        photo = photo.convert("RGBA")
        white = Image.new("RGBA", photo.size, "white")
        photo = Image.alpha_composite(white, photo)
    return photo.convert("RGB")
