"""Masks on faces, for programs and notebooks of yours: find faces, draw, find and remove masks, fill in what is behind.

Photos are RGB uint8 (H, W, 3) everywhere; OpenCV reads BGR, so turn it around: `photo[..., ::-1].copy()`. The models
are those of models/released, which come with the package, and so do their settings. Each function calls what the stages
of the pipeline call. A face that wears no mask stays as it is.

    from unmask import find_faces, inpaint
    faces = find_faces(photo)
    print([face.wears_mask for face in faces])
    filled = inpaint(photo, faces)
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stages.core import params
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces import removal
from stages.faces.alignment import Align
from stages.faces.landmarks import Points
from stages.faces.warp import CollinearPointsError
from stages.inpainting import inpaint as filling
from stages.landmarks.search import Search, all_faces
from stages.landmarks.shipped import SHIPPED as MODELS
from stages.masks import rendering
from stages.masks.shapes import POSITIONS
from stages.removal import remove_masks
from stages.removal.finder import Crop, crops_of
from stages.removal.judge import Judge
from stages.removal.released import SETTINGS
from stages.tools.portrait.sitting import LOOKS, look_of

__all__ = ["Face", "UnmaskError", "find_faces", "find_mask", "inpaint", "remove_mask", "render_mask"]

FACE_TYPE = "0_0"  # frontal and sharp, of the masks that are drawn


@dataclass(frozen=True)
class Face:
    """A face in a photo.

    Attributes:
        points: landmarks, float32 (68, 2), pixels of the photo, in the order of 300-W.
        crop: the aligned face, with the region of its mask; None if its landmarks cannot be aligned.
    """

    points: Points
    crop: Crop | None

    @property
    def wears_mask(self) -> bool:
        """Tell whether it wears a mask."""
        return bool(self.crop and self.crop.worn)


def find_faces(photo: Pixels) -> list[Face]:
    """Return every face in a photo, RGB uint8 (H, W, 3), masked or not, the largest first.

    Raises:
        UnmaskError: it is no such array.
    """
    found = [one.points for one in all_faces(_checked(photo), _settings(Search, "find_landmarks.search"))]
    return [Face(*one) for one in zip(found, _crops(photo, found), strict=True)]


def render_mask(
    photo: Pixels, face: Face, style: str = "surgical", position: str = "proper", color: str = "#9cc5e3"
) -> tuple[Pixels, Pixels]:
    """Draw a mask on a face.

    Args:
        photo: RGB uint8 (H, W, 3).
        face: of that photo.
        style: `polygon`, `surgical`, `cloth`, `kn95` or `n95`.
        position: `proper`, `below_nose` or `chin`.
        color: of the fabric, `#rrggbb`; a gray photo gets its brightness.

    Returns:
        The photo with it, and its region, uint8 (H, W), 0 or 255.

    Raises:
        UnmaskError: there is no such style, position or color, or the face is seen from too far aside.
    """
    for name, value, allowed in (("style", style, LOOKS), ("position", position, POSITIONS)):
        if value not in allowed:
            raise UnmaskError(f"{name} is {value!r}, it must be one of {', '.join(allowed)}")
    look, rng = look_of(style, position, color), np.random.default_rng(0)  # of cloth's second color
    try:
        return rendering.draw(_checked(photo), face.points, look, FACE_TYPE, rng)
    except CollinearPointsError:
        raise UnmaskError("this face is seen from too far aside to put a mask on it") from None


def find_mask(photo: Pixels, faces: Sequence[Face] | None = None) -> Pixels:
    """Return the region of all masks that are worn in a photo, RGB uint8 (H, W, 3), as uint8 (H, W), 0 or 255.

    Args:
        photo: any photo.
        faces: of it, from `find_faces`, all or some; by default all are searched for.

    Raises:
        UnmaskError: the photo is no such array.
    """
    there = (face.crop for face in _faces(photo, faces) if face.crop)
    return functools.reduce(np.maximum, (crop.region_in(photo) for crop in there), np.zeros(photo.shape[:2], np.uint8))


def remove_mask(photo: Pixels, faces: Sequence[Face] | None = None) -> Pixels:
    """Return a photo, RGB uint8 (H, W, 3), with 0 in every pixel of a mask; arguments and errors as of `find_mask`."""
    return removal.remove(photo, find_mask(photo, faces))


def inpaint(photo: Pixels, faces: Sequence[Face] | None = None) -> Pixels:
    """Return a photo, RGB uint8 (H, W, 3), with masks filled in; arguments and errors as of `find_mask`.

    It is a guess that fits the visible half of a face, and no photo of the person.
    """
    filler = filling.Filler(None, {filling.SHARED: MODELS / "inpainter-shared.safetensors"})
    there = [face.crop for face in _faces(photo, faces)]
    return filling.filled_in(photo, there, filler, _settings(filling.Params, "inpaint").dilation)[0]


def _faces(photo: Pixels, faces: Sequence[Face] | None) -> Sequence[Face]:
    if faces is None:
        return find_faces(photo)
    _checked(photo)
    return faces


def _crops(photo: Pixels, found: Sequence[Points]) -> list[Crop | None]:
    find = _settings(remove_masks.Params, "remove_masks").finder(
        MODELS / "parser-scanet.safetensors", MODELS / "detector.safetensors"
    )
    search, align = _settings(Search, "find_landmarks.search"), _settings(Align, "align_faces")
    return crops_of(photo, found, find.likely, search, align, _settings(Judge, "try_photo"))


@functools.cache
def _settings(model: Any, section: str) -> Any:
    return params.load(model, section, MODELS / SETTINGS)


def _checked(photo: Pixels) -> Pixels:
    if not isinstance(photo, np.ndarray) or photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        is_array = isinstance(photo, np.ndarray)
        what = f"{photo.dtype} {photo.shape}" if is_array else type(photo).__name__
        raise UnmaskError(f"a photo must be an array of RGB uint8 (height, width, 3), this is {what}")
    return photo
