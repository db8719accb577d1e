"""Photos as they come from outside: any format that people bring is read as RGB uint8 (H, W, 3), or refused in words.

What a photo is read as is the same for all that takes photos. Color profiles (ICC) are not applied. Of an animation
(GIF, WEBP, APNG) and of a camera's MPO it is the first frame; a TIFF of several pages holds several photos and is
refused.

Images of more than 8 bits a sample are scaled by what they hold. White is, in this order: what the file says (a TIFF's
SMaxSampleValue or MaxSampleValue, its BitsPerSample if these are 10, 12 or 14, a PGM's or PPM's maxval below 65535);
of whole numbers the largest of the fewest bits, of `BITS`, that hold all of them, so 4095 for values up to 4000; of
fractions 1 or 255. What fits none of these, such as HDR, is refused.
"""

import functools
import io
import re
import struct
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, TiffImagePlugin, UnidentifiedImageError, features

from stages.core.images import Pixels
from stages.photos import kinds

# What publishers ship and cameras write. Others that Pillow knows have no place here: EPS would run Ghostscript.
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
Image.MAX_IMAGE_PIXELS = None  # open_photo has a limit of its own and asks before it decodes

BITS = (8, 10, 12, 14, 16, 24, 32)  # that sensors and files have
DARKEST = 8  # the mean of fractions from 0 to 255 that are a photo; HDR has most values about 1, and some of 200

PNG = b"\x89PNG\r\n\x1a\n"
PNM = re.compile(rb"P[2356](?:(?:\s|#[^\n]*\n)+(\d+)){3}\s")  # the last of these numbers is the maxval
# TIFF's tags.
SUBFILE_TYPE, WIDTH, HEIGHT, BITS_PER_SAMPLE, PHOTOMETRIC, SAMPLES = 254, 256, 257, 258, 262, 277
MAX_SAMPLE_VALUE, EXTRA_SAMPLES, SAMPLE_FORMAT, S_MAX_SAMPLE_VALUE = 281, 338, 339, 341
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # of PHOTOMETRIC
REDUCED_OR_MASK = 0b101  # of SUBFILE_TYPE: a thumbnail of another page, or its transparency
ORIENTATION = 274  # EXIF's tag
# What Pillow, OpenCV and pillow-heif raise for damaged files of one format or another.
DAMAGE = (OSError, SyntaxError, ValueError, EOFError, RuntimeError, struct.error, LookupError, TypeError, cv2.error)

Tags = Mapping[int, Any]


class UnreadableImageError(Exception):
    """These bytes are no image that can be trusted; `reason` is a short name to count by, the text says more."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def open_photo(data: bytes, max_pixels: int) -> tuple[Pixels, bool]:
    """Decode a photo as it came from outside, turned upright by its orientation tag, what is transparent on white.

    Args:
        data: the file's bytes, whatever its name says.
        max_pixels: more than these are refused before they are decoded.

    Returns:
        The photo as RGB uint8 (H, W, 3), and whether `data` itself may stand in a face table: a PNG or JPEG, 8-bit
        gray or RGB, one frame, already upright, nothing transparent.

    Raises:
        UnreadableImageError: `empty`, `too_large`, `other_format` (known, but not read here), `several_pages`,
            `unknown_range` (of deep samples), or `unreadable` (not an image, or a truncated one).
    """
    if not data:
        raise UnreadableImageError("empty", "zero bytes")
    try:
        tags = _tiff_tags(data)
        if tags and max(tags.get(BITS_PER_SAMPLE, (1,))) > 8:  # Pillow reads few of these, and some wrongly
            _check_size(tags[WIDTH], tags[HEIGHT], max_pixels)
            return np.asarray(_rgb(_deep_tiff(data, tags))), False
        with Image.open(io.BytesIO(data), formats=formats(data)) as photo:
            _check_size(photo.width, photo.height, max_pixels)
            photo.load()
            deep = _deep(data, photo)
            upright = ImageOps.exif_transpose(deep or photo)
            as_it_is = (
                photo.format in {"JPEG", "PNG"}
                and photo.mode in {"L", "RGB"}
                and deep is None
                and not photo.has_transparency_data
                and not getattr(photo, "is_animated", False)
                and photo.getexif().get(ORIENTATION, 1) == 1
            )
            return np.asarray(_rgb(upright)), as_it_is
    except UnidentifiedImageError:
        is_text = data[:1000].isascii() and b"\0" not in data[:1000]
        what = "a text and no photo" if is_text else "no image, or a damaged one"
        raise UnreadableImageError("unreadable", what) from None
    except DAMAGE as error:
        raise UnreadableImageError("unreadable", str(error)) from None


def orientation(data: bytes) -> int:
    """Return the EXIF tag, 1 to 8, by which `open_photo` turned a photo; HEIC comes upright from its library: 1."""
    tags = _tiff_tags(data)
    if tags:  # Pillow does not open all that is read
        tag = tags.get(ORIENTATION, 1)
    else:
        with Image.open(io.BytesIO(data), formats=formats(data)) as photo:
            tag = photo.getexif().get(ORIENTATION, 1)
    return tag if tag in range(1, 9) else 1


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise UnreadableImageError("too_large", f"{width}x{height} pixels")


def formats(data: bytes) -> tuple[str, ...]:
    """Return which of Pillow's formats these bytes may have.

    Raises:
        UnreadableImageError: `other_format`: they have another one, known, but not read here.
    """
    kind = kinds.kind(data[: kinds.HEAD])
    if kind == "AVIF":
        if not features.check("avif"):
            raise UnreadableImageError("other_format", "AVIF, which needs a newer Pillow: pip install -U pillow")
        return ("AVIF",)
    if kind == "HEIC":
        if not _heif_is_read():
            raise UnreadableImageError("other_format", "HEIC, which needs pillow-heif: pip install '.[heif]'")
        return ("HEIF",)
    if kind is not None and kind.upper() not in FORMATS:
        raise UnreadableImageError("other_format", f"{kind}, which is not read here")
    return FORMATS


@functools.cache
def _heif_is_read() -> bool:
    """Tell Pillow of HEIF; return whether pillow-heif, an extra, is there."""
    try:
        from pillow_heif import register_heif_opener  # noqa: PLC0415
    except ImportError:
        return False
    register_heif_opener()
    return True


def _tiff_tags(data: bytes) -> Tags:
    """Return the tags of a TIFF's only photo, none if it is no TIFF; thumbnails and masks do not count as photos."""
    if data[:4] not in {b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"}:
        return {}
    file = io.BytesIO(data)
    directory = TiffImagePlugin.ImageFileDirectory_v2(data[: 16 if b"+" in data[:4] else 8])
    pages: list[Tags] = []
    places: set[int] = set()
    while directory.next and directory.next not in places:
        places.add(directory.next)
        file.seek(directory.next)
        directory.load(file)
        pages.append(dict(directory))
    full = [page for page in pages if not page.get(SUBFILE_TYPE, 0) & REDUCED_OR_MASK]
    if len(full) > 1:
        raise UnreadableImageError("several_pages", f"{len(full)} pages in one file")
    if not full or pages[0] is not full[0]:
        raise UnreadableImageError("unreadable", "a TIFF whose first page is no photo")
    return pages[0]


def _deep_tiff(data: bytes, tags: Tags) -> Image.Image:
    """Return a TIFF of more than 8 bits a sample as 8-bit L, RGB or RGBA, upright."""
    bits, photometric = tags[BITS_PER_SAMPLE], tags.get(PHOTOMETRIC)
    is_float = set(tags.get(SAMPLE_FORMAT, (1,))) == {3}
    gray = photometric in {WHITE_IS_ZERO, BLACK_IS_ZERO} and tags.get(SAMPLES, 1) == 1
    color = photometric == RGB and tags.get(SAMPLES) in {3, 4}
    if not (gray or color) or len(set(bits)) > 1 or (is_float and bits[0] < 32):
        raise UnreadableImageError("unreadable", f"a TIFF of {bits[0]} bits of a kind that is not read")
    samples = _by_opencv(data)  # which turns a TIFF upright
    stated = tags.get(S_MAX_SAMPLE_VALUE, tags.get(MAX_SAMPLE_VALUE))
    top = float(np.max(stated)) if stated is not None else None
    if top is None and bits[0] in {10, 12, 14}:
        top = 2 ** bits[0] - 1
    if bits[0] in {10, 12, 14}:  # OpenCV has shifted them to the upper end of 16
        samples >>= 16 - bits[0]
    if samples.ndim == 3 and tags.get(EXTRA_SAMPLES) == (0,):  # a fourth sample that means nothing
        samples = samples[..., :3]
    image = _scaled(samples, top)
    if photometric == WHITE_IS_ZERO:
        return ImageOps.invert(image)
    if image.mode == "RGBA" and tags.get(EXTRA_SAMPLES) == (1,):  # colors are multiplied with their opacity
        return Image.frombytes("RGBa", image.size, image.tobytes()).convert("RGBA")
    return image


def _deep(data: bytes, photo: Image.Image) -> Image.Image | None:
    """Return a photo of more than 8 bits a sample, no TIFF, as 8-bit L, RGB or RGBA; None if it has no more."""
    maxval = PNM.match(data)
    if data.startswith(PNG) and data[24] == 16:  # the header's bit depth
        samples = _by_opencv(data)  # Pillow keeps the upper 8 bits of colors
        deep = _scaled(samples, None)
        if samples.ndim == 2 and "transparency" in photo.info:  # a value; OpenCV makes a channel of it in colors only
            deep.putalpha(Image.fromarray(np.where(samples == photo.info["transparency"], 0, 255).astype(np.uint8)))
    elif photo.format == "PPM" and maxval and int(maxval[1]) > 255:
        deep = _scaled(_by_opencv(data), float(maxval[1]) if int(maxval[1]) < 2**16 - 1 else None)
    elif photo.mode == "F" or photo.mode.startswith("I"):  # a PFM
        deep = _scaled(np.asarray(photo), None)
    else:
        return None
    deep.info = {name: value for name, value in photo.info.items() if name != "transparency"}  # that is a channel now
    return deep


def _by_opencv(data: bytes) -> NDArray[Any]:
    """Return the samples as they are stored, (H, W), or (H, W, 3 or 4) in RGB order."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is damaged is told by us
    try:
        samples = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if samples is None or samples.dtype == np.uint8:
        raise UnreadableImageError("unreadable", "truncated, or of a kind that is not read")
    if samples.ndim == 3:
        samples = samples[..., [2, 1, 0, 3][: samples.shape[2]]]
    return np.asarray(samples)


def _scaled(samples: NDArray[Any], top: float | None) -> Image.Image:
    """Return samples (H, W), or (H, W, 3 or 4) in RGB order, as an 8-bit image; an opacity by its own range.

    Args:
        samples: of any type.
        top: what the file says is white; if there is more, it is not believed.
    """
    if samples.ndim == 3 and samples.shape[2] == 4:
        color, opacity = _scaled(samples[..., :3], top), _scaled(samples[..., 3], None)
        color.putalpha(opacity)
        return color
    low, high = samples.min(), samples.max()
    if not np.isfinite([low, high]).all():
        raise UnreadableImageError("unknown_range", "some of its values are no finite numbers")
    if not top or high > top:
        top = _white(samples, float(high))
    if low < 0 or top is None:
        where = "neither in 0 to 1 nor in 0 to 255" if samples.dtype.kind == "f" else f"not in 0 to {2**32 - 1}"
        raise UnreadableImageError("unknown_range", f"its values reach from {low:g} to {high:g}, {where}")
    return Image.fromarray(np.round(samples * np.float32(255 / top)).astype(np.uint8))


def _white(samples: NDArray[Any], high: float) -> float | None:
    """Return which value is white, None if that cannot be known."""
    if samples.dtype.kind != "f":
        return next((2.0**bits - 1 for bits in BITS if high < 2**bits), None)
    if high <= 1:
        return 1
    return 255 if high <= 255 and samples.mean(dtype=np.float64) >= DARKEST else None


def _rgb(photo: Image.Image) -> Image.Image:
    if photo.mode == "LAB":  # which Pillow converts by color profiles only
        srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.profileToProfile(photo, lab, srgb, outputMode="RGB")
        if converted is not None:
            return converted
    if photo.has_transparency_data:
        photo = photo.convert("RGBA")
        photo = Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)
    return photo.convert("RGB")
