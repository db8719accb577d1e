"""How a recognizer learns: from faces of known people, one direction a person, with a loss over the angles to these."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from pydantic import Field
from pytorch_metric_learning import losses
from torch import Tensor, nn

from stages.compute import weights
from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import Section
from stages.core.results import Results
from stages.core.tables import Face
from stages.faces.augmentation import augment
from stages.recognition import folding, recognizer
from stages.recognition.networks import IResNet, Network, from_arcface_torch
from stages.recognition.partial_fc import Sampled
from stages.recognition.sphereface import SphereFace
from stages.training import loop
from stages.training.pretrained import Start
from stages.training.rows import Rows, on_disk
from stages.training.samples import FaceSamples
from stages.training.trained import Trained

MARGINS = {"sphereface": SphereFace, "cosface": losses.CosFaceLoss, "arcface": losses.ArcFaceLoss}
LOSSES = ("norm_softmax", *MARGINS)
Rng = np.random.Generator
Draw = Callable[[Face, Pixels, Rng], tuple[Pixels, Pixels]]
"""Maps a face and its image (H, W, 3) to the image with a mask drawn on it by chance, and its region."""


class NormSoftmax(Section):
    """A softmax over cosines without a margin, NormFace (arXiv:1704.06369)."""

    scale: float = Field(gt=0)
    """Of the cosines before the softmax."""
    folds: int | None = Field(ge=2)
    """Parts of the people to train on, for each of which a network is trained that never sees it; null: none."""


class Margin(NormSoftmax):
    """A softmax that asks a face to be closer to its own person by a margin."""

    margin: float = Field(gt=0, lt=90)
    """ArcFace (arXiv:1801.07698): degrees; CosFace (arXiv:1801.09414): of the cosine."""


class Factor(NormSoftmax):
    """A softmax that multiplies the angle to the own person, SphereFace-R (arXiv:2109.05565)."""

    margin: float = Field(ge=1)
    """Factor of the angle; 1 is no margin."""


class Recipe(Section):
    """Network, losses and schedule; section `train_recognizer` of params.yaml."""

    network: Network
    pretrained: str | None
    """Weights to start from, of this project or of arcface_torch, see `stages.training.pretrained`; null: none."""
    sample_rate: float = Field(gt=0, le=1)
    """Share of the people with which a step compares, Partial FC (arXiv:2203.15565); 1: all."""
    norm_softmax: NormSoftmax
    sphereface: Factor
    cosface: Margin
    arcface: Margin
    schedule: loop.Schedule

    def criterion(self, loss: str, people: int) -> nn.Module:
        """Return a loss by its name: it maps embeddings and numbers of people to a number, and learns a vector each."""
        size, numbers = self.network.embedding, getattr(self, loss)
        found: nn.Module = (
            MARGINS[loss](people, size, margin=numbers.margin, scale=numbers.scale)
            if loss in MARGINS
            else losses.NormalizedSoftmaxLoss(people, size, temperature=1 / numbers.scale)
        )
        return found if self.sample_rate == 1 else Sampled(found, self.sample_rate)

    def start(self) -> Start:
        """Return what puts the weights into the network that it starts from; half of its tensors must be there."""
        return Start(self.pretrained, "train_recognizer.pretrained", None, renamed=from_arcface_torch)


class Training(BaseModel):  # type: ignore[misc] -- mmengine has no types
    """A network and the loss it is trained with."""

    def __init__(self, network: IResNet, criterion: nn.Module) -> None:
        super().__init__()
        self.network, self.criterion = network, criterion

    def forward(self, inputs: list[Tensor], data_samples: list[Any], mode: str = "tensor") -> Any:
        """Return the loss, or in mode `tensor` the embeddings (n, embedding)."""
        device = next(self.network.parameters()).device
        embeddings = self.network(torch.stack(list(inputs)).to(device).float() / 255)
        if mode != "loss":
            return embeddings
        people = torch.tensor([sample.person for sample in data_samples], device=device)
        with torch.autocast(device.type, enabled=False):  # angles need more than bfloat16's three digits
            return {"loss": self.criterion(embeddings.float(), people)}


class Samples(FaceSamples):
    """Faces of known people.

    Args:
        faces: rows with `identity` and `image`.
        side: of the images to train on, pixels.
        seed: see `FaceSamples`.
        draw: draws a mask; needed if `mask_prob` is above 0.
        mask_prob: share of the images on which a mask is drawn anew in each round.
    """

    def __init__(
        self, faces: Sequence[Face], side: int, seed: int, draw: Draw | None = None, mask_prob: float = 0.0
    ) -> None:
        super().__init__(faces, seed)
        self.side, self.draw, self.mask_prob = side, draw, mask_prob
        people = sorted({face["identity"] for face in faces})
        self.person = {identity: number for number, identity in enumerate(people)}

    def sample(self, face: Face, rng: Rng) -> dict[str, Any]:
        """Return a face, perhaps masked, and the number of its person."""
        image = images.decode(face["image"])
        (of_mask,) = rng.spawn(1)  # so that all else is drawn as in the training without masks
        if of_mask.random() < self.mask_prob and self.draw and face["landmarks"] is not None:
            image, _ = self.draw(face, image, of_mask)
        image = augment(image, self.side, rng)
        data = BaseDataElement(metainfo={"face_id": face["face_id"]})
        data.set_data({"person": self.person[face["identity"]]})
        return {"inputs": torch.from_numpy(image.transpose(2, 0, 1).copy()), "data_samples": data}


def train(
    loss: str,
    masks: str,
    recipe: Recipe,
    rows: Rows,
    samples: Callable[[Sequence[Face]], Samples],
    *,
    start: Start,
    name: str,
    key: str,
    out: Path,
    results: Results,
) -> dict[str, Any]:
    """Train a recognizer for new people, and one for each fold of the people that never sees these; write them all.

    Args:
        loss: of `LOSSES`.
        masks: `bare`, or `masked` if there are masks among the training images.
        recipe: network, losses and schedule.
        rows: the faces to train on, see `known`.
        samples: what a network learns of some of them.
        start: with what each of them begins.
        name: see `loop.train`.
        key: see `loop.train`.
        out: the weights to write, see `recognizer.joined`.
        results: where the numbers go, and the curve of the losses, of the recognizer for new people.

    Returns:
        On how many faces of how many people this one was trained, its parameters and its last losses.

    Raises:
        UnmaskError: there are too few people for the folds.
    """
    n = getattr(recipe, loss).folds
    fold_of = folds(loss, n, rows) if n else {}
    seen = [rows.outside(fold, fold_of) for fold in range(n or 0)]
    of_fold = [
        fit(loss, recipe, samples(faces), start=start, name=f"{name}-fold_{fold}", key=key, last=False)
        for fold, faces in enumerate(seen)
    ]
    trained = fit(loss, recipe, samples(rows), start=start, name=name, key=key, last=True)
    network, side = trained.model.get_submodule("network"), recipe.network.side
    turned = [
        recognizer.turned(run.model.get_submodule("network"), network, side, faces)
        for run, faces in zip(of_fold, seen, strict=True)
    ]
    about = recognizer.header(loss, masks, recipe.network, fold_of)
    written = trained.write(out, about, results, rows, recognizer.joined(network, turned), of_fold)
    return {**written, "parameters": weights.parameters(network), **start.report}


def fit(loss: str, recipe: Recipe, samples: Samples, *, start: Start, name: str, key: str, last: bool) -> Trained:
    """Train one recognizer with a loss of `LOSSES`, see `loop.train`."""
    people = len(samples.person)
    return loop.train(
        lambda: Training(start(recipe.network.build()), recipe.criterion(loss, people)),
        samples,
        recipe.schedule,
        name=name,
        key=key,
        last=last,
    )


def folds(loss: str, n: int, rows: Sequence[Face]) -> dict[str, int]:
    """Return the fold of each person, 0 to n - 1.

    Raises:
        UnmaskError: a fold would be empty, or leave fewer than two people to learn from.
    """
    fold_of = folding.folds({face["identity"] for face in rows}, n)
    sizes = [list(fold_of.values()).count(fold) for fold in range(n)]
    if not min(sizes) or len(fold_of) - max(sizes) < 2:
        raise UnmaskError(
            f"train_recognizer.{loss}.folds is {n}, but there are {len(fold_of)} people to train on: each fold needs "
            f"one, and two others to learn from; null trains no networks for folds"
        )
    return fold_of


def known(loss: str, faces: Path) -> Rows:
    """Return the bare faces of a table's train split.

    Raises:
        UnmaskError: no such loss, or fewer than two people.
    """
    if loss not in LOSSES:
        raise UnmaskError(f"--loss is {loss!r}, it must be one of {', '.join(LOSSES)}")
    columns = ["face_id", "identity", "image", "landmarks", "face_type"]
    rows = on_disk(tables.bare(faces, columns, "train", with_landmarks=False))
    if (people := len({face["identity"] for face in rows})) < 2:
        raise UnmaskError(f"{faces} has {people} people in split 'train': a recognizer needs two at least")
    return rows
