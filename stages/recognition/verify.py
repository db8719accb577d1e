"""Are these two the same person? What a recognizer says of pairs of faces, bare and under each condition.

python -m stages.recognition.verify --embeddings data/embeddings/dlib.parquet --heads models/heads-dlib.safetensors \
    --results metrics/verify-dlib
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
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
from stages.recognition import protocols, series, similarity, verification


class Params(StageParams):
    """Section `verify:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    split: Literal["val", "test"]
    pairs: FilePath | None
    """A published list of pairs; null: all pairs of the split."""
    missing: Literal["error", "count"]
    """What to do about a pair of which a face is not there."""
    fars: list[float] = Field(min_length=1)
    """False accept rates at which true accept rates are told."""
    resamples: int = Field(ge=100)
    """Of the people, for the intervals."""
    interval_pairs: int = Field(ge=1000)
    """From at most so many pairs, drawn by chance, intervals are computed."""


def verify(embeddings: Path, heads: Path, results: Results, params: Params) -> dict[str, Any]:
    """Compare faces under each condition with bare ones, and with each other; with each head, and without.

    Args:
        embeddings: what `embed` wrote.
        heads: what `train_heads` wrote.
        results: where the numbers and ROC curves go.
        params: section `verify`.

    Returns:
        By head and series (`masked-bare`: probes masked, references bare): AUC, EER, TAR by FAR (null where there are
        too few impostor pairs to measure it), false match and false non-match rate at the thresholds at which the bare
        pairs have each FAR (NIST IR 8311), and intervals over people of AUC, of TAR, and of both minus those of plain
        `masked-bare`; the decidability on the people of split `val`, by which one may choose; the remedy with the best
        of these (null if `val` has no pairs); and how many pairs and people there are.

    Raises:
        UnmaskError: no pairs of one kind, or faces of a list of pairs are missing.
    """
    table, correct = stored.read(embeddings), correcting.load(heads)
    wanted, missing = None, 0
    if params.pairs is not None:
        wanted, missing = protocols.available(
            protocols.read_pairs(params.pairs),
            lambda pair: (pair.one, pair.other),
            series.names(table, params.split),
            "verify.pairs",
            params.missing,
        )
    identities = {*table["bare"].of(params.split).identities, *table["masked"].of(params.split).identities}
    number = {name: index for index, name in enumerate(sorted(identities))}
    compared = [
        (one, pairs)
        for one in series.all_of(table, correct, params.split)
        if (pairs := _pairs(one, number, wanted, params))
    ]
    if not compared:
        raise UnmaskError(f"{params.pairs}: no series of photos has pairs of both kinds among the listed ones")
    bare = next((pairs.curve for one, pairs in compared if one.name == series.BARE), None)
    found_intervals = _intervals(compared, len(number), params)
    on_val = _on_val(table, correct)
    result: dict[str, Any] = {}
    for (one, pairs), interval in zip(compared, found_intervals, strict=True):
        curve = pairs.curve
        scores = {
            "auc": curve.auc(),
            "eer": curve.eer(),
            "tar_at_far": {f"{far:g}": curve.tar_at(far) for far in params.fars},
            "at_bare_threshold": {f"{far:g}": _at_bare_threshold(curve, bare, far) for far in params.fars},
            "interval": interval,
            "decidability_val": on_val.get((one.head, one.name)),
            "pairs": {"genuine": int(curve.accepted_genuine[-1]), "impostor": int(curve.accepted_impostor[-1])},
        }
        if wanted is not None and len(np.unique(pairs.fold)) > 1:
            mean, spread = verification.folds_accuracy(pairs.scores, pairs.genuine, pairs.fold)
            scores["folds_accuracy"] = {"mean": mean, "standard_deviation": spread}
        if missing:
            scores["pairs"]["missing"] = missing
        result.setdefault(one.head, {})[one.name] = scores
    there = {(one.head, one.name) for one, _ in compared}
    remedies = {key: value for key, value in on_val.items() if key in there and series.is_remedy(key[1])}
    best = max(remedies, key=lambda key: remedies[key], default=None)
    lines = {
        one.name: (some.curve.far, some.curve.tar)
        for one, some in compared
        if one.head == correcting.NO_HEAD and one.name in plots.CONDITIONS
    }
    plots.roc(results.figure, lines, title="True over false accepts, people not seen in training")
    return {
        "series": result,
        "best_on_val": best and {"head": best[0], "series": best[1]},
        "split": params.split,
        "identities": len(identities),
    }


def _at_bare_threshold(
    curve: verification.Curve, bare: verification.Curve | None, far: float
) -> dict[str, float | None]:
    """Return both error rates of a series at the threshold at which the bare pairs have this FAR; None if unknown."""
    threshold = bare and bare.threshold_at(far)
    fmr, fnmr = (None, None) if threshold is None else curve.errors_at(threshold)
    return {"fmr": fmr, "fnmr": fnmr}


def _on_val(table: Mapping[str, stored.Faces], correct: correcting.Heads) -> dict[tuple[str, str], float]:
    """Return the decidability of each head and series on the people to choose by; nothing if they make no pairs."""
    people = Counter(table["bare"].of("val").identities)
    if len(people) < 2 or max(people.values()) < 2:
        return {}
    return {
        (one.head, one.name): verification.of_all_pairs(
            one.references.embeddings,
            one.probes.embeddings,
            (one.references.identities, one.probes.identities),
            same_photos=one.same_photos,
        ).decidability()
        for one in series.all_of(table, correct, "val")
    }


@dataclass(frozen=True)
class Pairs:
    """The curve of all pairs of a series, and some of them, drawn by chance, for its intervals.

    Attributes:
        curve: of all pairs.
        scores: of some, float32 (n,).
        genuine: bool (n,).
        people: numbers of the two people, int64 (n, 2).
        fold: of pairs of a list, int64 (n,).
    """

    curve: verification.Curve
    scores: similarity.Scores
    genuine: NDArray[np.bool_]
    people: NDArray[np.int64]
    fold: NDArray[np.int64]


def _pairs(
    one: series.Series, number: Mapping[str, int], wanted: list[protocols.Pair] | None, params: Params
) -> Pairs | None:
    """Return the pairs of a series; None if a list has no pairs of one kind for it."""
    references, probes = (one.references, one.probes) if wanted is None else series.sides(one)
    if wanted is None:
        rows, columns = _drawn(one, generator(params.seed, "verify pairs"), params.interval_pairs)
        fold = np.zeros(len(rows), np.int64)
    else:
        probe, reference = series.indices(probes), series.indices(references)
        there = [pair for pair in wanted if pair.one in reference and pair.other in probe]
        indices = [(probe[pair.other], reference[pair.one], pair.fold) for pair in there]
        rows, columns, fold = np.array(indices, np.int64).reshape(-1, 3).T
    of_references, of_probes = (
        np.array([number[name] for name in faces.identities], np.int64) for faces in (references, probes)
    )
    people = np.stack([of_probes[rows], of_references[columns]], 1)
    genuine = people[:, 0] == people[:, 1]
    scores = similarity.of_pairs(probes.embeddings, references.embeddings, (rows, columns))
    if wanted is None:
        curve = verification.of_all_pairs(
            references.embeddings,
            probes.embeddings,
            (references.identities, probes.identities),
            same_photos=one.same_photos,
        )
    elif genuine.all() or not genuine.any():
        return None
    else:
        curve = verification.of_scores(scores, genuine)
    return Pairs(curve, scores, genuine, people, fold)


def _drawn(one: series.Series, rng: np.random.Generator, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
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


def _apart(one: series.Series, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return those of the pairs, numbered probe by probe, that are not of one photo, each once."""
    if not one.same_photos:
        return pairs
    rows, columns = np.divmod(pairs, len(one.references))
    return pairs[columns > rows if one.references is one.probes else columns != rows]


def _intervals(compared: list[tuple[series.Series, Pairs]], n_identities: int, params: Params) -> list[dict[str, Any]]:
    """Return the bounds of 95 % intervals, people drawn anew, the same ones for all series."""
    counts = intervals.drawn(n_identities, params.resamples, generator(params.seed, "verify"))
    keys = ["auc", *(f"tar_at_{far:g}" for far in params.fars)]
    values = [
        np.column_stack(verification.resampled(pairs.scores, pairs.genuine, pairs.people, counts, params.fars))
        for _, pairs in compared
    ]
    names = [one.name for one, _ in compared]
    base = values[names.index("masked-bare" if "masked-bare" in names else names[0])]
    result = []
    for (_, pairs), resampled in zip(compared, values, strict=True):
        estimates = [pairs.curve.auc(), *map(pairs.curve.tar_at, params.fars)]
        people = len(np.unique(pairs.people[pairs.genuine]))
        found: dict[str, Any] = {}
        for key, estimate, of, of_base in zip(keys, estimates, resampled.T, base.T, strict=True):
            if estimate is None:
                found |= {key: None, f"{key}_ahead_of_masked": None}
                continue
            found[key] = intervals.share(estimate, of, people)._asdict()
            ahead = of - of_base
            known = np.isfinite(ahead).any()
            found[f"{key}_ahead_of_masked"] = intervals.bounds(ahead, people)._asdict() if known else None
        result.append(found)
    return result


if __name__ == "__main__":
    run_stage("recognition.verify")
