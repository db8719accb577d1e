"""Train a recognizer: faces of one person get embeddings close to each other.

python -m stages.recognition.train_recognizer --loss arcface --masks bare --faces data/aligned/orl \
    --templates data/mask_templates --out models/recognizer-arcface-bare.safetensors \
    --curve metrics/curves/train_recognizer-arcface-bare.csv --costs metrics/costs/train_recognizer-arcface-bare.json \
    --metrics metrics/train_recognizer-arcface-bare.json
"""

import functools
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from pytorch_metric_learning import losses
from torch import nn

from stages.core import tables
from stages.core.errors import UnmaskError
from stages.core.params import Section, StageParams
from stages.masks import looks
from stages.recognition import recognizer
from stages.recognition.networks import parameters
from stages.training import launch, loop

MARGINS = {"sphereface": losses.SphereFaceLoss, "cosface": losses.CosFaceLoss, "arcface": losses.ArcFaceLoss}
LOSSES = ("softmax", *MARGINS)
MASKS = ("bare", "masked")


class Softmax(Section):
    """A softmax over cosines, without a margin."""

    scale: float = Field(gt=0)
    """Of the cosines before the softmax."""


class Margin(Softmax):
    """A softmax that asks a face to be closer to its own person by a margin."""

    margin: float = Field(gt=0, lt=90)
    """ArcFace: degrees; CosFace: of the cosine; SphereFace: factor of the angle."""


class Params(StageParams):
    """Section `train_recognizer:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    network: recognizer.Network
    softmax: Softmax
    sphereface: Margin
    cosface: Margin
    arcface: Margin
    mask_prob: float = Field(ge=0, le=1)
    """Share of the training images with a mask, where masks are trained with."""
    schedule: loop.Schedule


def train_recognizer(
    loss: str, masks: str, faces: Path, templates: Path, out: Path, curve: Path, costs: Path, params: Params
) -> dict[str, Any]:
    """Train a recognizer on the people of a table's train split.

    Args:
        loss: `softmax`, `sphereface` (arXiv:1704.08063), `cosface` (arXiv:1801.09414) or `arcface` (arXiv:1801.07698).
        masks: `bare`: photos as they are; `masked`: on a share of them a mask is drawn anew in each round.
        faces: a table of faces; such as wear a real mask are left out, on such without landmarks no mask is drawn.
        templates: folder of the user's own masks.
        out: the weights to write.
        curve: the losses to write, CSV.
        costs: seconds, images per second and memory to write; they differ from run to run and are no output of DVC.
        params: section `train_recognizer`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.

    Raises:
        UnmaskError: there are fewer than two people to train on.
    """
    for option, value, known in (("loss", loss, LOSSES), ("masks", masks, MASKS)):
        if value not in known:
            raise UnmaskError(f"--{option} is {value!r}, it must be one of {', '.join(known)}")
    wanted = ["face_id", "identity", "image", "landmarks", "face_type"]
    rows = tables.bare(faces, wanted, "train", with_landmarks=False)
    identities = {face["identity"] for face in rows}
    if len(identities) < 2:
        raise UnmaskError(f"{faces} has {len(identities)} people in split 'train': a recognizer needs two at least")
    drawn = params.render_masks.in_training()
    share = params.mask_prob if masks == "masked" else 0.0
    change = functools.partial(looks.perhaps_masked, share=share, looks=drawn, own=drawn.own_styles(templates))
    numbers = getattr(params, loss)
    about = {"loss": loss, "masks": masks, **params.model_dump(exclude=set(LOSSES)), **numbers.model_dump()}
    key = loop.key_of(about, [faces, templates], Path(__file__))

    def build() -> recognizer.Training:
        return recognizer.Training(params.network.build(), _criterion(loss, len(identities), params))

    trained = loop.train(
        build,
        recognizer.Samples(rows, change, params.network.side, params.seed),
        params.schedule,
        name=f"train_recognizer-{loss}-{masks}",
        seed=params.seed,
        key=key,
    )
    network: Any = trained.model.network
    header = {"kind": recognizer.KIND, "loss": loss, "masks": masks, "network": params.network.model_dump()}
    trained.write(out, header, curve, costs, network)
    return {**trained.summary(rows), "parameters": parameters(network)}


def _criterion(loss: str, n_identities: int, params: Params) -> nn.Module:
    size = params.network.embedding
    if loss == "softmax":
        softmax: nn.Module = losses.NormalizedSoftmaxLoss(n_identities, size, temperature=1 / params.softmax.scale)
        return softmax
    numbers = getattr(params, loss)
    criterion: nn.Module = MARGINS[loss](n_identities, size, margin=numbers.margin, scale=numbers.scale)
    return criterion


if __name__ == "__main__":
    launch.run_stage("recognition.train_recognizer")
