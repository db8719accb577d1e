"""Teach a copy of dlib's network to see through masks: a masked face shall get the embedding of the bare one.

The teacher is the network as it came. What it knows of millions of faces is kept, and nobody needs to say who is on a
photo. The principle is that of knowledge distillation (arXiv:1503.02531).
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from stages.core import images
from stages.core.images import Pixels
from stages.core.tables import Face
from stages.faces import alignment
from stages.faces.augmentation import jitter, relight
from stages.faces.landmarks import Points
from stages.recognition import dlib_embedding
from stages.training.samples import FaceSamples

Rng = np.random.Generator
Change = Callable[[Face, Pixels, Rng], Pixels]
"""Maps a face and its image (H, W, 3) to what is learned from: the same, or with a mask drawn on it by chance."""


class Training(BaseModel):  # type: ignore[misc] -- mmengine has no types
    """The copy, and its teacher, which stays as it is.

    Args:
        teacher: the network as it came.
    """

    def __init__(self, teacher: dlib_embedding.ResNet29) -> None:
        super().__init__()
        self.network = copy.deepcopy(teacher).requires_grad_(True)
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)

    def forward(self, inputs: list[Tensor], data_samples: list[Any], mode: str = "tensor") -> Any:
        """Return the loss, 1 minus the cosine of both networks' embeddings; in mode `tensor` those of the copy."""
        del data_samples
        device = next(self.network.parameters()).device
        changed, bare = torch.stack(list(inputs)).to(device).float().unbind(1)
        embeddings = self.network(changed.contiguous(memory_format=torch.channels_last))
        if mode != "loss":
            return embeddings
        with torch.no_grad():
            wanted = self.teacher(bare.contiguous(memory_format=torch.channels_last))
        return {"loss": 1 - nn.functional.cosine_similarity(embeddings.float(), wanted.float()).mean()}


class Samples(FaceSamples):
    """Faces cut out for dlib's network, twice: perhaps masked and changed by chance, and as they are.

    Args:
        faces: rows with `image` and `landmarks`.
        change: what is drawn on a face.
        seed: see `FaceSamples`.
    """

    def __init__(self, faces: Sequence[Face], change: Change, seed: int) -> None:
        super().__init__(faces, seed)
        self.change = change

    def sample(self, face: Face, rng: Rng) -> dict[str, Any]:
        """Return both, (2, 3, 150, 150)."""
        image, points = images.decode(face["image"]), face["landmarks"]
        bare = dlib_embedding.chip(image, points)
        changed = dlib_embedding.chip(self.change(face, image, rng), _misplaced(points, image.shape[0], rng))
        if rng.random() < 0.5:  # the two sides of a face have almost one embedding
            changed = changed[:, ::-1]
        both = np.stack([_photographed(changed, rng), bare]).transpose(0, 3, 1, 2)
        data = BaseDataElement(metainfo={"face_id": face["face_id"]})
        return {"inputs": torch.from_numpy(both.copy()), "data_samples": data}


def _misplaced(points: Points, side: int, rng: Rng) -> Points:
    """Return landmarks as they are found behind a mask: all of them a little turned, scaled and shifted."""
    return alignment.apply(jitter(side, rng, degrees=3, scale=0.04, shift=0.015), points)


def _photographed(image: Pixels, rng: Rng) -> Pixels:
    """Return a face as other cameras would show it: gray, blurred, in other light."""
    if rng.random() < 0.2:
        image = np.repeat(cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.5)), np.uint8)
    return relight(np.asarray(image, np.uint8), rng, contrast=0.2, brightness=12)
