"""What is compared with what: faces under a condition with bare ones, or with each other, by each head and without."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stages.recognition import embeddings as stored
from stages.recognition import heads
from stages.recognition.embeddings import Faces

BARE = "bare-bare"


@dataclass(frozen=True)
class Series:
    """Two sets of faces that are compared.

    Attributes:
        name: `probe-reference`, by their conditions.
        head: what corrected the probes (and references under the same condition), or `heads.NO_HEAD`.
        references: the faces that are known.
        probes: those that are asked about.
        same_photos: both are the same photos in the same order, one of them with a drawn mask, so that no photo is
            compared with itself; false where real masks are worn.
    """

    name: str
    head: str
    references: Faces
    probes: Faces
    same_photos: bool


def all_of(table: Mapping[str, Faces], correct: heads.Heads, split: str) -> Iterator[Series]:
    """Yield all series of the people of a split, the bare faces among themselves first.

    Args:
        table: faces by condition, `bare` among them.
        correct: the heads.
        split: train, val or test.
    """
    bare = table["bare"].of(split)
    yield Series(BARE, heads.NO_HEAD, bare, bare, same_photos=True)
    for condition in stored.CONDITIONS[1:]:
        references, probes = bare, table[condition].of(split)
        upper = table[stored.BARE_UPPER].of(split)
        drawn = not set(bare.face_ids).isdisjoint(probes.face_ids)
        if drawn:
            references, probes = stored.both(bare, probes)
            _, upper = stored.both(probes, upper)
        for head in (heads.NO_HEAD, *heads.NAMES):
            changed = probes
            if head != heads.NO_HEAD:
                changed = probes.with_embeddings(correct.correct(condition, head, probes.embeddings))
            yield Series(f"{condition}-bare", head, references, changed, drawn)
            yield Series(f"{condition}-{condition}", head, changed, changed, same_photos=True)
        if condition == "upper":
            yield Series(f"{condition}-{stored.BARE_UPPER}", heads.NO_HEAD, upper, probes, drawn)


def sides(one: Series) -> tuple[Faces, Faces]:
    """Return the references and probes in which the names of a published list are looked up.

    Where real masks are worn, such a list names bare and masked photos on either side, as they come.
    """
    if one.same_photos:
        return one.references, one.probes
    every = stored.together(one.probes, one.references)
    return every, every


def indices(faces: Faces) -> dict[str, int]:
    """Return the index of each face by its name in published lists, `person/photo`, the end of its face_id."""
    return {face_id.split("/", 1)[1]: index for index, face_id in enumerate(faces.face_ids)}


def names(table: Mapping[str, Faces], split: str) -> set[str]:
    """Return the names of all faces of a split, bare and masked."""
    return {name for condition in ("bare", "masked") for name in indices(table[condition].of(split))}


def is_remedy(name: str) -> bool:
    """Tell whether a series asks about a masked face where bare ones are known, with or without a remedy."""
    _, reference = name.split("-")
    return name != BARE and reference in {"bare", stored.BARE_UPPER}
