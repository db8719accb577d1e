"""Who is it? Each recognizer asked for the person of a face, bare and under each condition, in a gallery.

python -m stages.recognition.identify --embeddings data/embeddings/dlib.parquet --heads models/heads-dlib.safetensors \
    --results metrics/identify-dlib
"""

import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.core import intervals, replicates
from stages.core.command import run_stage
from stages.core.params import FilePath, StageParams
from stages.core.results import Results
from stages.core.seeding import generator
from stages.figures import plots
from stages.recognition import heads as correcting
from stages.recognition import identification, lists, protocol
from stages.recognition.embeddings import Faces

SHOWN_RANKS = 20
EXACT = "exact"


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

    A probe in which no face was found, or that is listed and not there, identifies nobody; nor does anybody whose
    photo in the gallery is such a one. Without a list, the first photo with a face is enrolled.

    Args:
        embeddings: what `embed` wrote.
        heads: what `train_heads` wrote.
        results: where the numbers, CMC curves and replicates go.
        params: section `identify`.

    Returns:
        By head and series (`masked-bare`: probes masked, gallery bare) what `_scores` says; and as `val` the like of
        people who are in no test, each group of them in a gallery of its own.

    Raises:
        UnmaskError: there is nobody to look for, or a photo of a list is missing or listed twice.
    """
    tested, correct = protocol.of_split(embeddings, params.split), correcting.load(heads)
    known = protocol.names(tested) if params.gallery or params.probes else set[str]()
    enrolled, not_enrolled = _read(params.gallery, "gallery", known, params)
    asked, not_asked = _read(params.probes, "probes", known, params)
    people = protocol.people(tested)
    result, values, lines = answered(tested, correct.correct, params, enrolled, asked)
    plots.cmc(results.figure, lines, title="Identified among the first k, people not seen in training")
    choosing = functools.partial(protocol.to_choose_by, embeddings, tested, params.split)
    # Read twice, here for their names: all groups at once would take the memory of all embeddings.
    by_group = [protocol.people(some) for _, some in choosing()]
    others = sorted({name for names in by_group for name in names})
    on_val, of_val = _on_val(choosing(), correct, others, params)
    of_people = dict.fromkeys(values, people) | dict.fromkeys(of_val, others)
    replicates.write(results.replicates, values | of_val, of_people, params.seed)
    return {
        "series": result,
        "val": {"series": on_val, "identities": len(others), "groups": len(by_group)} if on_val else None,
        "split": params.split,
        "identities": len(people),
        "missing": not_enrolled + not_asked,
    }


def answered(
    tested: protocol.Table,
    correct: protocol.Correct | None,
    params: Params,
    enrolled: Sequence[str] | None = None,
    asked: Sequence[str] | None = None,
) -> tuple[dict[str, dict[str, Any]], dict[str, NDArray[np.float64]], dict[str, list[float]]]:
    """Return what a search for each probe says: scores by head and series, replicates by dotted key, and CMC curves.

    Args:
        tested: faces by condition.
        correct: the heads; None: without.
        params: section `identify`.
        enrolled: names of the photos in the gallery, if there is a list.
        asked: likewise of the probes.
    """
    bare, people, real = set(tested["bare"].face_ids), protocol.people(tested), protocol.wears_real(tested)
    listed = {name for names in (enrolled, asked) for name in names or ()}
    listed -= protocol.names(tested) if listed else set()
    left_out = _groups({*people, *(name.split("/")[0] for name in listed)})
    result: dict[str, dict[str, Any]] = {}
    values: dict[str, NDArray[np.float64]] = {}
    lines: dict[str, list[float]] = {}
    all_series = protocol.series if enrolled is None and asked is None else protocol.lists
    for one in all_series(tested, correct):
        found = _asked(one, params.index, left_out, enrolled, asked, bare)
        if found is None:  # a list of bare photos only has nothing to say of masked ones
            continue
        key = f"series.{one.head}.{one.name}"
        scores, replicated = _scores([found], _open_sets(found, params, left_out), left_out, params)
        if real and protocol.is_remedy(one.name):
            scores["all_bare"] = _all_bare(one, found.probes, bare, params)
        result.setdefault(one.head, {})[one.name] = scores
        values |= {f"{key}.{name}": of for name, of in replicated.items()}
        shown = plots.IN_LISTS.get(one.name, one.name)
        if one.head == protocol.NO_HEAD and shown in plots.CONDITIONS:
            shares = found.search.cmc(range(1, min(SHOWN_RANKS, len(set(found.gallery.identities))) + 1))
            lines[shown] = list(shares.values())
        del found  # or it would be in memory beside the next one
    return result, values, lines


@dataclass(frozen=True)
class Asked:
    """A gallery, probes, and what came of the search for these."""

    gallery: Faces
    probes: Faces
    search: identification.Search
    compared: NDArray[np.bool_]
    """Whether a probe's face was found, and its person could be enrolled, (n,)."""
    nearest: identification.Nearest | None
    """What an index found of the probes with a face among the photos with one; None after an exact search."""

    def without_embeddings(self) -> "Asked":
        """Return the same with the first number of each embedding, which tells whether it is there."""
        sides = [some.with_embeddings(some.embeddings[:, :1].copy()) for some in (self.gallery, self.probes)]
        return Asked(*sides, self.search, self.compared, None)


def _read(file: Path | None, what: str, known: set[str], params: Params) -> tuple[list[str] | None, int]:
    """Return the photos of a list, and how many of them are not there; None and 0 if there is no list."""
    if file is None:
        return None, 0
    found = lists.read_photos(file, known)
    names = {line: (name,) for name, line in found.items()}
    return list(found), lists.missing(names, known, file, f"identify.{what}", params.missing)


def _groups(people: Collection[str]) -> dict[str, int]:
    """Return the number of the group of each person, to be left out in turn."""
    return dict(zip(sorted(people), intervals.groups(len(people)).tolist(), strict=True))


def _asked(
    one: protocol.Series,
    index: str,
    groups: Mapping[str, int],
    gallery: Sequence[str] | None = None,
    probes: Sequence[str] | None = None,
    bare: Collection[str] = (),
) -> Asked | None:
    """Return what came of a series: of the photos that lists name; else of each person's first photo and all others.

    Args:
        one: the series.
        index: see `Params`.
        groups: number of the group of each person, to be left out in turn.
        gallery: names of the photos enrolled, if there is a list.
        probes: likewise of those asked about.
        bare: the photos that show no mask: of these the first is enrolled where a list has masked ones, too.

    Returns:
        None if nobody is asked about who is in the gallery.
    """
    if gallery is None:
        known = _only(one.references, bare) if one.name in protocol.LISTS.values() else one.references
        if probes is not None:  # no photo is compared with itself
            asked_about = set(probes)
            known = known.at([n for n, name in enumerate(protocol.names_of(known)) if name not in asked_about])
        enrolled = known.at(_first_of_each(known))
    else:
        enrolled = protocol.named(one.references, gallery)
    if probes is None:
        gone = set(enrolled.face_ids)
        asked = one.probes.at([n for n, face_id in enumerate(one.probes.face_ids) if face_id not in gone])
    else:
        asked = protocol.named(one.probes, probes)
    if set(enrolled.identities).isdisjoint(asked.identities):
        return None
    return _searched(enrolled, asked, index, groups)


def _first_of_each(faces: Faces) -> list[int]:
    """Return the index of each person's first photo with a face; of the first one, where none has."""
    in_order = np.argsort(~faces.found, kind="stable").tolist()  # those with a face before those without
    first = identification.first_of_each([faces.identities[index] for index in in_order])
    return sorted(in_order[place] for place in first)


def _only(faces: Faces, names: Collection[str]) -> Faces:
    return faces.at([index for index, face_id in enumerate(faces.face_ids) if face_id in names])


def _searched(
    gallery: Faces,
    probes: Faces,
    index: str,
    groups: Mapping[str, int] | None = None,
    strangers: Collection[str] = (),
    nearest: identification.Nearest | None = None,
) -> Asked:
    """Look for each probe; who cannot be looked for, or could not be enrolled, is never found.

    Args:
        gallery: the photos enrolled.
        probes: those asked about.
        index: see `Params`.
        groups: number of the group of each person, to be left out in turn.
        strangers: people who are not enrolled after all.
        nearest: what an index found among all of the gallery, if that is known.
    """
    kept = gallery.at([place for place, name in enumerate(gallery.identities) if name not in strangers])
    known, people = set(kept.there().identities), set(kept.identities)
    n_groups = max(groups.values()) + 1 if groups else 0
    there, search = np.flatnonzero(probes.found) if known else np.arange(0), identification.empty(0, n_groups)
    if len(there):
        asked = probes.at(there)
        if index == EXACT:
            faces = kept.there()
            search = identification.search(
                faces.embeddings, faces.identities, asked.embeddings, asked.identities, groups
            )
        else:
            faces = gallery.there()
            nearest = nearest or identification.nearest(faces.embeddings, asked.embeddings, index)
            search = identification.search_nearest(nearest, faces.identities, asked.identities, groups, strangers)
    search = search.spread(there, len(probes))
    never = np.array([name in people for name in probes.identities], bool) & (search.rank == 0)
    search.rank[never] = identification.NEVER
    compared = probes.found & np.array([name in known for name in probes.identities], bool)
    return Asked(gallery, probes, search, compared, nearest)


def _open_sets(found: Asked, params: Params, groups: Mapping[str, int]) -> Iterator[identification.Search]:
    """Yield searches in the gallery without some of its people, who become strangers: others in each draw."""
    people = sorted(set(found.gallery.identities))
    n = max(1, round(params.strangers * len(people)))
    rng = generator(params.seed, "strangers")
    for _ in range(params.draws if n < len(people) else 0):
        strangers = {people[index] for index in rng.permutation(len(people))[:n]}
        yield _searched(found.gallery, found.probes, params.index, groups, strangers, found.nearest).search


def _all_bare(one: protocol.Series, probes: Faces, bare: Collection[str], params: Params) -> dict[str, Any] | None:
    """Return the ranks in a gallery of all bare photos but the probes; None if no probe's person is in it."""
    gallery = _only(one.references, set(bare) - set(probes.face_ids))
    if set(gallery.identities).isdisjoint(probes.identities):
        return None
    return {"rank": _searched(gallery, probes, params.index).search.cmc(params.ranks), "gallery": len(gallery)}


def _on_val(
    groups: Iterable[tuple[int | None, protocol.Table]],
    correct: correcting.Heads,
    people: Sequence[str],
    params: Params,
) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Return the scores of groups of people to choose by, each with a small gallery of its own, and replicates."""
    left_out = _groups(people)
    found: dict[tuple[str, str], list[Asked]] = {}
    for fold, some in groups:
        for one in protocol.series(some, functools.partial(correct.correct, fold=fold)):
            if (asked := _asked(one, EXACT, left_out)) is not None:
                found.setdefault((one.head, one.name), []).append(asked.without_embeddings())
    result: dict[str, Any] = {}
    values: dict[str, NDArray[np.float64]] = {}
    for (head, name), of in found.items():
        result.setdefault(head, {})[name], replicated = _scores(of, [], left_out, params)
        values |= {f"val.series.{head}.{name}.{key}": some for key, some in replicated.items()}
    return result, values


def _scores(
    asked: Sequence[Asked], opened: Iterable[identification.Search], groups: Mapping[str, int], params: Params
) -> tuple[dict[str, Any], dict[str, NDArray[np.float64]]]:
    """Return what is said of a series, asked of some groups of people, and replicates by key.

    The share of probes whose person is first, or among the first k, and the interval of the first; the same of the
    probes that could be compared, and which share of the photos of gallery and probes had no face; FNIR by FPIR in the
    open set, the mean over draws of strangers (ISO/IEC 19795-1; null where there are too few strangers to measure it),
    with its interval; and how many gallery photos, probes, and probes of strangers in a draw there are.

    Args:
        asked: of each group.
        opened: searches in the gallery of the only group without some of its people, one by one; none: no open set.
        groups: number of the group in which each person is left out, whoever is asked about.
        params: section `identify`.
    """
    closed = identification.joined([one.search for one in asked])
    compared = np.concatenate([one.compared for one in asked])
    of_compared = np.where(compared, closed.rank, 0)
    names = [name for one in asked for name in one.probes.identities]
    shown, group = np.unique(names, return_inverse=True)[1], np.array([groups[name] for name in names])
    counts = intervals.drawn(max(groups.values()) + 1, params.resamples, generator(params.seed, "identify"))
    first = identification.rate([identification.margins(closed, group)], shown, group)
    values = {"rank.1": intervals.linear(first.share, first.without, counts)}
    scores: dict[str, Any] = {
        "rank": closed.cmc(params.ranks),
        "rank_1_interval": intervals.score(first.share, first.variance)._asdict(),
        "compared": {"rank": replace(closed, rank=of_compared).cmc(params.ranks)} if of_compared.any() else None,
        "not_found": {
            name: float(1 - np.concatenate([getattr(one, name).found for one in asked]).mean())
            for name in ("gallery", "probes")
        },
        "gallery": sum(len(one.gallery) for one in asked),
        "probes": len(names),
    }
    found: dict[float, list[float | None]] = {fpir: [] for fpir in params.fpirs}
    rates = {fpir: identification.Rates(shown, group) for fpir in params.fpirs}
    strangers = []
    for one in opened:
        strangers.append((one.rank == 0).sum())
        for fpir in params.fpirs:
            found[fpir].append(one.fnir_at(fpir))
            if found[fpir][-1] is not None:
                rates[fpir].add(identification.margins(one, group, fpir))
        del one  # or it would be in memory beside the next one
    if not strangers:
        return scores, values
    fnir = {f"{fpir:g}": _mean(found[fpir]) for fpir in params.fpirs}
    bounds: dict[str, Any] = dict.fromkeys(fnir)
    for fpir, (key, mean) in zip(params.fpirs, fnir.items(), strict=True):
        if mean is not None:
            of = rates[fpir].rate()
            values[f"fnir_at_fpir.{key}"] = 1 - intervals.linear(of.share, of.without, counts)
            low, high = intervals.score(of.share, of.variance)
            bounds[key] = {"low": 1 - high, "high": 1 - low}
    return scores | {"fnir_at_fpir": fnir, "fnir_interval": bounds, "strangers": round(np.mean(strangers))}, values


def _mean(of_draws: Sequence[float | None]) -> float | None:
    """Return the mean over draws of strangers; None if one of them has too few, or nobody else."""
    known = [value for value in of_draws if value is not None]
    return float(np.mean(known)) if known and len(known) == len(of_draws) else None


if __name__ == "__main__":
    run_stage("recognition.identify")
