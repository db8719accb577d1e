"""What an inpainter learns from: bare faces, and each with a mask on it that is drawn anew in every round."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.structures import BaseDataElement

from stages.core import images
from stages.core.images import Pixels
from stages.core.tables import Face
from stages.faces import regions, resize
from stages.faces.augmentation import jitter, relight
from stages.training.samples import FaceSamples

Rng = np.random.Generator
Draw = Callable[[Face, Pixels, Rng], tuple[Pixels, Pixels]]
"""Maps a face and its image (H, W, 3) to the image with a mask drawn on it by chance, and its region, 0 or 255."""
WIDEN = 2.0  # hundredths of the width by which a region is widened at most: what is found is rarely the exact one


class Samples(FaceSamples):
    """Faces to fill in. The network sees the masked photo, so it learns what masks do to the pixels around them.

    Args:
        faces: bare ones, rows with `image`.
        draw: draws a mask.
        blend_prob: share of the faces that are blended with another one. Between two aligned faces lies that of
            somebody else, so a network that saw few people learns less by heart.
        size: side of the images to train on, in pixels.
        seed: see `FaceSamples`.
    """

    def __init__(self, faces: Sequence[Face], draw: Draw, *, blend_prob: float, size: int, seed: int) -> None:
        super().__init__(faces, seed)
        self.draw, self.blend_prob, self.size = draw, blend_prob, size

    def sample(self, face: Face, rng: Rng) -> dict[str, Any]:
        """Return a face, perhaps blended, with a mask, and without one; see `sample`."""
        photo = images.decode(face["image"])
        if rng.random() < self.blend_prob:
            other = images.decode(self.faces[int(rng.integers(len(self.faces)))]["image"])
            photo = blend(photo, other, rng.uniform(0.2, 0.8))
        masked, region = self.draw(face, photo, rng)
        photo, masked, region = augment(photo, masked, region, self.size, rng)
        return sample(photo, masked, regions.widened(region, rng.uniform(0, WIDEN)), face["face_id"])


def sample(photo: Pixels, masked: Pixels, region: Pixels, face_id: str) -> dict[str, Any]:
    """Return what the GAN trains on: the masked photo as `inputs`, and `photo` and `region` in a data sample.

    Images become uint8 (3, H, W), the region bool (1, H, W).
    """
    data = BaseDataElement(metainfo={"face_id": face_id})
    data.set_data({"photo": _planes(photo), "region": torch.from_numpy(region > 0)[None]})
    return {"inputs": _planes(masked), "data_samples": data}


def blend(one: Pixels, other: Pixels, share: float) -> Pixels:
    """Return a share of one aligned face and the rest of another one, uint8 (H, W, 3), of the first one's size."""
    other = resize.resized_pixels(other, one.shape[:2])
    return np.asarray(cv2.addWeighted(one, share, other, 1 - share, 0), np.uint8)


def _planes(image: Pixels) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


def augment(photo: Pixels, masked: Pixels, region: Pixels, size: int, rng: Rng) -> tuple[Pixels, Pixels, Pixels]:
    """Turn, scale, shift, mirror and relight a square photo by chance, a little, and what belongs to it likewise.

    Args:
        photo: RGB uint8 (H, W, 3).
        masked: the same with a mask.
        region: of the mask, uint8 (H, W), 0 or 255.
        size: side of the results in pixels.
        rng: the source of chance.

    Returns:
        The three, uint8 (size, size, 3) and (size, size).
    """
    if photo.shape[:2] != (size, size):
        photo, (masked, region) = resize.resized_pixels(photo, (size, size)), _resized(masked, region, size)
    matrix = jitter(size, rng, degrees=4, scale=0.05, shift=0.02)
    to = {"dsize": (size, size), "borderMode": cv2.BORDER_REPLICATE}
    both = np.concatenate([cv2.warpAffine(one, matrix, flags=cv2.INTER_CUBIC, **to) for one in (photo, masked)], 2)
    region = np.asarray(cv2.warpAffine(region, matrix, flags=cv2.INTER_NEAREST, **to), np.uint8)
    if rng.random() < 0.5:
        both, region = both[:, ::-1], region[:, ::-1]
    both = relight(both, rng, contrast=0.2, brightness=12)
    return both[..., :3], both[..., 3:], np.ascontiguousarray(region)


def _resized(masked: Pixels, region: Pixels, size: int) -> tuple[Pixels, Pixels]:
    """Return a masked photo and its region at a side, as `Inpainter` brings them there: the mask leaks into nothing."""
    photo, hole = resize.batch(masked).float(), torch.from_numpy(region > 0)[None, None].float()
    around, hole = resize.around_holes(photo, hole, (size, size))
    photo = torch.where(hole > 0, resize.resized(photo, (size, size)), around)
    return resize.pixels(photo.round().byte()), np.where(hole[0, 0].numpy() > 0, np.uint8(255), np.uint8(0))
