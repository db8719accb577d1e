"""Judge the gender classifier by people: each by the network of its fold, and the test people by the final one.

python -m stages.gender.evaluate_gender --faces data/aligned/orl --masked data/masked/orl \
    --weights models/gender.safetensors --figure metrics/figures/evaluate_gender.png \
    --metrics metrics/evaluate_gender.json
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.compute import device
from stages.core import bootstrap
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import StageParams
from stages.core.tables import SEXES, Face
from stages.figures import sheets
from stages.gender import classifier, training

BATCH = 100
FEW = 30  # people of a sex; with fewer, the interval is wider than most differences one would like to see


class Params(StageParams):
    """Section `evaluate_gender:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    resamples: int = Field(ge=100)
    """Of the people, for the intervals."""


@dataclass(frozen=True)
class Case:
    """A face that was judged.

    Attributes:
        identity: of the person.
        sex: the database's entry.
        fold: whether the network of the person's fold calls it right.
        final: whether the network for new people does; None for people of other splits than test.
    """

    identity: str
    sex: str
    fold: bool
    final: bool | None


def evaluate_gender(faces: Path, masked: Path, weights: Path, figure: Path, params: Params) -> dict[str, Any]:
    """Score the classifiers on bare faces and on the same faces behind masks.

    Args:
        faces: a table of bare faces with `sex`.
        masked: the same faces with masks.
        weights: what `train_gender` wrote.
        figure: a picture of the confusion matrix, folds, bare and masked faces together.
        params: section `evaluate_gender`.

    Returns:
        By condition (`bare`, `masked`) over the folds: accuracy, balanced accuracy (the mean of both sexes' shares
        that were called right) with its interval of 95 %, confusion matrix; the same over the test people for the
        network that `inpaint` uses; and of how many people this is known.

    Raises:
        UnmaskError: no face of a person whom `train_gender` put into a fold.
    """
    networks, fold_of = classifier.load_all(weights)
    cases: dict[str, list[Case]] = {"bare": [], "masked": []}
    pairs = training.pairs(faces, masked, fold_of)
    while batch := list(itertools.islice(pairs, BATCH)):
        rows = [(face, image) for face, data in batch for image in data.values()]
        folds = _judged(networks, [f"fold_{fold_of[face['identity']]}" for face, _ in rows], rows)
        tested = [(face, image) for face, image in rows if face["split"] == "test"]
        final = iter(_judged(networks, ["all"] * len(tested), tested))
        conditions = [condition for _, data in batch for condition in data]
        for condition, (face, _), right in zip(conditions, rows, folds, strict=True):
            last = next(final) if face["split"] == "test" else None
            cases[condition].append(Case(face["identity"], face["sex"], right, last))
    if not cases["bare"]:
        raise UnmaskError(f"{faces} holds nobody whom {weights} was trained and folded on: train it again")
    every = [case for some in cases.values() for case in some]
    sheets.write(
        figure,
        sheets.confusion_matrix(
            _confusion([(case.sex, case.fold) for case in every]), SEXES, title="sex: share of each true class"
        ),
    )
    identities = {sex: len({case.identity for case in every if case.sex == sex}) for sex in SEXES}
    result: dict[str, Any] = {"identities": identities, "folds": {}, "test_people": {}}
    for condition, of_condition in cases.items():
        folds = [(case.identity, case.sex, case.fold) for case in of_condition]
        test = [(case.identity, case.sex, case.final) for case in of_condition if case.final is not None]
        result["folds"][condition] = _scores(folds, params)
        result["test_people"][condition] = _scores(test, params)
    rare = min(identities, key=lambda sex: identities[sex])
    if identities[rare] < FEW:
        result["warning"] = (
            f"only {identities[rare]} people are {rare}: each is worth {100 / max(identities[rare], 1):.0f} points of "
            f"that sex's share, so these figures prove next to nothing about people at large"
        )
    return result


def _judged(
    networks: Mapping[str, classifier.Classifier], names: Sequence[str], rows: Sequence[tuple[Face, bytes]]
) -> list[bool]:
    """Tell of each face whether the network of that name calls it right."""
    return device.by_name(
        names, lambda name, indices: training.judge(networks[name], [rows[index] for index in indices])
    )


def _scores(cases: Sequence[tuple[str, str, bool]], params: Params) -> dict[str, Any]:
    if {sex for _, sex, _ in cases} != set(SEXES):
        return {"images": len(cases)}  # of one sex alone, balanced accuracy says nothing
    identities = [identity for identity, _, _ in cases]
    sexes = [sex for _, sex, _ in cases]
    right = [called for _, _, called in cases]

    def balanced(indices: NDArray[np.intp]) -> float:
        return training.balanced_accuracy([sexes[index] for index in indices], [right[index] for index in indices])

    low, high = bootstrap.interval(balanced, identities, sexes, n=params.resamples, seed=params.seed)
    return {
        "images": len(cases),
        "accuracy": float(np.mean(right)),
        "balanced_accuracy": training.balanced_accuracy(sexes, right),
        "interval": {"low": low, "high": high},
        "confusion": _confusion([(sex, called) for _, sex, called in cases]).tolist(),
    }


def _confusion(cases: Sequence[tuple[str, bool]]) -> NDArray[np.int64]:
    """Return how many faces of each sex (row) were taken for which (column), in the order of `tables.SEXES`."""
    counts = np.zeros((len(SEXES), len(SEXES)), np.int64)
    for sex, right in cases:
        truth = SEXES.index(sex)
        counts[truth, truth if right else 1 - truth] += 1
    return counts


if __name__ == "__main__":
    run_stage("gender.evaluate_gender")
