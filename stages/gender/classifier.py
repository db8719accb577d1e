"""A classifier of a person's sex from the face, bare or masked: its networks, training samples, and what it says.

The databases say `female` or `male` of each person, and so do the names here; the classifier guesses that entry.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from pydantic import Field
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, ResNet

from stages.compute import device, weights
from stages.core import images
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import Section
from stages.core.tables import SEXES, Face
from stages.faces.augmentation import augment
from stages.faces.resize import resized
from stages.training.pretrained import Start
from stages.training.samples import FaceSamples

KIND = "gender"
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, on which torchvision's weights were trained
Rng = np.random.Generator
Change = Callable[[Face, Pixels, Rng], Pixels]
"""Maps a face and its image (H, W, 3) to what is learned from: the same, or with a mask drawn on it by chance."""


class Network(Section):
    """What the classifier is."""

    name: Literal["resnet10", "inception_v3"]
    """A small network for little data, or torchvision's InceptionV3."""
    side: int = Field(ge=32, le=1024)
    """Side of its input, pixels; InceptionV3 takes 299, and 75 at least."""
    pretrained: str | None
    """Weights to start from, see `stages.training.pretrained`; null: from scratch."""
    frozen: bool
    """Train the last layer alone; sensible only with `pretrained`."""

    def header(self) -> dict[str, Any]:
        """Return what the file of a classifier says of it, in the words of version 1."""
        return {"name": self.name, "side": self.side, "backbone": self.pretrained, "frozen": self.frozen}

    def start(self) -> Start:
        """Return what puts the weights into it that it starts from: all but the last layer."""
        parts = {"resnet10": 60, "inception_v3": 470}
        return Start(self.pretrained, "train_gender.network.pretrained", parts[self.name])

    def build(self) -> nn.Module:
        """Return the network: maps (n, 3, size, size) to logits (n, 2).

        Raises:
            UnmaskError: nothing is pretrained, and it is frozen.
        """
        if self.frozen and self.pretrained is None:
            raise UnmaskError("train_gender.network: frozen is true, but there is nothing to freeze: set `pretrained`")
        if self.name == "inception_v3":
            if self.side < 75:
                raise UnmaskError(f"train_gender.network.side is {self.side}: InceptionV3 takes 75 pixels at least")
            # Its auxiliary head needs 299 pixels, and is of use only in long trainings.
            # Its weights of ImageNet are Google's, which want pixels from -1 to 1: `transform_input` makes them that.
            network: Any = models.inception_v3(weights=None, aux_logits=False, init_weights=True, transform_input=True)
        else:
            network = ResNet(BasicBlock, [1, 1, 1, 1])
        network.requires_grad_(not self.frozen)
        network.fc = nn.Linear(network.fc.in_features, len(SEXES))
        return network


class Training(BaseModel):  # type: ignore[misc] -- mmengine has no types
    """A network and its loss, cross-entropy with a weight for each sex.

    Args:
        network: maps normalized faces to logits.
        class_weights: in the order of `tables.SEXES`.
        frozen: whether only the last layer learns; the statistics of batch norms then stay as they are.
    """

    def __init__(self, network: nn.Module, class_weights: Sequence[float], *, frozen: bool) -> None:
        super().__init__()
        self.network, self.frozen = network, frozen
        self.register_buffer("class_weights", torch.tensor(class_weights))

    def train(self, mode: bool = True) -> "Training":
        """Set the mode of what is trained."""
        super().train(mode)
        if self.frozen:
            self.network.train(False)
        return self

    def forward(self, inputs: list[Tensor], data_samples: list[Any], mode: str = "tensor") -> Any:
        """Return the loss, or in mode `tensor` the logits (n, 2)."""
        device = self.class_weights.device
        logits = self.network(normalized(torch.stack(list(inputs)).to(device)))
        if mode != "loss":
            return logits
        truth = torch.tensor([sample.sex for sample in data_samples], device=device)
        return {"loss": nn.functional.cross_entropy(logits.float(), truth, self.class_weights)}


def normalized(faces: Tensor) -> Tensor:
    """Return faces (n, 3, h, w), 0 to 255, as torchvision's networks take them, float32."""
    # torchvision's normalize looks whether a deviation is 0, for which a GPU has to be waited for.
    mean, std = (faces.new_tensor(values, dtype=torch.float32)[:, None, None] for values in (MEAN, STD))
    return (faces.float() / 255 - mean) / std


class Samples(FaceSamples):
    """Faces of people whose sex is known, changed by `change`, at `size` pixels a side; see `FaceSamples`."""

    def __init__(self, faces: Sequence[Face], change: Change, size: int, seed: int) -> None:
        super().__init__(faces, seed)
        self.change, self.size = change, size

    def sample(self, face: Face, rng: Rng) -> dict[str, Any]:
        """Return a face, perhaps masked, and its sex."""
        image = augment(self.change(face, images.decode(face["image"]), rng), self.size, rng)
        data = BaseDataElement(metainfo={"face_id": face["face_id"]})
        data.set_data({"sex": SEXES.index(face["sex"])})
        return {"inputs": torch.from_numpy(image.transpose(2, 0, 1).copy()), "data_samples": data}


def class_weights(faces: Sequence[Face]) -> list[float]:
    """Return weights with which each sex counts the same, the mean weight of a face being 1.

    Raises:
        UnmaskError: a sex has no face.
    """
    counts = [sum(face["sex"] == sex for face in faces) for sex in SEXES]
    if not all(counts):
        raise UnmaskError(f"the faces to train on are all {SEXES[int(np.argmax(counts))]}: nothing to tell apart")
    return [len(faces) / (len(SEXES) * count) for count in counts]


class Classifier:
    """A trained network, which maps normalized faces of `size` pixels a side to logits."""

    def __init__(self, network: nn.Module, size: int) -> None:
        self.network, self.size = device.placed(network), size

    def female(self, faces: Sequence[Pixels]) -> list[float]:
        """Return how likely each of some aligned faces, RGB (H, W, 3), is a woman's: 0 to 1."""
        shares = device.apply(self.shares, device.of(self.network), faces)
        return [float(share[SEXES.index("female")]) for share in shares]

    def shares(self, faces: Tensor) -> Tensor:
        """Return how likely each sex is (n, 2), of faces uint8 (n, 3, h, w) on the network's device."""
        inputs, shape = faces.float(), (self.size, self.size)
        if inputs.shape[2:] != shape:
            inputs = resized(inputs, shape)
        return self.network(normalized(inputs)).float().softmax(1)

    def sexes(self, faces: Sequence[Pixels]) -> list[str]:
        """Return the likelier one for each of some aligned faces, RGB (H, W, 3)."""
        return ["female" if share >= 0.5 else "male" for share in self.female(faces)]


class Networks(nn.Module):
    """What is saved: the network for new people (`all`), and those that did not see a fold's (`fold_0`, …)."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(networks)


def load_all(path: Path) -> tuple[dict[str, Classifier], dict[str, int]]:
    """Return the classifiers that `train_gender` wrote, by name, and the fold of each person.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    about, state = weights.load(path, KIND)
    network = Network(name=about["network"]["name"], side=about["network"]["side"], pretrained=None, frozen=False)
    names = sorted({name.split(".")[1] for name in state})
    networks = Networks({name: network.build() for name in names})
    weights.fill(networks, state, path)
    found = {name: Classifier(one, network.side) for name, one in networks.networks.items()}
    return found, about["fold_of"]


def load(path: Path) -> Classifier:
    """Return the classifier for new people; see `load_all`."""
    return load_all(path)[0]["all"]
