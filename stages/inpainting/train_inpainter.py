"""Fine-tune the shared inpainter on the faces of one sex.

python -m stages.inpainting.train_inpainter --sex female --faces data/aligned/orl --templates data/mask_templates \
    --shared models/inpainter-shared.safetensors --recognizer models/recognizer-softmax-bare.safetensors \
    --out models/inpainter-female.safetensors --curve metrics/curves/train_inpainter-female.csv \
    --costs metrics/costs/train_inpainter-female.json --metrics metrics/train_inpainter-female.json
"""

import functools
import shutil
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from stages.core import tables
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file
from stages.core.params import StageParams
from stages.core.tables import SEXES
from stages.inpainting import inpainter, samples
from stages.masks import looks
from stages.recognition import recognizer as recognition
from stages.training import launch, loop


class Params(StageParams):
    """Section `train_inpainter:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks", "inpainter")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    inpainter: inpainter.Network
    without_faces: Literal["error", "shared"]
    """What to do if no face of the sex is known: stop, or let the shared inpainter fill in those faces, too."""
    schedule: loop.Schedule


def train_inpainter(
    sex: str,
    faces: Path,
    templates: Path,
    shared: Path,
    recognizer: Path,
    out: Path,
    curve: Path,
    costs: Path,
    params: Params,
) -> dict[str, Any]:
    """Go on training the shared inpainter with the bare faces of one sex in a table's train split.

    Args:
        sex: `female` or `male`.
        faces: a table of faces with landmarks and sex; such as wear a real mask are left out.
        templates: folder of the user's own masks.
        shared: weights to start from, of the same `inpainter:` section.
        recognizer: weights of the recognizer of the identity loss.
        out: the weights to write.
        curve: the losses to write, CSV.
        costs: seconds, images per second and memory to write; they differ from run to run and are no output of DVC.
        params: section `train_inpainter`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses; 0 faces if there are
        none and the shared weights were written.

    Raises:
        UnmaskError: `sex` is none of these, or there is no face of it and `without_faces` is `error`.
    """
    if sex not in SEXES:
        raise UnmaskError(f"--sex is {sex!r}, it must be one of {', '.join(SEXES)}")
    network = params.inpainter
    try:
        rows = tables.bare(faces, inpainter.COLUMNS, "train", sex=sex)
    except tables.NoFacesError as error:
        if params.without_faces == "error":
            raise UnmaskError(f"{error}; train_inpainter.without_faces: shared goes on without") from None
        return _as_shared(shared, out, curve)
    drawn = params.render_masks.flattened()
    draw = functools.partial(looks.masked, looks=drawn, own=drawn.own_styles(templates))
    key = loop.key_of(
        {"sex": sex, **params.model_dump()},
        [faces, templates, shared, recognizer],
        Path(__file__),
    )
    trained = inpainter.train(
        samples.Samples(rows, draw, blend_prob=network.blend_prob, size=network.side, seed=params.seed),
        network,
        params.schedule,
        start=functools.partial(inpainter.continue_from, shared),
        recognizer=recognition.load(recognizer) if network.losses.identity else None,
        name=f"train_inpainter-{sex}",
        key=key,
    )
    trained.write(out, curve, costs)
    return trained.summary()


def _as_shared(shared: Path, out: Path, curve: Path) -> dict[str, Any]:
    """Write the shared weights, and a curve without points."""
    with whole_file(curve) as staging:
        staging.write_text("step,loss_hole\n", encoding="utf-8")
    with whole_file(out) as staging:
        shutil.copyfile(shared, staging)
    return {"faces": 0, "identities": 0}


if __name__ == "__main__":
    launch.run_stage("inpainting.train_inpainter")
