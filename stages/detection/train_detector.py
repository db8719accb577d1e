"""Train Mask R-CNN to find masks on faces.

python -m stages.detection.train_detector --faces data/aligned/orl --templates data/mask_templates \
    --out models/detector.safetensors --results metrics/train_detector
"""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_folder
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import derived, generator
from stages.core.tables import Face
from stages.detection import coco, detector
from stages.masks import beards
from stages.masks.looks import Looks, masked
from stages.masks.rendering import Template
from stages.training import checkpoints, launch, loop, openmmlab, pretrained
from stages.training.rows import on_disk

NAME = "train_detector"


class Params(StageParams):
    """Section `train_detector:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: Looks
    config: str
    """A file of stages/detection/configs, one of mmdet's (`mmdet::…`), or a file of your own."""
    pretrained: str | None
    """Weights to start from, see `stages.training.pretrained`; null: from scratch."""
    table: Literal["aligned", "landmarks"]
    """Which of a dataset's tables it learns from: aligned crops, or the photos as they are."""
    side: int = Field(ge=32, le=2048)
    """Longer side of its input, pixels."""
    looks: int = Field(ge=1)
    """How many masks are drawn on each face to train on."""
    beard_prob: float = Field(ge=0, le=1)
    """Share of the training images with a drawn beard below the mask, which is none of it."""
    schedule: loop.Schedule


def train_detector(faces: Path, templates: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Train a detector on the faces of a table's train split, several masks drawn on each.

    Args:
        faces: a table of bare faces with landmarks.
        templates: folder of the user's own masks.
        out: the weights to write.
        results: where the numbers go, and the curve of the losses.
        params: section `train_detector`.

    Returns:
        On how many faces, people, images and masks it was trained, its parameters and its last losses.

    Raises:
        UnmaskError: no face to train on, or not one mask could be drawn.
    """
    chosen = detector.config(params.config)
    rows = on_disk(tables.bare(faces, ["face_id", "identity", "image", "landmarks", "face_type"], "train"))
    own = params.render_masks.own_styles(templates)
    start = pretrained.Start(params.pretrained, f"{NAME}.pretrained", chosen.get("pretrained_tensors"))
    read = [faces, templates, *start.files, *openmmlab.own_files(params.config)]
    key = checkpoints.key_of(params.model_dump(), read, Path(__file__))
    folder = loop.SCRATCH / NAME / f"{key}-coco"

    def draw() -> None:
        if folder.exists():  # a killed run has left it whole
            return
        with whole_folder(folder) as staging:
            if not coco.write(_examples(rows, own, params), staging):
                raise UnmaskError(f"{faces}: not one mask could be drawn on {len(rows)} faces")

    launch.first(draw)
    samples = detector.Samples(folder, chosen.train_pipeline, params.side, derived(params.seed, NAME))
    trained = loop.train(
        lambda: start(openmmlab.build("mmdet", chosen.model.to_dict())),
        samples,
        params.schedule,
        name=NAME,
        key=key,
    )
    about = {"kind": detector.KIND, "size": params.side, "model": chosen.model.to_dict()}
    written = trained.write(out, about, results, rows)
    shutil.rmtree(folder)
    return {**written, "images": len(samples), **start.report}


def _examples(rows: Sequence[Face], own: dict[str, Template], params: Params) -> Iterator[coco.Example]:
    looks = params.render_masks.flattened()
    for face in rows:
        image = images.decode(face["image"])
        for number in range(params.looks):
            rng = generator(params.seed, "detector masks", face["face_id"], number)
            below = beards.draw_on_some(image, face["landmarks"], rng, params.beard_prob)
            hidden, region = masked(face, below, rng, looks=looks, own=own)
            if region.any():
                yield coco.Example(f"{face['face_id']}/{number}", hidden, (region,))


if __name__ == "__main__":
    launch.run_stage("detection.train_detector")
