"""A trained recognizer, and the embeddings it gives.

Its file may hold further networks, one for each fold of the people that it was trained on: that one never saw them.
"""

import copy
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.linalg
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.compute import device, weights
from stages.core import images
from stages.core.images import Pixels
from stages.core.tables import Face
from stages.faces.resize import resized
from stages.recognition.networks import Network, normalized

KIND = "recognizer"
FOLDS = "folds."  # before the names of tensors of folds' networks
AT_ONCE = 256  # images that are decoded at a time
GRID = 2.0**-16  # of what a turn's numbers are multiples: processors' last digits differ
STILL = 1e-4  # weight of what keeps axes where they are, beside that of the faces: it decides where no face lies


def header(loss: str, masks: str, network: Network, fold_of: Mapping[str, int]) -> dict[str, Any]:
    """Return what the file of a trained recognizer says of it.

    Args:
        loss: with which it was trained.
        masks: `bare`, or `masked` if there were masks among its training images.
        network: what it is.
        fold_of: the fold of each person it was trained on, if there are folds.
    """
    about = {"kind": KIND, "loss": loss, "masks": masks, "network": network.model_dump()}
    return {**about, "fold_of": dict(fold_of)} if fold_of else about


class Recognizer(nn.Module):
    """A trained network.

    Args:
        network: maps faces to embeddings.
        size: side of the faces it was trained on, pixels.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
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


def turn(embeddings: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the orthogonal matrix R (d, d) with which `embeddings @ R` come closest to `others`, both (n, d).

    Faces of few people leave most directions open, where noise would choose: there R changes as little as it can. Its
    numbers are rounded to multiples of `GRID`.
    """
    axes = np.sqrt(STILL * len(embeddings)) * np.eye(embeddings.shape[1])
    pairs = (np.concatenate([some.astype(np.float64), axes]) for some in (embeddings, others))
    found, _ = scipy.linalg.orthogonal_procrustes(*pairs)
    return np.asarray(np.round(found / GRID) * GRID, np.float32)


def turned(network: nn.Module, to: nn.Module, side: int, faces: Sequence[Face]) -> nn.Module:
    """Return a network whose embeddings lie in the space of another one; cosines among them stay as they are.

    Networks that were trained apart have spaces that are turned against each other.

    Args:
        network: maps faces (n, 3, side, side) to embeddings.
        to: the other one.
        side: of the faces they were trained on, pixels.
        faces: rows with `image` that both have seen, by which the spaces are matched.
    """
    one, other = (_embedded(Recognizer(some, side), faces) for some in (network, to))
    matrix = turn(one, other)
    found = _with_turn(network, len(matrix))
    found.turn.weight.data = torch.from_numpy(matrix.T.copy())
    return found


def _with_turn(network: nn.Module, size: int) -> Any:
    """Return a network with a matrix behind it that turns its embeddings, of `size` numbers."""
    return nn.Sequential(OrderedDict(network=network, turn=nn.Linear(size, size, bias=False)))


def _embedded(recognizer: Recognizer, faces: Sequence[Face]) -> NDArray[np.float32]:
    some = (faces[start : start + AT_ONCE] for start in range(0, len(faces), AT_ONCE))
    return np.concatenate([recognizer.embed([images.decode(face["image"]) for face in part]) for part in some])


def joined(network: nn.Module, folds: Sequence[nn.Module]) -> nn.Module:
    """Return what is saved: a network, and those of the folds, turned into its space."""
    if not folds:
        return network
    whole = copy.deepcopy(network)
    whole.folds = nn.ModuleList(folds)
    return whole


def load(path: Path) -> Recognizer:
    """Return the recognizer that `train_recognizer` wrote, the one for new people.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    return of(*weights.load(path, KIND), path)


def of(about: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> Recognizer:
    """Return the recognizer for new people of a header and tensors, which came from a file.

    Raises:
        UnmaskError: the tensors are not those of the network that the header names.
    """
    network = Network(**about["network"]).build()
    weights.fill(network, {name: tensor for name, tensor in state.items() if not name.startswith(FOLDS)}, path)
    return Recognizer(network, about["network"]["side"])


def load_folds(path: Path) -> tuple[dict[str, int], list[Recognizer]]:
    """Return the fold of each person, and for each fold the recognizer that never saw it; nothing, if it has no folds.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    about, state = weights.load(path, KIND)
    fold_of = about.get("fold_of", {})
    if not fold_of:
        return {}, []
    recipe = Network(**about["network"])
    networks = nn.ModuleList(_with_turn(recipe.build(), recipe.embedding) for _ in range(1 + max(fold_of.values())))
    weights.fill(networks, {name.removeprefix(FOLDS): state[name] for name in state if name.startswith(FOLDS)}, path)
    return fold_of, [Recognizer(network, recipe.side) for network in networks]
