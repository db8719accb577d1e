"""Are these two the same person? What a recognizer says of pairs of faces, bare and under each condition.

python -m stages.recognition.verify --embeddings data/embeddings/dlib.parquet --heads models/heads-dlib.safetensors \
    --results metrics/verify-dlib
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
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
    impostor_pairs: int | None = Field(ge=1000)
    """If a series has more of them, so many pairs are drawn by chance; null: all pairs."""
    fars: list[float] = Field(min_length=1)
    """False accept rates at which true accept rates are told."""
    rare_fars: list[float]
    """The same of a series with so many impostor pairs that one may be accepted."""
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
        `scored` says; as `val` the like of people who are in no test; and as `best` the remedy with the highest
        decidability of these, or what `_cross_validated` says if there are no such people.

    Raises:
        UnmaskError: no pairs of one kind, or photos of a list of pairs are missing.
    """
    tested, correct = protocol.of_split(embeddings, params.split), correcting.load(heads)
    wanted, missing = None, 0
    if params.pairs is not None:
        known = protocol.names(tested)
        wanted = lists.read_pairs(params.pairs, known)
        names = {pair.line: (pair.one, pair.other) for pair in wanted}
        missing = lists.missing(names, known, params.pairs, "verify.pairs", params.missing)
    compared = compare([(tested, correct.correct)], params, wanted)
    if not compared:
        raise UnmaskError(f"{params.pairs or embeddings}: no series of photos has pairs of both kinds")
    groups = protocol.to_choose_by(embeddings, tested, params.split)
    on_val = compare(((some, functools.partial(correct.correct, fold=fold)) for fold, some in groups), params)
    found = {"": compared, "val.": on_val}
    scores = {prefix: scored(some, params) for prefix, some in found.items()}
    replicates.write(
        results.replicates,
        {f"{prefix}series.{key}": of for prefix, (_, values) in scores.items() for key, of in values.items()},
        {f"{prefix}series.{key}": _people(found[prefix]) for prefix, (_, values) in scores.items() for key in values},
        params.seed,
    )
    lines = {
        plots.IN_LISTS.get(name, name): pairs.line
        for (head, name), (pairs,) in compared.items()
        if head == protocol.NO_HEAD
    }
    shown = {name: lines[name] for name in plots.CONDITIONS if name in lines}
    plots.roc(results.figure, shown, title="True over false accepts, people not seen in training")
    val = {
        "series": scores["val."][0],
        "identities": len(_people(on_val)),
        "groups": max(map(len, on_val.values()), default=0),
    }
    return {
        "series": scores[""][0],
        "val": val if on_val else None,
        "best": _best(on_val, compared) if on_val else _cross_validated(tested, correct.correct, params, wanted),
        "split": params.split,
        "identities": len(protocol.people(tested)),
        **({"listed": len(wanted), "missing": missing} if wanted is not None else {}),
    }


@dataclass(frozen=True)
class Pairs:
    """What all pairs of a series say, and some of them, drawn by chance, for its intervals.

    Counts and curves are not kept: there are up to some hundred series, and each takes 100 MB where pairs are many.

    Attributes:
        attempts: of all pairs; those that could not be compared are rejected.
        compared: of the pairs that could be compared; None if these are not of both kinds.
        at_bare: by FAR, false match and false non-match rate of these at the threshold at which the bare pairs have
            it; without a FAR that is too low for one of both.
        line: FAR and TAR of all pairs, to draw.
        lost: whether a pair could not be compared.
        not_drawn: how many more impostor pairs there are.
        names: of the people, sorted.
        references: how many there are, and how many of them were found.
        probes: likewise.
        scores: of some, float32 (n,).
        genuine: bool (n,).
        people: the two people of each, as indices of `names`, int32 (n, 2).
        listed: what is known of listed pairs alone; None for all pairs.
    """

    attempts: verification.Rates
    compared: verification.Rates | None
    at_bare: Mapping[float, tuple[float, float]]
    line: plots.Line
    lost: bool
    not_drawn: int
    names: tuple[str, ...]
    references: NDArray[np.int64]
    probes: NDArray[np.int64]
    scores: similarity.Scores
    genuine: NDArray[np.bool_]
    people: NDArray[np.int32]
    listed: "Listed | None" = None

    def resolves(self, far: float) -> bool:
        """Tell whether the pairs for the intervals are enough for a FAR: one of two people among them is accepted."""
        return int(far * (~self.genuine).sum() + 1e-9) > 0


@dataclass(frozen=True)
class Listed:
    """What is known of the pairs of a published list.

    Attributes:
        masked: how many of the two photos show a real mask, int64 (n,); -1 if one is not there.
        lost: whether a photo was not found or is not there, bool (n,).
        fold: of a cross-validation, int64 (n,).
    """

    masked: NDArray[np.int64]
    lost: NDArray[np.bool_]
    fold: NDArray[np.int64]


Compared = Mapping[tuple[str, str], Sequence[Pairs]]
"""By head and series: the pairs of each group of people."""


def compare(
    groups: Iterable[tuple[protocol.Table, protocol.Correct | None]],
    params: Params,
    wanted: Sequence[lists.Pair] | None = None,
) -> Compared:
    """Return the pairs of each series within each group of people; those of a list, if one is given."""
    found: dict[tuple[str, str], list[Pairs]] = {}
    for table, correct in groups:
        bare = None  # the pairs of this group's bare faces come first
        for one in protocol.series(table, correct) if wanted is None else protocol.lists(table, correct):
            pairs = _all_pairs(one, params, bare) if wanted is None else _listed(one, params, bare, wanted, table)
            if pairs is not None:
                found.setdefault((one.head, one.name), []).append(pairs)
                bare = pairs if one.name == protocol.BARE else bare
    return found


def _all_pairs(one: protocol.Series, params: Params, bare: Pairs | None) -> Pairs | None:
    """Return all pairs of a series; None if there are none of one kind."""
    references, probes = one.references, one.probes
    if not (len(references) and len(probes)):
        return None
    identities = references.identities, probes.identities
    counted = verification.of_all_pairs(
        references.embeddings,
        probes.embeddings,
        identities,
        one.own,
        at_most=params.impostor_pairs,
        seed=params.seed,
    )
    if not (counted.genuine.any() and counted.impostor.any()):
        return None
    # Of no more impostor pairs than the rates rest on, or intervals would be too narrow.
    n = min(params.interval_pairs, params.impostor_pairs or params.interval_pairs)
    rows, columns = _drawn(one, generator(params.seed, "verify pairs"), n)
    lost = ~(probes.found[rows] & references.found[columns])
    scores = _scores_of(references, probes, rows, columns, lost)
    names, people = _numbered(references, probes, rows, columns)
    return _of(one, counted, params, bare, names, scores, people[:, 0] == people[:, 1], people)


def _listed(
    one: protocol.Series,
    params: Params,
    bare: Pairs | None,
    wanted: Sequence[lists.Pair],
    table: protocol.Table,
) -> Pairs | None:
    """Return the pairs of a list, its first photos known and its second ones asked about; None if of one kind alone."""
    genuine = np.array([pair.genuine for pair in wanted])
    if genuine.all() or not genuine.any():
        return None
    references = protocol.named(one.references, [pair.one for pair in wanted])
    probes = protocol.named(one.probes, [pair.other for pair in wanted])
    every = np.arange(len(wanted))
    lost = ~(probes.found & references.found)
    scores = _scores_of(references, probes, every, every, lost)
    listed = Listed(_masked(references, probes, table), lost, np.array([pair.fold for pair in wanted], np.int64))
    names, people = _numbered(references, probes, every, every)
    aligned = replace(one, references=references, probes=probes)
    counted = verification.of_pairs(scores, genuine, lost)
    return _of(aligned, counted, params, bare, names, scores, genuine, people, listed)


def _masked(references: stored.Faces, probes: stored.Faces, table: protocol.Table) -> NDArray[np.int64]:
    """Return how many photos of each pair show a real mask, int64 (n,); -1 if one is not there, or masks are drawn."""
    if not protocol.wears_real(table):
        return np.full(len(probes), -1)
    masked, bare = (set(table[condition].face_ids) for condition in ("masked", "bare"))
    sides = [np.array([name in masked for name in faces.face_ids], np.int64) for faces in (references, probes)]
    there = [np.array([name in masked or name in bare for name in faces.face_ids]) for faces in (references, probes)]
    return np.where(there[0] & there[1], sides[0] + sides[1], -1)


def _numbered(
    references: stored.Faces, probes: stored.Faces, rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> tuple[tuple[str, ...], NDArray[np.int32]]:
    """Return the names of all people, sorted, and of each pair the indices of its two, int32 (n, 2)."""
    names = tuple(sorted({*references.identities, *probes.identities}))
    number = {name: index for index, name in enumerate(names)}
    of_probes, of_references = (
        np.array([number[name] for name in faces.identities], np.int32) for faces in (probes, references)
    )
    return names, np.stack([of_probes[rows], of_references[columns]], 1)


def _of(
    one: protocol.Series,
    counted: verification.Counted,
    params: Params,
    bare: Pairs | None,
    names: tuple[str, ...],
    scores: similarity.Scores,
    genuine: NDArray[np.bool_],
    people: NDArray[np.int32],
    listed: Listed | None = None,
) -> Pairs:
    """Return what counted pairs say; `bare`: those of the bare faces of the same people, None if these are they."""
    fars = _every_far(params)
    attempts = counted.attempts()
    of_attempts, line = attempts.rates(fars), plots.thinned((attempts.far, attempts.tar))
    del attempts  # before the next one is made: of a thousand million pairs, each takes 50 MB
    compared = counted.compared()
    of_compared = compared and compared.rates(fars)
    of_bare = of_compared if one.name == protocol.BARE else bare and bare.compared
    thresholds = of_bare.threshold if of_bare else {}
    return Pairs(
        attempts=of_attempts,
        compared=of_compared,
        at_bare={
            far: compared.errors_at(threshold)
            for far, threshold in thresholds.items()
            if compared is not None and threshold is not None
        },
        line=line,
        lost=bool(counted.lost_genuine or counted.lost_impostor),
        not_drawn=counted.not_drawn,
        names=names,
        references=np.array([len(one.references), one.references.found.sum()]),
        probes=np.array([len(one.probes), one.probes.found.sum()]),
        scores=scores,
        genuine=genuine,
        people=people,
        listed=listed,
    )


def _scores_of(
    references: stored.Faces,
    probes: stored.Faces,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    lost: NDArray[np.bool_],
) -> similarity.Scores:
    scores = np.full(len(lost), verification.LOST, np.float32)
    there = ~lost
    scores[there] = similarity.of_pairs(probes.embeddings, references.embeddings, (rows[there], columns[there]))
    return scores


def _drawn(one: protocol.Series, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices of probes and references of at most `n` pairs of a series, drawn by chance.

    At most half of them are genuine: among all pairs of thousands of people hardly one would be.
    """
    numbers = np.unique(one.probes.identities + one.references.identities, return_inverse=True)[1]
    of_probes, of_references = np.split(numbers, [len(one.probes)])
    n_known = len(one.references)
    own = [
        (rows[:, None] * n_known + columns).ravel()
        for rows, columns in verification.of_each_person(of_references, of_probes)
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
    return sorted(frozenset().union(*(pairs.names for groups in compared.values() for pairs in groups)))


def scored(compared: Compared, params: Params) -> tuple[dict[str, dict[str, Any]], dict[str, NDArray[np.float64]]]:
    """Return scores by head and series, see `_scores`, and replicates of what has an interval, by dotted key."""
    if not compared:
        return {}, {}
    names = _people(compared)
    number = {name: index for index, name in enumerate(names)}
    counts = intervals.drawn(len(names), params.resamples, generator(params.seed, "verify")).astype(np.int16)
    values = {}
    for key, groups in compared.items():
        fars = _fars([pairs.attempts for pairs in groups], params)
        of_groups = []
        for pairs in groups:
            people = np.array([number[name] for name in pairs.names])[pairs.people]
            auc, tar = verification.resampled(pairs.scores, pairs.genuine, people, counts, fars)
            tar[:, [not pairs.resolves(far) for far in fars]] = np.nan
            of_groups.append(np.column_stack([auc, tar]).T)
        values[key] = dict(zip(["auc", *(f"tar_at_{far:g}" for far in fars)], np.mean(of_groups, 0), strict=True))
    plain = [(protocol.NO_HEAD, name) for name in (protocol.MASKED, *protocol.LISTS.values())]
    base = next((values[key] for key in plain if key in values), None)
    result: dict[str, dict[str, Any]] = {}
    resampled = {}
    for (head, name), groups in compared.items():
        of = values[head, name]
        result.setdefault(head, {})[name] = _scores(groups, of, base, params)
        series = f"{head}.{name}"
        resampled[f"{series}.auc"] = of["auc"]
        for far in _fars([pairs.attempts for pairs in groups], params):
            if all(pairs.attempts.impostors[far] and pairs.resolves(far) for pairs in groups):
                resampled[f"{series}.tar_at_far.{far:g}"] = of[f"tar_at_{far:g}"]
    return result, resampled


def _scores(
    groups: Sequence[Pairs],
    values: Mapping[str, NDArray[np.float64]],
    base: Mapping[str, NDArray[np.float64]] | None,
    params: Params,
) -> dict[str, Any]:
    """Return what is said of a series, as means over groups of people, whose networks and thresholds are their own.

    AUC, EER and TAR by FAR, a pair that could not be compared being rejected (null if no impostor pair may be
    accepted), and on how many impostor pairs each TAR rests. `compared`: the same of the pairs that could be compared.
    `at_bare_threshold`: false match and false non-match rate of these at the thresholds at which the bare pairs have
    each FAR (NIST IR 8311; null where there is no series of bare pairs, as in a list of real masks). Which shares of
    references and probes were not found. Intervals over people of AUC, of TAR, and of both minus those of plain
    `masked-bare` (null where too few pairs are there for intervals to tell). Where impostor pairs were drawn, `drawn`:
    from how many, and by FAR how far that of all may be off, as a share of it. Of a list whose photos wear real masks
    or none, the same by how many of the two photos show one; and the accuracy over its folds, if it has such.
    """
    people = len({pairs.names[who] for pairs in groups for who in np.unique(pairs.people[pairs.genuine, 0])})
    attempts = [pairs.attempts for pairs in groups]
    fars, rates = _fars(attempts, params), _rates(attempts, params)
    estimates = {"auc": rates["auc"], **{f"tar_at_{far}": tar for far, tar in rates["tar_at_far"].items()}}
    variance = _variances(groups, fars)
    # `LOST` is no score that says how alike others are: then what varies is measured with people drawn anew.
    lost = any(pairs.lost for pairs in groups)
    interval: dict[str, Any] = {}
    for key, estimate in estimates.items():
        ahead = values[key] - base[key] if base and key in base and estimate is not None else np.full(1, np.nan)
        known = np.isfinite(ahead).any()
        if estimate is None:
            interval[key] = None
        elif lost:
            interval[key] = intervals.share(estimate, values[key], people)._asdict()
        else:
            interval[key] = intervals.score(estimate, variance[key])._asdict()
        interval[f"{key}_ahead_of_masked"] = intervals.bounds(ahead, people)._asdict() if known else None
    comparable = [pairs.compared for pairs in groups if pairs.compared is not None]
    whole = len(comparable) == len(groups)
    found = {
        **rates,
        "compared": _rates(comparable, params) if whole else None,
        "at_bare_threshold": {f"{far:g}": _at_bare_threshold(groups, far) for far in fars},
        "interval": interval,
        "decidability": _mean([one.decidability for one in comparable]) if whole else None,
        "not_found": {
            name: float(
                1
                - np.sum([getattr(pairs, name)[1] for pairs in groups])
                / np.sum([getattr(pairs, name)[0] for pairs in groups])
            )
            for name in ("references", "probes")
        },
        "pairs": {
            "genuine": sum(one.genuine for one in attempts),
            "impostor": sum(one.impostor for one in attempts),
        },
    }
    if any(pairs.not_drawn for pairs in groups):
        found["drawn"] = {
            "from": found["pairs"]["impostor"] + sum(pairs.not_drawn for pairs in groups),
            "far_error": {f"{far:g}": _far_error(groups, far) for far in fars},
        }
    (only, *others) = groups
    return found | (_of_list(only, only.listed, params) if only.listed and not others else {})


def _variances(groups: Sequence[Pairs], fars: Sequence[float]) -> dict[str, Callable[[float], float]]:
    """Return the variance of AUC and of the TAR at each FAR, where the truth is some value; of means over groups."""
    scattered = []
    for pairs in groups:
        people = np.unique(pairs.people, return_inverse=True)[1].reshape(pairs.people.shape)
        kinds = (pairs.genuine, people[pairs.genuine, :1]), (~pairs.genuine, people[~pairs.genuine])
        scattered.append([intervals.scatter(pairs.scores[of], whose) for of, whose in kinds])

    def mean(of_one: Callable[..., float], value: float, *args: float) -> float:
        return sum(of_one(value, *args, *kinds) for kinds in scattered) / len(scattered) ** 2

    of_tar = {f"tar_at_{far:g}": lambda value, far=far: mean(verification.tar_variance, value, far) for far in fars}
    return {"auc": lambda value: mean(verification.auc_variance, value), **of_tar}


def _rates(groups: Sequence[verification.Rates], params: Params) -> dict[str, Any]:
    """Return the means of what curves say, and on how few impostor pairs one of them rests."""
    fars = _fars(groups, params)
    return {
        "auc": _mean([one.auc for one in groups]),
        "eer": _mean([one.eer for one in groups]),
        "tar_at_far": {f"{far:g}": _mean([one.tar[far] for one in groups]) for far in fars},
        "impostors_at_far": {f"{far:g}": min(one.impostors[far] for one in groups) for far in fars},
    }


def _fars(groups: Sequence[verification.Rates], params: Params) -> list[float]:
    """Return the FARs at which TARs of a series are told."""
    rare = [far for far in params.rare_fars if all(one.impostors[far] for one in groups)]
    return list(dict.fromkeys([*params.fars, *rare]))


def _every_far(params: Params) -> list[float]:
    """Return the FARs at which TARs may be told."""
    return list(dict.fromkeys([*params.fars, *params.rare_fars]))


def _mean(values: Sequence[float | None]) -> float | None:
    """Return the mean of some values; None if one of them is not known."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


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
            by_masks[name] = _rates([counted.attempts().rates(_every_far(params))], params) | {
                "pairs": {"genuine": int(genuine.sum()), "impostor": int((~genuine).sum())}
            }
    return found | ({"by_masks": by_masks} if by_masks else {})


def _far_error(groups: Sequence[Pairs], far: float) -> float | None:
    """Return how far a FAR may be off, as a share of it, as some impostor pairs were drawn: the largest of any group.

    The standard error of a share of some that were drawn from all, without replacement; more than that of our draw.
    """
    errors = []
    for pairs in groups:
        if not (accepted := pairs.attempts.impostors[far]):
            return None
        left = pairs.not_drawn / (pairs.not_drawn + pairs.attempts.impostor)
        errors.append(float(np.sqrt((1 - far) / accepted * left)))
    return max(errors)


def _at_bare_threshold(groups: Sequence[Pairs], far: float) -> dict[str, float | None]:
    """Return both error rates of a series at the threshold at which the bare pairs have this FAR; None if unknown."""
    if not all(far in pairs.at_bare for pairs in groups):
        return {"fmr": None, "fnmr": None}
    fmr, fnmr = zip(*(pairs.at_bare[far] for pairs in groups), strict=True)
    return {"fmr": _mean(fmr), "fnmr": _mean(fnmr)}


# ---------------------------------------------------------------- the remedy to show


def _best(known: Compared, there: Compared) -> dict[str, Any] | None:
    """Return the remedy with the highest decidability of some people, among those of which there are pairs to test."""
    remedies: dict[tuple[str, str], float] = {}
    for (head, name), groups in known.items():
        names = (name, protocol.in_list(name) or name)
        key = next(((head, one) for one in names if (head, one) in there), None)
        apart = _mean([pairs.compared.decidability if pairs.compared else None for pairs in groups])
        if key and protocol.is_remedy(key[1]) and apart is not None:
            remedies[key] = apart
    best = max(remedies, key=lambda key: remedies[key], default=None)
    return best and {"head": best[0], "series": best[1], "by": "val", "decidability": remedies[best]}


def _cross_validated(
    tested: protocol.Table, correct: protocol.Correct, params: Params, wanted: Sequence[lists.Pair] | None
) -> dict[str, Any] | None:
    """Return what the best remedy gives where all people are test people: chosen by one half, scored on the other.

    Returns:
        The remedies chosen, and the mean over both halves of the rates of pairs within it; None if a half has no pairs
        of both kinds.
    """
    chosen, scored = [], []
    for inside, others in protocol.rotated(protocol.people(tested)):
        tables = [protocol.of_people(tested, people) for people in (inside, others)]
        here, there = (compare([(table, correct)], params, _among(wanted, table)) for table in tables)
        if (best := _best(there, here)) is None:
            return None
        chosen.append({"head": best["head"], "series": best["series"]})
        scored += [pairs.attempts for pairs in here[best["head"], best["series"]]]
    return {"by": "cross-validation", "chosen": chosen, **_rates(scored, params)}


def _among(wanted: Sequence[lists.Pair] | None, table: protocol.Table) -> list[lists.Pair] | None:
    """Return the pairs of a list whose photos are both there."""
    known = protocol.names(table)
    return wanted if wanted is None else [pair for pair in wanted if pair.one in known and pair.other in known]


if __name__ == "__main__":
    run_stage("recognition.verify")
