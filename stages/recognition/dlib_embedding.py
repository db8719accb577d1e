"""dlib's pretrained recognizer: a ResNet-29 trained on three million faces, 128 numbers a face.

D. E. King, "High Quality Face Recognition with Deep Metric Learning", 2017; weights in the package
face_recognition_models. dlib's own code takes 150 ms a face on one core, so torch does it with the same weights.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import dlib
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stages.compute import device
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.dlib_models import model_file
from stages.faces.landmarks import Points

WEIGHTS = "dlib_face_recognition_resnet_model_v1.dat"
CHIP, PADDING = 150, 0.25  # on which it was trained
FINER = 4  # dlib takes landmarks in whole pixels, so faces are enlarged before
MEAN, SCALE = (122.782, 117.001, 104.298), 256  # of the pixels, dlib's input_rgb_image_sized
# Layers with weights, and how many integers stand before the tensor: the last one tells its inputs and outputs.
LAYERS = {b"con_4": 0, b"affine_": 0, b"fc_2": 2}
# Channels of the residual blocks, and whether a block halves the image.
BLOCKS = tuple(
    (channels, halves and not index)
    for channels, blocks, halves in ((32, 3, False), (64, 4, True), (128, 3, True), (256, 3, True), (256, 1, True))
    for index in range(blocks)
)


class ResNet29(nn.Module):
    """dlib's network. Each affine layer is part of the convolution before it."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 32, 7, 2)
        before = [32] + [channels for channels, _ in BLOCKS[:-1]]
        self.blocks = nn.ModuleList(
            _Block(inputs, channels, halves) for inputs, (channels, halves) in zip(before, BLOCKS, strict=True)
        )
        self.last = nn.Linear(256, 128, bias=False)

    def forward(self, chips: Tensor) -> Tensor:
        """Return embeddings (n, 128) of dlib's face chips, (n, 3, 150, 150), RGB, 0 to 255."""
        x = (chips - chips.new_tensor(MEAN).reshape(3, 1, 1)) / SCALE
        x = functional.max_pool2d(functional.relu(self.first(x)), 3, 2)
        for block in self.blocks:
            x = block(x)
        return self.last(x.mean((2, 3)))

    def convolutions(self) -> list[nn.Conv2d]:
        """Return them from the first to the last."""
        return [part for part in self.modules() if isinstance(part, nn.Conv2d)]


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, halves: bool) -> None:
        super().__init__()
        self.halves = halves
        self.one = nn.Conv2d(before, channels, 3, 2 if halves else 1, 0 if halves else 1)
        self.two = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        changed = self.two(functional.relu(self.one(x)))
        if self.halves:
            x = functional.avg_pool2d(x, 2)
        # dlib fills up with zeros what has fewer channels or, being halved without padding, is smaller.
        shape = [max(one, other) for one, other in zip(x.shape[1:], changed.shape[1:], strict=True)]
        return functional.relu(_filled_up(x, shape) + _filled_up(changed, shape))


def _filled_up(x: Tensor, shape: Sequence[int]) -> Tensor:
    channels, height, width = (wanted - have for wanted, have in zip(shape, x.shape[1:], strict=True))
    return functional.pad(x, (0, width, 0, height, 0, channels))


@functools.cache
def network() -> ResNet29:
    """Return dlib's network with the weights of the package.

    Raises:
        UnmaskError: the package is not installed, or holds another network.
    """
    path = Path(model_file(WEIGHTS))
    found = list(_tensors(path.read_bytes()))
    net = ResNet29()
    convolutions = net.convolutions()
    if [name for name, _ in found] != ["con_4", "affine_"] * len(convolutions) + ["fc_2"]:
        raise UnmaskError(f"{path} is not dlib's ResNet-29: pip install --force-reinstall face_recognition_models")
    values = [torch.from_numpy(value) for _, value in found]
    for layer, of_layer, affine in zip(convolutions, values[:-1:2], values[1::2], strict=True):
        weight, bias = of_layer[: layer.weight.numel()].view_as(layer.weight), of_layer[layer.weight.numel() :]
        gain, offset = affine.chunk(2)
        layer.weight = nn.Parameter(weight * gain[:, None, None, None])
        layer.bias = nn.Parameter(bias * gain + offset)
    net.last.weight = nn.Parameter(values[-1].view(256, 128).T)
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def _tensors(data: bytes) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the name and the weights of each layer that has any, as dlib's `serialize` wrote them."""
    for marker in re.finditer(b"|".join(LAYERS), data):
        offset = marker.end()
        numbers = []
        for _ in range(LAYERS[marker.group()] + 5):  # a tensor is its version, its four sides, then its values
            length = data[offset] & 15  # an integer is its length in bytes, then the bytes
            numbers.append(int.from_bytes(data[offset + 1 : offset + 1 + length], "little"))
            offset += 1 + length
        yield marker.group().decode(), np.frombuffer(data, "<f4", int(np.prod(numbers[-4:])), offset).copy()


class Embedder:
    """Embeds faces with dlib's network.

    Args:
        net: the network.
    """

    def __init__(self, net: ResNet29) -> None:
        self.net = device.placed(net)

    def __call__(self, faces: Sequence[Pixels], landmarks: Sequence[Points | None]) -> NDArray[np.float32]:
        """Return embeddings of length 1, (n, 128), of RGB faces (H, W, 3) with their landmarks (68, 2), in pixels.

        That of a face and that of its mirror image are added up.

        Raises:
            UnmaskError: a face has no landmarks, by which dlib cuts it out.
        """
        if any(points is None for points in landmarks):
            raise UnmaskError("a face without landmarks cannot be cut out for dlib's recognizer")
        chips = [chip(face, points) for face, points in zip(faces, landmarks, strict=True) if points is not None]
        found = device.apply(self.embeddings, device.of(self.net), chips)
        return np.asarray(found, np.float32).reshape(-1, 128)

    def embeddings(self, chips: Tensor) -> Tensor:
        """Return embeddings (n, 128) of dlib's chips, uint8 (n, 3, 150, 150), on the network's device."""
        faces = chips.float()
        one, mirrored = functional.normalize(self.net(torch.cat([faces, faces.flip(3)]))).chunk(2)
        return functional.normalize(one + mirrored)


def embed(faces: Sequence[Pixels], landmarks: Sequence[Points]) -> NDArray[np.float32]:
    """Return embeddings by the network of the package; see `Embedder`."""
    return _embedder()(faces, landmarks)


@functools.cache
def _embedder() -> Embedder:
    return Embedder(network())


def chip(face: Pixels, points: Points) -> Pixels:
    """Return a face (H, W, 3) with its landmarks (68, 2) cut out as dlib's network wants it, (150, 150, 3)."""
    height, width = face.shape[:2]
    large = cv2.resize(face, (FINER * width, FINER * height), interpolation=cv2.INTER_CUBIC)
    places = np.round((points + 0.5) * FINER - 0.5).astype(int)
    shape = dlib.full_object_detection(
        dlib.rectangle(0, 0, large.shape[1], large.shape[0]), [dlib.point(int(x), int(y)) for x, y in places]
    )
    return np.asarray(dlib.get_face_chip(large, shape, CHIP, PADDING), np.uint8)
