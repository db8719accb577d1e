"""Train an inpainter on all people by differences of pixels alone: where the GAN starts, and what it is compared with.

python -m stages.inpainting.pretrain_inpainter --faces data/aligned/orl --templates data/mask_templates \
    --out models/inpainter-pretrained.safetensors --results metrics/pretrain_inpainter
"""

from pathlib import Path
from typing import Any

from stages.core import tables
from stages.core.results import Results
from stages.inpainting import training
from stages.inpainting.inpainter import Networks
from stages.training import checkpoints, launch, pretrained
from stages.training.rows import on_disk

NAME = "pretrain_inpainter"


class Params(training.Params):
    """Section `pretrain_inpainter:` of params.yaml."""

    pretrained: str | None
    """Weights of an inpainter to start from, see `stages.training.pretrained`; null: from scratch."""


def pretrain_inpainter(faces: Path, templates: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Train an inpainter on the bare faces of a table's train split. Of `inpainter.losses` only hole and context count.

    Args:
        faces: a table of faces with landmarks; such as wear a real mask are left out.
        templates: folder of the user's own masks.
        out: the weights to write.
        results: where the numbers go, and the curve of the losses.
        params: section `pretrain_inpainter`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.
    """
    rows = on_disk(tables.bare(faces, training.COLUMNS, "train"))
    network = params.inpainter.model_copy(update={"losses": params.inpainter.losses.pixels_alone()})
    mean = training.mean_face(rows, network.side)
    begin = pretrained.Start(params.pretrained, f"{NAME}.pretrained", None)
    key = checkpoints.key_of(params.model_dump(), [faces, templates, *begin.files], Path(__file__))

    def start(networks: Networks) -> None:
        begin(networks)
        networks.generator.mean_face.copy_(mean)

    trained, kept = training.train(
        training.samples(rows, params, templates, NAME),
        network,
        params.schedule,
        start=start,
        recognizer=None,
        name=NAME,
        key=key,
    )
    written = trained.write(out, training.header(params.inpainter, params.align_faces), results, rows, kept)
    return {**written, "parameters": training.parameters(kept), **begin.report}


if __name__ == "__main__":
    launch.run_stage("inpainting.pretrain_inpainter")
