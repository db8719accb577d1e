"""Who is it? Each recognizer asked for the person of a face, bare and under each condition, in a gallery.

python -m stages.recognition.identify --embeddings data/embeddings/dlib.parquet --heads models/heads-dlib.safetensors \
    --results metrics/identify-dlib
"""

import functools
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from stages.core import intervals
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
    draws: int = Field(ge=1)
    """Of the strangers, over which FNIR is averaged."""
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
        among the first k, with the interval of the first; FNIR by FPIR in the open set, the mean over draws of
        strangers (ISO/IEC 19795-1; null where there are too few strangers to measure it), with its interval; and how
        many people, gallery photos, probes, and probes of strangers in a draw there are.

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
        result.setdefault(one.head, {})[one.name] = {
            "rank": found.cmc(params.ranks),
            **_intervals(found, _open_sets(gallery, probes, params), probes.identities, params),
            "gallery": len(gallery),
            "probes": len(probes),
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


def _open_sets(gallery: Faces, probes: Faces, params: Params) -> list[identification.Search]:
    """Return searches in the gallery without some of its people, who become strangers: others in each draw."""
    people = sorted(set(gallery.identities))
    n = max(1, round(params.strangers * len(people)))
    rng = generator(params.seed, "strangers")
    found = []
    for _ in range(params.draws):
        strangers = {people[index] for index in rng.permutation(len(people))[:n]}
        kept = [index for index, name in enumerate(gallery.identities) if name not in strangers]
        if kept:
            found.append(_search(gallery.at(kept), probes, params))
    return found


def _intervals(
    closed: identification.Search, opened: list[identification.Search], identities: list[str], params: Params
) -> dict[str, Any]:
    """Return the interval of rank-1, FNIR with its interval, and how many probes of strangers there are in a draw."""
    names, people = np.unique(identities, return_inverse=True)
    mated = closed.rank > 0
    n_people = len(np.unique(people[mated]))
    counts = intervals.drawn(len(names), params.resamples, generator(params.seed, "identify"))
    first = closed.rank[mated] == 1
    asked, right = (np.bincount(people[mated], weights, len(names)) for weights in (None, first))
    with np.errstate(invalid="ignore"):
        rank_1 = intervals.share(float(first.mean()), (counts @ right) / (counts @ asked), n_people)
    fnir = {fpir: _fnir(opened, fpir) for fpir in params.fpirs}
    bounds = {}
    for fpir, mean in fnir.items():
        if mean is not None:
            values = np.mean([identification.fnir_resampled(one, people, counts, fpir) for one in opened], 0)
            bounds[fpir] = intervals.share(mean, values, n_people)._asdict()
    return {
        "rank_1_interval": rank_1._asdict(),
        "fnir_at_fpir": {f"{fpir:g}": mean for fpir, mean in fnir.items()},
        "fnir_interval": {f"{fpir:g}": bounds.get(fpir) for fpir in fnir},
        "strangers": round(np.mean([(one.rank == 0).sum() for one in opened])) if opened else 0,
    }


def _fnir(opened: list[identification.Search], fpir: float) -> float | None:
    """Return the mean FNIR over draws of strangers; None if one of them has too few, or nobody else."""
    found = [search.fnir_at(fpir) for search in opened]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known and len(known) == len(found) else None


def _search(gallery: Faces, probes: Faces, params: Params) -> identification.Search:
    look = identification.search
    if params.index != "exact":
        look = functools.partial(identification.search_index, index=params.index)
    return look(gallery.embeddings, gallery.identities, probes.embeddings, probes.identities)


if __name__ == "__main__":
    run_stage("recognition.identify")
