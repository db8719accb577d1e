"""Train an inpainter on the faces of all people: the GAN, or for comparison the same generator by pixels alone.

python -m stages.train_shared_inpainter --objective gan --faces data/aligned/orl --templates data/mask_templates \
    --recognizer models/recognizer-arcface-bare.safetensors --out models/inpainter-shared-gan.safetensors \
    --curve metrics/curves/train_shared_inpainter-gan.csv --costs metrics/costs/train_shared_inpainter-gan.json \
    --metrics metrics/train_shared_inpainter-gan.json
"""

import functools
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.common.errors import UnmaskError
from stages.common.params import StageParams
from stages.inpainting import inpainter, samples
from stages.occlusion import looks
from stages.recognition import recognizer as recognition
from stages.training import launch, loop

OBJECTIVES = ("gan", "l1")


class Params(StageParams):
    """Section `train_shared_inpainter:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks", "inpainter")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    inpainter: inpainter.Network
    schedule: loop.Schedule


def train_shared_inpainter(
    objective: str,
    faces: Path,
    templates: Path,
    recognizer: Path,
    out: Path,
    curve: Path,
    costs: Path,
    params: Params,
) -> dict[str, Any]:
    """Train an inpainter on the bare faces of a table's train split, a mask drawn anew on each in every round.

    Args:
        objective: `gan`: all losses of `inpainter.losses`; `l1`: differences of pixels alone.
        faces: a table of faces with landmarks; such as wear a real mask are left out.
        templates: folder of the user's own masks.
        recognizer: weights of the recognizer of the identity loss.
        out: the weights to write.
        curve: the losses to write, CSV.
        costs: seconds, images per second and memory to write; they differ from run to run and are no output of DVC.
        params: section `train_shared_inpainter`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.
    """
    if objective not in OBJECTIVES:
        raise UnmaskError(f"--objective is {objective!r}, it must be one of {', '.join(OBJECTIVES)}")
    network = params.inpainter
    if objective == "l1":
        network = network.model_copy(update={"losses": network.losses.pixels_alone()})
    rows = inpainter.bare(faces, "train")
    drawn = params.render_masks.flattened()
    draw = functools.partial(looks.masked, looks=drawn, own=drawn.own_styles(templates))
    key = loop.key_of(
        {"objective": objective, **params.model_dump()},
        [faces, templates, recognizer, Path(__file__), *inpainter.CODE],
    )
    mean = inpainter.mean_face(rows, network.size)
    trained = inpainter.train(
        samples.Samples(rows, draw, blended=network.blended, size=network.size, seed=params.seed),
        network,
        params.schedule,
        start=lambda networks: networks.generator.mean_face.copy_(mean),
        recognizer=recognition.load(recognizer) if network.losses.identity else None,
        name=f"train_shared_inpainter-{objective}",
        key=key,
    )
    trained.write(out, curve, costs)
    return {"faces": len(rows), "people": len({face["identity"] for face in rows}), **trained.summary()}


if __name__ == "__main__":
    launch.run_stage("train_shared_inpainter")
