"""Are these two the same person? What a recognizer says of pairs of faces, bare and under each condition.

python -m stages.recognition.verify --embeddings data/embeddings/dlib.parquet --heads models/heads-dlib.safetensors \
    --results metrics/verify-dlib
"""

import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.core import intervals, replicates
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import FilePath, StageParams
from stages.core.results import Results
from stages.core.seeding import generator
from stages.figures import plots
from stages.recognition import embeddings as stored
from stages.recognition import heads as correcting
from stages.recognition import lists, protocol, similarity, verification


class Params(StageParams):
    """Section `verify:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    split: Literal["val", "test"]
    pairs: FilePath | None
    """A published list of pairs; null: all pairs of the split."""
    missing: Literal["error", "count"]
    """What to do about a pair of which a photo is not there."""
    fars: list[float] = Field(min_length=1)
    """False accept rates at which true accept rates are told."""
    resamples: int = Field(ge=100)
    """Of the people, for the intervals."""
    interval_pairs: int = Field(ge=1000)
    """From at most so many pairs, drawn by chance, intervals are computed."""


def verify(embeddings: Path, heads: Path, results: Results, params: Params) -> dict[str, Any]:
    """Compare faces under each condition with bare ones, and with each other; with each head, and without.

    A pair of which a face was not found, or of a list and not there, is rejected at every threshold.

    Args:
        embeddings: what `embed` wrote.
        heads: what `train_heads` wrote.
        results: where the numbers, ROC curves and replicates go.
        params: section `verify`.

    Returns:
        By head and series (`masked-bare`: probes masked, references bare; see `stages.recognition.protocol`) what
        `_scores` says; as `val` the like of people who are in no test; and as `best` the remedy with the highest
        decidability of these, or what `_cross_validated` says if there are no such people.

    Raises:
        UnmaskError: no pairs of one kind, or photos of a list of pairs are missing.
    """
    every, correct = stored.read(embeddings), correcting.load(heads)
    tested = protocol.of_split(every, params.split)
    wanted, missing = None, 0
    if params.pairs is not None:
        wanted, known = lists.read_pairs(params.pairs), protocol.names(tested)
        missing = lists.missing(wanted, lambda pair: (pair.one, pair.other), known, "verify.pairs", params.missing)
    compared = _compared([(tested, correct.correct)], params, wanted)
    if not compared:
        raise UnmaskError(f"{params.pairs or embeddings}: no series of photos has pairs of both kinds")
    groups = [] if params.split == "val" else protocol.to_choose_by(every)
    on_val = _compared([(some, functools.partial(correct.correct, fold=fold)) for fold, some in groups], params)
    found = {"": compared, "val.": on_val}
    scores = {prefix: _scored(some, params) for prefix, some in found.items()}
    replicates.write(
        results.replicates,
        {f"{prefix}series.{key}": of for prefix, (_, values) in scores.items() for key, of in values.items()},
        {f"{prefix}series.{key}": _people(found[prefix]) for prefix, (_, values) in scores.items() for key in values},
        params.seed,
    )
    lines = {
        plots.IN_LISTS.get(name, name): (pairs.curve.far, pairs.curve.tar)
        for (head, name), pairs in compared.items()
        if head == protocol.NO_HEAD
    }
    shown = {name: lines[name] for name in plots.CONDITIONS if name in lines}
    plots.roc(results.figure, shown, title="True over false accepts, people not seen in training")
    val = {"series": scores["val."][0], "identities": len(_people(on_val)), "groups": len(groups)}
    return {
        "series": scores[""][0],
        "val": val if on_val else None,
        "best": _best(on_val, compared) if on_val else _cross_validated(tested, correct.correct, params, wanted),
        "split": params.split,
        "identities": len({*tested["bare"].identities, *tested["masked"].identities}),
        **({"listed": len(wanted), "missing": missing} if wanted is not None else {}),
    }


@dataclass(frozen=True)
class Pairs:
    """All pairs of a series, counted, and some of them, drawn by chance, for its intervals.

    Attributes:
        counted: all pairs.
        identities: of references and probes.
        references: how many there are, and how many of them were found.
        probes: likewise.
        scores: of some, float32 (n,).
        genuine: bool (n,).
        people: the two people of each, (n, 2).
        listed: what is known of listed pairs alone; None for all pairs.
    """

    counted: verification.Counted
    identities: frozenset[str]
    references: NDArray[np.int64]
    probes: NDArray[np.int64]
    scores: similarity.Scores
    genuine: NDArray[np.bool_]
    people: NDArray[np.str_]
    listed: "Listed | None" = None

    @functools.cached_property
    def curve(self) -> verification.Curve:
        """Of all attempts."""
        return self.counted.attempts()

    @functools.cached_property
    def compared(self) -> verification.Curve | None:
        """Of the pairs that could be compared."""
        return self.counted.compared()

    def __add__(self, other: "Pairs") -> "Pairs":
        """Return the pairs of two groups of people."""
        return Pairs(
            self.counted + other.counted,
            self.identities | other.identities,
            self.references + other.references,
            self.probes + other.probes,
            np.concatenate([self.scores, other.scores]),
            np.concatenate([self.genuine, other.genuine]),
            np.concatenate([self.people, other.people]),
        )


@dataclass(frozen=True)
class Listed:
    """What is known of the pairs of a published list.

    Attributes:
        masked: how many of the two photos show a mask, int64 (n,).
        lost: whether a photo was not found or is not there, bool (n,).
        fold: of a cross-validation, int64 (n,).
    """

    masked: NDArray[np.int64]
    lost: NDArray[np.bool_]
    fold: NDArray[np.int64]


Compared = Mapping[tuple[str, str], Pairs]
"""By head and series."""


def _compared(
    groups: Sequence[tuple[protocol.Table, protocol.Correct]],
    params: Params,
    wanted: Sequence[lists.Pair] | None = None,
) -> Compared:
    """Return the pairs of each series within each group of people; those of a list, if one is given."""
    found: dict[tuple[str, str], Pairs] = {}
    for table, correct in groups:
        masked = set(table["masked"].face_ids)
        for one in protocol.series(table, correct) if wanted is None else protocol.lists(table, correct):
            pairs = _all_pairs(one, params) if wanted is None else _listed(one, wanted, masked)
            key = (one.head, one.name)
            if pairs is not None:
                found[key] = found[key] + pairs if key in found else pairs
    return found


def _all_pairs(one: protocol.Series, params: Params) -> Pairs | None:
    """Return all pairs of a series; None if there are none of one kind."""
    references, probes = one.references, one.probes
    if not (len(references) and len(probes)):
        return None
    identities = references.identities, probes.identities
    counted = verification.of_all_pairs(references.embeddings, probes.embeddings, identities, one.own)
    if not (counted.genuine.any() and counted.impostor.any()):
        return None
    rows, columns = _drawn(one, generator(params.seed, "verify pairs"), params.interval_pairs)
    people = np.stack([np.array(probes.identities)[rows], np.array(references.identities)[columns]], 1)
    lost = ~(probes.found[rows] & references.found[columns])
    scores = _scores_of(references, probes, rows, columns, lost)
    return _of(one, counted, scores, people[:, 0] == people[:, 1], people)


def _listed(one: protocol.Series, wanted: Sequence[lists.Pair], masked: Collection[str]) -> Pairs | None:
    """Return the pairs of a list, its first photos known and its second ones asked about; None if of one kind alone."""
    genuine = np.array([pair.genuine for pair in wanted])
    if genuine.all() or not genuine.any():
        return None
    references = protocol.named(one.references, [pair.one for pair in wanted])
    probes = protocol.named(one.probes, [pair.other for pair in wanted])
    every = np.arange(len(wanted))
    lost = ~(probes.found & references.found)
    scores = _scores_of(references, probes, every, every, lost)
    shown = np.array([[name in masked for name in faces.face_ids] for faces in (references, probes)]).sum(0)
    listed = Listed(shown, lost, np.array([pair.fold for pair in wanted], np.int64))
    people = np.array([probes.identities, references.identities]).T
    aligned = replace(one, references=references, probes=probes)
    return _of(aligned, verification.of_pairs(scores, genuine, lost), scores, genuine, people, listed)


def _of(
    one: protocol.Series,
    counted: verification.Counted,
    scores: similarity.Scores,
    genuine: NDArray[np.bool_],
    people: NDArray[np.str_],
    listed: Listed | None = None,
) -> Pairs:
    references, probes = (np.array([len(faces), faces.found.sum()]) for faces in (one.references, one.probes))
    identities = frozenset([*one.references.identities, *one.probes.identities])
    return Pairs(counted, identities, references, probes, scores, genuine, people, listed)


def _scores_of(
    references: stored.Faces,
    probes: stored.Faces,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    lost: NDArray[np.bool_],
) -> similarity.Scores:
    asked, known = (verification.filled(faces.embeddings) for faces in (probes, references))
    return np.where(lost, np.float32(verification.LOST), similarity.of_pairs(asked, known, (rows, columns)))


def _drawn(one: protocol.Series, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of probes and references of at most `n` pairs of a series, drawn by chance.

    At most half of them are genuine: among all pairs of thousands of people hardly one would be.
    """
    identities, numbers = np.unique(one.probes.identities + one.references.identities, return_inverse=True)
    of_probes, of_references = np.split(numbers, [len(one.probes)])
    n_known = len(one.references)
    own = [
        (np.flatnonzero(of_probes == person)[:, None] * n_known + np.flatnonzero(of_references == person)).ravel()
        for person in range(len(identities))
    ]
    every = len(one.probes) * n_known
    anybody = np.arange(every) if every <= 4 * n else np.unique(rng.integers(every, size=4 * n))
    genuine, others = (_apart(one, pairs) for pairs in (np.concatenate(own), anybody))
    impostor = others[of_probes[others // n_known] != of_references[others % n_known]]
    genuine = rng.permutation(genuine)[: n // 2]
    drawn = np.concatenate([np.sort(genuine), np.sort(rng.permutation(impostor)[: n - len(genuine)])])
    return np.divmod(drawn, n_known)


def _apart(one: protocol.Series, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of the pairs, numbered probe by probe, that are not of one photo, each once."""
    rows, columns = np.divmod(pairs, len(one.references))
    return pairs[columns > rows if one.references is one.probes else columns != one.own[rows]]


def _people(compared: Compared) -> list[str]:
    return sorted(frozenset().union(*(pairs.identities for pairs in compared.values())))


def _scored(compared: Compared, params: Params) -> tuple[dict[str, dict[str, Any]], dict[str, NDArray[np.float64]]]:
    """Return scores by head and series, and replicates of those that have an interval, by dotted key."""
    if not compared:
        return {}, {}
    names = _people(compared)
    number = {name: index for index, name in enumerate(names)}
    counts = intervals.drawn(len(names), params.resamples, generator(params.seed, "verify"))
    keys = ["auc", *(f"tar_at_{far:g}" for far in params.fars)]
    values = {}
    for key, pairs in compared.items():
        people = np.vectorize(number.get, otypes=[np.int64])(pairs.people)
        found = verification.resampled(pairs.scores, pairs.genuine, people, counts, params.fars)
        values[key] = dict(zip(keys, np.column_stack(found).T, strict=True))
    plain = [(protocol.NO_HEAD, name) for name in (protocol.MASKED, *protocol.LISTS.values())]
    base = next((values[key] for key in plain if key in values), None)
    bare = compared.get((protocol.NO_HEAD, protocol.BARE))
    of_bare = bare.compared if bare else None
    result: dict[str, dict[str, Any]] = {}
    resampled = {}
    for (head, name), pairs in compared.items():
        of = values[head, name]
        result.setdefault(head, {})[name] = _scores(pairs, of_bare, of, base, params)
        series = f"{head}.{name}"
        resampled[f"{series}.auc"] = of["auc"]
        for far in params.fars:
            if pairs.curve.impostors_at(far):
                resampled[f"{series}.tar_at_far.{far:g}"] = of[f"tar_at_{far:g}"]
    return result, resampled


def _scores(
    pairs: Pairs,
    bare: verification.Curve | None,
    values: Mapping[str, NDArray[np.float64]],
    base: Mapping[str, NDArray[np.float64]] | None,
    params: Params,
) -> dict[str, Any]:
    """Return what is said of a series.

    AUC, EER and TAR by FAR, a pair that could not be compared being rejected (null if no impostor pair may be
    accepted), and on how many impostor pairs each TAR rests. `compared`: the same of the pairs that could be compared.
    `at_bare_threshold`: false match and false non-match rate of these at the thresholds at which the bare pairs have
    each FAR (NIST IR 8311). Which shares of references and probes were not found. Intervals over people of AUC, of TAR,
    and of both minus those of plain `masked-bare`. Of a list whose photos wear real masks or none, the same by how many
    of the two photos show one; and the accuracy over its folds, if it has such.
    """
    people = len(np.unique(pairs.people[pairs.genuine]))
    estimates = {"auc": pairs.curve.auc(), **{f"tar_at_{far:g}": pairs.curve.tar_at(far) for far in params.fars}}
    interval: dict[str, Any] = {}
    for key, estimate in estimates.items():
        ahead = values[key] - base[key] if base is not None and estimate is not None else np.full(1, np.nan)
        known = np.isfinite(ahead).any()
        interval[key] = None if estimate is None else intervals.share(estimate, values[key], people)._asdict()
        interval[f"{key}_ahead_of_masked"] = intervals.bounds(ahead, people)._asdict() if known else None
    found = {
        **_rates(pairs.curve, params),
        "compared": pairs.compared and _rates(pairs.compared, params),
        "at_bare_threshold": {f"{far:g}": _at_bare_threshold(pairs.compared, bare, far) for far in params.fars},
        "interval": interval,
        "decidability": pairs.compared and pairs.compared.decidability(),
        "not_found": {
            name: float(1 - there / every)
            for name, (every, there) in (("references", pairs.references), ("probes", pairs.probes))
        },
        "pairs": {"genuine": int(pairs.curve.accepted_genuine[-1]), "impostor": int(pairs.curve.accepted_impostor[-1])},
    }
    return found | (_of_list(pairs, pairs.listed, params) if pairs.listed else {})


def _rates(curve: verification.Curve, params: Params) -> dict[str, Any]:
    return {
        "auc": curve.auc(),
        "eer": curve.eer(),
        "tar_at_far": {f"{far:g}": curve.tar_at(far) for far in params.fars},
        "impostors_at_far": {f"{far:g}": curve.impostors_at(far) for far in params.fars},
    }


def _of_list(pairs: Pairs, listed: Listed, params: Params) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if len(np.unique(listed.fold)) > 1:
        mean, spread = verification.folds_accuracy(pairs.scores, pairs.genuine, listed.fold)
        found["folds_accuracy"] = {"mean": mean, "standard_deviation": spread}
    by_masks = {}
    for masks, name in enumerate(("bare-bare", "masked-bare", "masked-masked")):
        those = listed.masked == masks
        genuine = pairs.genuine[those]
        if genuine.any() and not genuine.all():
            counted = verification.of_pairs(pairs.scores[those], genuine, listed.lost[those])
            by_masks[name] = _rates(counted.attempts(), params) | {
                "pairs": {"genuine": int(genuine.sum()), "impostor": int((~genuine).sum())}
            }
    return found | {"by_masks": by_masks}


def _at_bare_threshold(
    curve: verification.Curve | None, bare: verification.Curve | None, far: float
) -> dict[str, float | None]:
    """Return both error rates of a series at the threshold at which the bare pairs have this FAR; None if unknown."""
    threshold = bare.threshold_at(far) if bare else None
    fmr, fnmr = (None, None) if threshold is None or curve is None else curve.errors_at(threshold)
    return {"fmr": fmr, "fnmr": fnmr}


# ---------------------------------------------------------------- the remedy to show


def _best(known: Compared, there: Compared) -> dict[str, Any] | None:
    """Return the remedy with the highest decidability of some people, among those of which there are pairs to test."""
    remedies = {}
    for (head, name), pairs in known.items():
        key = next((key for key in ((head, name), (head, protocol.in_list(name))) if key in there), None)
        if key and protocol.is_remedy(key[1]) and pairs.compared is not None:
            remedies[key] = pairs.compared.decidability()
    best = max(remedies, key=lambda key: remedies[key], default=None)
    return best and {"head": best[0], "series": best[1], "by": "val", "decidability": remedies[best]}


def _cross_validated(
    tested: protocol.Table, correct: protocol.Correct, params: Params, wanted: Sequence[lists.Pair] | None
) -> dict[str, Any] | None:
    """Return what the best remedy gives where all people are test people: chosen by one half, scored on the other.

    Returns:
        The remedies chosen, and the rates of the pairs within each half, together; None if a half has no pairs of both
        kinds.
    """
    identities = {*tested["bare"].identities, *tested["masked"].identities}
    chosen, scored = [], []
    for inside, others in protocol.rotated(identities):
        tables = [protocol.of_people(tested, people) for people in (inside, others)]
        here, there = (_compared([(table, correct)], params, _among(wanted, table)) for table in tables)
        if (best := _best(there, here)) is None:
            return None
        chosen.append({"head": best["head"], "series": best["series"]})
        scored.append(here[best["head"], best["series"]].counted)
    found = functools.reduce(verification.Counted.__add__, scored)
    return {"by": "cross-validation", "chosen": chosen, **_rates(found.attempts(), params)}


def _among(wanted: Sequence[lists.Pair] | None, table: protocol.Table) -> list[lists.Pair] | None:
    """Return the pairs of a list whose photos are both there."""
    known = protocol.names(table)
    return wanted if wanted is None else [pair for pair in wanted if pair.one in known and pair.other in known]


if __name__ == "__main__":
    run_stage("recognition.verify")
