"""A recognizer: how it is trained, and the embeddings it gives."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from stages.compute import device, weights
from stages.core import images
from stages.core.images import Pixels
from stages.core.params import Section
from stages.core.tables import Face
from stages.faces.augmentation import augment
from stages.recognition.networks import IResNet, normalized
from stages.training.samples import FaceSamples

KIND = "recognizer"
Rng = np.random.Generator
Change = Callable[[Face, Pixels, Rng], Pixels]
"""Maps a face and its image (H, W, 3) to what is learned from: the same, or with a mask drawn on it by chance."""


class Network(Section):
    """What a recognizer is."""

    side: int = Field(ge=32, le=512, multiple_of=16)
    """Side of the faces, pixels."""
    layers: list[int] = Field(min_length=4, max_length=4)
    """Blocks in each of the four stages."""
    channels: list[int] = Field(min_length=4, max_length=4)
    """Of the stages."""
    embedding: int = Field(ge=8)
    """Numbers in an embedding."""
    dropout: float = Field(ge=0, lt=1)
    """Share of the last features left out in training."""

    def build(self) -> IResNet:
        """Return the untrained network."""
        return IResNet(self.layers, self.channels, self.embedding, self.side, self.dropout)


class Training(BaseModel):  # type: ignore[misc] -- mmengine has no types
    """A network and the loss it is trained with.

    Args:
        network: maps faces to embeddings.
        criterion: maps embeddings and numbers of people to a loss; it has weights of its own, one vector a person.
    """

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
        faces: rows with `identity` and `image`, kept encoded.
        change: what is drawn on a face.
        size: side of the images to train on, pixels.
        seed: of all chance.
    """

    name = "train_recognizer"

    def __init__(self, faces: Sequence[Face], change: Change, size: int, seed: int) -> None:
        super().__init__(faces, seed)
        self.change, self.size = change, size
        people = sorted({face["identity"] for face in faces})
        self.person = {identity: number for number, identity in enumerate(people)}

    def sample(self, face: Face, rng: Rng) -> dict[str, Any]:
        """Return a face, perhaps masked, and the number of its person."""
        image = augment(self.change(face, images.decode(face["image"]), rng), self.size, rng)
        data = BaseDataElement(metainfo={"face_id": face["face_id"]})
        data.set_data({"person": self.person[face["identity"]]})
        return {"inputs": torch.from_numpy(image.transpose(2, 0, 1).copy()), "data_samples": data}


class Recognizer(nn.Module):
    """A trained network.

    Args:
        network: maps faces to embeddings.
        size: side of the faces it was trained on, pixels.
    """

    def __init__(self, network: IResNet, size: int) -> None:
        super().__init__()
        self.network, self.size = device.placed(network), size

    def forward(self, faces: Tensor) -> Tensor:
        """Return embeddings of length 1, (n, embedding), of faces (n, 3, h, w), 0 to 1, with a gradient if wanted."""
        if faces.shape[2:] != (self.size, self.size):
            faces = nn.functional.interpolate(faces, (self.size, self.size), mode="bilinear", antialias=True)
        return normalized(self.network(faces))

    def embed(self, faces: Sequence[Pixels]) -> NDArray[np.float32]:
        """Return embeddings (n, embedding) of length 1 of aligned faces, RGB uint8 (H, W, 3).

        That of a face and that of its mirror image are added up.
        """
        return np.asarray(device.apply(self.embeddings, device.of(self.network), faces), np.float32)

    def embeddings(self, faces: Tensor) -> Tensor:
        """Return the same, of faces uint8 (n, 3, h, w), both on the network's device."""
        inputs = faces.float() / 255
        one, mirrored = self(torch.cat([inputs, inputs.flip(3)])).chunk(2)
        return normalized(one + mirrored)


def load(path: Path) -> Recognizer:
    """Return the recognizer that `train_recognizer` wrote.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    about, state = weights.load(path, KIND)
    network = Network(**about["network"]).build()
    weights.fill(network, state, path)
    return Recognizer(network, about["network"]["side"])
