"""Who of the tested people a recognizer has seen in its training, where the two are of different datasets."""

import re
import unicodedata
from collections.abc import Iterable

BETWEEN_WORDS = re.compile(r"[\s_-]+|(?<=[a-z])(?=[A-Z])")
WORDS = 2  # that a name has at least


def seen(train: Iterable[str], tested: Iterable[str]) -> list[str]:
    """Return the tested people whose name is also that of a training person, each once, sorted.

    Names are compared without regard to case, accents, blanks, underscores and hyphens: `Abel_Pacheco` of one dataset
    is `AbelPacheco` of another. Only names of at least two words, all without digits, are compared: `s1`, `0001` or
    `photo-0001` are labels that two datasets may give to different people, and so are single words. Two people of
    one name count as one person.

    Args:
        train: identities of the training people.
        tested: identities of the tested people, of another dataset.
    """
    known = {name for identity in train if (name := _name(identity))}
    return sorted({identity for identity in tested if _name(identity) in known})


def _name(identity: str) -> str | None:
    """Return an identity's words in one, in small letters without accents; None if it is no name but a label."""
    letters = "".join(one for one in unicodedata.normalize("NFKD", identity) if not unicodedata.combining(one))
    words = [word for word in BETWEEN_WORDS.split(letters) if word]
    is_name = len(words) >= WORDS and not any(one.isdigit() for one in letters)
    return "".join(words).casefold() if is_name else None
