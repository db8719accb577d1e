"""Score a parser on people it was not trained on.

python -m stages.parsing.evaluate_parser --model scanet --faces data/labeled/orl --masked data/masked/oracle/orl \
    --templates data/mask_templates --occluders data/occluders --weights models/parser-scanet.safetensors \
    --results metrics/evaluate_parser-scanet
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field

from stages.core import images, metrics, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import generator
from stages.faces import parts, regions
from stages.figures import plots, sheets
from stages.masks import occluders as drawn
from stages.masks.looks import Looks
from stages.parsing import parser, scores

BATCH = 16
WARM_UP = 5  # images before time is taken


class Params(StageParams):
    """Section `evaluate_parser:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: Looks
    split: Literal["train", "val", "test"]
    timed_images: int = Field(ge=1)
    """Over so many, one at a time and on one thread, the time an image takes is measured."""


class Case(NamedTuple):
    """An image and what a parser should find in it."""

    face_id: str
    labels_by: str
    kind: str
    """`bare`, `masked`, or what hides the face."""
    image: Pixels
    """RGB uint8 (H, W, 3)."""
    truth: Pixels
    """Label map, uint8 (H, W)."""


def evaluate_parser(
    model: str,
    faces: Path,
    masked: Path,
    templates: Path,
    occluders: Path,
    weights: Path,
    results: Results,
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
        results: where the numbers go, and a contact sheet of what was found.
        matrix: a picture of the confusion matrix.
        costs: images per second and their times, to write; no output of DVC, as they differ from run to run.
        params: section `evaluate_parser`.

    Returns:
        Scores, see `stages.parsing.scores`, and how many faces there were and who labeled them.

    Raises:
        UnmaskError: there is no face with labels in the split, or the weights are not this model's.
    """
    trained = parser.load(weights, model)
    cases = (
        _behind_masks(faces, masked, params)
        if model == "scanet"
        else _behind_occluders(faces, templates, occluders, params)
    )
    to_show = set(tables.evenly(_labeled(faces, params.split), sheets.SHEET_FACES // (2 if model == "scanet" else 1)))
    shown: list[tuple[str, Pixels, Pixels]] = []
    timed: list[Pixels] = []
    counts: dict[str, scores.Counts] = {}
    by_image: dict[str, list[dict[str, float]]] = {}
    labels_by: dict[str, str] = {}
    while batch := list(itertools.islice(cases, BATCH)):
        for case, labels in zip(batch, trained([case.image for case in batch]), strict=True):
            found = scores.confusion(case.truth, labels, len(trained.classes))
            of_image = regions.scores(case.truth == 1, labels == 1)
            for kind in ("all", case.kind):
                counts[kind] = counts.get(kind, 0) + found
                by_image.setdefault(kind, []).append(of_image)
            labels_by[case.face_id] = case.labels_by
            if case.face_id in to_show:
                shown.append((f"{case.face_id.split('/', 1)[1]} {case.kind}", case.image, labels))
        timed += [case.image for case in batch[: params.timed_images - len(timed)]]
    if not counts:
        raise UnmaskError(f"{faces} has no face in split {params.split!r} with labels and landmarks")
    classes = sheets.in_words(trained.classes)
    sheets.show_labels(
        shown, results.figure, title=f"What {model} finds, on people not seen in training", classes=classes
    )
    plots.confusion_matrix(
        results.confusion, counts["all"], classes, title=f"{model}: of each true class, what was found"
    )
    metrics.write(results.costs, _times(trained, timed, params.timed_images))
    result = (
        {kind: scores.from_confusion(some, trained.classes) for kind, some in sorted(counts.items())}
        if model == "scanet"
        else {kind: _means(rows) for kind, rows in sorted(by_image.items())}
    )
    return {
        **result,
        "split": params.split,
        "images": len(by_image["all"]),
        "labels_by": dict(Counter(labels_by.values())),
    }


def _times(trained: parser.Parser, pictures: list[Pixels], n: int) -> dict[str, float]:
    """Return images per second and milliseconds an image, of n images one at a time, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        milliseconds = []
        for index in range(WARM_UP + n):
            start = time.perf_counter()
            trained([pictures[index % len(pictures)]])
            milliseconds.append(1000 * (time.perf_counter() - start))
    finally:
        torch.set_num_threads(threads)
    timed = milliseconds[WARM_UP:]
    percentiles = {f"milliseconds_p{share}": float(np.percentile(timed, share)) for share in (5, 50, 95, 99)}
    return {"images_per_second": 1000 / float(np.mean(timed)), **percentiles}


def _means(rows: list[dict[str, float]]) -> dict[str, float]:
    """Return means over images, as FaceExtraction takes them."""
    return {"images": len(rows), **{name: float(np.mean([row[name] for row in rows])) for name in rows[0]}}


def _labeled(faces: Path, split: str) -> list[str]:
    rows = tables.read(faces, ["face_id", "split", "labels_by"])
    return [face["face_id"] for face in rows if face["split"] == split and face["labels_by"] is not None]


def _behind_masks(faces: Path, masked: Path, params: Params) -> Iterator[Case]:
    """Yield each face of the split bare, and masked if a mask was drawn on it."""
    bare_columns = ["face_id", "split", "image", "labels", "labels_by"]
    for bare, other in tables.joined(faces, masked, bare_columns, ["face_id", "image", "mask"]):
        if bare["split"] != params.split or bare["labels"] is None:
            continue
        labels = images.decode_gray(bare["labels"])
        yield Case(bare["face_id"], bare["labels_by"], "bare", images.decode(bare["image"]), labels)
        if other["mask"] is not None:
            truth = parts.covered(labels, images.decode_gray(other["mask"]), by=parts.MASK)
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
        visible = parts.covered(parts.visible_face(images.decode_gray(face["labels"])), region, by=parts.HIDDEN)
        yield Case(face["face_id"], face["labels_by"], what, hidden, visible)


if __name__ == "__main__":
    run_stage("parsing.evaluate_parser")
