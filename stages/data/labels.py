"""The label map of a photo: what its publisher painted or drew, in the photo's own frame.

A label map is read by its indices, never by brightness. What the photo's EXIF tag turns is turned with it, what was
made on a larger or smaller copy is scaled, and what cannot be known is refused in words.
"""

import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from stages.core import images
from stages.core.images import Pixels
from stages.data.files import Files
from stages.data.photo import Color, Photo
from stages.data.shapes import Region, Size, resized
from stages.photos import reading
from stages.photos.reading import UnreadableImageError

FRACTIONS = (1, 1)  # the size of a picture whose shapes are given as fractions of its sides
IGNORED = frozenset({255, 65535})  # beside small indices: what nobody labeled
SMALL = 99  # beside larger ones, white may as well be a class of a map in shades of gray
STRAY = 20  # times as many ignored pixels as labeled ones: white may be the region, and the others the noise of a codec
SMALLEST = 16  # of a copy on which labels were made, as a share of the photo's side: one 16th
SHADES = 0.1  # at most of a map's pixels lie between black and white if its edges are blurred, or it is a JPEG
FEW_COLORS = 16  # at most of a map with an alpha channel; a photo that was cut out has more
# The index of each color of PASCAL VOC's palette, 0xRRGGBB: its bits 0, 1, 2 go to red, green and blue, to the top, and
# the next three below them.
VOC = {
    sum(
        (index >> 3 * step + channel & 1) << 7 - step + 8 * (2 - channel) for step in range(3) for channel in range(3)
    ): index
    for index in range(256)
}
SAY_UPRIGHT = "say in the adapter whether labels are upright, labels_upright=True or False"
SAY_WHICH = "say in the adapter which is meant, index=<number>"
SAY_COLOR = "say in the adapter which is meant, index=[(red, green, blue)]"
UPRIGHT: dict[int, Callable[[Region], Region]] = {  # what turns stored pixels upright, by the EXIF tag
    2: lambda region: region[:, ::-1],
    3: lambda region: region[::-1, ::-1],
    4: lambda region: region[::-1],
    5: lambda region: region.T,
    6: lambda region: np.rot90(region, -1),
    7: lambda region: region[::-1, ::-1].T,
    8: np.rot90,
}


@dataclass(frozen=True)
class Frame:
    """A photo's upright size in pixels, and its EXIF orientation: 1, as it is stored, to 8."""

    width: int
    height: int
    orientation: int = 1

    @property
    def upright(self) -> Size:
        """Width and height."""
        return self.width, self.height

    @property
    def stored(self) -> Size:
        """Width and height of the pixels in the file."""
        return (self.height, self.width) if self.orientation >= 5 else self.upright


@dataclass(frozen=True)
class Painted:
    """A photo's label map, and what there is to count."""

    labels: Pixels | None  # (H, W), a class id each pixel; None once they are stored
    ignored_pixels: int  # of its label files: what nobody labeled
    unpainted: int  # shapes that lie on no pixel of the photo
    indices: dict[int, str]  # what else than background its label files have where nobody said which, and one of these
    holds: str  # what its label files have, in words


def frame(data: bytes, upright: Pixels) -> Frame:
    """Return the frame of a photo that was opened, by its bytes and its upright pixels."""
    height, width = upright.shape[:2]
    return Frame(width, height, reading.orientation(data))


def paint(files: Files, photo: Photo, frame: Frame, max_pixels: int) -> Painted:
    """Return the label map of a photo: its label files and shapes painted over each other in order.

    Raises:
        UnreadableImageError: `bad_labels`: a label map or a shape is damaged; `unclear_labels`: which pixels are meant
            cannot be known; `size_differs`: its size is not the photo's, nor the same at another scale; `unclear_turn`:
            the photo has an EXIF tag and nothing tells whether the labels are turned already.
    """
    labels = np.zeros((frame.height, frame.width), np.uint8)
    ignored_pixels, unpainted = 0, 0
    indices: dict[int, str] = {}
    holds: list[str] = []
    for class_id, name in photo.label_files:
        try:
            data = files.read(name)
        except UnreadableImageError as error:
            raise UnreadableImageError("bad_labels", f"{name}: {error}") from None
        found = _read(data, name, photo.label_index, max_pixels)
        height, width = found.region.shape
        turned = is_turned((width, height), frame, True if found.upright else photo.labels_upright, name)
        wanted = frame.stored if turned else frame.upright
        labels[_turned(resized(found.region, wanted), frame, turned)] = class_id
        ignored_pixels += int(resized(found.ignored, wanted).sum())
        indices |= dict.fromkeys(found.indices, name)
        holds.append(f"{name} holds {found.holds}")
    if photo.shapes:
        what = "what its shapes are drawn on"
        if photo.shapes_size is None and frame.orientation > 1 and photo.labels_upright is None:
            raise UnreadableImageError(
                "unclear_turn", f"the photo is turned by EXIF, {what} has no size: {SAY_UPRIGHT}"
            )
        drawn = photo.shapes_size or (frame.stored if photo.labels_upright is False else frame.upright)
        if drawn[0] * drawn[1] > max_pixels:
            raise UnreadableImageError("size_differs", f"{what} is {drawn[0]}x{drawn[1]} pixels")
        if drawn == FRACTIONS and photo.labels_upright is not None:
            turned = not photo.labels_upright
        else:
            turned = is_turned(drawn, frame, photo.labels_upright, what)
        for class_id, shape in photo.shapes:
            region = shape.paint(drawn, frame.stored if turned else frame.upright)
            labels[_turned(region, frame, turned)] = class_id
            unpainted += not region.any()
    return Painted(labels, ignored_pixels, unpainted, indices, "; ".join(holds))


def is_turned(size: Size, frame: Frame, upright: bool | None, what: str) -> bool:
    """Return whether labels of a size lie as the photo is stored, and not upright."""
    as_upright, as_stored = _likeness(size, frame.upright), _likeness(size, frame.stored)
    sizes = f"{what} is {size[0]}x{size[1]}, the photo {frame.width}x{frame.height}"
    if frame.orientation == 1:
        as_stored = 0
    elif upright is not None:
        as_upright, as_stored = (as_upright, 0) if upright else (0, as_stored)
    if frame.orientation > 1:
        sizes += f" upright and {frame.stored[0]}x{frame.stored[1]} as it is stored"
    if not as_upright and not as_stored:
        raise UnreadableImageError("size_differs", sizes)
    if as_upright == as_stored:
        raise UnreadableImageError("unclear_turn", f"{sizes}: {SAY_UPRIGHT}")
    return as_stored > as_upright


def _likeness(size: Size, other: Size) -> int:
    """Return 2 for the same size, 1 for the same shape at another scale, give or take the rounding; else 0."""
    (width, height), (other_width, other_height) = size, other
    if size == other:
        return 2
    off = abs(width * other_height - height * other_width)
    alike = off <= max(width + height, other_width + other_height) / 2
    return int(alike and SMALLEST * width >= other_width and SMALLEST * height >= other_height)


def _turned(region: Region, frame: Frame, turned: bool) -> Region:
    return UPRIGHT[frame.orientation](region) if turned else region


# ---------------------------------------------------------------- label maps


@dataclass(frozen=True)
class _Map:
    region: Region
    ignored: Region
    indices: frozenset[int]  # what else than background it has, where nobody said which is meant
    upright: bool  # turned by an EXIF tag of its own
    holds: str  # all its indices, in words


def _read(data: bytes, name: str, index: Sequence[int] | Sequence[Color] | None, max_pixels: int) -> _Map:
    """Return the region that a label map shows.

    With `index`, the pixels of these indices or colors are meant. Without it, a map has a background, 0, and one index
    beside it, which is meant; several are all painted and told in `indices`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=reading.formats(data)) as stored:
            if stored.width * stored.height > max_pixels:
                raise UnreadableImageError("bad_labels", f"{name} has {stored.width}x{stored.height} pixels")
            if (pages := getattr(stored, "n_frames", 1)) > 1:
                raise UnreadableImageError("unclear_labels", f"{name} has {pages} pages")
            upright = stored.getexif().get(reading.ORIENTATION, 1) in UPRIGHT
            is_lossy = stored.format in {"JPEG", "MPO"} or (stored.format == "WEBP" and b"VP8L" not in data)
            picture = ImageOps.exif_transpose(stored)
            picture.load()
    except UnidentifiedImageError:  # whose message has an address in memory
        raise UnreadableImageError("bad_labels", f"{name} is no image") from None
    except (OSError, SyntaxError, ValueError, EOFError) as error:  # of Pillow, for one format or another
        raise UnreadableImageError("bad_labels", f"{name} is no image that can be read: {error}") from None
    if index is not None and not all(isinstance(one, int) for one in index):
        if is_lossy:
            raise UnreadableImageError("unclear_labels", f"{name} is lossy, its colors are not exact: save it as PNG")
        rgb = np.asarray(picture.convert("RGB"))
        chosen = np.any([np.all(rgb == color, axis=-1) for color in index], axis=0)
        return _Map(chosen, np.zeros_like(chosen), frozenset(), upright, f"the colors {_colors(rgb)}")
    values, nobodys = _indices(picture, name)
    found = _numbers(values)
    white = 65535 if max(found) > 255 else 255
    light = [value for value in found if white / 2 < value < white]
    if is_lossy or len(light) > 1 or (light and white in found and light[0] > white * 7 / 8):
        values, found = _without_shades(values, white, name), {0, white}
    if index is not None:
        ignored = np.isin(values, [*(IGNORED - set(index))])
        return _Map(np.isin(values, index), ignored, frozenset(), upright, listed(found))
    meant = found - {0} - nobodys
    if 0 < max(meant - IGNORED, default=0) <= SMALL:
        meant -= IGNORED
    if meant and 0 not in found:
        raise UnreadableImageError("unclear_labels", f"{name} holds {listed(found)} and no background, 0: {SAY_WHICH}")
    region, ignored = np.isin(values, [*meant]), np.isin(values, [*(found - meant - {0})])
    if region[[0, 0, -1, -1], [0, -1, 0, -1]].all():
        where = "reaches all four corners, as a background does"
        raise UnreadableImageError(
            "unclear_labels", f"{name} holds {listed(found)}, and what is not 0 {where}: {SAY_WHICH}"
        )
    if region.any() and region.sum() * STRAY < ignored.sum():
        what = f"{listed(meant)} only in a few pixels beside {listed(found - meant - {0})}"
        raise UnreadableImageError("unclear_labels", f"{name} holds {what}: {SAY_WHICH}")
    return _Map(region, ignored, frozenset(meant), upright, listed(found))


def _numbers(values: NDArray[np.integer]) -> set[int]:
    """Return which numbers there are in an array."""
    if values.dtype == np.uint8:
        return set(np.flatnonzero(np.bincount(values.ravel())).tolist())  # much faster
    return set(np.unique(values).tolist())


def _colors(rgb: Pixels) -> str:
    """Return the first colors of a map (H, W, 3) in words."""
    found = np.unique(rgb.reshape(-1, 3), axis=0)
    return ", ".join(str(tuple(color)) for color in found[:9].tolist()) + (", …" if len(found) > 9 else "")


def listed(indices: Iterable[int]) -> str:
    """Return some indices in words."""
    several = sorted(indices)
    return ", ".join(map(str, several[:9])) + (", …" if len(several) > 9 else "")


def _indices(picture: Image.Image, name: str) -> tuple[NDArray[np.integer], frozenset[int]]:
    """Return the index at each pixel, (H, W), and those that are of nobody by their color in a palette.

    White of a map in gray is its greatest number.

    Raises:
        UnreadableImageError: `unclear_labels`: it has colors or fractions, which are no indices.
    """
    if picture.mode == "P":
        palette = np.reshape(picture.getpalette("RGB") or [], (-1, 3))
        is_white = len(palette) <= 255 or (palette[255] == 255).all()
        return np.asarray(picture), frozenset() if is_white else IGNORED
    if picture.mode in {"1", "L"} or picture.mode.startswith("I"):
        return np.asarray(picture, np.uint8 if picture.mode == "1" else None), frozenset()
    if picture.mode == "F":
        numbers = np.asarray(picture)
        if not np.array_equal(numbers, np.trunc(np.clip(numbers, 0, 65535))):  # NaN is equal to nothing
            raise UnreadableImageError("unclear_labels", f"{name} holds fractions, which are no indices")
        return numbers.astype(np.int32), frozenset()
    if picture.mode in {"LA", "La", "PA", "RGBA", "RGBa"}:
        rgba = np.asarray(picture.convert("RGBA"))
        if rgba[..., 3].min() < 255:
            return _opaque(rgba, name)
    return _of_colors(np.asarray(picture.convert("RGB")), name)


def _opaque(rgba: Pixels, name: str) -> tuple[NDArray[np.integer], frozenset[int]]:
    """Return the indices of a map with an alpha channel, as `_indices` does: what is transparent is background.

    Opaque pixels of one color, or of a photo that was cut out, are one region; of few colors, they are a map.
    """
    alpha = rgba[..., 3]
    colors = np.unique(rgba[alpha > 127][:, :3], axis=0)
    if 1 < len(colors) <= FEW_COLORS:
        return _of_colors(rgba[..., :3] * (alpha > 127)[..., None], name)
    return alpha if len(np.unique(alpha)) > 2 else np.where(alpha > 0, 1, 0), frozenset()


def _of_colors(rgb: Pixels, name: str) -> tuple[NDArray[np.integer], frozenset[int]]:
    """Return the indices of a map in RGB, as `_indices` does: gray, of VOC's palette, or of one color on black."""
    if images.is_gray(np.ascontiguousarray(rgb)):
        return rgb[..., 0], frozenset()
    packed = rgb.astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    found, place = np.unique(packed, return_inverse=True)
    if all(color in VOC for color in found.tolist()):
        return np.array([VOC[color] for color in found.tolist()])[place].reshape(packed.shape), IGNORED
    if len(found) == 2 and found[0] == 0:
        index = sum((int(found[1]) >> 23 - 8 * channel & 1) << channel for channel in range(3))  # as in VOC
        return np.where(packed > 0, max(index, 1), 0), frozenset()
    raise UnreadableImageError(
        "unclear_labels",
        f"{name} has {len(found)} colors, which are no indices: {SAY_COLOR}",
    )


def _without_shades(values: NDArray[np.integer], white: int, name: str) -> NDArray[np.integer]:
    """Return a black and white map with blurred edges, or of a lossy format, as 0 and white.

    Raises:
        UnreadableImageError: `unclear_labels`: it has many shades between them.
    """
    between = (values > white / 8) & (values < white * 7 / 8)
    if between.mean() > SHADES or (values <= white / 8).all():
        raise UnreadableImageError("unclear_labels", f"{name} is neither black and white nor a map of indices")
    return np.where(values > white / 2, white, 0)
