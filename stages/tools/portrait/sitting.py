"""What a person does with a photo in the app: look at its faces, put a mask on one, fill another region in.

Everything here is kept in memory; photos are RGB uint8 (H, W, 3).
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from stages.core import images
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.warp import CollinearPointsError
from stages.masks import rendering
from stages.masks.rendering import POLYGON, Look
from stages.masks.styles import STYLES
from stages.tools.portrait import files
from stages.tools.portrait.portrait import Portrait, Tools, portrait_of, portraits, refilled

LOOKS = (POLYGON, *STYLES)
SOFTNESS = 0.5  # of a mask's edge, as in params.yaml


@dataclass(frozen=True)
class Sitting:
    """A photo and its faces.

    Attributes:
        name: of the photo's file.
        original: as it was given, but shrunk.
        photo: the same, perhaps with masks put on.
        faces: those that could be aligned, the largest first.
        put_on: index of the face on which a mask was put; None of none.
    """

    name: str
    original: Pixels
    photo: Pixels
    faces: tuple[Portrait, ...]
    put_on: int | None = None

    @property
    def masked(self) -> bool:
        """Tell whether a mask was put on."""
        return self.photo is not self.original

    def filled(self) -> Pixels:
        """Return the photo with every mask filled in."""
        photo = self.photo
        for face in reversed(self.faces):
            photo = face.filling.laid_into(photo) if face.filling else photo
        return photo


def opened(data: bytes, name: str, tools: Tools, side: int) -> Sitting:
    """Return a photo and its faces.

    Args:
        data: the file's bytes.
        name: of the file.
        tools: what looks at faces.
        side: a photo with a longer one is shrunk to it, pixels.

    Raises:
        UnreadableImageError: these bytes are no photo.
    """
    photo = images.shrunk(files.decoded(data, name), side)
    return Sitting(name, photo, photo, tuple(face for face in portraits(photo, tools) if face is not None))


def may_wear(sitting: Sitting, index: int) -> bool:
    """Tell whether a mask can be put on the face at an index: it is bare, or wears one that was put on it."""
    return not sitting.faces[index].worn or index == sitting.put_on


def with_mask(sitting: Sitting, index: int, look: Look, tools: Tools) -> Sitting:
    """Return the photo with a mask drawn on the bare face at an index, in place of a mask that was put on before.

    Raises:
        UnmaskError: the face wears a mask already, or its landmarks lie on a line.
    """
    points, by = sitting.faces[index].points, sitting.faces[index].found_by
    bare = portrait_of(sitting.original, points, by, tools) if sitting.masked else sitting.faces[index]
    if bare is None or bare.worn:
        raise UnmaskError("this face wears a mask already: choose a bare face")
    rng = np.random.default_rng(0)  # of cloth's second color: the same each time
    try:
        photo, _ = rendering.draw(sitting.original, points, look, "0_0", rng)
    except CollinearPointsError:
        raise UnmaskError("this face is seen from too far aside to put a mask on it") from None
    faces = [portrait_of(photo, face.points, face.found_by, tools) or face for face in sitting.faces]
    return replace(sitting, photo=photo, faces=tuple(faces), put_on=index)


def look_of(style: str, position: str, color: str) -> Look:
    """Return the look of a mask.

    Args:
        style: one of `LOOKS`.
        position: one of `stages.masks.shapes.POSITIONS`.
        color: `#rrggbb`, or `rgb(r, g, b)` or `rgba(r, g, b, a)`, as browsers write it.

    Raises:
        UnmaskError: the color is none.
    """
    texture = STYLES[style].textures[0] if style in STYLES else "plain"
    return Look(style, position, rgb(color), texture, SOFTNESS)


def rgb(color: str) -> tuple[int, int, int]:
    """Return a color as a browser writes it, `#rrggbb` or `rgb(…)`, as RGB 0 to 255.

    Raises:
        UnmaskError: it is written otherwise.
    """
    try:
        if color.startswith("#"):
            red, green, blue = bytes.fromhex(color.removeprefix("#"))[:3]
        else:
            numbers = color.removeprefix("rgba").removeprefix("rgb").strip("() ").split(",")[:3]
            red, green, blue = (min(255, max(0, round(float(number)))) for number in numbers)
    except ValueError:
        raise UnmaskError(f"{color!r} is no color like #9cc5e3") from None
    return red, green, blue


def corrected(sitting: Sitting, index: int, painted: npt.NDArray[np.bool_], tools: Tools) -> Sitting:
    """Return the sitting with another region of the face at an index filled in.

    Args:
        sitting: a photo and its faces.
        index: of the face.
        painted: the region, bool (h, w) of any size that shows the aligned face, true where it is to be filled.
        tools: what fills.
    """
    face = sitting.faces[index]
    size = face.crop.region.shape[::-1]
    shares = cv2.resize(np.where(painted, np.uint8(255), np.uint8(0)), size, interpolation=cv2.INTER_AREA)
    region = np.where(shares >= 128, np.uint8(255), np.uint8(0))
    changed = refilled(sitting.photo, face, region, tools)
    faces = (*sitting.faces[:index], changed, *sitting.faces[index + 1 :])
    return replace(sitting, faces=faces)
