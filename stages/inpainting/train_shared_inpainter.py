"""Train the inpainter of all people as a GAN, from what differences of pixels alone have taught it.

python -m stages.inpainting.train_shared_inpainter --faces data/aligned/orl --templates data/mask_templates \
    --pretrained models/inpainter-pretrained.safetensors --recognizer models/recognizer-norm_softmax-bare.safetensors \
    --out models/inpainter-shared.safetensors --results metrics/train_shared_inpainter
"""

from pathlib import Path
from typing import Any

from stages.core import tables
from stages.core.results import Results
from stages.inpainting import training
from stages.recognition import recognizer as recognition
from stages.training import checkpoints, launch
from stages.training.rows import on_disk

NAME = "train_shared_inpainter"


class Params(training.Params):
    """Section `train_shared_inpainter:` of params.yaml."""


def train_shared_inpainter(
    faces: Path, templates: Path, pretrained: Path, recognizer: Path, out: Path, results: Results, params: Params
) -> dict[str, Any]:
    """Go on training the pretrained inpainter with all losses of `inpainter.losses`, on the same faces.

    Args:
        faces: a table of faces with landmarks; such as wear a real mask are left out.
        templates: folder of the user's own masks.
        pretrained: weights to start from, of the same `inpainter:` section.
        recognizer: weights of the recognizer of the identity loss.
        out: the weights to write.
        results: where the numbers go, and the curve of the losses.
        params: section `train_shared_inpainter`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.
    """
    rows = on_disk(tables.bare(faces, training.COLUMNS, "train"))
    key = checkpoints.key_of(params.model_dump(), [faces, templates, pretrained, recognizer], Path(__file__))
    trained, kept = training.train(
        training.samples(rows, params, templates, NAME),
        params.inpainter,
        params.schedule,
        start=training.continue_from(pretrained),
        recognizer=recognition.load(recognizer) if params.inpainter.losses.identity else None,
        name=NAME,
        key=key,
    )
    written = trained.write(out, training.header(params.inpainter, params.align_faces), results, rows, kept)
    return {**written, "parameters": training.parameters(kept)}


if __name__ == "__main__":
    launch.run_stage("inpainting.train_shared_inpainter")
