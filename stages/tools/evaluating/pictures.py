"""The pictures of an evaluation: the worst pairs, who was taken for masked, and in which photos no face was found."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from stages.core import images, tables
from stages.core.images import Pixels
from stages.figures import sheets
from stages.tools.evaluating.pairs import Pair
from stages.tools.evaluating.photos import NO_FACE, File, Looked
from stages.tools.portrait import files

WORST, MASKS, NOT_FOUND = "evaluate-worst.png", "evaluate-masks.png", "evaluate-not-found.png"
PAIRS_IN_A_ROW, PAIR = 4, 228  # and pixels of a pair's width
GAP = 4  # pixels between the two faces of a pair
IN_A_ROW, FACE, LETTERS = 12, 80, 12  # and pixels of a face, and letters that fit below it
SHOWN = 240  # faces of each kind, or photos
KINDS = {True: "one person, least alike", False: "two people, most alike"}


def write_all(
    out: Path, folder: Path, looked: Mapping[File, Looked], worst: Sequence[Pair], of_file: Mapping[str, File]
) -> None:
    """Write those pictures for which there is something to show.

    Args:
        out: the folder to write into.
        folder: of the photos.
        looked: what came of each file.
        worst: pairs in their order.
        of_file: the file of each face_id.
    """
    if worst:
        sheets.write(out / WORST, _worst(worst, {name: looked[file] for name, file in of_file.items()}))
    if any(one.face for one in looked.values()):
        sheets.write(out / MASKS, _masks(looked))
    if lost := [file for file, one in looked.items() if one.outcome == NO_FACE]:
        sheets.write(out / NOT_FOUND, _not_found(lost, folder))


def _worst(pairs: Sequence[Pair], looked: Mapping[str, Looked]) -> Pixels:
    groups: dict[tuple[str, bool], list[tuple[int, Pair]]] = {}
    for number, pair in enumerate(pairs, 1):
        groups.setdefault((pair.series, pair.genuine), []).append((number, pair))
    parts = [
        sheets.contact_sheet(
            [_beside(*(_face(looked[name]) for name in (pair.probe, pair.reference))) for _, pair in some],
            [f"{number}.  {pair.score:.3f}" for number, pair in some],
            columns=PAIRS_IN_A_ROW,
            side=PAIR,
            title=f"{series}: {KINDS[genuine]}",
        )
        for (series, genuine), some in groups.items()
    ]
    return np.concatenate(parts)


def _face(one: Looked) -> Pixels:
    assert one.face is not None  # noqa: S101 -- of faces that were not found there is no score
    return images.decode(one.face.image)


def _beside(one: Pixels, other: Pixels) -> Pixels:
    gap = np.full((one.shape[0], GAP, 3), sheets.PAPER, np.uint8)
    return np.concatenate([one, gap, other], axis=1)


def _masks(looked: Mapping[File, Looked]) -> Pixels:
    parts = []
    for masked, words in ((True, "a mask is seen"), (False, "no mask is seen")):
        some = [(file, one) for file, one in looked.items() if one.face and one.face.masked == masked]
        shown = tables.evenly(some, SHOWN)
        title = f"{words}: {len(some)}" + (f", of which {len(shown)} are shown" if len(shown) < len(some) else "")
        captions = [_short(file) for file, _ in shown]
        faces = [_face(one) for _, one in shown]
        parts.append(sheets.contact_sheet(faces, captions, columns=IN_A_ROW, side=FACE, title=title))
    return np.concatenate(parts)


def _short(file: File) -> str:
    """Return the name of a file, without its suffix, in as many letters as fit below it; numbers are at the end."""
    name = PurePosixPath(file.shown).stem
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 7]}..{name[-5:]}"


def _not_found(lost: Sequence[File], folder: Path) -> Pixels:
    shown = tables.evenly(lost, SHOWN)
    photos = [files.read(folder / file.path) for file in shown]
    tiles = [
        np.full((1, 1, 3), sheets.PAPER, np.uint8) if isinstance(photo, files.Refused) else photo for photo in photos
    ]
    title = f"no face found: {len(lost)}" + (f", of which {len(shown)} are shown" if len(shown) < len(lost) else "")
    captions = [_short(file) for file in shown]
    return sheets.contact_sheet(tiles, captions, columns=IN_A_ROW, side=FACE, title=title)
