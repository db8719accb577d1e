"""What a parser learns from for photos of anybody: crops as the finder takes them from photos, behind varied masks.

The finder (stages/removal) takes two crops of a face, the aligned one and one that lies lower, by landmarks that are
found behind a mask. Photos are small, dark, blurred and compressed.
"""

from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core import images
from stages.core.images import Pixels
from stages.core.tables import Face
from stages.faces import alignment, parts
from stages.faces.augmentation import jitter
from stages.faces.landmarks import Points, face_size
from stages.faces.warp import CollinearPointsError
from stages.masks import beards, occluders, varied
from stages.parsing import parser, samples
from stages.training.samples import FaceSamples

Rng = np.random.Generator
WINDOW, DETAIL = 1.5, 1.5  # sides of a window, in sides of the aligned face in it, and its pixels for one of that
MARGIN = np.array([0.25, 0.125])  # of the window, to the left and above, of the aligned face's side
BELOW = 0.4  # share of the crops that lie lower
NAMED = 0.15  # share of the masks that are of the styles which have names; the others are varied
TONED, GLASSES, COLLAR, OVER_MASK, OVER_FACE = 0.3, 0.15, 0.2, 0.25, 0.35  # shares of the images
SOMEBODY = 0.15  # share of the samples in which somebody else stands before the face, as in a crowd
REAL = 0.4  # share of the samples that show faces of `real`, as these are few


def windows(faces: Iterable[Face], side: int) -> Iterator[Face]:
    """Yield faces cut out of photos with all that a crop of `side` pixels may show, at a higher resolution.

    `image`, `labels` and `landmarks` are changed; a face whose landmarks coincide is left out.
    """
    size = round(side * WINDOW * DETAIL)
    for face in faces:
        try:
            matrix = in_window(alignment.arcface_transform(face["landmarks"], side), side)
        except alignment.DegenerateLandmarksError:
            continue
        labels = alignment.warp(images.decode_gray(face["labels"]), matrix, size, nearest=True)
        yield {
            **face,
            "image": images.encode_png(alignment.warp(images.decode(face["image"]), matrix, size)),
            "labels": images.encode_png(labels),
            "landmarks": alignment.apply(matrix, face["landmarks"]),
        }


def in_window(matrix: NDArray[np.floating], side: int) -> NDArray[np.float64]:
    """Return the map (2, 3) to the window in place of that to the aligned face.

    The window begins a quarter of the side left of the aligned face and an eighth above it.
    """
    return np.column_stack([DETAIL * matrix[:, :2], DETAIL * (matrix[:, 2] + MARGIN * side + 0.5) - 0.5])


class PhotoSamples(FaceSamples):
    """What `windows` gave as mmseg's samples of `size` pixels; see `FaceSamples`.

    Args:
        faces: on which masks are drawn.
        change: what is drawn.
        size: side of a sample, pixels.
        seed: of this training's chance.
        real: more faces, among them such whose masks are real; `REAL` of the samples show them, if there are any.
    """

    def __init__(
        self, faces: Sequence[Face], change: samples.Change, size: int, seed: int, real: Sequence[Face] = ()
    ) -> None:
        super().__init__(faces, seed)
        self.change, self.size, self.real = change, size, real

    def sample(self, face: Face, rng: Rng) -> dict[str, object]:
        """Return a crop of a changed face and its labels; see `parser.sample`."""
        if len(self.real) and rng.random() < REAL:
            face = self.real[int(rng.integers(len(self.real)))]
        image, labels = self.change(face, *_decoded(face), rng)
        if rng.random() < SOMEBODY:
            other = self.faces[int(rng.integers(len(self.faces)))]
            image, labels = behind(other, image, labels, face["landmarks"], rng)
        image, labels = cropped(image, labels, self.size, rng)
        return parser.sample(samples.relight(photographed(image, rng), rng), labels, face["face_id"])


def changed(
    face: Face, image: Pixels, labels: Pixels, rng: Rng, *, mask_prob: float, beard_prob: float, draw: samples.Draw
) -> tuple[Pixels, Pixels]:
    """Return a face of any tone, with a beard, a mask, glasses, a collar, and something before it, each by chance.

    Most masks are varied, the others what `draw` draws. What is no mask is of the class that it hides behind:
    glasses, cloth, or the background. A face that wears a mask already gets neither a beard nor another mask.
    """
    points, worn = face["landmarks"], bool(face.get("wears_mask"))
    if rng.random() < TONED:
        image = varied.toned(image, labels, rng)
    image = beards.draw_on_some(image, points, rng, 0 if worn else beard_prob)
    masked = worn or rng.random() < mask_prob
    collar, under = rng.random() < COLLAR, not worn and rng.random() < 0.5  # as often under a drawn mask as over it
    if collar and under:
        image, labels = _laid(varied.collar(image, points, rng), labels, varied.CLOTH)
    if masked and not worn:
        image, labels = _laid(_masked(face, image, rng, draw), labels, parts.MASK)
    if collar and not under:
        image, labels = _laid(varied.collar(image, points, rng), labels, varied.CLOTH)
    if rng.random() < GLASSES:
        image, labels = _laid(varied.glasses(image, points, rng), labels, varied.GLASSES)
    if rng.random() < (OVER_MASK if masked else OVER_FACE):
        image, labels = _laid(varied.before(image, points, rng), labels, parts.HIDDEN)
    return image, labels


def behind(other: Face, image: Pixels, labels: Pixels, points: Points, rng: Rng) -> tuple[Pixels, Pixels]:
    """Return a face with landmarks (68, 2) that somebody else hides in part, and its labels: who hides is background.

    The other person's head is larger or smaller, turned, out of focus, and lies beside the face or below it.
    """
    picture, head = _decoded(other)
    turned = cv2.getRotationMatrix2D((0, 0), rng.normal(0, 12), rng.uniform(0.7, 1.8))
    way = rng.uniform(-0.15, 1.15) * np.pi  # down, in a photo, is half of pi
    away = rng.uniform(0.75, 1.25) * (face_size(points) + face_size(other["landmarks"]) * turned[0, 0]) / 2
    place = points.mean(0) + away * np.array([np.cos(way), np.sin(way)])
    turned[:, 2] = place - turned[:, :2] @ other["landmarks"].mean(0)
    blur = rng.uniform(0, 0.06) * face_size(points)
    layer = np.dstack([picture, np.where(head > 0, np.uint8(255), np.uint8(0))]).astype(np.float32)
    layer = cv2.warpAffine(layer, turned, image.shape[1::-1], flags=cv2.INTER_LINEAR)
    if blur > 0.3:  # pixels; a narrower one changes nothing
        layer = cv2.GaussianBlur(layer, (0, 0), blur)
    layer[..., :3] *= rng.uniform(0.5, 1.1)
    layer[..., 3] /= 255
    seen, region = occluders.paste(image, layer)
    return seen, parts.covered(labels, region, by=parts.HIDDEN)


def _decoded(face: Face) -> tuple[Pixels, Pixels]:
    return images.decode(face["image"]), images.decode_gray(face["labels"])


def _laid(drawn: tuple[Pixels, Pixels], labels: Pixels, by: int) -> tuple[Pixels, Pixels]:
    image, region = drawn
    return image, parts.covered(labels, region, by=by)


def _masked(face: Face, image: Pixels, rng: Rng, draw: samples.Draw) -> tuple[Pixels, Pixels]:
    if rng.random() < NAMED:
        return draw(face, image, rng)
    try:
        return varied.mask(image, face["landmarks"], rng)
    except CollinearPointsError:
        return image, np.zeros(image.shape[:2], np.uint8)


def cropped(image: Pixels, labels: Pixels, size: int, rng: Rng) -> tuple[Pixels, Pixels]:
    """Return a crop of a window and of its labels, moved, turned, bent and mirrored by chance, (size, size).

    What lies outside the photo is black and background; a photo may end anywhere.
    """
    matrix = jitter(size, rng, degrees=6, scale=0.07, shift=0.03)
    if rng.random() < BELOW:
        matrix = alignment.lower(matrix, size)
    x, y = samples.bent(cv2.invertAffineTransform(matrix), size, rng)
    x, y = (np.float32((at + margin + 0.5) * DETAIL - 0.5) for at, margin in zip((x, y), MARGIN * size, strict=True))
    image = np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR), np.uint8)
    labels = np.asarray(cv2.remap(labels, x, y, cv2.INTER_NEAREST), np.uint8)
    if rng.random() < 0.5:
        image, labels = np.ascontiguousarray(image[:, ::-1]), np.ascontiguousarray(parts.flip(labels))
    if rng.random() < 0.1:
        end, turns = int(rng.uniform(0.6, 0.97) * size), int(rng.integers(4))
        for one in (np.rot90(image, turns), np.rot90(labels, turns)):
            one[end:] = 0
    return image, labels


def photographed(image: Pixels, rng: Rng) -> Pixels:
    """Return an image (H, W, 3) as poorer cameras show it: fewer pixels, moved, compressed, in the dark, or gray."""
    side = image.shape[0]
    if rng.random() < 0.5:
        small = int(side * rng.uniform(0.22, 1))
        image = np.asarray(cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
    if rng.random() < 0.1:
        length = int(rng.integers(2, 6))
        kernel = (np.eye(length), np.ones((1, length)), np.ones((length, 1)))[int(rng.integers(3))]
        image = np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)
    if rng.random() < 0.08:
        image = np.asarray(np.round(image * rng.uniform(0.35, 0.7)), np.uint8)
    if rng.random() < 0.4:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        image = np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR), np.uint8)
    if rng.random() < 0.08:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)
