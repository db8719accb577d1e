"""Train an inpainter on all people by differences of pixels alone: where the GAN starts, and what it is compared with.

python -m stages.inpainting.pretrain_inpainter --faces data/aligned/orl --templates data/mask_templates \
    --out models/inpainter-pretrained.safetensors --curve metrics/curves/pretrain_inpainter.csv \
    --costs metrics/costs/pretrain_inpainter.json --metrics metrics/pretrain_inpainter.json
"""

import functools
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.core import tables
from stages.core.params import StageParams
from stages.inpainting import inpainter, samples
from stages.masks import looks
from stages.training import launch, loop


class Params(StageParams):
    """Section `pretrain_inpainter:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks", "inpainter")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    inpainter: inpainter.Network
    schedule: loop.Schedule


def pretrain_inpainter(
    faces: Path, templates: Path, out: Path, curve: Path, costs: Path, params: Params
) -> dict[str, Any]:
    """Train an inpainter on the bare faces of a table's train split, a mask drawn anew on each in every round.

    Of `inpainter.losses` only the differences of pixels count.

    Args:
        faces: a table of faces with landmarks; such as wear a real mask are left out.
        templates: folder of the user's own masks.
        out: the weights to write.
        curve: the losses to write, CSV.
        costs: seconds, images per second and memory to write; they differ from run to run and are no output of DVC.
        params: section `pretrain_inpainter`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.
    """
    network = params.inpainter
    pixels_alone = network.model_copy(update={"losses": network.losses.pixels_alone()})
    rows = tables.bare(faces, inpainter.COLUMNS, "train")
    drawn = params.render_masks.flattened()
    draw = functools.partial(looks.masked, looks=drawn, own=drawn.own_styles(templates))
    key = loop.key_of(params.model_dump(), [faces, templates], Path(__file__))
    mean = inpainter.mean_face(rows, network.side)
    trained = inpainter.train(
        samples.Samples(rows, draw, blend_prob=network.blend_prob, size=network.side, seed=params.seed),
        pixels_alone,
        params.schedule,
        start=lambda networks: networks.generator.mean_face.copy_(mean),
        recognizer=None,
        name="pretrain_inpainter",
        key=key,
    )
    trained.write(out, curve, costs)
    return trained.summary()


if __name__ == "__main__":
    launch.run_stage("inpainting.pretrain_inpainter")
