"""Teach a copy of a pretrained recognizer to give a masked face the embedding of the bare one.

python -m stages.recognition.distill_recognizer --faces data/aligned/lfw --templates data/mask_templates \
    --teacher models/recognizer-dlib.safetensors --out models/recognizer-dlib-masked.safetensors \
    --results metrics/distill_recognizer-dlib
"""

import functools
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.core import tables
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import derived
from stages.masks import looks
from stages.recognition import distillation, embedders
from stages.training import checkpoints, launch, loop


class Params(StageParams):
    """Section `distill_recognizer:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    mask_prob: float = Field(ge=0, le=1)
    """Share of the training images with a mask; the others keep it as good on bare faces."""
    schedule: loop.Schedule


def distill_recognizer(
    faces: Path, templates: Path, teacher: Path, out: Path, results: Results, params: Params
) -> dict[str, Any]:
    """Train the copy on the bare faces of a table's train split, masks drawn on a share of them.

    Args:
        faces: a table of aligned faces with landmarks; such as wear a real mask are left out.
        templates: folder of the user's own masks.
        teacher: dlib's recognizer, as `import_recognizer` wrote it.
        out: the weights to write, of the same kind.
        results: where the numbers go, and the curve of the loss.
        params: section `distill_recognizer`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last loss.

    Raises:
        UnmaskError: there is no face to learn from, or the teacher is not dlib's network.
    """
    rows = tables.bare(faces, ["face_id", "identity", "image", "landmarks", "face_type"], "train")
    drawn = params.render_masks.flattened()
    change = functools.partial(
        looks.perhaps_masked, share=params.mask_prob, looks=drawn, own=drawn.own_styles(templates)
    )
    network, about = embedders.load_dlib(teacher)
    trained = loop.train(
        lambda: distillation.Training(network),
        distillation.Samples(rows, change, derived(params.seed, "distill_recognizer")),
        params.schedule,
        name=f"distill_recognizer-{out.stem}",
        key=checkpoints.key_of(params.model_dump(), [faces, templates, teacher], Path(__file__)),
    )
    return trained.write(out, {**about, "distilled": True}, results, rows, trained.model.get_submodule("network"))


if __name__ == "__main__":
    launch.run_stage("recognition.distill_recognizer")
