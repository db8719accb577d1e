"""How inpainters learn: a generator against a discriminator, from scratch or from what an earlier training taught."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import nn

from stages.compute import weights
from stages.core import images
from stages.core.params import Section, StageParams
from stages.core.seeding import derived
from stages.core.tables import Face
from stages.faces.alignment import Align
from stages.faces.resize import resized_pixels
from stages.inpainting.gan import InpaintingGAN, LossWeights
from stages.inpainting.inpainter import KIND, Networks
from stages.inpainting.samples import Samples
from stages.masks import looks
from stages.training import loop
from stages.training.trained import Trained

COLUMNS = ("face_id", "identity", "image", "landmarks", "face_type")  # of the faces to train on


class Network(Section):
    """Section `inpainter:` of params.yaml: what all inpainters are, and what they minimize."""

    side: int = Field(ge=32, le=1024)
    """Side of the images to train on, pixels."""
    patch: Literal[2, 4, 8]
    """Pixels each way that go into the generator together: it sees as many times farther, and takes less time."""
    channels: int = Field(ge=4)
    """Of the generator's finest features."""
    discriminator_channels: int = Field(ge=4)
    """Of the discriminator's first features."""
    blend_prob: float = Field(ge=0, le=1)
    """Share of the training faces that are blended with another one."""
    ema_momentum: float = Field(gt=0, lt=1)
    """Share of the newest weights in the generator's exponential moving average."""
    losses: LossWeights


class Params(StageParams):
    """What each training of an inpainter takes from params.yaml."""

    top_level: ClassVar = ("seed", "align_faces", "render_masks", "inpainter")

    seed: int = Field(ge=0)
    align_faces: Align
    render_masks: looks.Looks
    inpainter: Network
    schedule: loop.Schedule


def samples(rows: Sequence[Face], params: Params, templates: Path, name: str) -> Samples:
    """Return bare faces on which a mask is drawn anew in every round.

    Args:
        rows: the faces, with `COLUMNS`.
        params: of the stage.
        templates: folder of the user's own masks.
        name: of the training. The second and third go on from the weights of the one before: with its chance they would
            see its samples once more.
    """
    drawn, network = params.render_masks.flattened(), params.inpainter
    draw = functools.partial(looks.masked, looks=drawn, own=drawn.own_styles(templates))
    return Samples(rows, draw, blend_prob=network.blend_prob, size=network.side, seed=derived(params.seed, name))


def train(
    samples: Samples,
    network: Network,
    schedule: loop.Schedule,
    *,
    start: Callable[[Networks], object],
    recognizer: nn.Module | None,
    name: str,
    key: str,
) -> tuple[Trained, Networks]:
    """Train generator and discriminator, see `loop.train`.

    Args:
        samples: bare faces with holes.
        network: section `inpainter` of params.yaml.
        schedule: steps, batch size, learning rate.
        start: puts mean face or weights into the untrained networks.
        recognizer: of the identity loss, maps images (n, 3, h, w), 0 to 1, to embeddings.
        name: of what is trained.
        key: see `checkpoints.key_of`.

    Returns:
        The training, and what is kept of it: the mean of the generator's weights, and the discriminator to go on with.
    """

    def build() -> InpaintingGAN:
        networks = Networks(_sizes(network))
        start(networks)
        return InpaintingGAN(
            networks.generator, networks.discriminator, recognizer, network.losses, ema_momentum=network.ema_momentum
        )

    trained = loop.train(build, samples, schedule, name=name, key=key, parts=("generator", "discriminator"))
    gan: Any = trained.model
    kept = Networks(_sizes(network))
    kept.generator.load_state_dict(gan.averaged.module.state_dict())
    kept.discriminator.load_state_dict(gan.discriminator.state_dict())
    return trained, kept


def header(network: Network, align: Align) -> dict[str, Any]:
    """Return what the file of an inpainter says of it, and of the faces that it learned from."""
    return {"kind": KIND, **_sizes(network), "template": align.template}


def _sizes(network: Network) -> dict[str, int]:
    return {**network.model_dump(include={"patch", "channels", "discriminator_channels"}), "size": network.side}


def parameters(networks: Networks) -> dict[str, int]:
    """Return the number of parameters of each network."""
    return {name: weights.parameters(part) for name, part in networks.named_children()}


def continue_from(path: Path) -> Callable[[Networks], object]:
    """Return what puts the weights that a training wrote into networks that are to be trained on.

    Raises:
        UnmaskError: no such file, or, when it is called, weights of other networks.
    """
    _, state = weights.load(path, KIND)
    return lambda networks: weights.fill(networks, state, path)


def mean_face(faces: Sequence[Face], size: int) -> torch.Tensor:
    """Return the mean of aligned faces and their mirror images, float32 (1, 3, size, size), 0 to 1."""
    total = np.zeros((size, size, 3))
    for face in faces:
        total += resized_pixels(images.decode(face["image"]), (size, size))
    mean = (total + total[:, ::-1]) / (2 * 255 * len(faces))
    return torch.from_numpy(mean.transpose(2, 0, 1)[None].astype(np.float32))
