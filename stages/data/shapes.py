"""Regions that annotation tools draw or pack, painted to the pixel as these tools do. Shapes are picklable.

A shape is painted with `paint(drawn, wanted)`: `drawn` is the size of the picture that its numbers are of, `wanted`
that of the picture to paint, both (width, height) in pixels; it returns bool (height, width).
"""

import base64
import binascii
import io
import math
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, UnidentifiedImageError
from pycocotools import mask as coco_mask

from stages.photos.reading import UnreadableImageError

Size = tuple[int, int]  # width, height
Region = NDArray[np.bool_]

FARTHEST = 1e5  # pixels that a corner may lie away from the photo
LONGEST = 1e7  # pixels of an outline; pycocotools holds each of them several times


class Shape(Protocol):
    """What can be painted."""

    def paint(self, drawn: Size, wanted: Size) -> Region:
        """Return where it is."""


@dataclass(frozen=True)
class CocoPolygon:
    """A polygon of COCO, painted by pycocotools: x and y of each corner, one after the other."""

    corners: tuple[float, ...]

    def paint(self, drawn: Size, wanted: Size) -> Region:
        """Return where it is."""
        corners = np.reshape(self.corners, (-1, 2)) * np.divide(wanted, drawn)
        packed = coco_mask.frPyObjects([corners.ravel().tolist()], wanted[1], wanted[0])
        return coco_mask.decode(packed)[..., 0].astype(bool)


@dataclass(frozen=True)
class RunLengths:
    """COCO's run-length code: lengths of outside and inside by turns, down the columns of a picture."""

    counts: tuple[int, ...]  # their sum is that of the picture's pixels

    def paint(self, drawn: Size, wanted: Size) -> Region:
        """Return where it is."""
        runs = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        return resized(runs.reshape(drawn).T, wanted)


def unpacked(code: str) -> tuple[int, ...] | None:
    """Return the run lengths of a COCO code in text, None if it is damaged.

    A length is written in digits of 5 bits, the last one without the bit 32, as a difference from the length two before
    it. pycocotools reads beyond the end of damaged codes, so they are read here.
    """
    counts: list[int] = []
    digits = [ord(letter) - 48 for letter in code]
    if not digits or min(digits) < 0 or max(digits) > 63 or digits[-1] & 32:
        return None
    value = shift = 0
    for digit in digits:
        value |= (digit & 31) << shift
        shift += 5
        if digit & 32:
            continue
        value -= (1 << shift) if digit & 16 else 0  # negative
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    return tuple(counts)


@dataclass(frozen=True)
class Drawn:
    """A shape of labelme, painted by Pillow as labelme does: a `polygon`, a `rectangle` or a `circle`."""

    kind: str
    points: tuple[tuple[float, float], ...]  # corners; of a rectangle two; of a circle its center and a point on it

    def paint(self, drawn: Size, wanted: Size) -> Region:
        """Return where it is."""
        points = np.asarray(self.points) * np.divide(wanted, drawn)
        picture = Image.new("L", wanted)
        draw = ImageDraw.Draw(picture)
        if self.kind == "circle":
            radius = math.dist(*points.tolist())
            draw.ellipse((*(points[0] - radius), *(points[0] + radius)), outline=1, fill=1)
        elif self.kind == "rectangle":
            draw.rectangle((*points.min(0), *points.max(0)), outline=1, fill=1)
        else:
            draw.polygon([*map(tuple, points.tolist())], outline=1, fill=1)
        return np.asarray(picture, bool)


@dataclass(frozen=True)
class Patch:
    """A mask of labelme's AI tools: a PNG in base64, and where its first pixel lies in the picture."""

    left: int
    top: int
    png: str

    def paint(self, drawn: Size, wanted: Size) -> Region:
        """Return where it is.

        Raises:
            UnreadableImageError: `bad_labels`: it is no PNG.
        """
        patch = self.pixels()
        region = np.zeros(drawn[::-1], bool)
        left, top = max(self.left, 0), max(self.top, 0)
        inside = patch[top - self.top :, left - self.left :][: max(drawn[1] - top, 0), : max(drawn[0] - left, 0)]
        region[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
        return resized(region, wanted)

    def pixels(self) -> Region:
        """Return the patch, bool (height, width).

        Raises:
            UnreadableImageError: `bad_labels`: it is no PNG.
        """
        try:
            with Image.open(io.BytesIO(embedded(self.png)), formats=("PNG",)) as picture:
                return np.asarray(picture.convert("L") if picture.mode not in {"1", "L", "P"} else picture) > 0
        except UnidentifiedImageError:  # whose message has an address in memory
            raise UnreadableImageError("bad_labels", "a shape's mask is no PNG") from None
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            raise UnreadableImageError("bad_labels", f"a shape's mask is no whole PNG: {error}") from None


def embedded(text: str) -> bytes:
    """Return the bytes of a file that stands in a text in base64, with or without a `data:` address before it.

    Raises:
        UnreadableImageError: `unreadable`: it is no base64.
    """
    try:
        return base64.b64decode(text.rpartition(",")[2])
    except (binascii.Error, ValueError) as error:
        raise UnreadableImageError("unreadable", f"an embedded image is no base64: {error}") from None


def resized(region: Region, wanted: Size) -> Region:
    """Return a region in another size, (width, height): each pixel is the nearest one's."""
    if region.shape == wanted[::-1]:
        return region
    return cv2.resize(region.astype(np.uint8), wanted, interpolation=cv2.INTER_NEAREST_EXACT).astype(bool)
