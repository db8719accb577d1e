"""Which labels of an annotation tool mean a worn mask, which a bare face, and which a face: by their exact names.

Small and capital letters are the same here, and so are blanks, hyphens and underscores. A mask that is worn incorrectly
is a mask, as it hides a part of the face. A label that just names a face says nothing of masks by itself.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Any, TypedDict

from stages.core.errors import UnmaskError
from stages.data.photo import AdapterError
from stages.photos.names import plain

MASK, BARE, FACE, OTHER = "mask", "bare", "face", "other"


def _names(text: str) -> frozenset[str]:
    return frozenset(map(plain, text.split()))


# What is worn; the other names of masks are those of faces behind one.
THINGS = _names("mask masks face_mask facemask medical_mask surgical_mask cloth_mask 口罩")
MASK_LABELS = THINGS | _names(
    "masked with_mask withmask wearing_mask mask_on face_with_mask masked_face mask_weared_incorrect "
    "mask_worn_incorrect mask_worn_incorrectly incorrect_mask mask_incorrect incorrectly_worn_mask 戴口罩"
)
BARE_LABELS = _names(
    "bare bare_face without_mask withoutmask no_mask nomask not_masked non_masked unmasked unmasked_face mask_off "
    "face_without_mask face_no_mask 无口罩 未戴口罩 没戴口罩"
)
FACE_LABELS = _names("face faces human_face person_face 人脸 脸")
HEAD_LABELS = _names("head heads human_head person_head 人头 头")
OTHER_LABELS = _names("background _background_ ignore __ignore__")  # tools' own names for what is in no class
KNOWN = {MASK: MASK_LABELS, BARE: BARE_LABELS, FACE: FACE_LABELS | HEAD_LABELS, OTHER: OTHER_LABELS}


class Names(TypedDict, total=False):
    """Arguments of readers that say what labels mean beside the lists above; a name given here is not looked up there.

    Attributes:
        mask_labels: names of masks.
        bare_labels: names of bare faces.
        face_labels: names of faces that say nothing of masks: a mask has a label of its own.
        other_labels: names that say nothing of faces.
    """

    mask_labels: Iterable[str]
    bare_labels: Iterable[str]
    face_labels: Iterable[str]
    other_labels: Iterable[str]


def read(found: Mapping[str, int], reader: str, names: Names) -> dict[str, str]:
    """Return what each label means: `mask`, `bare`, `face` or `other`, which says nothing of masks.

    Args:
        found: how often a dataset has each label. One that it only declares, 0 times, is left out if nobody knows it.
        reader: that found them, as the adapter names it, for the error.
        names: what the adapter says of them.

    Raises:
        UnmaskError: a label is in none of the lists, or one is given in two.
    """
    given: dict[str, str] = {}
    for meaning in KNOWN:
        labels: Any = names.get(f"{meaning}_labels", ())
        if not isinstance(labels, Iterable):
            raise AdapterError(f"{reader}.photos: {meaning}_labels is {labels!r}, it must be a list of names")
        for name in [labels] if isinstance(labels, str) else labels:
            if given.setdefault(plain(str(name)), meaning) != meaning:
                raise AdapterError(f"{reader}.photos has the label {name!r} in two lists")
    meanings = {label: given.get(plain(label)) or _known(plain(label)) for label in found}
    is_used = any(found.values())
    unknown = [label for label, meaning in meanings.items() if meaning is None and (found[label] or not is_used)]
    if unknown:
        known = [f"{label!r} {found[label]} ({meaning})" for label, meaning in sorted(meanings.items()) if meaning]
        raise UnmaskError(
            f"nobody says what these labels mean: {', '.join(f'{label!r} {found[label]}' for label in sorted(unknown))}"
            f"{'; known are ' if known else ''}{', '.join(known)}. Name them in the adapter: photos = "
            f"functools.partial({reader}.photos, mask_labels=[{sorted(unknown)[0]!r}]) if they are masks, bare_labels "
            f"if they are bare faces, face_labels if they are faces whose masks have labels of their own, other_labels "
            f"if they say nothing of masks"
        )
    return {label: meaning for label, meaning in meanings.items() if meaning}


def _known(label: str) -> str | None:
    for meaning, names in KNOWN.items():
        if label in names:
            return meaning
    # A mask named in two languages, such as "口罩 mask".
    return MASK if all(word in MASK_LABELS for word in label.split("_")) else None


def rank(label: str, meaning: str) -> int:
    """Return the place of a label in the order in which boxes of one person hold each other.

    From the inside: 0 a mask, 1 a face that wears one or none, by its label, 2 a face, 3 a head; -1: none of these.
    """
    if meaning == OTHER:
        return -1
    if meaning == FACE:
        return 3 if plain(label) in HEAD_LABELS else 2
    return 0 if meaning == MASK and plain(label) not in MASK_LABELS - THINGS else 1


def wears_mask(
    labels: Iterable[str], meanings: Mapping[str, str], unused: Collection[str] = frozenset()
) -> bool | None:
    """Return whether a photo's labels say that a mask is worn; None if they don't say.

    A mask beside a bare face, or beside more faces than masks, is that of one of several people, of whom nobody knows
    which one is meant. Where masks are labeled, a label that just names a face means a bare one, and no label at all
    does so if neither faces nor bare faces have labels. Labels that are declared and that nobody used say nothing: had
    they been used, they would stand here or not.

    Args:
        labels: of the photo.
        meanings: of all labels of the dataset.
        unused: those of them that are declared and stand at no photo.
    """
    said = Counter(meanings[label] for label in labels)
    if said[MASK]:
        return None if said[BARE] or said[FACE] > max(1, said[MASK]) else True
    if said[BARE]:
        return False
    used = {meaning for label, meaning in meanings.items() if label not in unused}
    if MASK not in used or (BARE in meanings.values() and BARE not in used):
        return None
    return None if not said[FACE] and {BARE, FACE} & set(meanings.values()) else False


def counted(labels: Iterable[str], meanings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return each label of a photo with its meaning, as `Photo.classes` has them."""
    return tuple(sorted((label, meanings[label]) for label in Counter(labels).elements()))
