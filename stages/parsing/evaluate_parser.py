"""Score a parser on people it was not trained on: the test people, and those to choose by.

python -m stages.parsing.evaluate_parser --model scanet --faces data/labeled/orl --masked data/masked/oracle/orl \
    --templates data/mask_templates --occluders data/occluders --weights models/parser-scanet.safetensors \
    --results metrics/evaluate_parser-scanet
"""

import itertools
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
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
    """Whose scores stand at the top; those of `val` stand below `val` in any case."""
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


class Tally(NamedTuple):
    """What was found in some cases, counted."""

    counts: dict[str, scores.Counts]
    """Confusion matrix by kind, and of `all`; of no case, there is none."""
    by_image: dict[str, list[dict[str, float]]]
    """Scores of each image's visible face, likewise."""
    labels_by: dict[str, str]
    """Who labeled a face, by `face_id`."""


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
        results: where the numbers go, and of the split a contact sheet of what was found, a picture of the confusion
            matrix, and the costs: images per second and their times.
        params: section `evaluate_parser`.

    Returns:
        Scores, see `stages.parsing.scores`, and how many images there were and who labeled the faces. Below `val` the
        same of the people of split `val`, by which one may choose; null if none of their faces can be scored, and left
        out if they are the split that is scored anyway.

    Raises:
        UnmaskError: there is no face with labels in the split, or the weights are not this model's.
    """
    trained = parser.load(weights, model)

    def found(split: str) -> Iterator[tuple[Case, Pixels]]:
        if model == "scanet":
            return _found(trained, _behind_masks(faces, masked, split))
        return _found(trained, _behind_occluders(faces, templates, occluders, split, params))

    to_show = set(tables.evenly(_labeled(faces, params.split), sheets.SHEET_FACES // (2 if model == "scanet" else 1)))
    shown: list[tuple[str, Pixels, Pixels]] = []
    timed: list[Pixels] = []

    def watched() -> Iterator[tuple[Case, Pixels]]:
        for case, labels in found(params.split):
            if case.face_id in to_show:
                shown.append((f"{case.face_id.split('/', 1)[1]} {case.kind}", case.image, labels))
            if len(timed) < params.timed_images:
                timed.append(case.image)
            yield case, labels

    tally = _tally(watched(), len(trained.classes))
    if not tally.counts:
        raise UnmaskError(f"{faces} has no face in split {params.split!r} with labels and landmarks")
    classes = sheets.in_words(trained.classes)
    sheets.show_labels(
        shown, results.figure, title=f"What {model} finds, on people not seen in training", classes=classes
    )
    plots.confusion_matrix(
        results.confusion, tally.counts["all"], classes, title=f"{model}: of each true class, what was found"
    )
    metrics.write(results.costs, _times(trained, timed, params.timed_images))
    result = {**_scores(tally, trained.classes, model), "split": params.split}
    if params.split != "val":
        to_choose_by = _tally(found("val"), len(trained.classes))
        result["val"] = _scores(to_choose_by, trained.classes, model) if to_choose_by.counts else None
    return result


def _found(trained: parser.Parser, cases: Iterator[Case]) -> Iterator[tuple[Case, Pixels]]:
    """Yield each case, and the label map that the parser gives it."""
    while batch := list(itertools.islice(cases, BATCH)):
        yield from zip(batch, trained([case.image for case in batch]), strict=True)


def _tally(found: Iterable[tuple[Case, Pixels]], n_classes: int) -> Tally:
    tally = Tally({}, {}, {})
    for case, labels in found:
        counts = scores.confusion(case.truth, labels, n_classes)
        of_image = regions.scores(case.truth == 1, labels == 1)
        for kind in ("all", case.kind):
            tally.counts[kind] = tally.counts.get(kind, 0) + counts
            tally.by_image.setdefault(kind, []).append(of_image)
        tally.labels_by[case.face_id] = case.labels_by
    return tally


def _scores(tally: Tally, classes: Sequence[str], model: str) -> dict[str, Any]:
    """Return the scores by kind of at least one case: of all classes together, or the extractor's image by image."""
    by_kind = (
        {kind: scores.from_confusion(counts, classes) for kind, counts in sorted(tally.counts.items())}
        if model == "scanet"
        else {kind: _means(rows) for kind, rows in sorted(tally.by_image.items())}
    )
    return {
        **by_kind,
        "images": len(tally.by_image["all"]),
        "labels_by": dict(Counter(tally.labels_by.values())),
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


def _behind_masks(faces: Path, masked: Path, split: str) -> Iterator[Case]:
    """Yield each face of the split bare, and masked if a mask was drawn on it."""
    bare_columns = ["face_id", "split", "image", "labels", "labels_by"]
    for bare, other in tables.joined(faces, masked, bare_columns, ["face_id", "image", "mask"]):
        if bare["split"] != split or bare["labels"] is None:
            continue
        labels = images.decode_gray(bare["labels"])
        yield Case(bare["face_id"], bare["labels_by"], "bare", images.decode(bare["image"]), labels)
        if other["mask"] is not None:
            truth = parts.covered(labels, images.decode_gray(other["mask"]), by=parts.MASK)
            yield Case(bare["face_id"], bare["labels_by"], "masked", images.decode(other["image"]), truth)


def _behind_occluders(faces: Path, templates: Path, folder: Path, split: str, params: Params) -> Iterator[Case]:
    """Yield each face of the split behind an occluder that its name alone decides."""
    own, pictures = params.render_masks.own_styles(templates), drawn.read_pictures(folder)
    columns = ["face_id", "split", "image", "landmarks", "face_type", "labels", "labels_by"]
    for face in tables.read(faces, columns):
        if face["split"] != split or face["labels"] is None or face["landmarks"] is None:
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
