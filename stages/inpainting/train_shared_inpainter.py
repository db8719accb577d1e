"""Train the inpainter of all people as a GAN, from what differences of pixels alone have taught it.

python -m stages.inpainting.train_shared_inpainter --faces data/aligned/orl --templates data/mask_templates \
    --pretrained models/inpainter-pretrained.safetensors --recognizer models/recognizer-softmax-bare.safetensors \
    --out models/inpainter-shared.safetensors --curve metrics/curves/train_shared_inpainter.csv \
    --costs metrics/costs/train_shared_inpainter.json --metrics metrics/train_shared_inpainter.json
"""

import functools
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.core import tables
from stages.core.params import StageParams
from stages.inpainting import inpainter, samples
from stages.masks import looks
from stages.recognition import recognizer as recognition
from stages.training import launch, loop


class Params(StageParams):
    """Section `train_shared_inpainter:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks", "inpainter")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    inpainter: inpainter.Network
    schedule: loop.Schedule


def train_shared_inpainter(
    faces: Path,
    templates: Path,
    pretrained: Path,
    recognizer: Path,
    out: Path,
    curve: Path,
    costs: Path,
    params: Params,
) -> dict[str, Any]:
    """Go on training the pretrained inpainter with all losses of `inpainter.losses`, on the same faces.

    Args:
        faces: a table of faces with landmarks; such as wear a real mask are left out.
        templates: folder of the user's own masks.
        pretrained: weights to start from, of the same `inpainter:` section.
        recognizer: weights of the recognizer of the identity loss.
        out: the weights to write.
        curve: the losses to write, CSV.
        costs: seconds, images per second and memory to write; they differ from run to run and are no output of DVC.
        params: section `train_shared_inpainter`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.
    """
    network = params.inpainter
    rows = tables.bare(faces, inpainter.COLUMNS, "train")
    drawn = params.render_masks.flattened()
    draw = functools.partial(looks.masked, looks=drawn, own=drawn.own_styles(templates))
    key = loop.key_of(params.model_dump(), [faces, templates, pretrained, recognizer], Path(__file__))
    trained = inpainter.train(
        samples.Samples(rows, draw, blend_prob=network.blend_prob, size=network.side, seed=params.seed),
        network,
        params.schedule,
        start=functools.partial(inpainter.continue_from, pretrained),
        recognizer=recognition.load(recognizer) if network.losses.identity else None,
        name="train_shared_inpainter",
        key=key,
    )
    trained.write(out, curve, costs)
    return trained.summary()


if __name__ == "__main__":
    launch.run_stage("inpainting.train_shared_inpainter")
