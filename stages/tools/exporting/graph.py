"""What is exported: a network with its pre-processing as one module, and what is said of it.

All models take their images alike: RGB, float32 (batch, 3, height, width), 0 to 255. That is
`image.transpose(2, 0, 1)[None].astype("float32")`, and what an imported recognizer is given with a mean of 0 and a
scale of 1.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.core import images
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.tables import Face

FACES = "float32 (batch, 3, height, width): RGB, 0 to 255, aligned faces"
SIDES = {0: "batch", 2: "height", 3: "width"}  # of such an input that may have any length
Arrays = dict[str, NDArray[Any]]


class NotExportedError(UnmaskError):
    """A file of weights is whole, and of a kind that is not exported; a run over many leaves it out."""


@dataclass(frozen=True)
class Graph:
    """A model that can leave the house.

    Attributes:
        module: maps the inputs to the outputs, both in the order of their names.
        example: inputs to trace it with.
        outputs: by name, what each is.
        pipeline: maps a face of a table to the outputs that the pipeline itself gives, some or all of them.
        facts: what else a user must know: sizes, classes, how a face is cut out.
        inputs: by name, what each must be.
        free: by input, the sides that may have any length: number of the side, and its name; by output, such as nobody
            knows before.
        feed: maps a face of a table to the inputs.
        content: of the ONNX file, if there is one already; else it is made of the module.
    """

    module: nn.Module
    example: tuple[Tensor, ...]
    outputs: Mapping[str, str]
    pipeline: Callable[[Face], Arrays]
    facts: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=lambda: {"faces": FACES})
    free: Mapping[str, Mapping[int, str]] = field(default_factory=lambda: {"faces": SIDES})
    feed: Callable[[Face], Arrays] = lambda face: {"faces": planes([images.decode(face["image"])])}
    content: bytes | None = None

    def by_torch(self, inputs: Arrays) -> Arrays:
        """Return the outputs of the module."""
        with torch.inference_mode():
            found = self.module(*(torch.from_numpy(inputs[name]) for name in self.inputs))
        found = (found,) if isinstance(found, Tensor) else found
        return {name: value.numpy() for name, value in zip(self.outputs, found, strict=True)}


def example(side: int, channels: int = 3) -> Tensor:
    """Return images to trace a module with whose sides may have any length: of another size than `side`, not square."""
    return torch.zeros(2, channels, side + 8, side + 16)


def planes(pictures: Sequence[Pixels]) -> NDArray[np.float32]:
    """Return images uint8 (H, W, 3) or (H, W), all of one size, as float32 (n, 3 or 1, H, W), 0 to 255."""
    stacked = np.stack(pictures)
    stacked = stacked[:, None] if stacked.ndim == 3 else stacked.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(stacked, np.float32)
