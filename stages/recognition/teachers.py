"""A recognizer of any kind as a teacher: a torch network, how a face is cut out for it, how a copy becomes a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from stages.compute import weights
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.faces.resize import resized_pixels
from stages.recognition import dlib_embedding, embedders, onnx_models, onnx_networks, recognizer

EXACT = 1e-5  # largest difference of embeddings between a copy and the file that is made of it


@dataclass(frozen=True)
class Teacher:
    """What a copy is taught by.

    Attributes:
        network: maps RGB faces, float32 (n, 3, side, side), 0 to 255, to embeddings (n, d) of any length; what may
            learn in a copy of it asks for a gradient.
        cut: maps an aligned face, RGB (H, W, 3), and its landmarks to what the network takes, (side, side, 3).
        about: header of the recognizer's file.
        written: maps a copy of the network to the module whose weights are a recognizer's file.
    """

    network: nn.Module
    cut: Callable[[Pixels, Points], Pixels]
    about: Mapping[str, Any]
    written: Callable[[Any], nn.Module]


def load(path: Path) -> Teacher:
    """Return the teacher in a recognizer's file.

    Raises:
        UnmaskError: no such file, it holds something else, or an ONNX model that becomes no torch network.
    """
    about, state = weights.load(path, recognizer.KIND)
    if embedders.FUSED in about:
        raise UnmaskError(f"{path} cannot be taught: it is two recognizers side by side; teach each of them")
    if about.get("pretrained") == embedders.DLIB:
        return Teacher(embedders.load_dlib(path)[0].requires_grad_(True), dlib_embedding.chip, about, lambda copy: copy)
    if about.get("pretrained") == embedders.ONNX:
        try:
            return _of_onnx(state["file"].numpy().tobytes(), about)
        except UnmaskError as error:
            raise UnmaskError(f"{path} cannot be taught: {error}") from None
    trained = recognizer.load(path)
    # The networks for folds know nothing of what the copy learned.
    about = {name: value for name, value in about.items() if name != "fold_of"}
    return Teacher(_From255(trained.network), _to_side(trained.size), about, lambda copy: copy.network)


def _of_onnx(data: bytes, about: Mapping[str, Any]) -> Teacher:
    model = embedders.of_onnx(data, about).model
    network = onnx_networks.Network(data, model)

    def written(copy: onnx_networks.Network) -> nn.Module:
        content = copy.written(data)
        faces = onnx_models.faces(model.side)
        with torch.no_grad():
            apart = onnx_networks.difference(
                copy.cpu()(torch.from_numpy(faces)), onnx_models.read(content, model.described).embeddings(faces)
            )
        if not apart <= EXACT:
            raise UnmaskError(f"put back into the ONNX file, the copy gives other embeddings, by {apart:.1e}")
        return embedders.OnnxFile(content)

    return Teacher(network, _to_side(model.side), about, written)


def _to_side(side: int) -> Callable[[Pixels, Points], Pixels]:
    return lambda face, _: resized_pixels(face, (side, side))


class _From255(nn.Module):
    """A network that takes pixels of 0 to 1, for pixels of 0 to 255."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, faces: Tensor) -> Tensor:
        found: Tensor = self.network(faces / 255)
        return found
