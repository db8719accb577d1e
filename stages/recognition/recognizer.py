"""A trained recognizer, and the embeddings it gives."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.compute import device, weights
from stages.core.images import Pixels
from stages.faces.resize import resized
from stages.recognition.networks import IResNet, Network, normalized

KIND = "recognizer"


def header(loss: str, masks: str, network: Network) -> dict[str, Any]:
    """Return what the file of a trained recognizer says of it.

    Args:
        loss: with which it was trained.
        masks: `bare`, or `masked` if there were masks among its training images.
        network: what it is.
    """
    return {"kind": KIND, "loss": loss, "masks": masks, "network": network.model_dump()}


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
            faces = resized(faces, (self.size, self.size))
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
