"""Are these two the same person? What a recognizer says of pairs of faces, bare and under each condition.

python -m stages.verify --embeddings data/embeddings/dlib.parquet --heads models/heads-dlib.safetensors \
    --figure metrics/figures/verify-dlib.png --metrics metrics/verify-dlib.json
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.common import plots
from stages.common.command import run_stage
from stages.common.errors import UnmaskError
from stages.common.params import FilePath, StageParams
from stages.common.seeding import generator
from stages.recognition import embeddings as stored
from stages.recognition import heads as correcting
from stages.recognition import protocols, series, verification


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


def verify(embeddings: Path, heads: Path, figure: Path, params: Params) -> dict[str, Any]:
    """Compare faces under each condition with bare ones, and with each other; with each head, and without.

    Args:
        embeddings: what `embed` wrote.
        heads: what `train_heads` wrote.
        figure: ROC curves to draw.
        params: section `verify`.

    Returns:
        By head and series (`masked-bare`: probes masked, references bare): AUC, EER, TAR by FAR (null where there are
        too few impostor pairs to measure it), false rejects at the thresholds of the bare pairs (NIST IR 8311), and
        intervals over people of AUC, of TAR, and of both minus those of `masked-bare` as it is; the decidability on the
        people of split `val`, by which one may choose; the remedy with the best of these (null if `val` has no pairs);
        and how many pairs and people there are.

    Raises:
        UnmaskError: no pairs of one kind, or faces of a list of pairs are missing.
    """
    table, correct = stored.read(embeddings), correcting.load(heads)
    wanted = None if params.pairs is None else protocols.read_pairs(params.pairs)
    chosen = list(series.all_of(table, correct, params.split))
    number = {name: place for place, name in enumerate(sorted(set(table["bare"].of(params.split).identities)))}
    pairs = [_pairs(one, number, wanted, params) for one in chosen]
    curves = [verification.of_scores(some.scores, some.genuine) for some in pairs]
    bare = curves[[one.name for one in chosen].index(series.BARE)]
    intervals = _intervals(pairs, [one.name for one in chosen], len(number), params)
    on_val = _on_val(table, correct)
    result: dict[str, Any] = {}
    for one, some, curve, interval in zip(chosen, pairs, curves, intervals, strict=True):
        for far in params.fars:
            if not curve.measurable(far):
                interval |= {f"tar_at_{far:g}": None, f"tar_at_{far:g}_ahead_of_masked": None}
        scores = {
            "auc": curve.auc(),
            "eer": curve.eer(),
            "tar_at_far": {f"{far:g}": curve.tar_at(far) for far in params.fars},
            "false_rejects_at_bare_threshold": {
                f"{far:g}": None if (limit := bare.threshold_at(far)) is None else curve.rejected(limit)
                for far in params.fars
            },
            "interval": interval,
            "decidability_val": on_val.get((one.head, one.name)),
            "pairs": {"genuine": int(some.genuine.sum()), "impostor": int((~some.genuine).sum())},
        }
        if wanted is not None and len(np.unique(some.fold)) > 1:
            mean, spread = verification.folds_accuracy(some.scores, some.genuine, some.fold)
            scores["folds_accuracy"] = {"mean": mean, "standard_deviation": spread}
        if some.missing:
            scores["pairs"]["missing"] = some.missing
        result.setdefault(one.head, {})[one.name] = scores
    remedies = {key: value for key, value in on_val.items() if series.is_remedy(key[1])}
    best = max(remedies, key=lambda key: remedies[key], default=None)
    lines = {
        (one.name, one.head): (curve.far, curve.tar)
        for one, curve in zip(chosen, curves, strict=True)
        if one.name == series.BARE or series.is_remedy(one.name)
    }
    plots.roc(figure, lines, title="True over false accepts, people not seen in training")
    return {
        "series": result,
        "best_on_val": best and {"head": best[0], "series": best[1]},
        "split": params.split,
        "people": len(set(chosen[0].probes.identities)),
    }


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
            same_photos=True,
        ).decidability()
        for one in series.all_of(table, correct, "val")
    }


@dataclass(frozen=True)
class Pairs:
    """Scored pairs.

    Attributes:
        scores: float32 (n,).
        genuine: bool (n,).
        people: numbers of the two people, int64 (n, 2).
        fold: int64 (n,).
        missing: pairs of a list of which a face is not there.
    """

    scores: verification.Scores
    genuine: NDArray[np.bool_]
    people: NDArray[np.int64]
    fold: NDArray[np.int64]
    missing: int = 0


def _pairs(one: series.Series, number: Mapping[str, int], wanted: list[protocols.Pair] | None, params: Params) -> Pairs:
    of_references, of_probes = (
        np.array([number[name] for name in faces.identities], np.int64) for faces in (one.references, one.probes)
    )
    missing, fold = 0, np.zeros(0, np.int64)
    if wanted is None:
        rows, columns = np.triu_indices(len(one.probes), 1)
        if one.probes is not one.references:  # each of the two photos may be the probe
            rows, columns = np.concatenate([rows, columns]), np.concatenate([columns, rows])
        fold = np.zeros(len(rows), np.int64)
    else:
        rows, columns, fold, missing = _listed(one, wanted, params)
    scores = np.einsum("nd,nd->n", one.probes.embeddings[rows], one.references.embeddings[columns])
    people = np.stack([of_probes[rows], of_references[columns]], 1)
    return Pairs(scores.astype(np.float32), people[:, 0] == people[:, 1], people, fold, missing)


def _listed(one: series.Series, wanted: list[protocols.Pair], params: Params) -> tuple[Any, Any, Any, int]:
    """Return the places of probes and references of a list of pairs, their folds, and how many are missing."""
    probe, reference = (
        {face_id.split("/", 1)[1]: place for place, face_id in enumerate(faces.face_ids)}
        for faces in (one.probes, one.references)
    )
    absent = [pair for pair in wanted if pair.one not in reference or pair.other not in probe]
    if absent and params.missing == "error":
        pair = absent[0]
        name = pair.one if pair.one not in reference else pair.other
        raise UnmaskError(
            f"{params.pairs}: {len(absent)} of {len(wanted)} pairs name a face that is not there, the first is {name}; "
            f"with verify.missing: count they are left out and counted"
        )
    found = [pair for pair in wanted if pair.one in reference and pair.other in probe]
    places = np.array([(probe[pair.other], reference[pair.one], pair.fold) for pair in found], np.int64).reshape(-1, 3)
    return places[:, 0], places[:, 1], places[:, 2], len(absent)


def _intervals(pairs: list[Pairs], names: list[str], people: int, params: Params) -> list[dict[str, Any]]:
    """Return the bounds of 95 % intervals, people drawn anew, the same ones for all series."""
    rng = generator(params.seed, "verify")
    drawn = rng.integers(people, size=(params.resamples, people))
    counts = np.stack([np.bincount(row, minlength=people) for row in drawn])
    values = []
    for some in pairs:
        kept = rng.permutation(len(some.scores))[: params.interval_pairs]
        columns = (some.scores[kept], some.genuine[kept], some.people[kept])
        values.append(np.column_stack(verification.resampled(*columns, counts, params.fars)))
    base = values[names.index("masked-bare")]
    keys = ["auc", *(f"tar_at_{far:g}" for far in params.fars)]
    return [
        {
            **{key: _bounds(some[:, place]) for place, key in enumerate(keys)},
            **{f"{key}_ahead_of_masked": _bounds((some - base)[:, place]) for place, key in enumerate(keys)},
        }
        for some in values
    ]


def _bounds(values: NDArray[np.float64]) -> dict[str, float] | None:
    if np.isnan(values).all():
        return None
    low, high = np.nanquantile(values, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


if __name__ == "__main__":
    run_stage("verify")
