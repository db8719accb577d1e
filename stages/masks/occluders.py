"""Things that hide a face, drawn: glasses, hands, microphones, scarfs, patches of texture, and masks of every style.

After FaceOcc's occluders (FaceExtraction), of which each is a picture with alpha that is moved, turned, scaled,
recolored or given another texture, and pasted. Pictures of the user's own (such as FaceOcc's) are treated the same.

A layer is float32 (H, W, 4): RGB 0 to 255 and alpha 0 to 1. Images are RGB uint8 (H, W, 3), landmarks float32 (68, 2).
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.core.images import Pixels, is_gray
from stages.faces.landmarks import CHIN, NOSE_TIP, Points, eye_centers, face_size
from stages.faces.warp import CollinearPointsError
from stages.masks.looks import Looks, read_picture
from stages.masks.rendering import LUMA, Template
from stages.masks.shapes import superellipse

Layer = NDArray[np.float32]
Rng = np.random.Generator

# How often each kind is drawn, as weights.
KINDS = {"mask": 3, "glasses": 1.5, "hand": 2, "microphone": 1, "scarf": 1, "patch": 1.5}
MOVED = frozenset({"hand", "microphone", "scarf", "patch", "picture"})  # the others have their place on the face
ANOTHER_TEXTURE = 0.25  # share of hands, scarfs, patches and pictures that get one


def read_pictures(folder: Path) -> list[Pixels]:
    """Return the user's own occluders: every PNG in a folder, RGBA uint8 (h, w, 4), sorted by name.

    Raises:
        UnmaskError: one has no alpha channel, or is no image.
    """
    return [read_picture(path) for path in sorted(folder.rglob("*.png"))]


def occlude(
    image: Pixels,
    points: Points,
    kind: str | None,
    rng: Rng,
    *,
    looks: Looks,
    own: Mapping[str, Template],
    pictures: Sequence[Pixels] = (),
) -> tuple[str, Pixels, Pixels]:
    """Hide part of a face behind something drawn by chance.

    The image is not changed; it, `kind` and `own` are as in `Looks.draw`, whose masks are drawn, too. If there are
    pictures, the user's own occluders, RGBA uint8 (h, w, 4), half of what is drawn is one of them.

    Returns:
        What was drawn, the image with it, and the region it covers, uint8 (H, W), 0 or 255.
    """
    weights = np.array(list(KINDS.values()))
    name = str(rng.choice(list(KINDS), p=weights / weights.sum()))
    if pictures and rng.random() < 0.5:
        name = "picture"
    if name == "mask":
        try:
            _, masked, region = looks.draw(image, points, kind, rng, own)
        except CollinearPointsError:
            return "nothing", image.copy(), np.zeros(image.shape[:2], np.uint8)
        return name, masked, region
    if name == "picture":
        layer = _picture(pictures[int(rng.integers(len(pictures)))], image, points, rng)
    else:
        layer = DRAWN[name](image, points, rng)
    if name in MOVED:
        layer = _moved(layer, points, rng)
        if rng.random() < ANOTHER_TEXTURE:
            layer[..., :3] = _texture(layer.shape[:2], face_size(points), rng)
    layer[..., :3] = layer[..., :3] * rng.uniform(0.8, 1.2) + rng.normal(0, 10, 3)  # of brightness and color
    return name, *paste(image, layer)


def paste(image: Pixels, layer: Layer) -> tuple[Pixels, Pixels]:
    """Return the image under a layer, and the region of alpha from 0.5 on; a gray photo stays gray."""
    colors, alpha = layer[..., :3], layer[..., 3:]
    if is_gray(image):
        colors = (colors @ LUMA)[..., None]
    pasted = image + (np.clip(colors, 0, 255) - image) * alpha
    return np.round(pasted).astype(np.uint8), np.where(alpha[..., 0] >= 0.5, np.uint8(255), np.uint8(0))


def _texture(shape: tuple[int, int], size: float, rng: Rng) -> NDArray[np.float32]:
    """Return stripes, checks, blotches or grain in two colors, RGB float32 (h, w, 3), scaled to the face's size."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), size * rng.uniform(0.05, 0.25)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    pattern = int(rng.integers(4))
    if pattern < 2:
        stripes, crossing = (np.sin(place * 2 * np.pi / period) > 0 for place in (along, across))
        share = (stripes ^ crossing if pattern else stripes).astype(np.float32)
    elif pattern == 2:
        noise = cv2.GaussianBlur(rng.standard_normal(shape, np.float32), (0, 0), max(1.0, period / 3))
        share = np.clip(0.5 + noise / max(float(noise.std()), 1e-6) / 3, 0, 1)
    else:
        share = rng.random(shape, np.float32)
    first, second = rng.uniform(0, 255, (2, 3)).astype(np.float32)
    return first + (second - first) * share[..., None]


# ---------------------------------------------------------------- drawn kinds


def _glasses(image: Pixels, points: Points, rng: Rng) -> Layer:
    left, right = eye_centers(points)
    apart = float(np.linalg.norm(right - left))
    axis = (right - left) / max(apart, 1e-6)
    down = np.array([-axis[1], axis[0]], np.float32)
    half_width, half_height = apart * rng.uniform(0.34, 0.44), apart * rng.uniform(0.22, 0.36)
    rounded = superellipse(40, rng.uniform(2, 5))
    lens = rounded[:, :1] * half_width * axis + rounded[:, 1:] * half_height * down
    color = rng.uniform(5, 90, 3)
    layer = empty(image)
    shade = rng.random() < 0.6  # sunglasses; the others are frames one looks through
    thickness = max(1, round(apart * rng.uniform(0.03, 0.1)))
    for eye in (left, right):
        outline = eye + lens + down * half_height * 0.15
        if shade:
            fill(layer, outline, color * 0.5)
        _line(layer, np.concatenate([outline, outline[:1]]), color, thickness)
    half = axis * half_width
    for start, end in ((left + half, right - half), (left - half, points[0]), (right + half, points[16])):
        _line(layer, np.stack([start, end]), color, thickness)
    if shade:  # the sky in the lenses
        rows = np.linspace(rng.uniform(0, 70), 0, layer.shape[0], dtype=np.float32)
        layer[..., :3] += rows[:, None, None]
    return layer


def _hand(image: Pixels, points: Points, rng: Rng) -> Layer:
    """Draw a palm and fingers in the color of the face's own skin."""
    size = face_size(points)
    skin = skin_color(image, points) * rng.uniform(0.75, 1.15)
    layer = empty(image)
    target = points[int(rng.choice([2, 5, 8, 11, 14, 30, 33, 48, 54, 62, 66]))]
    angle = rng.uniform(-0.9, 0.9) + (0 if rng.random() < 0.8 else np.pi)
    toward = np.array([np.sin(angle), -np.cos(angle)], np.float32)  # the way the fingers point
    side = np.array([-toward[1], toward[0]], np.float32)
    width = size * rng.uniform(0.28, 0.42)
    palm = target - toward * width * 0.7
    circle = superellipse(32, 2)
    fill(layer, palm + circle[:, :1] * side * width * 0.55 + circle[:, 1:] * toward * width * 0.6, skin)
    _line(layer, np.stack([palm, palm - toward * size]), skin, max(2, round(width * 0.75)))
    fingers, spread = int(rng.integers(2, 5)), rng.uniform(0.02, 0.2)
    bend = rng.uniform(-0.3, 0.3)
    for index in range(fingers):
        place = (index - (fingers - 1) / 2) / 3
        base = palm + side * place * width + toward * width * 0.4
        way = toward + side * (place * spread * 4 + bend)
        length = width * rng.uniform(0.8, 1.2) * (1 - abs(place) * 0.5)
        middle, tip = base + way * length * 0.5, base + way * length + side * bend * length * 0.2
        tone = skin * rng.uniform(0.92, 1.06)
        thickness = max(2, round(width * 0.24))
        _line(layer, np.stack([base, middle, tip]) + side * 0.6, skin * 0.55, thickness + 1)
        _line(layer, np.stack([base, middle, tip]), tone, thickness)
    thumb = palm + side * width * (0.5 if rng.random() < 0.5 else -0.5)
    _line(layer, np.stack([palm, thumb + toward * width * 0.35]), skin * 0.95, max(2, round(width * 0.26)))
    return shaded(layer, size, rng)


def _microphone(image: Pixels, points: Points, rng: Rng) -> Layer:
    size = face_size(points)
    head = points[NOSE_TIP] + (points[CHIN] - points[NOSE_TIP]) * rng.uniform(0.3, 1.1)
    head = head + np.array([rng.normal(0, 0.12), 0]) * size
    radius = size * rng.uniform(0.1, 0.2)
    angle = rng.normal(0, 0.5)
    toward = np.array([np.sin(angle), np.cos(angle)], np.float32)
    layer = empty(image)
    dark = np.full(3, rng.uniform(10, 70))
    _line(layer, np.stack([head, head + toward * size * 2]), dark, max(2, round(radius * rng.uniform(0.9, 1.3))))
    fill(layer, head + superellipse(32, 2) * radius, dark + rng.uniform(0, 90, 3) * (rng.random() < 0.4))
    y, x = np.mgrid[: layer.shape[0], : layer.shape[1]].astype(np.float32)
    mesh = np.sin(x * 2.2) * np.sin(y * 2.2) * 18
    inside = (x - head[0]) ** 2 + (y - head[1]) ** 2 < radius**2
    layer[..., :3] += (mesh * inside)[..., None]
    return shaded(layer, size, rng)


def scarf(image: Pixels, points: Points, rng: Rng, highest: float = -0.1, lowest: float = 0.9) -> Layer:
    """Draw a scarf up to a place by chance from `highest` to `lowest`: 0 is the nose tip, 1 the chin."""
    size = face_size(points)
    left, right = eye_centers(points)
    axis = (right - left) / max(float(np.linalg.norm(right - left)), 1e-6)
    middle = points[NOSE_TIP] + (points[CHIN] - points[NOSE_TIP]) * rng.uniform(highest, lowest)
    steps = np.linspace(-1.4, 1.4, 12)
    edge = middle + np.outer(steps * size, axis)
    edge[:, 1] += size * (rng.normal(0, 0.02, 12) - 0.05 * rng.uniform(0, 2) * steps**2)
    bottom = image.shape[0] + size
    outline = np.concatenate([edge, [[edge[-1, 0], bottom], [edge[0, 0], bottom]]])
    layer = empty(image)
    fill(layer, outline, rng.uniform(20, 235, 3))
    y, x = np.mgrid[: layer.shape[0], : layer.shape[1]].astype(np.float32)
    folds = np.sin((y + 0.25 * x * rng.uniform(-1, 1)) * 2 * np.pi / (size * rng.uniform(0.08, 0.3)))
    layer[..., :3] *= (1 + 0.18 * folds)[..., None]
    return shaded(layer, size, rng)


def _patch(image: Pixels, points: Points, rng: Rng) -> Layer:
    """Draw a smooth blob of texture anywhere on the face."""
    size = face_size(points)
    center = points[int(rng.integers(68))]
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = np.ones(40)
    for wave in range(2, 6):
        radius += rng.normal(0, 0.35 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    radius = np.maximum(radius, 0.25) * size * rng.uniform(0.1, 0.3)
    stretch = rng.uniform(0.6, 1.6)
    layer = empty(image)
    fill(layer, center + np.stack([np.cos(angle) * radius * stretch, np.sin(angle) * radius], 1), np.zeros(3))
    layer[..., :3] = _texture(layer.shape[:2], size, rng)
    return shaded(layer, size, rng)


DRAWN: dict[str, Callable[[Pixels, Points, Rng], Layer]] = {
    "glasses": _glasses,
    "hand": _hand,
    "microphone": _microphone,
    "scarf": scarf,
    "patch": _patch,
}


def _picture(picture: Pixels, image: Pixels, points: Points, rng: Rng) -> Layer:
    """Lay a picture over the face, as large as a part of it, at one of the landmarks."""
    size = face_size(points)
    scale = size * rng.uniform(0.35, 0.9) / max(picture.shape[:2])
    center = points[int(rng.integers(68))]
    matrix = np.array(
        [[scale, 0, center[0] - scale * picture.shape[1] / 2], [0, scale, center[1] - scale * picture.shape[0] / 2]]
    )
    laid = picture.astype(np.float32)
    laid[..., 3] /= 255
    laid[..., :3] *= laid[..., 3:]  # so that what is transparent does not bleed into the edge
    if scale < 1:
        laid = cv2.GaussianBlur(laid, (0, 0), max(0.01, 0.4 / scale))
    result = cv2.warpAffine(laid, matrix, image.shape[1::-1], flags=cv2.INTER_LINEAR)
    result[..., :3] /= np.maximum(result[..., 3:], 1e-3)
    return np.asarray(result, np.float32)


# ---------------------------------------------------------------- pixels


def empty(image: Pixels) -> Layer:
    """Return a layer for an image (H, W, 3) on which nothing is drawn."""
    return np.zeros((*image.shape[:2], 4), np.float32)


def fill(layer: Layer, outline: NDArray[np.floating], color: NDArray[np.floating]) -> None:
    """Draw the inside of an outline (n, 2), pixels, with a color (3,) on a layer."""
    cover = np.zeros(layer.shape[:2], np.uint8)
    cv2.fillPoly(cover, [in_fractions(outline)], 255, cv2.LINE_AA, FRACTION_BITS)
    _lay(layer, cover, color)


def _line(layer: Layer, line: NDArray[np.floating], color: NDArray[np.floating], thickness: int) -> None:
    cover = np.zeros(layer.shape[:2], np.uint8)
    cv2.polylines(cover, [in_fractions(line)], False, 255, thickness, cv2.LINE_AA, FRACTION_BITS)
    _lay(layer, cover, color)


def _lay(layer: Layer, cover: Pixels, color: NDArray[np.floating]) -> None:
    left, top, width, height = cv2.boundingRect(cover)  # most of what is drawn is small
    layer, cover = (plane[top : top + height, left : left + width] for plane in (layer, cover))
    share = cover.astype(np.float32)[..., None] / 255
    below = layer[..., 3:]
    total = share + below * (1 - share)
    mixed = np.asarray(color, np.float32) * share + layer[..., :3] * below * (1 - share)
    layer[..., :3] = mixed / np.maximum(total, 1e-6)
    layer[..., 3:] = total


def skin_color(image: Pixels, points: Points) -> NDArray[np.float32]:
    """Return the median color of cheeks and nose."""
    height, width = image.shape[:2]
    around = np.concatenate([points[27:36], (points[[2, 14]] + points[[31, 35]]) / 2])
    x = np.clip(np.round(around[:, 0]), 0, width - 1).astype(int)
    y = np.clip(np.round(around[:, 1]), 0, height - 1).astype(int)
    return np.asarray(np.median(image[y, x], axis=0), np.float32)


def shaded(layer: Layer, size: float, rng: Rng) -> Layer:
    """Darken a layer to one side and towards its edges, as round things are, and add grain."""
    height, width = layer.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    slope = ((x - width / 2) * np.cos(angle) + (y - height / 2) * np.sin(angle)) / max(size, 1.0)
    inner = cv2.GaussianBlur(layer[..., 3], (0, 0), max(0.5, size * 0.04))
    light = np.clip(1 + 0.3 * slope, 0.5, 1.5) * (0.65 + 0.35 * inner)
    grain = rng.normal(0, 4, (height, width)).astype(np.float32)
    layer[..., :3] = layer[..., :3] * light[..., None] + grain[..., None]
    return layer


def _moved(layer: Layer, points: Points, rng: Rng) -> Layer:
    """Turn, scale and shift a layer around the middle of the face."""
    center = points.mean(0)
    matrix = cv2.getRotationMatrix2D((float(center[0]), float(center[1])), rng.normal(0, 12), rng.uniform(0.8, 1.25))
    matrix[:, 2] += rng.normal(0, 0.06, 2) * face_size(points)
    layer = layer.copy()
    layer[..., :3] *= layer[..., 3:]
    moved = cv2.warpAffine(layer, matrix, layer.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    moved[..., :3] /= np.maximum(moved[..., 3:], 1e-3)
    return np.asarray(moved, np.float32)
