"""Drawing a mask on a face, so that it lies on it and in its light.

Images are RGB uint8 (H, W, 3). A gray photo (equal channels) gets a gray mask. A pixel that no part of the mask covers
is never changed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels, is_gray
from stages.faces.landmarks import Points, face_size
from stages.faces.warp import ThinPlateSpline
from stages.masks import shapes
from stages.masks.styles import STYLES, Style

Plane = NDArray[np.floating]

POLYGON = "polygon"
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as OpenCV's gray
STRAP_WIDTH = 0.013  # of the face's size


@dataclass(frozen=True)
class Look:
    """What mask to draw.

    Attributes:
        style: `polygon` or a key of `styles.STYLES`.
        position: one of `shapes.POSITIONS`; a polygon is always worn properly.
        color: of the fabric, RGB 0 to 255.
        texture: one of the style's textures.
        softness: standard deviation of the blur of the mask's edge, in units of a hundredth of the face's size.
    """

    style: str
    position: str = "proper"
    color: tuple[int, int, int] = (0, 0, 0)
    texture: str = "plain"
    softness: float = 0.5


def random_look(
    rng: np.random.Generator,
    styles: Mapping[str, float],
    positions: Mapping[str, float],
    colors: Mapping[str, Sequence[tuple[int, int, int]]],
    softness: float,
) -> Look:
    """Draw a look by the weights of styles, of which one may be the name of a template, and of positions.

    The colors are those of each built-in style's fabric; each is drawn equally often.
    """
    style = _weighted(rng, styles)
    position = _weighted(rng, positions)
    palette = colors.get(style, [(0, 0, 0)])
    color = palette[int(rng.integers(len(palette)))]
    if style not in STYLES:
        return Look(style, color=color, softness=softness)
    textures = STYLES[style].textures
    return Look(style, position, color, textures[int(rng.integers(len(textures)))], softness)


def _weighted(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    bounds = np.cumsum(list(weights.values()))
    return list(weights)[int(np.searchsorted(bounds, rng.random() * bounds[-1], side="right"))]


@dataclass(frozen=True)
class Template:
    """A mask of the user's own.

    Attributes:
        image: RGBA uint8 (h, w, 4), alpha 255 where the mask is.
        points: (n, 2) places in `image`, in pixels, n from 3 on.
        landmarks: for each point the landmark (0 to 67) on which it comes to lie.

    Raises:
        CollinearPointsError: the points lie on a line.
    """

    image: Pixels
    points: Points
    landmarks: tuple[int, ...]

    def __post_init__(self) -> None:
        ThinPlateSpline(self.points, self.points)


@dataclass(frozen=True)
class _Box:
    """The part of the image in which a mask is drawn: pixels left <= x < right, top <= y < bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, points: Points, margin: float, image: Pixels) -> "_Box | None":
        """Return the box around points, widened by `margin` pixels and cut at the image; None if it is empty."""
        height, width = image.shape[:2]
        left, top = np.clip(np.floor(points.min(0) - margin), 0, [width, height]).astype(int)
        right, bottom = np.clip(np.ceil(points.max(0) + margin) + 1, 0, [width, height]).astype(int)
        return cls(int(left), int(top), int(right), int(bottom)) if left < right and top < bottom else None

    @property
    def origin(self) -> Points:
        return np.array([self.left, self.top], np.float32)

    @property
    def slices(self) -> tuple[slice, slice]:
        return slice(self.top, self.bottom), slice(self.left, self.right)


def draw(image: Pixels, points: Points, look: Look, face_type: str, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """Return the image with a mask drawn on it, and the region it covers.

    Args:
        image: RGB uint8 (H, W, 3); it is not changed.
        points: the face's landmarks, float32 (68, 2); they may lie outside the image.
        look: the mask.
        face_type: of the face; a blurred face (`0_1`, `1_1`) gets a mask with a blurred edge.
        rng: for what differs from mask to mask: grain, the pattern's scale.

    Returns:
        RGB uint8 (H, W, 3), and uint8 (H, W), 255 where the mask covers at least half of the pixel, else 0.

    Raises:
        CollinearPointsError: the landmarks lie on a line.
    """
    if look.style == POLYGON:
        return _draw_polygon(image, points, look.color, face_type)
    return draw_style(image, points, STYLES[look.style], look, face_type, rng)


def draw_style(
    image: Pixels,
    points: Points,
    style: Style,
    look: Look,
    face_type: str,
    rng: np.random.Generator,
    *,
    opacity: float = 1.0,
    straps: bool = True,
) -> tuple[Pixels, Pixels]:
    """Return the image with a mask of any style drawn on it, and the region it covers; see `draw`.

    With an `opacity` below 1, more than 0.5, the face is seen through it. Without `straps`, hair hides them.
    """
    size = face_size(points)
    place = shapes.shape(points, style.cut, look.position)
    sigma = look.softness * size / 100 * (2.5 if face_type.endswith("1") else 1)
    box = _Box.around(np.concatenate([place.outline, place.straps.reshape(-1, 2)]), 3 * sigma + 2, image)
    if box is None:
        return image.copy(), np.zeros(image.shape[:2], np.uint8)
    height, width = box.bottom - box.top, box.right - box.left
    body, thin = shapes.fill(place.outline - box.origin, place.straps - box.origin, STRAP_WIDTH * size, height, width)
    body, thin = _soften(body, sigma), _soften(thin, sigma)
    if opacity < 1:
        body = np.asarray(np.round(body * opacity), np.uint8)
    if not straps:
        thin = np.zeros_like(thin)

    to_fabric = ThinPlateSpline(place.places - box.origin, place.fabric, stiffness=1e-3)
    u, v = to_fabric.dense(width, height)
    u, v = np.clip(u, -1, 1), np.clip(v, 0, 1)
    light = _light(image, points)
    color = np.asarray(look.color, np.float32)
    fabric = style.paint(u, v, color, look.texture, rng)
    field = light.field(box)
    shade = field * light.on_relief(style.relief(u, v) * size)
    grain = rng.standard_normal((height, width), np.float32) * 0.012
    painted = fabric * (shade + grain)[..., None]
    elastic = (color + 215) / 2 * light.exposure
    return _compose(image, box, [(elastic, thin), (painted, body)])


def draw_template(image: Pixels, points: Points, template: Template) -> tuple[Pixels, Pixels]:
    """Return the image with the user's own mask laid on the face, and the region it covers; see `draw`.

    Raises:
        CollinearPointsError: the landmarks that the template is pinned to lie on a line.
    """
    pins = points[list(template.landmarks)]
    height, width = template.image.shape[:2]
    # Where the picture's border comes to lie: the part of the photo that can change.
    to_photo = ThinPlateSpline(template.points, pins)
    ends_x, ends_y = np.linspace(0, width - 1, 8), np.linspace(0, height - 1, 8)
    frame = np.stack(np.meshgrid(ends_x, ends_y), -1).reshape(-1, 2)
    box = _Box.around(to_photo(frame).astype(np.float32), 1, image)
    if box is None:
        return image.copy(), np.zeros(image.shape[:2], np.uint8)
    shrink = float(np.ptp(pins, axis=0).max() / max(float(np.ptp(template.points, axis=0).max()), 1e-6))
    # Colors times alpha, so that what is transparent does not bleed into the edge.
    picture: NDArray[np.floating] = template.image.astype(np.float32)
    picture[..., :3] *= picture[..., 3:] / 255
    scale = shrink if shrink < 0.7 else 1.0
    if scale < 1:
        picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.float32)
    to_picture = ThinPlateSpline(pins - box.origin, (template.points + 0.5) * scale - 0.5)
    x, y = to_picture.dense(box.right - box.left, box.bottom - box.top)
    laid = np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT), np.float32)
    alpha = laid[..., 3]
    shade = _light(image, points).field(box)
    painted = laid[..., :3] * (shade * 255 / np.maximum(alpha, 1))[..., None]
    return _compose(image, box, [(painted, np.round(alpha).astype(np.uint8))])


def _draw_polygon(image: Pixels, points: Points, color: tuple[int, int, int], face_type: str) -> tuple[Pixels, Pixels]:
    region, edge = shapes.polygon(points, face_type, *image.shape[:2])
    masked = image.copy()
    masked[region > 0] = color if not is_gray(image) else round(float(LUMA @ np.asarray(color, np.float32)))
    if face_type.endswith("1"):
        # As in the original: one pixel after another, each 3x3 window blurred in place.
        for y, x in np.argwhere(edge):
            window = np.s_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            masked[window] = cv2.GaussianBlur(masked[window], (3, 3), 0.5)
    return masked, region


def _soften(cover: Pixels, sigma: float) -> Pixels:
    return np.asarray(cv2.GaussianBlur(cover, (0, 0), sigma), np.uint8) if sigma > 0.2 else cover


def _compose(image: Pixels, box: _Box, layers: list[tuple[Plane, Pixels]]) -> tuple[Pixels, Pixels]:
    """Lay painted layers (RGB float (h, w, 3), cover uint8 (h, w)) over the image, the first at the bottom."""
    result, region = image.copy(), np.zeros(image.shape[:2], np.uint8)
    part = image[box.slices].astype(np.float32)
    gray = is_gray(image)
    free = np.ones(part.shape[:2], np.float32)
    for painted, cover in layers:
        share = cover.astype(np.float32) / 255
        layer = np.clip(painted, 0, 255)
        if gray:
            layer = (layer @ LUMA)[..., None]
        part += (layer - part) * share[..., None]  # exactly the photo where nothing covers it
        free *= 1 - share
    result[box.slices] = np.round(part).astype(np.uint8)
    region[box.slices] = np.where(free <= 0.5, 255, 0)
    return result, region


# A plane fitted to a face's brightness: least squares over a grid of cells, those in the corners left out.
_CELLS = 12
_GRID_X, _GRID_Y = np.meshgrid(*[(np.arange(_CELLS) + 0.5) / _CELLS * 2 - 1] * 2)
_INSIDE = (_GRID_X**2 + _GRID_Y**2 < 1).ravel()
_PLANE_FIT = np.linalg.pinv(np.stack([np.ones(_INSIDE.sum()), _GRID_X.ravel()[_INSIDE], _GRID_Y.ravel()[_INSIDE]], 1))


@dataclass(frozen=True)
class _Light:
    """The light on a face: brightness 1 + slope @ (x, y) around `center`, and how bright a white thing would be."""

    center: Points
    radius: float
    slope: Points
    exposure: float

    def field(self, box: _Box) -> Plane:
        """Return the brightness of a white, flat thing at each pixel of a box, about 0 to 1."""
        x = (np.arange(box.left, box.right, dtype=np.float32) - self.center[0]) / self.radius
        y = (np.arange(box.top, box.bottom, dtype=np.float32) - self.center[1]) / self.radius
        plane = 1 + self.slope[0] * x[None] + self.slope[1] * y[:, None]
        return self.exposure * np.clip(plane, 0.6, 1.35)

    def on_relief(self, relief: Plane) -> Plane:
        """Return how light falls on a relief (h, w), heights in pixels: 1 where it is flat (Lambert's law)."""
        slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 8)
        slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3, scale=1 / 8)
        # Towards the light: to the side the face is brighter on, and from above, as indoors and out.
        toward_x, toward_y, toward_z = 1.6 * self.slope[0], -0.35, 1
        facing = toward_z - slope_x * toward_x - slope_y * toward_y
        lambert = np.maximum(facing, 0) / np.sqrt(1 + np.square(slope_x) + np.square(slope_y))
        return 0.35 + 0.65 * lambert


def _light(image: Pixels, points: Points) -> _Light:
    """Read the light from a photo of a bare face."""
    center, radius = (points.max(0) + points.min(0)) / 2, max(face_size(points) / 2, 1.0)
    box = _Box.around(np.stack([center - radius, center + radius]).astype(np.float32), 0, image)
    if box is None:
        return _Light(center, radius, np.zeros(2, np.float32), 0.9)
    face = image[box.slices]
    small = cv2.resize(face, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA).astype(np.float32) @ LUMA
    level, along_x, along_y = _PLANE_FIT @ small.ravel()[_INSIDE]
    slope = np.clip(np.array([along_x, along_y], np.float32) / max(float(level), 8.0), -0.45, 0.45)
    # The brightest skin of a well exposed photo comes near 220, whatever its color; a white mask is a little brighter.
    highlight = float(np.partition(small.ravel()[_INSIDE], -8)[-8])
    return _Light(
        center, radius, slope * np.array([1, 0.5], np.float32), float(np.clip(0.55 + 0.45 * highlight / 200, 0.55, 1.0))
    )
