"""A trained inpainter, and what it fills into images."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.compute import device, weights
from stages.core import images
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.alignment import Align
from stages.faces.resize import around_holes
from stages.inpainting.networks import Discriminator, Generator

KIND = "inpainter"
GENERATOR, DISCRIMINATOR = "generator.", "discriminator."  # how the names of their tensors begin; only one fills in


class Networks(nn.Module):
    """What is kept of a training: the averaged generator, and the discriminator to go on with.

    Args:
        about: `channels`, `discriminator_channels`, `size` and `patch`, which is 2 in older files that do not say.
    """

    def __init__(self, about: dict[str, Any]) -> None:
        super().__init__()
        self.generator = generator(about)
        self.discriminator = Discriminator(about["discriminator_channels"], _patch(about))


def generator(about: Mapping[str, Any]) -> Generator:
    """Return the untrained generator that a file's header describes."""
    return Generator(about["channels"], about["size"], _patch(about))


def _patch(about: Mapping[str, Any]) -> int:
    return int(about.get("patch", 2))


class Inpainter:
    """A trained generator.

    Args:
        generator: fills holes.
        align: how the faces lie on which it was trained, and their side, pixels.
    """

    def __init__(self, generator: Generator, align: Align) -> None:
        self.generator = device.placed(generator)
        self.align = align

    def __call__(self, faces: Sequence[Pixels], regions: Sequence[Pixels]) -> list[Pixels]:
        """Return aligned faces, RGB uint8 (H, W, 3), with their regions, uint8 (H, W), filled.

        Pixels outside a region are those of the input, bit by bit. A gray photo stays gray. What is made of a face and
        of its mirror image is averaged, which is closer to the photo than either.
        """
        pixels = device.apply(self.made, device.of(self.generator), faces, regions)
        return [
            np.where((region > 0)[..., None], _like(face, filled), face)
            for face, region, filled in zip(faces, regions, pixels, strict=True)
        ]

    def made(self, faces: Tensor, regions: Tensor) -> Tensor:
        """Return what the whole faces would be, uint8 (n, H, W, 3).

        Args:
            faces: uint8 (n, 3, H, W), on the generator's device.
            regions: uint8 (n, H, W), there, too.
        """
        shape = (self.align.side, self.align.side)
        height, width = faces.shape[2:]
        inputs, holes = faces.float() / 255, (regions > 0).float()[:, None]
        if (height, width) != shape:
            inputs, holes = around_holes(inputs, holes, shape)
        one, mirrored = self.generator(*(torch.cat([some, some.flip(3)]) for some in (inputs, holes))).chunk(2)
        made = ((one + mirrored.flip(3)) / 2).clamp(0, 1)
        if (height, width) != shape:
            made = nn.functional.interpolate(made, (height, width), mode="bicubic", antialias=True).clamp(0, 1)
        return (made * 255).round().byte().permute(0, 2, 3, 1)


def _like(face: Pixels, filled: Pixels) -> Pixels:
    """Return what was filled in, gray if the face is."""
    if not images.is_gray(face):
        return filled
    return np.asarray(np.round(filled.mean(2, keepdims=True)), np.uint8)


def load(path: Path) -> Inpainter:
    """Return the inpainter that a training wrote.

    Raises:
        UnmaskError: no such file, it holds something else, or does not say how the faces lay that it learned from.
    """
    about, state = weights.load(path, KIND)
    if "template" not in about:
        raise UnmaskError(f"{path} is of a version that did not note how faces were aligned: train it again")
    found = generator(about)
    own = {name.removeprefix(GENERATOR): tensor for name, tensor in state.items() if name.startswith(GENERATOR)}
    weights.fill(found, own, path)
    return Inpainter(found, Align(template=about["template"], side=about["size"]))
