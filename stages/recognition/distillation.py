"""Teach a copy of a recognizer to see through masks: a masked face shall get the embedding of the bare one.

The teacher is the recognizer as it is. What it knows of millions of faces is kept, and nobody needs to say who is on a
photo. The principle is that of knowledge distillation (arXiv:1503.02531). What a face is like is learned, too: the copy
shall find it as like other faces as the teacher finds the bare one (SEED, arXiv:2101.04731). So that nothing is
forgotten, bare faces are rehearsed, statistics of batch norms stay, and in the end the weights of teacher and copy are
mixed (WiSE-FT, arXiv:2109.01903).
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.compute import device
from stages.core import images
from stages.core.images import Pixels
from stages.core.seeding import generator
from stages.core.tables import Face
from stages.faces import alignment
from stages.faces.augmentation import jitter, relight
from stages.faces.landmarks import Points
from stages.recognition import similarity, verification
from stages.recognition.networks import normalized
from stages.recognition.verification import Curve
from stages.training.samples import FaceSamples

Rng = np.random.Generator
Draw = Callable[[Face, Pixels, Rng], Pixels]
"""Maps a face and its photo (H, W, 3) to the photo with a mask drawn on the face by chance."""
Align = Callable[[Points], alignment.Matrix]
"""Maps landmarks (68, 2) in a photo to the transform to the aligned face."""
Cut = Callable[[Pixels, Points], Pixels]
"""Maps an aligned face and its landmarks to what a network takes; see `teachers.Teacher`."""
REMEMBERED = 1024  # embeddings of the last faces, which a face is compared with
TEMPERATURE = 0.1  # of cosines in the softmax over them
AROUND = 0.5  # of the aligned face's sides, on each side of it, which is kept of a photo


class Training(BaseModel):  # type: ignore[misc] -- mmengine has no types
    """The copy, and its teacher, which stays as it is. Both are in evaluation mode: no batch norm learns statistics.

    Args:
        teacher: the network as it is; what asks for a gradient learns in the copy.
        side: of the faces that it takes, pixels.
        bare_weight: of a bare face in the loss; a masked one has 1.
        relation_weight: of how like other faces a face is, where its own embedding has 1.
    """

    def __init__(self, teacher: nn.Module, side: int, bare_weight: float, relation_weight: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(teacher)
        self.teacher = copy.deepcopy(teacher).requires_grad_(False)
        self.bare_weight, self.relation_weight = bare_weight, relation_weight
        self.train(False)
        with torch.no_grad():
            length = self.teacher(torch.zeros(1, 3, side, side)).shape[1]
        self.register_buffer("remembered", torch.zeros(REMEMBERED, length))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def train(self, mode: bool = True) -> "Training":
        """Stay in evaluation mode."""
        del mode
        super().train(False)
        return self

    def forward(self, inputs: list[Tensor], data_samples: list[Any], mode: str = "tensor") -> Any:
        """Return the loss, how far the copy's embeddings are from the teacher's; in mode `tensor` the copy's."""
        on = next(self.network.parameters()).device
        changed, bare = torch.stack(list(inputs)).to(on).float().unbind(1)
        embeddings = self.network(changed.contiguous(memory_format=torch.channels_last))
        if mode != "loss":
            return embeddings
        with torch.no_grad():
            wanted = normalized(self.teacher(bare.contiguous(memory_format=torch.channels_last)).float())
        found = normalized(embeddings.float())
        factors = torch.tensor([1.0 if sample.masked else self.bare_weight for sample in data_samples], device=on)
        apart = 1 - (found * wanted).sum(1) + self.relation_weight * self._relations(found, wanted)
        return {"loss": (factors * apart).mean()}

    def _relations(self, found: Tensor, wanted: Tensor) -> Tensor:
        """Return how far each face is from being as like the last faces, itself among them, as the teacher says.

        It is the divergence of two softmaxes over cosines (SEED, arXiv:2101.04731, formulas 2 to 4).
        """
        places = torch.arange(REMEMBERED, device=found.device)
        with torch.no_grad():
            self.remembered[(self.seen + places[: len(wanted)]) % REMEMBERED] = wanted
            self.seen += len(wanted)
        empty = torch.zeros(REMEMBERED, device=found.device).masked_fill(places >= self.seen, -torch.inf)
        by_copy, by_teacher = (
            (some @ self.remembered.T / TEMPERATURE + empty).log_softmax(1) for some in (found, wanted)
        )
        # An empty place has the logarithm -inf in both, and no part in the sum.
        apart = by_teacher.exp() * (by_teacher - by_copy).masked_fill(places >= self.seen, 0)
        return apart.sum(1)


class Samples(FaceSamples):
    """Faces cut out for a network, twice: as they are known, bare; and as they are met, on a share of them masked.

    A masked one wears its mask on the photo, is aligned by landmarks as they are found behind masks, and was taken by
    another camera. One that is not masked is the known one.

    Args:
        faces: rows of photos with `image` and `landmarks`, such as do not coincide.
        draw: what draws a mask.
        align: how faces are aligned.
        side: of an aligned face, pixels.
        cut: of the network's teacher.
        mask_prob: share of the faces with a mask.
        seed: see `FaceSamples`.
    """

    def __init__(
        self, faces: Sequence[Face], draw: Draw, align: Align, side: int, cut: Cut, mask_prob: float, seed: int
    ) -> None:
        super().__init__(faces, seed)
        self.draw, self.align, self.side, self.cut, self.mask_prob = draw, align, side, cut, mask_prob

    def sample(self, face: Face, rng: Rng) -> dict[str, Any]:
        """Return the one that is met and the one that is known, uint8 (2, 3, side, side), and whether it is masked."""
        masked = bool(rng.random() < self.mask_prob)
        bare, met = self.both(face, rng, masked=masked)
        if masked:
            met = _photographed(met, rng)
        both = np.stack([met, bare]).transpose(0, 3, 1, 2)
        if rng.random() < 0.5:
            both = both[..., ::-1]
        data = BaseDataElement(metainfo={"face_id": face["face_id"]})
        data.set_data({"masked": masked})
        return {"inputs": torch.from_numpy(both.copy()), "data_samples": data}

    def both(self, face: Face, rng: Rng, *, masked: bool = True) -> tuple[Pixels, Pixels]:
        """Return a face as it is known and as it is met, RGB (side of the network, side of the network, 3)."""
        photo, points = near(images.decode(face["image"]), face["landmarks"], self.align, self.side)
        bare = self._cut_out(photo, points)
        if not masked:
            return bare, bare
        drawn = self.draw({**face, "landmarks": points}, photo, rng)
        return bare, self._cut_out(drawn, misplaced(points, self.align(points), self.side, rng))

    def _cut_out(self, photo: Pixels, points: Points) -> Pixels:
        matrix = self.align(points)
        return self.cut(alignment.warp(photo, matrix, self.side), alignment.apply(matrix, points))


def near(photo: Pixels, points: Points, align: Align, side: int) -> tuple[Pixels, Points]:
    """Return the part of a photo that is around a face, and its landmarks there; at most twice as fine as aligned."""
    matrix = align(points)
    low, high = -AROUND * side, (1 + AROUND) * side
    corners = np.array([[low, low], [low, high], [high, low], [high, high]], np.float32)
    seen = alignment.apply(cv2.invertAffineTransform(matrix), corners)
    left, top = np.clip(np.floor(seen.min(0)), 0, None).astype(int)
    right, bottom = np.ceil(seen.max(0)).astype(int)
    part, points = photo[top:bottom, left:right], (points - [left, top]).astype(np.float32)
    if (shrink := 2 * alignment.scale_of(matrix)) < 1:
        height, width = (max(1, round(length * shrink)) for length in part.shape[:2])
        factors = np.array([width / part.shape[1], height / part.shape[0]])
        part = np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        points = ((points + 0.5) * factors - 0.5).astype(np.float32)
    return part, points


def misplaced(points: Points, matrix: alignment.Matrix, side: int, rng: Rng) -> Points:
    """Return landmarks of a photo as they are found behind a mask: all of them a little turned, scaled and shifted.

    Args:
        points: (68, 2), pixels of the photo.
        matrix: the transform (2, 3) to the aligned face.
        side: of the aligned face, pixels.
        rng: chance.
    """
    moved = alignment.apply(jitter(side, rng, degrees=3, scale=0.04, shift=0.015), alignment.apply(matrix, points))
    return alignment.apply(cv2.invertAffineTransform(matrix), moved)


def _photographed(image: Pixels, rng: Rng) -> Pixels:
    """Return a face as other cameras would show it: gray, blurred, of fewer pixels, packed as JPEG, in other light."""
    image = np.ascontiguousarray(image)
    if rng.random() < 0.2:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.5)), np.uint8)
    if rng.random() < 0.2:
        small = cv2.resize(image, None, fx=(factor := rng.uniform(0.3, 0.8)), fy=factor, interpolation=cv2.INTER_AREA)
        image = np.asarray(cv2.resize(small, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)
    if rng.random() < 0.25:
        _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 90))])
        image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)  # no color is read by its name: BGR is RGB
    return relight(image, rng, contrast=0.2, brightness=12)


# ---------------------------------------------------------------- how much of what was learned is kept


def mixed(teacher: nn.Module, learned: nn.Module, share: float) -> nn.Module:
    """Return a network whose weights are those of two of one kind, `share` of the second one's (arXiv:2109.01903)."""
    found = copy.deepcopy(learned)
    with torch.no_grad():
        for weight, first in zip(found.parameters(), teacher.parameters(), strict=True):
            weight.copy_(torch.lerp(first.to(weight), weight, share))
    return found


def met(samples: Samples) -> tuple[list[Pixels], list[Pixels]]:
    """Return the faces of samples as they are known, bare, and as they are met, all of them with a mask."""
    both = [samples.both(face, generator(samples.seed, "met", face["face_id"])) for face in samples.faces]
    return [bare for bare, _ in both], [masked for _, masked in both]


def scores(network: nn.Module, bare: Sequence[Pixels], masked: Sequence[Pixels], people: Sequence[str]) -> list[Curve]:
    """Return what verification says of a network: bare faces among each other, and masked ones against bare ones.

    No face is compared with itself.
    """
    placed = device.placed(copy.deepcopy(network))
    known, asked = (_embedded(placed, faces) for faces in (bare, masked))
    names = np.array(people)
    pairs = ~np.eye(len(names), dtype=bool)
    same = (names[:, None] == names[None])[pairs]
    return [verification.of_scores(similarity.cosines(some, known)[pairs], same) for some in (known, asked)]


def _embedded(network: nn.Module, faces: Sequence[Pixels]) -> NDArray[np.float32]:
    work = lambda some: normalized(network(some.float()))  # noqa: E731
    return np.stack(device.apply(work, device.of(network), faces))
