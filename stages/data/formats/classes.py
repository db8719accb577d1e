"""Which labels of an annotation tool mean a worn mask, and which a bare face: by their exact names.

Small and capital letters are the same here, and so are blanks, hyphens and underscores. A mask that is worn incorrectly
is a mask, as it hides a part of the face.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from stages.core.errors import UnmaskError
from stages.data.formats.layout import plain

MASK, BARE, OTHER = "mask", "bare", "other"


def _names(text: str) -> frozenset[str]:
    return frozenset(map(plain, text.split()))


MASK_LABELS = _names(
    "mask masks masked with_mask withmask wearing_mask mask_on face_mask facemask face_with_mask masked_face "
    "medical_mask surgical_mask cloth_mask mask_weared_incorrect mask_worn_incorrect mask_worn_incorrectly "
    "incorrect_mask mask_incorrect incorrectly_worn_mask 口罩 戴口罩"
)
FACE_LABELS = _names("face faces head human_face person_face")  # bare, unless a mask is labeled, too
BARE_LABELS = FACE_LABELS | _names(
    "bare bare_face without_mask withoutmask no_mask nomask not_masked non_masked unmasked unmasked_face mask_off "
    "face_without_mask face_no_mask 无口罩 未戴口罩 没戴口罩"
)
OTHER_LABELS = _names("background _background_ ignore __ignore__")  # tools' own names for what is in no class


def read(
    found: Mapping[str, int],
    reader: str,
    mask_labels: Iterable[str] = (),
    bare_labels: Iterable[str] = (),
    other_labels: Iterable[str] = (),
) -> dict[str, str]:
    """Return what each label means: `mask`, `bare` or `other`, which says nothing of masks.

    Args:
        found: how often a dataset has each label.
        reader: that found them, as the adapter names it, for the error.
        mask_labels: names of masks beside `MASK_LABELS`; a name given here is not looked up in the other lists.
        bare_labels: names of bare faces beside `BARE_LABELS`.
        other_labels: names that say nothing of masks.

    Raises:
        UnmaskError: a label is in none of the lists, or one is given in two.
    """
    given: dict[str, str] = {}
    for meaning, names in ((MASK, mask_labels), (BARE, bare_labels), (OTHER, other_labels)):
        for name in [names] if isinstance(names, str) else names:
            if given.setdefault(plain(str(name)), meaning) != meaning:
                raise UnmaskError(f"the adapter gives {reader} the label {name!r} in two lists")
    meanings = {label: given.get(plain(label)) or _known(plain(label)) for label in found}
    unknown = [label for label, meaning in meanings.items() if meaning is None]
    if unknown:
        known = [f"{label!r} {found[label]} ({meaning})" for label, meaning in sorted(meanings.items()) if meaning]
        raise UnmaskError(
            f"nobody says what these labels mean: {', '.join(f'{label!r} {found[label]}' for label in sorted(unknown))}"
            f"{'; known are ' if known else ''}{', '.join(known)}. Name them in the adapter: photos = "
            f"functools.partial({reader}.photos, mask_labels=[{sorted(unknown)[0]!r}]) if they are masks, bare_labels "
            f"if they are bare faces, other_labels if they say nothing of masks"
        )
    return {label: meaning for label, meaning in meanings.items() if meaning}


def _known(label: str) -> str | None:
    for meaning, names in ((MASK, MASK_LABELS), (BARE, BARE_LABELS), (OTHER, OTHER_LABELS)):
        if label in names:
            return meaning
    # A mask named in two languages, such as "口罩 mask".
    return MASK if all(word in MASK_LABELS for word in label.split("_")) else None


def wears_mask(labels: Iterable[str], meanings: Mapping[str, str]) -> bool | None:
    """Return whether a photo's labels say that a mask is worn; None if they don't say.

    Nothing labeled means a bare face where only masks are labeled; where bare faces have labels, too, it means nothing.
    A mask beside a bare face (and not just `face`) are two people, of whom nobody knows which one is meant.
    """
    said = {meanings[label] for label in labels if meanings[label] != OTHER}
    bare = {plain(label) for label in labels if meanings[label] == BARE}
    if MASK in said:
        return None if bare - FACE_LABELS else True
    if bare - FACE_LABELS:
        return False
    if MASK not in meanings.values():
        return None
    return None if not said and BARE in meanings.values() else False


def counted(labels: Iterable[str], meanings: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return each label of a photo with its meaning, as `Photo.classes` has them."""
    return tuple(sorted((label, meanings[label]) for label in Counter(labels).elements()))
