"""One folder a person, photos in it: the layout of LFW, RMFRD and most collections of one's own.

Folders above or below a person's may say the split or whether masks are worn: train/anna/1.jpg, anna/masked/1.jpg,
masked/anna/1.jpg. They say so if all folders beside them do, too; `test` beside `anna` and `ben` is a person.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import TypeVar

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import layout
from stages.data.formats.classes import BARE_LABELS, MASK_LABELS
from stages.data.photo import Photo, Photos, Reject, reader
from stages.photos.names import plain

CONDITIONS = dict.fromkeys(MASK_LABELS, True) | dict.fromkeys(BARE_LABELS, False)
KINDS = frozenset({"surgical", "cloth", "n95", "kn95", "ffp2", "ffp3", "none", "bare_face"})
SAY_WHICH = "say by `conditions` (of splits: `splits`) in the adapter, see stages/data/formats/person_folders.py"
Said = TypeVar("Said")


@reader
def photos(
    files: Files,
    known: Callable[[Photo], Photo | Reject] = lambda photo: photo,
    *,
    conditions: Mapping[str, bool | None] = CONDITIONS,
    splits: Mapping[str, str] = layout.SPLITS,
) -> Photos:
    """Yield every image file that lies in a person's folder, the innermost that is no condition and no split.

    A photo's name begins with the conditions and splits: anna/masked/1.jpg is `masked-1` of anna.

    Args:
        files: of the dataset.
        known: adds to a photo what else is known of it, or rejects it.
        conditions: whether masks are worn in folders of a name, None if it does not say. Capitals, blanks, hyphens and
            underscores make no difference.
        splits: the split by the name of a folder.

    Raises:
        UnmaskError: no photo lies in a person's folder, or it cannot be known which folders are the people's.
    """
    conditions = {plain(name): worn for name, worn in conditions.items()}
    splits = {plain(name): split for name, split in splits.items()}
    paths = files.images()
    marks = layout.marks(paths, {**conditions, **splits})
    people = {path: [folder for folder in path.parents[:-1] if folder not in marks] for path in paths}
    if not any(people.values()):
        raise UnmaskError("no photo lies in a person's folder: expected <person>/<photo>.jpg")
    _check(list(people.values()), conditions, splits)
    for path, folders in people.items():
        if not folders:
            yield Reject(path.as_posix(), "no_person", "it lies in no person's folder")
            continue
        said = [plain(folder.name) for folder in reversed(path.parents[:-1]) if folder in marks]
        yield known(
            Photo(
                path.as_posix(),
                identity=folders[0].name,
                name="-".join([*said, path.stem]),
                split=_one(path, [splits[name] for name in said if name in splits]),
                wears_mask=_one(path, [worn for name in said if (worn := conditions.get(name)) is not None]),
            )
        )


def _check(people: list[list[PurePosixPath]], conditions: Mapping[str, object], splits: Mapping[str, object]) -> None:
    """Raise an UnmaskError if some folders, the innermost first, may be a person's or not."""
    for folder in sorted({folders[0] for folders in people if folders}):
        if plain(folder.name) in conditions:
            raise UnmaskError(f"{folder} is a person, or a condition as not all folders beside it are: {SAY_WHICH}")
    for folder in sorted({folder for folders in people for folder in folders[1:]}):
        if plain(folder.name) in {*conditions, *splits}:
            raise UnmaskError(
                f"people lie in {folder} and beside it, so it is a person or not: put those beside it into a folder of "
                f"the same kind, or {SAY_WHICH}"
            )
    around = {folder for folders in people for folder in folders[1:]}
    both = sorted(around & {folders[0] for folders in people if folders})
    if conditions and both:
        raise UnmaskError(
            f"photos lie in {both[0]} and in folders below it, so it is a person or not: put the photos into a folder "
            f"of their own, or {SAY_WHICH}"
        )
    pairs = {(folders[1], folders[0].name) for folders in people if len(folders) > 1}
    inner, outer = {name for _, name in pairs}, {folder for folder, _ in pairs}
    repeated = len(inner) < len(pairs) and len(inner) <= len(outer)
    # Dates, numbers of sessions or cameras, and kinds of masks are names of people where the outer folders are groups.
    numbered = all(re.search(r"\d", name) for name in inner) and not any(re.search(r"\d", one.name) for one in outer)
    if conditions and len(outer) > 1 and (repeated or numbered or KINDS & set(map(plain, inner))):
        some, names = min(pairs), ", ".join(f"{name!r}: None" for name in sorted(inner)[:3])
        raise UnmaskError(
            f"{some[0].name} or {some[1]} is the person in {some[0]}/{some[1]}, as folders of such names lie in "
            f"several: {SAY_WHICH}, such as CONDITIONS | {{{names}}}, if the outer folders are the people, and {{}} if "
            "the inner ones are"
        )


def _one(path: PurePosixPath, said: list[Said]) -> Said | None:
    if len(set(said)) > 1:
        raise UnmaskError(f"{path}: its folders say both {said[0]} and {said[-1]}: keep one of them")
    return said[0] if said else None
