"""What is compared with what, and who chooses: conditions, series, remedies, and the people that are in no test.

docs/protocol.md says the same for readers of the tables.
"""

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.core.text import same_name
from stages.recognition import embeddings as stored
from stages.recognition import folding
from stages.recognition.embeddings import Faces

CONDITIONS = ("bare", "masked", "zeroed", "inpainted", "upper")
BARE_UPPER = "bare_upper"  # the upper half of the bare face, to compare the upper half with
# Aligned by the landmarks of the bare photo, which nobody has of a face that wears a mask.
ORACLE = {condition: f"{condition}_oracle" for condition in CONDITIONS[1:]}
NO_HEAD = "none"  # in place of a head's name: the embedding stays as the recognizer gave it
HEADS = ("mean_shift", "unmasking")

BARE = "bare-bare"
MASKED = "masked-bare"
# A published list whose photos wear real masks or none, as they come; of the masked ones, this is compared.
LISTS = {condition: "list" if condition == "masked" else f"list_{condition}" for condition in CONDITIONS[1:]}
PARTS = 2  # of the test people, where nobody else is there to choose by

Table = Mapping[str, Faces]
"""Faces by condition."""
Correct = Callable[[str, str, NDArray[np.float32]], NDArray[np.float32]]
"""Corrects embeddings (n, d) of faces under a condition by a head's name."""


@dataclass(frozen=True)
class Series:
    """Two sets of faces that are compared.

    Attributes:
        name: `probe-reference`, by their conditions, or one of `LISTS`.
        head: what corrected the probes (and references under the same condition), or `NO_HEAD`.
        references: the faces that are known.
        probes: those that are asked about; if they are the references, each pair counts once.
    """

    name: str
    head: str
    references: Faces
    probes: Faces

    @functools.cached_property
    def own(self) -> NDArray[np.int64]:
        """Of each probe the index of the reference that is of the same photo, int64 (n,); -1 if there is none.

        No photo is compared with itself.
        """
        index = {face_id: number for number, face_id in enumerate(self.references.face_ids)}
        return np.array([index.get(face_id, -1) for face_id in self.probes.face_ids], np.int64)


def series(table: Table, correct: Correct | None) -> Iterator[Series]:
    """Yield all series of some people, the bare faces among themselves first, those of `ORACLE` last.

    Args:
        table: faces by condition; of one that is not in it there is no series.
        correct: the heads; None: without.
    """
    bare = table["bare"]
    yield Series(BARE, NO_HEAD, bare, bare)
    for condition in _masked(table):
        for head, probes in _corrected(table, condition, correct):
            yield Series(f"{condition}-bare", head, bare, probes)
            yield Series(f"{condition}-{condition}", head, probes, probes)
        if condition == "upper":
            yield Series(f"{condition}-{BARE_UPPER}", NO_HEAD, table[BARE_UPPER], table[condition])
    for condition, oracle in ORACLE.items():
        if oracle in table and len(probes := table[oracle]):
            reference = BARE_UPPER if condition == "upper" else "bare"
            yield Series(f"{oracle}-{reference}", NO_HEAD, table[reference], probes)


def lists(table: Table, correct: Correct | None) -> Iterator[Series]:
    """Yield the series of a published list: all that its names can mean stands on both sides.

    Where masks were drawn, a pair's first photo is bare and its second one a probe. Where real masks are worn, each
    photo is taken as it comes, bare or masked.
    """
    if not wears_real(table):
        yield from series(table, correct)
        return
    for condition in _masked(table):
        bare = table[BARE_UPPER if condition == "upper" else "bare"]
        for head, masked in _corrected(table, condition, correct):
            every = stored.together(masked, bare)
            yield Series(LISTS[condition], head, every, every)


def _masked(table: Table) -> list[str]:
    """Return the conditions of masked faces that a table has."""
    return [condition for condition in CONDITIONS[1:] if condition in table]


def _corrected(table: Table, condition: str, correct: Correct | None) -> Iterator[tuple[str, Faces]]:
    yield NO_HEAD, table[condition]
    for head in HEADS if correct else ():
        # Asked for again: to keep them for the next head would take as much memory once more.
        yield head, _with_head(table[condition], condition, head, correct)


def _with_head(faces: Faces, condition: str, head: str, correct: Correct) -> Faces:
    return faces.with_embeddings(correct(condition, head, faces.embeddings))


def wears_real(table: Table) -> bool:
    """Tell whether the masks of a table are real ones: then no photo is there both bare and masked."""
    return set(table["bare"].face_ids).isdisjoint(table["masked"].face_ids)


def in_list(name: str) -> str | None:
    """Return the series of a published list that compares what a series does; None if there is none."""
    probe, _, reference = name.partition("-")
    return LISTS.get(probe) if reference == (BARE_UPPER if probe == "upper" else "bare") else None


def is_remedy(name: str) -> bool:
    """Tell whether a series asks about a masked face where bare ones are known, as users can."""
    if name in LISTS.values():
        return True
    probe, reference = name.split("-")
    return probe in CONDITIONS[1:] and reference in {"bare", BARE_UPPER}


# ---------------------------------------------------------------- who chooses


def of_split(embeddings: Path, split: str, keep: Callable[[Faces], Faces] | None = None) -> Table:
    """Return the faces of a split, each condition to be read when it is asked for; `keep`: see `OnDisk`."""
    return stored.OnDisk(embeddings, lambda name, _: name == split, keep)


def to_choose_by(embeddings: Path, tested: Table, split: str) -> Iterator[tuple[int | None, Table]]:
    """Yield groups of people of the tested dataset who are in no test; nothing is compared between two groups.

    Each fold of the people to train on, embedded by a network that never saw it, is a group; so are those of split
    `val`. Where real masks are tested, only the latter are. A group without a pair of one person, or of two people, is
    left out.

    Args:
        embeddings: of all people.
        tested: the people in the test.
        split: of these. For people of `val`, by whom others are chosen, there is nobody to choose by.

    Yields:
        The fold (None: of the recognizer and heads themselves) and the faces by condition, of each group.
    """
    if split == "val":
        return
    datasets = {_dataset(name) for condition in ("bare", "masked") for name in tested[condition].face_ids}
    # Faces of the folds wear drawn masks, which are no choice for real ones.
    for fold in [*([] if wears_real(tested) else stored.read_folds(embeddings)), None]:
        keep = functools.partial(_of_datasets, names=datasets)
        some = of_split(embeddings, "val", keep) if fold is None else _of_fold(embeddings, fold, keep)
        if _has_pairs(some):
            yield fold, some


def _of_fold(embeddings: Path, wanted: int, keep: Callable[[Faces], Faces]) -> Table:
    return stored.OnDisk(embeddings, lambda _, fold: fold == wanted, keep)


def _of_datasets(faces: Faces, names: Collection[str]) -> Faces:
    return faces.at([n for n, name in enumerate(faces.face_ids) if _dataset(name) in names])


def rotated(identities: Collection[str]) -> Iterator[tuple[set[str], set[str]]]:
    """Yield the people of each of `PARTS` parts, and all others."""
    part_of = folding.folds(set(identities), PARTS)
    for part in range(PARTS):
        inside = {name for name, number in part_of.items() if number == part}
        yield inside, set(part_of) - inside


def people(table: Table) -> list[str]:
    """Return the people of a table, sorted."""
    return sorted({*table["bare"].identities, *table["masked"].identities})


def of_people(table: Table, people: Collection[str]) -> Table:
    """Return the faces of some people."""
    return {
        condition: faces.at([n for n, name in enumerate(faces.identities) if name in people])
        for condition, faces in table.items()
    }


def _dataset(face_id: str) -> str:
    return face_id.split("/", 1)[0]


def _has_pairs(table: Table) -> bool:
    """Tell whether bare and masked photos make pairs of one person, and of two."""
    photos: dict[str, tuple[set[str], set[str]]] = {}
    for side, condition in enumerate(("bare", "masked")):
        faces = table[condition].there()
        for person, name in zip(faces.identities, faces.face_ids, strict=True):
            photos.setdefault(person, (set(), set()))[side].add(name)
    return len(photos) > 1 and any(bare and masked and len(bare | masked) > 1 for bare, masked in photos.values())


# ---------------------------------------------------------------- published lists


def names(table: Table) -> set[str]:
    """Return the names of all faces in published lists, bare and masked, whether they have an embedding or not."""
    return {*names_of(table["bare"]), *names_of(table["masked"])}


def names_of(faces: Faces) -> list[str]:
    """Return the names of faces in published lists, `person/photo`: the end of a face_id."""
    return [same_name(face_id.split("/", 1)[1]) for face_id in faces.face_ids]


def named(faces: Faces, wanted: Sequence[str]) -> Faces:
    """Return the faces of some names, `person/photo`; one that is not there has no embedding."""
    index = {name: number for number, name in enumerate(names_of(faces))}
    nobody = np.full((1, faces.embeddings.shape[1]), np.nan, np.float32)
    padded = Faces(
        [*faces.face_ids, ""],
        [*faces.identities, ""],
        [*faces.splits, ""],
        [*faces.folds, None],
        np.concatenate([faces.embeddings, nobody]),
    )
    found = padded.at([index.get(name, len(faces)) for name in wanted])
    people = [person or name.split("/")[0] for name, person in zip(wanted, found.identities, strict=True)]
    ids = [face_id or name for name, face_id in zip(wanted, found.face_ids, strict=True)]
    return Faces(ids, people, found.splits, found.folds, found.embeddings)
