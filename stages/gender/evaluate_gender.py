"""Judge the gender classifier by people: each by the network of its fold, and the test people by the final one.

python -m stages.gender.evaluate_gender --faces data/aligned/orl --masked data/masked/oracle/orl \
    --weights models/gender.safetensors --results metrics/evaluate_gender
"""

import functools
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.compute import device
from stages.core import intervals, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import generator
from stages.core.tables import SEXES, Face
from stages.figures import plots
from stages.gender import classifier, training

BATCH = 100
FEW = 30  # people of a sex; with fewer, the interval is wider than most differences one would like to see


class Params(StageParams):
    """Section `evaluate_gender:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    resamples: int = Field(ge=100)
    """Of the people, for the intervals."""


class Case(NamedTuple):
    """Whose face it is, of which sex by the database, in which split, and whether a network calls it right."""

    identity: str
    sex: str
    split: str
    right: bool


def evaluate_gender(faces: Path, masked: Path, weights: Path, results: Results, params: Params) -> dict[str, Any]:
    """Score the classifiers on bare faces and on the same faces behind masks.

    Args:
        faces: a table of bare faces with `sex`.
        masked: the same faces with masks.
        weights: what `train_gender` wrote.
        results: where the numbers go, and a picture of the confusion matrix, folds, bare and masked faces together.
        params: section `evaluate_gender`.

    Returns:
        By condition (`bare`, `masked`) over the folds: accuracy, balanced accuracy (the mean of both sexes' shares
        that were called right) with its interval of 95 %, confusion matrix; the same over the test people for the
        network that `inpaint` uses; and of how many people this is known. Below `val` the same over the folds, but of
        the people of the splits `train` and `val` alone, by whom one may choose; null if there are none. The networks
        of the folds learn from test people, too, but none of these is judged there.

    Raises:
        UnmaskError: no face of a person whom `train_gender` put into a fold.
    """
    cases: dict[str, dict[str, list[Case]]] = {judge: {"bare": [], "masked": []} for judge in ("folds", "test_people")}
    work = functools.partial(_of_part, masked=masked.absolute(), weights=weights.absolute())
    for found in tables.map_parts(work, faces, needs=["sex", "split", "image"], label=results.metrics.stem):
        for judge, condition, case in found:
            cases[judge][condition].append(case)
    every = [case for of_condition in cases["folds"].values() for case in of_condition]
    if not every:
        raise UnmaskError(f"{faces} holds nobody whom {weights} was trained and folded on: train it again")
    plots.confusion_matrix(results.figure, _confusion(every), SEXES, title="Of each true sex, what was found")
    to_choose_by = {
        condition: [case for case in some if case.split != "test"] for condition, some in cases["folds"].items()
    }
    return {
        **_summary(cases["folds"], params),
        "test_people": _by_condition(cases["test_people"], params),
        "val": _summary(to_choose_by, params) if any(to_choose_by.values()) else None,
    }


def _summary(cases: Mapping[str, Sequence[Case]], params: Params) -> dict[str, Any]:
    """Return the scores over the folds, by condition, of how many people they are, and a warning if these are few."""
    every = list(itertools.chain.from_iterable(cases.values()))
    identities = {sex: len({case.identity for case in every if case.sex == sex}) for sex in SEXES}
    result: dict[str, Any] = {"identities": identities, "folds": _by_condition(cases, params)}
    rare = min(identities, key=lambda sex: identities[sex])
    if identities[rare] < FEW:
        result["warning"] = (
            f"only {identities[rare]} people are {rare}: each is worth {100 / max(identities[rare], 1):.0f} points of "
            f"that sex's share, so these figures prove next to nothing about people at large"
        )
    return result


_networks = functools.cache(classifier.load_all)  # once in a worker


def _of_part(faces: Path, masked: Path, weights: Path) -> list[tuple[str, str, Case]]:
    """Return of each face of a part who judged it, the condition, and whether that was right."""
    networks, fold_of = _networks(weights)
    found = []
    pairs = training.pairs(faces, masked, fold_of)
    while some := list(itertools.islice(pairs, BATCH)):
        rows = [(condition, face, image) for face, data in some for condition, image in data.items()]
        tested = [row for row in rows if row[1]["split"] == "test"]
        by_fold = [f"fold_{fold_of[face['identity']]}" for _, face, _ in rows]
        for judge, of, names in (("folds", rows, by_fold), ("test_people", tested, ["all"] * len(tested))):
            for (condition, face, _), right in zip(of, _judged(networks, names, of), strict=True):
                found.append((judge, condition, Case(face["identity"], face["sex"], face["split"], right)))
    return found


def _judged(
    networks: Mapping[str, classifier.Classifier], names: Sequence[str], rows: Sequence[tuple[str, Face, bytes]]
) -> list[bool]:
    """Tell of each face whether the network of that name calls it right."""

    def work(name: str, places: list[int]) -> list[bool]:
        return training.judge(networks[name], [rows[place][1:] for place in places])

    return device.by_name(names, work)


def _by_condition(cases: Mapping[str, Sequence[Case]], params: Params) -> dict[str, Any]:
    return {condition: _scores(some, params) for condition, some in cases.items()}


def _scores(cases: Sequence[Case], params: Params) -> dict[str, Any]:
    if {case.sex for case in cases} != set(SEXES):
        return {"images": len(cases)}  # of one sex alone, balanced accuracy says nothing
    identities, sexes, _, right = zip(*cases, strict=True)

    def balanced(indices: NDArray[np.intp]) -> float:
        return training.balanced_accuracy([sexes[index] for index in indices], [right[index] for index in indices])

    estimate = training.balanced_accuracy(sexes, right)
    rng = generator(params.seed, "evaluate_gender")
    values = intervals.resampled(balanced, identities, sexes, n=params.resamples, rng=rng)
    # The mean of two shares, each of its own people, varies as one of so many people would.
    people = 4 / sum(1 / len({case.identity for case in cases if case.sex == sex}) for sex in SEXES)
    return {
        "images": len(cases),
        "accuracy": float(np.mean(right)),
        "balanced_accuracy": estimate,
        "interval": intervals.share(estimate, values, people)._asdict(),
        "confusion": _confusion(cases).tolist(),
    }


def _confusion(cases: Sequence[Case]) -> NDArray[np.int64]:
    """Return how many faces of each sex (row) were taken for which (column), in the order of `tables.SEXES`."""
    counts = np.zeros((len(SEXES), len(SEXES)), np.int64)
    for case in cases:
        truth = SEXES.index(case.sex)
        counts[truth, truth if case.right else 1 - truth] += 1
    return counts


if __name__ == "__main__":
    run_stage("gender.evaluate_gender")
