"""Score a parser on people it was not trained on.

python -m stages.evaluate_parser --model scanet --faces data/labeled/orl --masked data/masked/orl \
    --templates data/mask_templates --occluders data/occluders --weights models/parser-scanet.safetensors \
    --figure metrics/figures/evaluate_parser-scanet.png --matrix metrics/figures/evaluate_parser-scanet-confusion.png \
    --costs metrics/costs/evaluate_parser-scanet.json --metrics metrics/evaluate_parser-scanet.json
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from stages.common import figures, images, metrics, tables
from stages.common.command import run_stage
from stages.common.errors import UnmaskError
from stages.common.images import Pixels
from stages.common.params import StageParams
from stages.common.seeding import generator
from stages.faces import parts, regions
from stages.occlusion import occluders as drawn
from stages.occlusion.looks import Looks
from stages.parsing import parser, scores, speed

BATCH = 16


class Params(StageParams):
    """Section `evaluate_parser:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: Looks
    split: Literal["train", "val", "test"]
    timed_images: int = Field(ge=1)
    """Over so many, one at a time and on one thread, the time an image takes is measured."""


@dataclass(frozen=True)
class Case:
    """An image and what a parser should find in it.

    Attributes:
        face_id: of the face.
        labels_by: who labeled it.
        kind: `bare`, `masked`, or what hides the face.
        image: RGB uint8 (H, W, 3).
        truth: label map, uint8 (H, W).
    """

    face_id: str
    labels_by: str
    kind: str
    image: Pixels
    truth: Pixels


def evaluate_parser(
    model: str,
    faces: Path,
    masked: Path,
    templates: Path,
    occluders: Path,
    weights: Path,
    figure: Path,
    matrix: Path,
    costs: Path,
    params: Params,
) -> dict[str, Any]:
    """Score a parser: SCANet on bare and on masked faces, the extractor on faces behind drawn occluders.

    Args:
        model: `scanet` or `extractor`.
        faces: a table of bare faces with labels.
        masked: the same faces with masks; read for SCANet.
        templates: folder of the user's own masks.
        occluders: folder of the user's own occluders.
        weights: what `train_parser` wrote.
        figure: a contact sheet of what was found.
        matrix: a picture of the confusion matrix.
        costs: images per second and their times, to write; no output of DVC, as they differ from run to run.
        params: section `evaluate_parser`.

    Returns:
        Scores, see `stages.parsing.scores`, and how many faces there were and who labeled them.

    Raises:
        UnmaskError: there is no face with labels in the split, or the weights are not this model's.
    """
    trained = parser.load(weights, model)
    cases = list(
        _behind_masks(faces, masked, params)
        if model == "scanet"
        else _behind_occluders(faces, templates, occluders, params)
    )
    if not cases:
        raise UnmaskError(f"{faces} has no face in split {params.split!r} with labels and landmarks")
    found = [
        labels
        for start in range(0, len(cases), BATCH)
        for labels in trained([case.image for case in cases[start : start + BATCH]])
    ]
    names = trained.classes
    shown = [
        (f"{case.face_id.split('/', 1)[1]} {case.kind}", case.image, labels)
        for case, labels in zip(cases, found, strict=True)
    ]
    figures.show_labels(shown, figure, title=f"What {model} finds, on people not seen in training")
    counts = [scores.confusion(case.truth, labels, len(names)) for case, labels in zip(cases, found, strict=True)]
    figures.write(matrix, figures.confusion_matrix(sum(counts), names, title=f"{model}: share of each true class"))
    metrics.write(costs, speed.measure(trained, [case.image for case in cases], params.timed_images))
    kinds = [case.kind for case in cases]
    if model == "scanet":
        result = _by_kind(kinds, counts, lambda some: scores.from_confusion(sum(some), names))
    else:
        every = [regions.scores(case.truth == 1, labels == 1) for case, labels in zip(cases, found, strict=True)]
        result = _by_kind(kinds, every, _means)
    return {
        **result,
        "split": params.split,
        "images": len(cases),
        "labels_by": dict(Counter({case.face_id: case.labels_by for case in cases}.values())),
    }


def _by_kind(kinds: list[str], values: list[Any], summed_up: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """Sum up the values of images over all, and by what hides the face."""
    groups: dict[str, list[Any]] = {"all": values}
    for kind, value in zip(kinds, values, strict=True):
        groups.setdefault(kind, []).append(value)
    return {kind: summed_up(some) for kind, some in sorted(groups.items())}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return means over images, as FaceExtraction takes them."""
    return {"images": len(rows), **{name: float(np.mean([row[name] for row in rows])) for name in rows[0]}}


def _behind_masks(faces: Path, masked: Path, params: Params) -> Iterator[Case]:
    """Yield each face of the split bare, and masked if a mask was drawn on it."""
    bare_columns = ["face_id", "split", "image", "labels", "labels_by"]
    for bare, other in tables.joined(faces, masked, bare_columns, ["face_id", "image", "mask"]):
        if bare["split"] != params.split or bare["labels"] is None:
            continue
        labels = images.decode_gray(bare["labels"])
        yield Case(bare["face_id"], bare["labels_by"], "bare", images.decode(bare["image"]), labels)
        if other["mask"] is not None:
            truth = parts.behind_mask(labels, images.decode_gray(other["mask"]))
            yield Case(bare["face_id"], bare["labels_by"], "masked", images.decode(other["image"]), truth)


def _behind_occluders(faces: Path, templates: Path, folder: Path, params: Params) -> Iterator[Case]:
    """Yield each face of the split behind an occluder that its name alone decides."""
    own, pictures = params.render_masks.own_styles(templates), drawn.read_pictures(folder)
    columns = ["face_id", "split", "image", "landmarks", "face_type", "labels", "labels_by"]
    for face in tables.read(faces, columns):
        if face["split"] != params.split or face["labels"] is None or face["landmarks"] is None:
            continue
        rng = generator(params.seed, "evaluate_parser", face["face_id"])
        what, hidden, region = drawn.occlude(
            images.decode(face["image"]),
            face["landmarks"],
            face["face_type"],
            rng,
            looks=params.render_masks,
            own=own,
            pictures=pictures,
        )
        visible = np.where(region > 0, np.uint8(0), parts.visible_face(images.decode_gray(face["labels"])))
        yield Case(face["face_id"], face["labels_by"], what, hidden, visible)


if __name__ == "__main__":
    run_stage("evaluate_parser")
