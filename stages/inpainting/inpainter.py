"""An inpainter: a trained generator, how it is trained, and what it fills into images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from stages.compute import device, weights
from stages.core import images
from stages.core.images import Pixels
from stages.core.params import Section
from stages.core.tables import Face
from stages.inpainting.gan import InpaintingGAN, LossWeights
from stages.inpainting.networks import Discriminator, Generator
from stages.inpainting.samples import Samples
from stages.training import loop

KIND = "inpainter"
COLUMNS = ("face_id", "identity", "image", "landmarks", "face_type")  # of the faces to train on


class Network(Section):
    """Section `inpainter:` of params.yaml: what all inpainters are, and what they minimize."""

    side: int = Field(ge=32, le=1024)
    """Side of the images to train on, pixels."""
    channels: int = Field(ge=4)
    """Of the generator's finest features."""
    discriminator_channels: int = Field(ge=4)
    """Of the discriminator's first features."""
    blend_prob: float = Field(ge=0, le=1)
    """Share of the training faces that are blended with another one."""
    ema_momentum: float = Field(gt=0, lt=1)
    """Share of the newest weights in the generator's exponential moving average."""
    losses: LossWeights


class Networks(nn.Module):
    """What is kept of a training: the averaged generator, and the discriminator to go on with.

    Args:
        about: `channels`, `discriminator_channels` and `size`.
    """

    def __init__(self, about: dict[str, Any]) -> None:
        super().__init__()
        self.generator = Generator(about["channels"], about["size"])
        self.discriminator = Discriminator(about["discriminator_channels"])


@dataclass(frozen=True)
class Trained:
    """A finished training of an inpainter.

    Attributes:
        run: see `loop.Trained`.
        networks: averaged generator, and discriminator.
        about: what the header of their file says.
        faces: what it was trained on.
    """

    run: loop.Trained
    networks: Networks
    about: dict[str, Any]
    faces: Sequence[Face]

    def write(self, out: Path, curve: Path, costs: Path) -> None:
        """Write weights, curve and costs, then delete the checkpoints."""
        self.run.write(out, self.about, curve, costs, self.networks)

    def summary(self) -> dict[str, Any]:
        """Return on how many faces of how many people it was trained, both networks' parameters, the last losses."""
        return {
            **self.run.summary(self.faces),
            "parameters": {
                name: sum(weight.numel() for weight in part.parameters())
                for name, part in self.networks.named_children()
            },
        }


def train(
    samples: Samples,
    network: Network,
    schedule: loop.Schedule,
    *,
    start: Callable[[Networks], object],
    recognizer: nn.Module | None,
    name: str,
    key: str,
) -> Trained:
    """Train generator and discriminator, see `loop.train`.

    Args:
        samples: bare faces with holes.
        network: section `inpainter` of params.yaml.
        schedule: steps, batch size, learning rate.
        start: puts mean face or weights into the untrained networks.
        recognizer: of the identity loss.
        name: of what is trained.
        key: see `loop.key_of`.
    """
    about = {**network.model_dump(include={"channels", "discriminator_channels"}), "size": network.side}

    def build() -> InpaintingGAN:
        networks = Networks(about)
        start(networks)
        return InpaintingGAN(
            networks.generator, networks.discriminator, recognizer, network.losses, ema_momentum=network.ema_momentum
        )

    run = loop.train(
        build, samples, schedule, name=name, seed=samples.seed, key=key, parts=("generator", "discriminator")
    )
    gan: Any = run.model
    result = Networks(about)
    result.generator.load_state_dict(gan.averaged.module.state_dict())
    result.discriminator.load_state_dict(gan.discriminator.state_dict())
    return Trained(run, result, {"kind": KIND, **about}, samples.faces)


def mean_face(faces: Sequence[Face], size: int) -> torch.Tensor:
    """Return the mean of aligned faces and their mirror images, float32 (1, 3, size, size), 0 to 1."""
    total = np.zeros((size, size, 3))
    for face in faces:
        total += cv2.resize(images.decode(face["image"]), (size, size), interpolation=cv2.INTER_AREA)
    mean = (total + total[:, ::-1]) / (2 * 255 * len(faces))
    return torch.from_numpy(mean.transpose(2, 0, 1)[None].astype(np.float32))


class Inpainter:
    """A trained generator.

    Args:
        generator: fills holes.
        size: side of the images it was trained on, pixels.
    """

    def __init__(self, generator: Generator, size: int) -> None:
        self.generator = device.placed(generator)
        self.size = size

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
        shape = (self.size, self.size)
        height, width = faces.shape[2:]
        inputs, holes = faces.float() / 255, (regions > 0).float()[:, None]
        if (height, width) != shape:
            smaller = max(height, width) > self.size
            inputs = nn.functional.interpolate(inputs * (1 - holes), shape, mode="bilinear", antialias=smaller)
            around = nn.functional.interpolate(1 - holes, shape, mode="bilinear", antialias=smaller)
            inputs = inputs / around.clamp(min=1e-3)  # so that nothing of the hole leaks into its border
            holes = (around < 0.5).float()
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
        UnmaskError: no such file, or it holds something else.
    """
    about, state = weights.load(path, KIND)
    networks = Networks(about)
    weights.fill(networks, state, path)
    return Inpainter(networks.generator, about["size"])


def continue_from(path: Path, networks: Networks) -> None:
    """Put the weights that a training wrote into networks that are to be trained on.

    Raises:
        UnmaskError: no such file, or weights of other networks.
    """
    _, state = weights.load(path, KIND)
    weights.fill(networks, state, path)
