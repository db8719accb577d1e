"""Masks drawn as varied as people wear them, and what else may be before a face: to learn from, for photos of anybody.

`looks` draws the masks of params.yaml, in their cuts and colors. Here cut, place, color, print and folds are drawn by
chance for each mask. Hands, microphones, cups, glasses and collars are drawn, too, and are no mask.

Images are RGB uint8 (H, W, 3), landmarks float32 (68, 2), label maps uint8 (H, W) of `stages.faces.parts`.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels
from stages.faces import parts
from stages.faces.landmarks import (
    BRIDGE_TOP,
    CHIN,
    JAW,
    LIP_BOTTOM,
    NOSE_TIP,
    Points,
    face_size,
)
from stages.masks import occluders
from stages.masks.occluders import Layer
from stages.masks.rendering import Look, draw_style
from stages.masks.shapes import Cut, spline, superellipse
from stages.masks.styles import STYLES, Plane, Rgb, Style

Rng = np.random.Generator
POSITIONS = {"proper": 0.84, "below_nose": 0.1, "chin": 0.06}
CLOTH_SHARE = 0.08  # of the masks, scarves and tubes of cloth that are drawn over the nose
CLEAR_SHARE = 0.05  # of the masks, those that let some of the face through
STRAPS_SHARE = 0.6  # of the masks, those whose straps no hair hides
OPAQUE = np.array([0, 0, 0, 255])
PRINT = 96  # pixels of a side of the fabric's print
WORDS = ("ok", "NO 1", "love", "2020", "smile", "abc", "X", "HELLO", "&")
SKIN = tuple(parts.CLASSES.index(name) for name in ("skin", "nose", "l_ear", "r_ear", "neck", "u_lip", "l_lip"))
CLOTH, GLASSES = parts.CLASSES.index("cloth"), parts.CLASSES.index("eye_g")


# ---------------------------------------------------------------- masks


def mask(image: Pixels, points: Points, rng: Rng) -> tuple[Pixels, Pixels]:
    """Return the image with a mask, and its region, uint8 (H, W), 0 or 255.

    Raises:
        CollinearPointsError: the landmarks lie on a line.
    """
    if rng.random() < CLOTH_SHARE:
        return occluders.paste(image, _tube(image, points, rng))
    position = str(rng.choice(list(POSITIONS), p=list(POSITIONS.values())))
    look = Look("varied", position, softness=float(rng.uniform(0.2, 1.2)))
    color = _color(image, points, rng)
    opacity = float(rng.uniform(0.6, 0.9)) if rng.random() < CLEAR_SHARE else 1.0
    look = replace(look, color=(int(color[0]), int(color[1]), int(color[2])))
    straps = rng.random() < STRAPS_SHARE
    moved = _elsewhere(points, rng)
    return draw_style(image, moved, _style(rng), look, "0_0", rng, opacity=opacity, straps=straps)


def _elsewhere(points: Points, rng: Rng) -> Points:
    """Return the landmarks a little moved, as no mask sits straight."""
    center = points[LIP_BOTTOM]
    turn = cv2.getRotationMatrix2D((float(center[0]), float(center[1])), rng.normal(0, 3), np.exp(rng.normal(0, 0.04)))
    moved = points @ turn[:, :2].T + turn[:, 2] + rng.normal(0, 0.015, 2) * face_size(points)
    return np.asarray(moved, np.float32)


def _style(rng: Rng) -> Style:
    """Return a style of another cut, print and folds than any that has a name."""
    base = STYLES[str(rng.choice(list(STYLES)))]
    gain, folds, printed = rng.uniform(0.3, 1.5), _folds(rng), rng.random() < 0.6
    pattern = str(rng.choice(base.textures))

    def relief(u: Plane, v: Plane) -> Plane:
        return gain * base.relief(u, v) + folds(u, v)

    def paint(u: Plane, v: Plane, color: Rgb, texture: str, rng: Rng) -> Rgb:
        del texture
        fabric = base.paint(u, v, color, pattern, rng) + np.zeros((*u.shape, 3), np.float32)
        return _printed(fabric, u, v, rng) if printed else fabric

    return Style(_cut(base.cut, rng), relief, paint)


def _cut(cut: Cut, rng: Rng) -> Cut:
    return replace(
        cut,
        side=float(np.clip(cut.side + rng.normal(0, 0.5), 0.2, 3.2)),
        corner=float(np.clip(cut.corner + rng.normal(0, 0.6), 3.2, 6.2)),
        inset=float(rng.uniform(-0.06, 0.16)),
        below_chin=float(rng.uniform(-0.14, 0.14)),
        bulge=float(rng.uniform(-0.02, 0.08)),
        nose=float(rng.uniform(-0.2, 0.6)),
        sag=float(np.clip(cut.sag + rng.normal(0, 0.03), -0.03, 0.12)),
    )


def _folds(rng: Rng) -> "_Folds":
    n = int(rng.integers(0, 6))
    return _Folds(
        rng.uniform(0, np.pi, n), rng.uniform(-0.8, 0.8, n), rng.normal(0, 0.012, n), rng.uniform(0.03, 0.2, n)
    )


class _Folds:
    """Ridges and creases along straight lines of the fabric."""

    def __init__(self, angles: Plane, places: Plane, heights: Plane, widths: Plane) -> None:
        self.lines = list(zip(angles, places, heights, widths, strict=True))

    def __call__(self, u: Plane, v: Plane) -> Plane:
        """Return the height at (u, v), in units of the face's size."""
        total = np.zeros_like(u)
        for angle, place, height, width in self.lines:
            away = (u * np.cos(angle) + (2 * v - 1) * np.sin(angle) - place) / width
            total += height * np.exp(-np.square(away))
        return total


def _color(image: Pixels, points: Points, rng: Rng) -> NDArray[np.float32]:
    """Return a color of a mask: often white, black or light blue, now and then that of the face's own skin."""
    kind = rng.random()
    if kind < 0.22:
        color = rng.uniform(190, 255) + rng.normal(0, 8, 3)
    elif kind < 0.4:
        color = rng.uniform(5, 60) + rng.normal(0, 6, 3)
    elif kind < 0.55:
        color = np.array([150, 195, 220]) + rng.normal(0, 20, 3)
    elif kind < 0.67:
        color = occluders.skin_color(image, points) * rng.uniform(0.6, 1.3) + rng.normal(0, 8, 3)
    else:
        color = rng.uniform(0, 255, 3)
    return np.asarray(np.clip(color, 0, 255), np.float32)


def _printed(fabric: Rgb, u: Plane, v: Plane, rng: Rng) -> Rgb:
    """Return the fabric with a print on it: blotches, stripes, seams, letters, valves, logos."""
    picture = _print(rng)
    x, y = (np.float32((one + 1) / 2 * (PRINT - 1)) for one in (u, 2 * v - 1))
    laid = np.asarray(cv2.remap(picture, x, y, cv2.INTER_LINEAR), np.float32)
    return fabric + (laid[..., :3] - fabric) * laid[..., 3:]


def _print(rng: Rng) -> Layer:
    """Return a print, RGB 0 to 255 and alpha 0 to 1, float32 (PRINT, PRINT, 4)."""
    layer = np.zeros((PRINT, PRINT, 4), np.uint8)
    if rng.random() < 0.3:  # blotches all over, of leaves, flowers or camouflage
        noise = cv2.GaussianBlur(rng.standard_normal((PRINT, PRINT), np.float32), (0, 0), rng.uniform(1.5, 10))
        layer[noise > rng.uniform(-0.5, 1) * noise.std()] = rng.integers(0, 256, 4) | OPAQUE
        layer[noise < -rng.uniform(0.5, 2) * noise.std()] = rng.integers(0, 256, 4) | OPAQUE
    for _ in range(int(rng.integers(1, 6))):
        ink = [int(one) for one in rng.integers([0, 0, 0, 128], 256)]
        at = tuple(int(one) for one in rng.integers(0, PRINT, 2))
        kind, thickness = rng.random(), int(rng.integers(1, 5))
        if kind < 0.3:
            other = tuple(int(one) for one in rng.integers(0, PRINT, 2))
            cv2.line(layer, at, other, ink, thickness, cv2.LINE_AA)
        elif kind < 0.6:
            axes = tuple(int(one) for one in rng.integers(3, PRINT // 3, 2))
            filled = -1 if rng.random() < 0.6 else thickness
            cv2.ellipse(layer, at, axes, float(rng.uniform(0, 180)), 0, 360, ink, filled, cv2.LINE_AA)
        elif kind < 0.75:
            corners = np.array(at) + rng.integers(-PRINT // 3, PRINT // 3, (4, 2))
            cv2.fillConvexPoly(layer, cv2.convexHull(np.int32(corners)), ink, cv2.LINE_AA)
        else:
            place = (int(rng.integers(0, PRINT // 2)), at[1])
            word, scale = str(rng.choice(WORDS)), float(rng.uniform(0.4, 1.6))
            cv2.putText(layer, word, place, cv2.FONT_HERSHEY_DUPLEX, scale, ink, thickness, cv2.LINE_AA)
    return layer / np.array([1, 1, 1, 255], np.float32)


def _tube(image: Pixels, points: Points, rng: Rng) -> Layer:
    """Draw a scarf or a tube of cloth from the nose to below the chin."""
    size, jaw = face_size(points), points[JAW]
    if rng.random() < 0.3:
        return occluders.scarf(image, points, rng, highest=-0.5, lowest=0.1)
    top = points[BRIDGE_TOP] + (points[NOSE_TIP] - points[BRIDGE_TOP]) * rng.uniform(0.1, 0.75)
    first, down = int(rng.integers(1, 4)), points[CHIN] - points[BRIDGE_TOP]
    outward = (jaw - jaw.mean(0)) * rng.uniform(0.0, 0.12)
    side = jaw + outward
    length, flare = rng.uniform(0.1, 0.9), rng.uniform(0.7, 1.1)
    bottom = points[CHIN] + down * length + (side[[13, 10, 6, 3]] - points[CHIN]) * [flare, 0.2]
    upper = spline(np.stack([side[first], (side[first] + top) / 2 + down * 0.04, top]))
    upper = np.concatenate(
        [upper, spline(np.stack([top, (side[16 - first] + top) / 2 + down * 0.04, side[16 - first]]))]
    )
    outline = np.concatenate([upper, side[16 - first : 9 : -1], bottom, side[6:first:-1]])
    layer = occluders.empty(image)
    occluders.fill(layer, outline, _color(image, points, rng))
    left, above, width, height = cv2.boundingRect(np.uint8(layer[..., 3] > 0))
    if not width:
        return layer
    if rng.random() < 0.5:
        cloth = layer[above : above + height, left : left + width, :3]
        laid = cv2.resize(_print(rng), (width, height), interpolation=cv2.INTER_LINEAR)
        cloth += (laid[..., :3] - cloth) * laid[..., 3:]
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    bow = np.square((x - points[CHIN][0]) / size) * rng.uniform(-0.5, 0.5) * size
    waves = np.sin((y + bow + 0.3 * x * rng.uniform(-1, 1)) * 2 * np.pi / (size * rng.uniform(0.1, 0.4)))
    layer[..., :3] *= (1 + rng.uniform(0, 0.2) * waves)[..., None]
    return occluders.shaded(layer, size, rng)


# ---------------------------------------------------------------- what is no mask


def toned(image: Pixels, labels: Pixels, rng: Rng) -> Pixels:
    """Return a face whose skin is darker by chance, as the people of most datasets are of few tones."""
    share = cv2.GaussianBlur(np.isin(labels, SKIN).astype(np.float32), (0, 0), 1.5)[..., None]
    darker = rng.uniform(0.25, 0.9) * np.array([1.0, rng.uniform(0.8, 1.0), rng.uniform(0.65, 1.0)])
    return np.asarray(np.round(image * (1 - share * (1 - darker))), np.uint8)


def before(image: Pixels, points: Points, rng: Rng) -> tuple[Pixels, Pixels]:
    """Return the image with a hand, a microphone, a cup or a phone before the face, and its region, 0 or 255."""
    draw = (occluders.DRAWN["hand"], occluders.DRAWN["microphone"], _held)[int(rng.integers(3))]
    return occluders.paste(image, draw(image, points, rng))


def glasses(image: Pixels, points: Points, rng: Rng) -> tuple[Pixels, Pixels]:
    """Return the image with glasses, and their region, 0 or 255."""
    return occluders.paste(image, occluders.DRAWN["glasses"](image, points, rng))


def collar(image: Pixels, points: Points, rng: Rng) -> tuple[Pixels, Pixels]:
    """Return the image with a scarf or a collar that hides no more than the chin, and its region, 0 or 255."""
    return occluders.paste(image, occluders.scarf(image, points, rng, highest=0.75, lowest=1.4))


def _held(image: Pixels, points: Points, rng: Rng) -> Layer:
    """Draw a cup or a phone before mouth or chin."""
    size = face_size(points)
    center = points[NOSE_TIP] + (points[CHIN] - points[NOSE_TIP]) * rng.uniform(0.5, 1.5)
    center = center + rng.normal(0, 0.2, 2) * [size, 0]
    outline = superellipse(40, rng.uniform(3, 9)) * rng.uniform([0.08, 0.15], [0.22, 0.4]) * size
    outline[:, 0] *= 1 - outline[:, 1] / size * rng.uniform(0, 0.8)
    angle = rng.normal(0, 0.3)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    layer = occluders.empty(image)
    occluders.fill(layer, center + outline @ turn, rng.uniform(0, 255, 3))
    return occluders.shaded(layer, size, rng)
