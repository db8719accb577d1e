"""The part of a photo that a row shows, if the photo has several faces: what lies around one face's box.

A box is left, top, right and bottom; edges of pixels lie at whole numbers, so that of a whole photo is 0, 0, width,
height.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels
from stages.data.labels import FRACTIONS, SAY_UPRIGHT, Frame, is_turned
from stages.data.photo import Photo
from stages.faces.landmarks import FLIP
from stages.photos.reading import UnreadableImageError

Box = tuple[float, float, float, float]
Crop = tuple[int, int, int, int]

# Of the box's longer side, on each side. Boxes end at the chin and above the brows, and less is hard on detectors that
# want to see hair and neck; more brings in the faces beside it.
MARGIN = 0.5
MIRRORED = {2, 4, 5, 7}  # EXIF orientations


def upright_box(photo: Photo, box: Box, frame: Frame) -> Box:
    """Return a photo's box in pixels of the upright photo, clipped to it.

    Raises:
        UnreadableImageError: `size_differs` or `unclear_turn`, see `labels.paint`, or `bad_box`: it has no area there.
    """
    turned = _is_turned(photo, frame, "what its box is of")
    wanted = frame.stored if turned else frame.upright
    corners = np.array(box, np.float64).reshape(2, 2) * np.divide(wanted, photo.shapes_size or wanted)
    corners = np.sort(_turned(corners, frame), axis=0) if turned else corners
    corners = np.clip(corners, 0, frame.upright)
    (left, top), (right, bottom) = corners.tolist()
    if not (left < right and top < bottom):
        raise UnreadableImageError("bad_box", f"{', '.join(f'{edge:g}' for edge in box)} has no area in the photo")
    return left, top, right, bottom


def with_upright_landmarks(photo: Photo, frame: Frame) -> Photo:
    """Return a photo whose landmarks, if it has any, are those of the upright photo.

    Raises:
        UnreadableImageError: `unclear_turn`: an EXIF tag turns it, and nobody said whether they are turned already.
    """
    if photo.landmarks is None or not _is_turned(replace(photo, shapes_size=None), frame, "what its landmarks are of"):
        return photo
    stored = photo.points
    points = _turned(stored + 0.5, frame) - 0.5  # centers of pixels lie at whole numbers
    points = points[FLIP] if frame.orientation in MIRRORED else points
    return replace(photo, landmarks=points.astype(stored.dtype))


def around(box: Box, frame: Frame) -> Crop:
    """Return left, top, right and bottom of the whole pixels that are shown of a photo around a box, with a margin."""
    left, top, right, bottom = box
    margin = MARGIN * max(right - left, bottom - top)
    first = max(0, round(left - margin)), max(0, round(top - margin))
    return *first, min(frame.width, round(right + margin)), min(frame.height, round(bottom + margin))


def cut(image: Pixels, crop: Crop) -> Pixels:
    """Return the part of an image, uint8 (H, W, 3) or (H, W), in a memory of its own."""
    left, top, right, bottom = crop
    return np.ascontiguousarray(image[top:bottom, left:right])


def _is_turned(photo: Photo, frame: Frame, what: str) -> bool:
    """Return whether a photo's labels lie as it is stored."""
    if photo.shapes_size not in {None, FRACTIONS}:
        return is_turned(photo.shapes_size, frame, photo.labels_upright, what)
    if frame.orientation > 1 and photo.labels_upright is None:
        raise UnreadableImageError("unclear_turn", f"the photo is turned by EXIF, {what} has no size: {SAY_UPRIGHT}")
    return frame.orientation > 1 and photo.labels_upright is False


def _turned(points: NDArray[np.floating], frame: Frame) -> NDArray[np.floating]:
    """Return points (n, 2) of the stored photo in the upright one; edges of pixels lie at whole numbers."""
    x, y = points.T
    far_x, far_y = frame.stored[0] - x, frame.stored[1] - y
    upright = {
        2: (far_x, y),
        3: (far_x, far_y),
        4: (x, far_y),
        5: (y, x),
        6: (far_y, x),
        7: (far_y, far_x),
        8: (y, far_x),
    }
    return np.stack(upright[frame.orientation], axis=1)
