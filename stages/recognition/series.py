"""What is compared with what: faces under a condition with bare ones, or with each other, by each head and without."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stages.recognition import embeddings as stored
from stages.recognition import heads
from stages.recognition.embeddings import Faces

AS_IT_IS = "as_it_is"
BARE = "bare-bare"


@dataclass(frozen=True)
class Series:
    """Two sets of faces that are compared.

    Attributes:
        name: `probe-reference`, by their conditions.
        head: what corrected the probes (and references under the same condition), or `AS_IT_IS`.
        references: the faces that are known.
        probes: those that are asked about.
    """

    name: str
    head: str
    references: Faces
    probes: Faces


def all_of(table: Mapping[str, Faces], correct: heads.Heads, split: str) -> Iterator[Series]:
    """Yield all series of the people of a split, the bare faces among themselves first.

    Args:
        table: faces by condition, `bare` among them.
        correct: the heads.
        split: train, val or test.
    """
    bare = table["bare"].of(split)
    yield Series(BARE, AS_IT_IS, bare, bare)
    for condition in stored.CONDITIONS[1:]:
        references, probes = stored.both(bare, table[condition].of(split))
        _, upper = stored.both(probes, table[stored.BARE_UPPER].of(split))
        for head in (AS_IT_IS, *heads.NAMES):
            changed = probes
            if head != AS_IT_IS:
                changed = probes.with_embeddings(correct.correct(condition, head, probes.embeddings))
            yield Series(f"{condition}-bare", head, references, changed)
            yield Series(f"{condition}-{condition}", head, changed, changed)
        if condition == "upper":
            yield Series(f"{condition}-{stored.BARE_UPPER}", AS_IT_IS, upper, probes)


def is_remedy(name: str) -> bool:
    """Tell whether a series asks about a masked face where bare ones are known, as it is or with a remedy."""
    _, reference = name.split("-")
    return name != BARE and reference in {"bare", stored.BARE_UPPER}
