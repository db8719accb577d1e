"""What a parser learns from: faces and their label maps, changed by chance in each round through them."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core import images
from stages.core.images import Pixels
from stages.core.tables import Face
from stages.faces import parts
from stages.faces.augmentation import jitter
from stages.faces.resize import resized_pixels
from stages.parsing import parser
from stages.training.samples import FaceSamples

Rng = np.random.Generator
PLACES = 6  # along each side, at which light and shape are changed on their own
BEND = 0.012  # standard deviation of how far they are shifted, of the side
Change = Callable[[Face, Pixels, Pixels, Rng], tuple[Pixels, Pixels]]
"""Maps a face, its image (H, W, 3) and its label map (H, W) to a changed image and label map."""
Draw = Callable[[Face, Pixels, Rng], tuple[Pixels, Pixels]]
"""Maps a face and its image to the image with something drawn on it, and the region of that."""


class Samples(FaceSamples):
    """Faces with labels as mmseg's samples, changed by `change`, at `size` pixels a side; see `FaceSamples`."""

    def __init__(self, faces: Sequence[Face], change: Change, size: int, seed: int) -> None:
        super().__init__(faces, seed)
        self.change, self.size = change, size

    def sample(self, face: Face, rng: Rng) -> dict[str, Any]:
        """Return a changed face and its labels; see `parser.sample`."""
        image, labels = images.decode(face["image"]), images.decode_gray(face["labels"])
        image, labels = self.change(face, image, labels, rng)
        return parser.sample(*augment(image, labels, self.size, rng), face["face_id"])


def augment(image: Pixels, labels: Pixels, size: int, rng: Rng) -> tuple[Pixels, Pixels]:
    """Turn, scale, shift, bend, mirror, blur and relight a square image by chance.

    The image is RGB uint8 (H, W, 3), its labels are uint8 (H, W); left and right classes change places in a mirror.

    Returns:
        The image, uint8 (size, size, 3), and its labels, uint8 (size, size); outside the photo it is black and
        background, as after an alignment.
    """
    image = resized_pixels(image, (size, size))
    labels = np.asarray(cv2.resize(labels, (size, size), interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
    x, y = bent(cv2.invertAffineTransform(jitter(size, rng, degrees=4, scale=0.05, shift=0.02)), size, rng)
    image = np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR), np.uint8)
    labels = np.asarray(cv2.remap(labels, x, y, cv2.INTER_NEAREST), np.uint8)
    if rng.random() < 0.5:
        image, labels = image[:, ::-1], parts.flip(labels)
    return relight(image, rng), np.ascontiguousarray(labels)


def bent(matrix: NDArray[np.floating], size: int, rng: Rng) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return where each pixel comes from: an affine map, bent smoothly by chance, as no two faces have one shape."""
    grid = np.mgrid[:size, :size].astype(np.float32)[::-1]
    source = np.tensordot(matrix[:, :2], grid, 1) + matrix[:, 2, None, None]
    for axis in (0, 1):
        bend = rng.normal(0, BEND * size, (PLACES, PLACES)).astype(np.float32)
        source[axis] += cv2.resize(bend, (size, size), interpolation=cv2.INTER_CUBIC)
    return np.float32(source[0]), np.float32(source[1])


def relight(image: Pixels, rng: Rng) -> Pixels:
    """Change brightness, contrast, gamma and color of an image (H, W, 3), in places and all over; blur or roughen some.

    The changes in places stand for shadows, and for beards, which few of a small dataset's people have.
    """
    gray = images.is_gray(image)
    light = image[..., : 1 if gray else 3].astype(np.float32) / 255
    places = np.exp(rng.normal(0, rng.uniform(0, 0.4), (PLACES, PLACES))).astype(np.float32)
    light *= cv2.resize(places, image.shape[1::-1], interpolation=cv2.INTER_CUBIC)[..., None]
    light = np.maximum(light, 0) ** float(np.exp(rng.normal(0, 0.2)))
    light = (light - 0.5) * float(np.exp(rng.normal(0, 0.15))) + 0.5 + rng.normal(0, 0.06)
    if not gray:
        light += rng.normal(0, 0.02, 3).astype(np.float32)
    if rng.random() < 0.15:
        light = cv2.GaussianBlur(light, (0, 0), rng.uniform(0.3, 1.0)).reshape(light.shape)
    if rng.random() < 0.15:
        light = light + rng.normal(0, rng.uniform(0, 0.04), image.shape[:2])[..., None]
    relit = np.clip(np.round(light * 255), 0, 255).astype(np.uint8)
    return np.repeat(relit, 3, 2) if gray else relit
