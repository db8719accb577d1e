"""A GAN's training of seconds, to be run as a program: `python -m tests.tiny_gan weights.safetensors`."""

import sys

import numpy as np
import torch
from safetensors.torch import save_file

from stages.core import tables
from stages.core.images import Pixels
from stages.inpainting import samples, training
from stages.inpainting.gan import LossWeights
from stages.inpainting.inpainter import KIND, Networks
from stages.training import loop
from stages.training.trained import Trained
from tests.conftest import face_row

SIZES = {"channels": 4, "discriminator_channels": 4, "size": 32, "patch": 2}
ABOUT = {"kind": KIND, **SIZES, "template": "arcface"}


def hole(height: int = 32, width: int = 32) -> Pixels:
    """Return a region down to the border."""
    region = np.zeros((height, width), np.uint8)
    region[height // 2 :, width // 4 : -width // 4] = 255
    return region


def halves(n: int = 6) -> samples.Samples:
    """Return faces whose lower half is a hole."""

    def draw(face: tables.Face, image: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        del face, rng
        region = hole(*image.shape[:2])
        return np.where((region > 0)[..., None], np.uint8(200), image), region

    return samples.Samples([face_row(index) for index in range(n)], draw, blend_prob=0.5, size=32, seed=0)


def network(**losses: float) -> training.Network:
    """Return the smallest networks, and weights of the losses."""
    default = {"hole": 6.0, "context": 1.0, "structure": 1.0, "adversarial": 0.1, "features": 1.0, "identity": 0.0}
    sizes = {"side": 32, "patch": 2, "channels": 4, "discriminator_channels": 4}
    return training.Network(**sizes, blend_prob=0.5, ema_momentum=0.2, losses=LossWeights(**{**default, **losses}))


def schedule(steps: int, **changes: object) -> loop.Schedule:
    """Return a short schedule."""
    values = {"batch_size": 4, "learning_rate": 0.002, "weight_decay": 0.0, "precision": "float32"}
    return loop.Schedule(**{"steps": steps, "checkpoint_every": 2, **values, **changes})


def train(steps: int = 4, recognition: torch.nn.Module | None = None, **losses: float) -> tuple[Trained, Networks]:
    """Train on faces whose lower half is a hole."""
    data = halves()
    mean = training.mean_face(data.faces, 32)
    return training.train(
        data,
        network(**losses),
        schedule(steps),
        start=lambda networks: networks.generator.mean_face.copy_(mean),
        recognizer=recognition,
        name="gan",
        key="k",
    )


if __name__ == "__main__":
    save_file(train(6)[1].state_dict(), sys.argv[1])
