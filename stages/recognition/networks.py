"""A recognizer's network: an IResNet, from a few layers for a laptop to the hundred of the published models.

"Improved Residual Networks for Image and Video Recognition" (arXiv:2004.04989), in the form in which ArcFace
(arXiv:1801.07698) uses it: 3x3 stem without pooling, pre-activated blocks, flattened features, embedding.
"""

from collections.abc import Sequence

import torch
from pydantic import Field
from torch import Tensor, nn

from stages.core.params import Section

STRIDE = 16  # by which the last features are smaller than the image


class Block(nn.Module):
    """Batch norm, convolution, batch norm, PReLU, convolution with the stride, batch norm; and a shortcut.

    Args:
        channels: of the input.
        out: channels of the output.
        stride: of the second convolution.
    """

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, out, 3, 1, 1, bias=False),
            nn.BatchNorm2d(out),
            nn.PReLU(out),
            nn.Conv2d(out, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return features (n, out, h / stride, w / stride)."""
        return self.path(x) + self.shortcut(x)


class IResNet(nn.Module):
    """Maps faces to embeddings.

    Args:
        layers: blocks in each of the four stages; 3, 13, 30, 3 is IResNet-100.
        channels: of the stages; the published ones have 64, 128, 256, 512.
        embedding: numbers in an embedding.
        size: side of the faces, a multiple of 16 pixels.
        dropout: share of the last features left out in training.
    """

    def __init__(
        self, layers: Sequence[int], channels: Sequence[int], embedding: int, size: int, dropout: float
    ) -> None:
        super().__init__()
        first = channels[0]
        self.stem = nn.Sequential(nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.BatchNorm2d(first), nn.PReLU(first))
        blocks, before = [], first
        for depth, width in zip(layers, channels, strict=True):
            for index in range(depth):
                blocks.append(Block(before, width, 1 if index else 2))
                before = width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Sequential(
            nn.BatchNorm2d(before),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(before * (size // STRIDE) ** 2, embedding),
            nn.BatchNorm1d(embedding),
        )

    def forward(self, faces: Tensor) -> Tensor:
        """Return embeddings (n, embedding), not normalized, of faces (n, 3, size, size), 0 to 1."""
        features: Tensor = self.head(self.blocks(self.stem(2 * faces - 1)))
        return features


def from_arcface_torch(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of an IResNet of InsightFace's arcface_torch by their names here; others as they are.

    It calls its parts conv1, bn1, prelu, layer1 to layer4, bn2, fc and features, and those of a block bn1, conv1, bn2,
    prelu, conv2, bn3 and downsample (https://github.com/deepinsight/insightface/tree/master/recognition/arcface_torch).
    """
    if "features.weight" not in state:
        return state
    depth, first = {}, 0
    for stage in range(1, 5):
        numbers = {int(name.split(".")[1]) for name in state if name.startswith(f"layer{stage}.")}
        depth[f"layer{stage}"], first = first, first + len(numbers)
    outer = {
        "conv1": "stem.0",
        "bn1": "stem.1",
        "prelu": "stem.2",
        "bn2": "head.0",
        "fc": "head.3",
        "features": "head.4",
    }
    path = ("bn1", "conv1", "bn2", "prelu", "conv2", "bn3")
    found = {}
    for name, tensor in state.items():
        part, *rest = name.split(".")
        if part in depth:
            number, inner, *rest = rest
            place = f"path.{path.index(inner)}" if inner in path else "shortcut"
            part = f"blocks.{depth[part] + int(number)}.{place}"
        found[".".join([outer.get(part, part), *rest])] = tensor
    return found


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


def normalized(embeddings: Tensor) -> Tensor:
    """Return embeddings of length 1."""
    return torch.nn.functional.normalize(embeddings.float(), dim=1)
