"""Who is it? Each recognizer asked for the person of a face, bare and under each condition, in a gallery.

python -m stages.recognition.identify --embeddings data/embeddings/dlib.parquet --heads models/heads-dlib.safetensors \
    --results metrics/identify-dlib
"""

import functools
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from stages.core import bootstrap
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import FilePath, StageParams
from stages.core.results import Results
from stages.core.seeding import generator
from stages.figures import plots
from stages.recognition import embeddings as stored
from stages.recognition import heads as correcting
from stages.recognition import identification, protocols, series
from stages.recognition.embeddings import Faces

SHOWN_RANKS = 20


class Params(StageParams):
    """Section `identify:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    split: Literal["val", "test"]
    gallery: FilePath | None
    """A published list of the photos enrolled; null: each person's first."""
    probes: FilePath | None
    """A published list of the photos asked about; null: all that are not enrolled."""
    missing: Literal["error", "count"]
    """What to do about a photo of a list that is not there."""
    index: str
    """`exact`, or how faiss' index_factory describes an index, for millions of photos."""
    ranks: list[int] = Field(min_length=1)
    fpirs: list[float] = Field(min_length=1)
    """False positive identification rates at which false negative ones are told."""
    strangers: float = Field(gt=0, lt=1)
    """Share of the people whom nobody enrolls, for the open set."""
    resamples: int = Field(ge=100)
    """Of the people, for the intervals."""


def identify(embeddings: Path, heads: Path, results: Results, params: Params) -> dict[str, Any]:
    """Look for each probe's person in a gallery, under each condition; with each head, and without.

    Args:
        embeddings: what `embed` wrote.
        heads: what `train_heads` wrote.
        results: where the numbers and CMC curves go.
        params: section `identify`.

    Returns:
        By head and series (`masked-bare`: probes masked, gallery bare): the share of probes whose person is first, or
        among the first k, with the interval of the first; FNIR by FPIR in the open set (ISO/IEC 19795-1; null where
        there are too few strangers to measure it); and how many people, gallery photos and probes there are.

    Raises:
        UnmaskError: there is nobody to look for, or a photo of a list is missing or listed twice.
    """
    table, correct = stored.read(embeddings), correcting.load(heads)
    result: dict[str, Any] = {}
    lines = {}
    known = series.names(table, params.split)
    enrolled, not_enrolled = _read(params.gallery, "gallery", known, params)
    asked, not_asked = _read(params.probes, "probes", known, params)
    for one in series.all_of(table, correct, params.split):
        gallery, probes = _chosen(one, enrolled, asked)
        if not (len(gallery) and len(probes)):  # a list of bare photos only has nothing to say of masked ones
            continue
        found = _search(gallery, probes, params)
        first = (found.rank == 1)[found.rank > 0]
        people = [name for name, rank in zip(probes.identities, found.rank, strict=True) if rank]
        ranks = found.cmc(params.ranks)
        low, high = bootstrap.interval(
            lambda indices, first=first: float(first[indices].mean()), people, n=params.resamples, seed=params.seed
        )
        opened = _open_set(gallery, probes, params)
        result.setdefault(one.head, {})[one.name] = {
            "rank": ranks,
            "rank_1_interval": {"low": low, "high": high},
            "fnir_at_fpir": {f"{fpir:g}": opened.fnir_at(fpir) for fpir in params.fpirs},
            "gallery": len(gallery),
            "probes": len(probes),
            "strangers": int((opened.rank == 0).sum()),
        }
        shares = found.cmc(range(1, min(SHOWN_RANKS, len(set(gallery.identities))) + 1))
        if one.head == correcting.NO_HEAD and one.name in plots.CONDITIONS:
            lines[one.name] = list(shares.values())
    plots.cmc(results.figure, lines, title="Identified among the first k, people not seen in training")
    return {
        "series": result,
        "split": params.split,
        "identities": len(set(table["bare"].of(params.split).identities)),
        "missing": not_enrolled + not_asked,
    }


def _read(file: Path | None, what: str, known: set[str], params: Params) -> tuple[list[str] | None, int]:
    """Return those photos of a list that are there, and how many are not; None and 0 if there is no list."""
    if file is None:
        return None, 0
    names = protocols.read_list(file)
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise UnmaskError(f"{file} names {twice} twice")
    return protocols.available(names, lambda name: (name,), known, f"identify.{what}", params.missing)


def _chosen(one: series.Series, gallery: list[str] | None, probes: list[str] | None) -> tuple[Faces, Faces]:
    """Return the faces enrolled and those asked about: by the lists; else each person's first, and all others."""
    known, asked = series.sides(one)
    if gallery is None:
        enrolled = one.references.at(identification.first_of_each(one.references.identities))
    else:
        enrolled = _named(known, gallery)
    if probes is None:
        gone = set(enrolled.face_ids)
        return enrolled, one.probes.at([n for n, face_id in enumerate(one.probes.face_ids) if face_id not in gone])
    return enrolled, _named(asked, probes)


def _named(faces: Faces, names: list[str]) -> Faces:
    index = series.indices(faces)
    return faces.at([index[name] for name in names if name in index])


def _open_set(gallery: Faces, probes: Faces, params: Params) -> identification.Search:
    """Return the search in the gallery without some of its people, who become strangers."""
    people = sorted(set(gallery.identities))
    n = max(1, round(params.strangers * len(people)))
    drawn = generator(params.seed, "strangers").permutation(len(people))[:n]
    strangers = {people[index] for index in drawn}
    kept = [index for index, name in enumerate(gallery.identities) if name not in strangers]
    if not kept:
        return identification.Search(np.zeros(0, np.int64), np.zeros(0, np.float32))
    return _search(gallery.at(kept), probes, params)


def _search(gallery: Faces, probes: Faces, params: Params) -> identification.Search:
    look = identification.search
    if params.index != "exact":
        look = functools.partial(identification.search_index, index=params.index)
    return look(gallery.embeddings, gallery.identities, probes.embeddings, probes.identities)


if __name__ == "__main__":
    run_stage("recognition.identify")
