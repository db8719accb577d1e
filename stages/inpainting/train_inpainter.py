"""Fine-tune the shared inpainter on the faces of one sex.

python -m stages.inpainting.train_inpainter --sex female --faces data/aligned/orl --templates data/mask_templates \
    --shared models/inpainter-shared.safetensors --recognizer models/recognizer-norm_softmax-bare.safetensors \
    --out models/inpainter-female.safetensors --results metrics/train_inpainter-female
"""

import shutil
from pathlib import Path
from typing import Any, Literal

from stages.core import tables
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file
from stages.core.results import Results
from stages.core.tables import SEXES
from stages.inpainting import training
from stages.recognition import recognizer as recognition
from stages.training import checkpoints, launch
from stages.training.rows import on_disk


class Params(training.Params):
    """Section `train_inpainter:` of params.yaml."""

    without_faces: Literal["error", "shared"]
    """What to do if no face of the sex is known: stop, or let the shared inpainter fill in those faces, too."""


def train_inpainter(
    sex: str,
    faces: Path,
    templates: Path,
    shared: Path,
    recognizer: Path,
    out: Path,
    results: Results,
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
        results: where the numbers go, and the curve of the losses.
        params: section `train_inpainter`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses; 0 faces if there are
        none and the shared weights were written.

    Raises:
        UnmaskError: `sex` is none of these, or there is no face of it and `without_faces` is `error`.
    """
    if sex not in SEXES:
        raise UnmaskError(f"--sex is {sex!r}, it must be one of {', '.join(SEXES)}")
    try:
        rows = on_disk(tables.bare(faces, training.COLUMNS, "train", sex=sex))
    except tables.NoFacesError as error:
        if params.without_faces == "error":
            raise UnmaskError(f"{error}; train_inpainter.without_faces: shared goes on without") from None
        return _as_shared(shared, out, results)
    key = checkpoints.key_of(
        {"sex": sex, **params.model_dump()}, [faces, templates, shared, recognizer], Path(__file__)
    )
    name = f"train_inpainter-{sex}"
    trained, kept = training.train(
        training.samples(rows, params, templates, name),
        params.inpainter,
        params.schedule,
        start=training.continue_from(shared),
        recognizer=recognition.load(recognizer) if params.inpainter.losses.identity else None,
        name=name,
        key=key,
    )
    written = trained.write(out, training.header(params.inpainter, params.align_faces), results, rows, kept)
    return {**written, "parameters": training.parameters(kept)}


def _as_shared(shared: Path, out: Path, results: Results) -> dict[str, Any]:
    """Write the shared weights, and a curve without points."""
    with whole_file(results.curve) as staging:
        staging.write_text("step,loss_hole\n", encoding="utf-8")
    with whole_file(out) as staging:
        shutil.copyfile(shared, staging)
    return {"faces": 0, "identities": 0}


if __name__ == "__main__":
    launch.run_stage("inpainting.train_inpainter")
