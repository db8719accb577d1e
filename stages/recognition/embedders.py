"""A recognizer of any kind, from its file: trained here, dlib's, an ONNX model, or two side by side.

All are files `models/recognizer-<name>.safetensors`; an ONNX model is a tensor of bytes in one.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.compute import device, weights
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.faces.resize import resized
from stages.recognition import dlib_embedding, fusion, onnx_models, recognizer
from stages.recognition.networks import normalized

Embed = Callable[[Sequence[Pixels], Sequence[Points | None]], NDArray[np.float32]]
"""Maps aligned faces, RGB uint8 (H, W, 3) of one size, and their landmarks to embeddings of length 1, (n, d)."""
DLIB, ONNX = "dlib", "onnx"
FUSED = "fused"  # key of the header of a file of several recognizers


class OnnxFile(nn.Module):
    """An ONNX model's file, to be kept as weights are.

    Args:
        data: content of the file.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.register_buffer("file", torch.frombuffer(bytearray(data), dtype=torch.uint8))


def load(path: Path) -> Embed:
    """Return what embeds faces, from a recognizer's file.

    Raises:
        UnmaskError: no such file, it holds something else, or onnxruntime is needed and not installed.
    """
    return _of(*weights.load(path, recognizer.KIND), path)


def _of(about: Mapping[str, Any], state: Mapping[str, Tensor], path: Path) -> Embed:
    if FUSED in about:
        parts = zip(about[FUSED], fusion.split(state, len(about[FUSED])), strict=True)
        return _side_by_side([_of(part["about"], own, path) for part, own in parts], about["weights"])
    if about.get("pretrained") == DLIB:
        return dlib_embedding.Embedder(_dlib(state, path))
    if about.get("pretrained") == ONNX:
        return of_onnx(state["file"].numpy().tobytes(), about)
    return _of_trained(recognizer.of(about, state, path))


def _side_by_side(parts: Sequence[Embed], weights: Sequence[float]) -> Embed:
    return lambda faces, landmarks: fusion.joined([embed(faces, landmarks) for embed in parts], weights)


@dataclass(frozen=True)
class Folds:
    """What embeds people that a recognizer was trained on as if they were new to it.

    Attributes:
        fold_of: the fold of each person, 0 to n - 1. Whoever is not named is new to the recognizer itself.
        embed: for each fold what never saw its people; its embeddings lie in the space of the recognizer's.
    """

    fold_of: Mapping[str, int]
    embed: Sequence[Embed]


def load_folds(path: Path) -> Folds | None:
    """Return the networks for folds of a recognizer's file; None, if it was trained without, or not here.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    about, _ = weights.load(path, recognizer.KIND)
    if not about.get("fold_of"):
        return None
    fold_of, found = recognizer.load_folds(path)
    return Folds(fold_of, [_of_trained(one) for one in found])


def fold_of(path: Path) -> Mapping[str, int]:
    """Return the fold of each person that a recognizer was trained on; nothing, if it was trained without, or not here.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    found: Mapping[str, int] = weights.load(path, recognizer.KIND)[0].get("fold_of") or {}
    return found


def knows_nobody(path: Path) -> bool:
    """Tell whether a recognizer came pretrained and learned nothing here: all people of the pipeline are new to it.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    return _knows_nobody(weights.load(path, recognizer.KIND)[0])


def _knows_nobody(about: Mapping[str, Any]) -> bool:
    if FUSED in about:
        return all(_knows_nobody(part["about"]) for part in about[FUSED])
    return "pretrained" in about and not about.get("distilled")


def _of_trained(one: recognizer.Recognizer) -> Embed:
    return lambda faces, _: one.embed(faces)


def load_dlib(path: Path) -> tuple[dlib_embedding.ResNet29, dict[str, Any]]:
    """Return dlib's network with the weights of a recognizer's file, and what the file's header says.

    Raises:
        UnmaskError: no such file, or it holds another network.
    """
    about, state = weights.load(path, recognizer.KIND)
    if about.get("pretrained") != DLIB:
        raise UnmaskError(f"{path} is not dlib's network")
    return _dlib(state, path), about


def _dlib(state: Mapping[str, Tensor], path: Path) -> dlib_embedding.ResNet29:
    network = dlib_embedding.ResNet29()
    weights.fill(network, state, path)
    return network.eval().requires_grad_(False)


class OnnxEmbedder:
    """An ArcFace-style model: aligned RGB faces in, embeddings out.

    Args:
        model: the model.
    """

    def __init__(self, model: onnx_models.Model) -> None:
        self.model = model

    def __call__(self, faces: Sequence[Pixels], landmarks: Sequence[Points | None]) -> NDArray[np.float32]:
        """Return embeddings of length 1; those of a face and its mirror image are added up."""
        del landmarks
        # onnxruntime takes what lies in this machine's memory, and brings it to the device by itself.
        return np.asarray(device.apply(self._embeddings, torch.device("cpu"), faces), np.float32)

    def _embeddings(self, faces: Tensor) -> Tensor:
        inputs, shape = faces.float().contiguous(), (self.model.side, self.model.side)
        if inputs.shape[2:] != shape:
            inputs = resized(inputs, shape)
        one, mirrored = (torch.from_numpy(self.model.embeddings(some.numpy())) for some in (inputs, inputs.flip(3)))
        return normalized(normalized(one) + normalized(mirrored))


def of_onnx(data: bytes, described: Mapping[str, Any]) -> OnnxEmbedder:
    """Return what embeds faces by the content of an ONNX file; errors are those of `onnx_models.read`.

    Args:
        data: the content.
        described: fields of `onnx_models.Description`, among others.
    """
    known = {name: described[name] for name in onnx_models.Description.model_fields if name in described}
    return OnnxEmbedder(onnx_models.read(data, onnx_models.Description(**known)))
