"""Which masks are drawn, and how often: the section `render_masks:` of params.yaml, for all stages that draw masks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
from PIL import ImageColor
from pydantic import Field, field_validator

from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import Section, check, read_yaml
from stages.core.tables import Face
from stages.faces.face_type import FACE_TYPES
from stages.faces.landmarks import Points
from stages.faces.warp import CollinearPointsError
from stages.masks import rendering
from stages.masks.rendering import POLYGON, Look, Template
from stages.masks.styles import STYLES

Weight = Annotated[float, Field(ge=0)]
Color = Annotated[str, Field(pattern="^#[0-9a-fA-F]{6}$")]


class Positions(Section):
    """How often a mask is worn in each way, as weights."""

    proper: Weight
    below_nose: Weight
    chin: Weight


class Colors(Section):
    """Colors of the fabric, `#rrggbb`; each is drawn equally often."""

    polygon: list[Color] = Field(min_length=1)
    surgical: list[Color] = Field(min_length=1)
    cloth: list[Color] = Field(min_length=1)
    kn95: list[Color] = Field(min_length=1)
    n95: list[Color] = Field(min_length=1)


class Looks(Section):
    """On which faces masks are drawn, and how often each style, position and color."""

    share: float = Field(ge=0, le=1)
    """Of the faces, how many get a mask."""
    over_worn: bool
    """Draw masks also over masks that people wear."""
    styles: dict[str, Weight]
    """How often each style is drawn, as weights; beside the built-in ones, any folder of data/mask_templates."""
    positions: Positions
    positions_in_training: Positions | None
    """The same of masks that are drawn in trainings, so that the faces to test on stay; None: as `positions`."""
    colors: Colors
    softness: float = Field(ge=0, le=5)
    """Blur of the mask's edge: standard deviation in hundredths of the face's size."""

    @field_validator("styles")
    @classmethod
    def _some_style(cls, styles: dict[str, float]) -> dict[str, float]:
        if not sum(styles.values()) > 0:
            raise ValueError("all weights are 0: give at least one style a weight above 0")
        return styles

    def in_training(self) -> "Looks":
        """Return looks to train on, as often as said."""
        return self.model_copy(update={"positions": self.positions_in_training or self.positions})

    def flattened(self) -> "Looks":
        """Return looks to train on: with the square roots of the weights, so that what is rare is seen more often."""
        styles = {style: weight**0.5 for style, weight in self.styles.items()}
        positions = Positions(**{position: weight**0.5 for position, weight in self.in_training().positions})
        return self.model_copy(update={"styles": styles, "positions": positions})

    def own_styles(self, folder: Path) -> dict[str, Template]:
        """Return the styles that are the user's own: each a folder with mask.png (with alpha) and template.yaml.

        Raises:
            UnmaskError: a style is neither built-in nor a template, or a template cannot be used.
        """
        names = [name for name, weight in self.styles.items() if weight and name not in {POLYGON, *STYLES}]
        return {name: _read_template(folder / name, name) for name in names}

    def draw(
        self, image: Pixels, points: Points, kind: str | None, rng: np.random.Generator, own: Mapping[str, Template]
    ) -> tuple[Look, Pixels, Pixels]:
        """Draw a mask by chance on a face, see `rendering.draw`.

        A face type (`kind`) of None counts as frontal and sharp; `own` is what `own_styles` returned.

        Returns:
            What was drawn, the image with it, RGB uint8 (H, W, 3), and its region, uint8 (H, W), 0 or 255.

        Raises:
            CollinearPointsError: the landmarks lie on a line.
        """
        colors = {style: [ImageColor.getrgb(color)[:3] for color in palette] for style, palette in self.colors}
        look = rendering.random_look(rng, self.styles, dict(self.positions), colors, self.softness)
        if look.style in own:
            return look, *rendering.draw_template(image, points, own[look.style])
        return look, *rendering.draw(image, points, look, kind or FACE_TYPES[0], rng)


def masked(
    face: Face, image: Pixels, rng: np.random.Generator, *, looks: Looks, own: Mapping[str, Template]
) -> tuple[Pixels, Pixels]:
    """Return a face with landmarks with a mask drawn on it by chance, and its region; see `Looks.draw`.

    It stays bare and the region empty if the landmarks lie on a line.
    """
    try:
        return looks.draw(image, face["landmarks"], face["face_type"], rng, own)[1:]
    except CollinearPointsError:
        return image, np.zeros(image.shape[:2], np.uint8)


def perhaps_masked(
    face: Face,
    image: Pixels,
    rng: np.random.Generator,
    *,
    share: float,
    looks: Looks,
    own: Mapping[str, Template],
) -> Pixels:
    """Return the image of a face, on a share of all calls with a mask drawn by chance; see `Looks.draw`.

    A face without landmarks, or whose landmarks lie on a line, stays bare.
    """
    if rng.random() >= share or face["landmarks"] is None:
        return image
    return masked(face, image, rng, looks=looks, own=own)[0]


class Pin(Section):
    """A point of mask.png, in pixels, and the landmark on which it comes to lie."""

    x: float
    y: float
    landmark: int = Field(ge=0, le=67)


class TemplateFile(Section):
    """Content of a template.yaml."""

    points: list[Pin] = Field(min_length=3)


def read_picture(path: Path) -> Pixels:
    """Return a PNG with an alpha channel, RGBA uint8 (h, w, 4).

    Raises:
        UnmaskError: it is none.
    """
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        raise UnmaskError(f"{path} must be an 8-bit PNG with an alpha channel that is 0 around what it shows")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA), np.uint8)


def _read_template(folder: Path, name: str) -> Template:
    picture, description = folder / "mask.png", folder / "template.yaml"
    if not picture.is_file():
        known = ", ".join([POLYGON, *STYLES])
        raise UnmaskError(f"render_masks.styles: {name!r} is none of {known}, and there is no {picture}")
    pins = check(TemplateFile, read_yaml(description), description).points
    points = np.array([(pin.x, pin.y) for pin in pins], np.float32)
    try:
        return Template(read_picture(picture), points, tuple(pin.landmark for pin in pins))
    except CollinearPointsError as error:
        raise UnmaskError(f"{description}: points: {error}") from None
