"""Score a parser on people it was not trained on: the test people, and those to choose by.

python -m stages.parsing.evaluate_parser --model scanet --faces data/labeled/orl --masked data/masked/oracle/orl \
    --photos data/clean/orl --occluded data/clean/orl --templates data/mask_templates --occluders data/occluders \
    --weights models/parser-scanet.safetensors --results metrics/evaluate_parser-scanet
"""

import functools
import itertools
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
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
from stages.masks.rendering import Template
from stages.parsing import parser, scores

BATCH = 16
COLUMNS = ["face_id", "split", "image", "labels", "labels_by"]
Shown = tuple[str, Pixels, Pixels]
"""Caption, image and label map that was found."""
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
    as_published: bool
    """Whether photos are scored, too, as they are: whole, with the publisher's label maps and nothing drawn."""


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
    photos: Path,
    occluded: Path,
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
        photos: whole photos with labels, which are scored as published for SCANet; read if `as_published`.
        occluded: the same for the extractor, such as FaceOcc's test photos of COFW, whose faces something real hides.
        templates: folder of the user's own masks.
        occluders: folder of the user's own occluders.
        weights: what `train_parser` wrote.
        results: where the numbers go, and of the split a contact sheet of what was found, a picture of the confusion
            matrix, and the costs: images per second and their times.
        params: section `evaluate_parser`.

    Returns:
        Scores, see `stages.parsing.scores`, and how many images there were and who labeled the faces. Below `val` the
        same of the people of split `val`, by which one may choose; null if none of their faces can be scored, and left
        out if they are the split that is scored anyway. Below `as_published` the scores of whole photos, if asked for.

    Raises:
        UnmaskError: there is no face, or photo, with labels in the split, or the weights are not this model's.
    """
    trained = _parser(weights.absolute(), model)
    cases: Callable[..., Iterator[Case]] = functools.partial(_behind_masks, masked=masked.absolute())
    if model == "extractor":
        own = params.render_masks.own_styles(templates)
        cases = functools.partial(_behind_occluders, own=own, folder=occluders.absolute(), params=params)

    def judged(split: str, to_show: Collection[str] = ()) -> tuple[Tally, list[Shown]]:
        of_split = functools.partial(cases, split=split)
        work = functools.partial(_judged, cases=of_split, weights=weights.absolute(), model=model, to_show=to_show)
        return _together(tables.map_parts(work, faces, needs=COLUMNS, label=f"{results.metrics.stem} {split}"))

    to_show = set(tables.evenly(_labeled(faces, params.split), sheets.SHEET_FACES // (2 if model == "scanet" else 1)))
    tally, shown = judged(params.split, to_show)
    if not tally.counts:
        raise UnmaskError(f"{faces} has no face in split {params.split!r} with labels and landmarks")
    classes = sheets.in_words(trained.classes)
    sheets.show_labels(
        shown, results.figure, title=f"What {model} finds, on people not seen in training", classes=classes
    )
    plots.confusion_matrix(
        results.confusion, tally.counts["all"], classes, title=f"{model}: of each true class, what was found"
    )
    some = itertools.islice(cases(faces, split=params.split), params.timed_images)
    metrics.write(results.costs, _times(trained, [case.image for case in some], params.timed_images))
    result = {**_scores(tally, trained.classes, model), "split": params.split}
    if params.split != "val":
        to_choose_by, _ = judged("val")
        result["val"] = _scores(to_choose_by, trained.classes, model) if to_choose_by.counts else None
    if params.as_published:
        table = photos if model == "scanet" else occluded
        label = f"{results.metrics.stem} as published"
        result["as_published"] = _as_published(table, model, params.split, weights, label)
    return result


_parser = functools.cache(parser.load)  # once in a worker
_pictures = functools.cache(drawn.read_pictures)


def _as_published(table: Path, model: str, split: str, weights: Path, label: str) -> dict[str, Any]:
    """Return the scores of whole photos, as papers have them: nobody was aligned, and nobody was left out for that.

    Of SCANet these are those of CelebAMask-HQ's papers, over the parts of a face alone; what it takes for a mask is
    wrong here. Of the extractor they are FaceExtraction's: means over the photos.

    Raises:
        UnmaskError: there is no photo with labels in the split.
    """
    cases = functools.partial(_photos, model=model, split=split)
    work = functools.partial(_judged, cases=cases, weights=weights.absolute(), model=model, to_show=())
    tally, _ = _together(tables.map_parts(work, table, needs=["split", "image"], label=label))
    if not tally.counts:
        raise UnmaskError(
            f"{table} has no photo in split {split!r} with labels of its publisher, which evaluate_parser.as_published "
            f"scores: name another dataset under `roles`, or set it to false"
        )
    counts = tally.counts["all"]
    if model != "scanet":
        return _means(tally.by_image["all"])
    merged = scores.merged(counts, parts.NAMES, parts.MERGED)
    return {**scores.from_confusion(counts, parts.NAMES), "merged_f1": merged, "images": len(tally.by_image["all"])}


def _photos(table: Path, model: str, split: str) -> Iterator[Case]:
    """Yield each labeled photo of the split as it is, if the table has labels."""
    if "labels" not in tables.columns(table):
        return
    for face in tables.read(table, ["face_id", "split", "image", "labels"]):
        if face["split"] == split and face["labels"] is not None:
            labels = images.decode_gray(face["labels"])
            truth = labels if model == "scanet" else parts.visible_face(labels)
            yield Case(face["face_id"], "publisher", "photo", images.decode(face["image"]), truth)


def _judged(
    part: Path, cases: Callable[[Path], Iterator[Case]], weights: Path, model: str, to_show: Collection[str]
) -> tuple[Tally, list[Shown]]:
    """Return what a parser finds in the cases of a part, and those of the faces that are to be shown."""
    trained, tally, shown = _parser(weights, model), Tally({}, {}, {}), list[Shown]()
    some = cases(part)
    while batch := list(itertools.islice(some, BATCH)):
        for case, labels in zip(batch, trained([case.image for case in batch]), strict=True):
            counts = scores.confusion(case.truth, labels, len(trained.classes))
            of_image = regions.scores(case.truth == 1, labels == 1)
            for kind in ("all", case.kind):
                tally.counts[kind] = tally.counts.get(kind, 0) + counts
                tally.by_image.setdefault(kind, []).append(of_image)
            tally.labels_by[case.face_id] = case.labels_by
            if case.face_id in to_show:
                shown.append((f"{case.face_id.split('/', 1)[1]} {case.kind}", case.image, labels))
    return tally, shown


def _together(found: Iterable[tuple[Tally, list[Shown]]]) -> tuple[Tally, list[Shown]]:
    """Return what was found in all parts."""
    whole, every = Tally({}, {}, {}), list[Shown]()
    for tally, shown in found:
        for kind, counts in tally.counts.items():
            whole.counts[kind] = whole.counts.get(kind, 0) + counts
            whole.by_image.setdefault(kind, []).extend(tally.by_image[kind])
        whole.labels_by.update(tally.labels_by)
        every += shown
    return whole, every


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
    for bare, other in tables.joined(faces, masked, COLUMNS, ["face_id", "image", "mask"]):
        if bare["split"] != split or bare["labels"] is None:
            continue
        labels = images.decode_gray(bare["labels"])
        yield Case(bare["face_id"], bare["labels_by"], "bare", images.decode(bare["image"]), labels)
        if other["mask"] is not None:
            truth = parts.covered(labels, images.decode_gray(other["mask"]), by=parts.MASK)
            yield Case(bare["face_id"], bare["labels_by"], "masked", images.decode(other["image"]), truth)


def _behind_occluders(
    faces: Path, split: str, own: Mapping[str, Template], folder: Path, params: Params
) -> Iterator[Case]:
    """Yield each face of the split behind an occluder that its name alone decides."""
    for face in tables.read(faces, [*COLUMNS, "landmarks", "face_type"]):
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
            pictures=_pictures(folder),
        )
        visible = parts.covered(parts.visible_face(images.decode_gray(face["labels"])), region, by=parts.HIDDEN)
        yield Case(face["face_id"], face["labels_by"], what, hidden, visible)


if __name__ == "__main__":
    run_stage("parsing.evaluate_parser")
