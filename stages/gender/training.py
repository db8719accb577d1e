"""How gender classifiers are trained: on whom, in which folds, and how they are judged."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from sklearn.model_selection import StratifiedGroupKFold

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.params import Section
from stages.core.seeding import derived
from stages.core.tables import SEXES, Face
from stages.gender import classifier
from stages.training import loop
from stages.training.pretrained import Start
from stages.training.rows import Rows, on_disk
from stages.training.trained import Trained

COLUMNS = ["face_id", "identity", "sex", "split", "image", "landmarks", "face_type"]


class Training(Section):
    """What a gender classifier is and how it is trained; most of section `train_gender` of params.yaml."""

    network: classifier.Network
    mask_prob: float = Field(ge=0, le=1)
    """Share of the training images with a mask, another one each time."""
    folds: int = Field(ge=2)
    """Into so many parts the people are divided; each is judged by a network that saw the others."""
    schedule: loop.Schedule


def known(faces: Path) -> Rows:
    """Return the faces of people whose sex is known.

    Raises:
        UnmaskError: there is none.
    """
    rows = on_disk(face for face in tables.read(faces, COLUMNS) if face["sex"] is not None)
    if not rows:
        raise UnmaskError(f"{faces} says of nobody whether it is a woman or a man: no classifier can be trained on it")
    return rows


def identities(rows: Sequence[Face]) -> dict[str, int]:
    """Return how many identities of each sex there are."""
    return {sex: len({face["identity"] for face in rows if face["sex"] == sex}) for sex in SEXES}


def folds(rows: Sequence[Face], n: int, seed: int) -> dict[str, int]:
    """Return the fold of each person: all faces of one in one fold, women and men spread evenly.

    Raises:
        UnmaskError: a sex has fewer people than there are folds.
    """
    least = min(identities(rows).values())
    if least < n:
        raise UnmaskError(
            f"train_gender.folds is {n}, but of one sex there are {least} people: each fold needs one to be judged by"
        )
    sexes, groups = [face["sex"] for face in rows], [face["identity"] for face in rows]
    split = StratifiedGroupKFold(n, shuffle=True, random_state=seed).split(np.zeros(len(rows)), sexes, groups)
    return {groups[index]: fold for fold, (_, held_out) in enumerate(split) for index in held_out}


def fit(
    rows: Sequence[Face],
    change: classifier.Change,
    training: Training,
    *,
    name: str,
    seed: int,
    key: str,
    last: bool = False,
    start: Start | None = None,
) -> Trained:
    """Train a classifier, see `loop.train`; each sex counts the same.

    Its chance depends on `seed` and `name` alone, and not on `training`: the trials of a search differ in no chance.

    Raises:
        UnmaskError: all people are of one sex.
    """
    balance = classifier.class_weights(rows)
    start = start or training.network.start()
    return loop.train(
        lambda: classifier.Training(start(training.network.build()), balance, frozen=training.network.frozen),
        classifier.Samples(rows, change, training.network.side, derived(seed, name)),
        training.schedule,
        name=name,
        key=key,
        last=last,
    )


def pairs(faces: Path, masked: Path, identities: Mapping[str, Any]) -> Iterator[tuple[Face, dict[str, bytes]]]:
    """Yield each face of some people, and its encoded images by condition: `bare`, and `masked` if it got a mask."""
    columns = ["face_id", "identity", "sex", "split", "image"]
    for bare, other in tables.joined(faces, masked, columns, ["face_id", "image", "mask"]):
        if bare["identity"] in identities:
            found = {"bare": bare["image"], "masked": other["image"] if other["mask"] is not None else None}
            yield bare, {condition: data for condition, data in found.items() if data is not None}


def balanced_accuracy(sexes: Sequence[str], right: Sequence[bool]) -> float:
    """Return the mean of both sexes' shares that were called right; of the sexes that there are."""
    called = {sex: [good for one, good in zip(sexes, right, strict=True) if one == sex] for sex in SEXES}
    return float(np.mean([np.mean(some) for some in called.values() if some]))


def judge(network: classifier.Classifier, faces: Sequence[tuple[Face, bytes]]) -> list[bool]:
    """Tell of each face whether a classifier calls it right, by an encoded image of it."""
    called = network.sexes([images.decode(data) for _, data in faces])
    return [sex == face["sex"] for sex, (face, _) in zip(called, faces, strict=True)]
