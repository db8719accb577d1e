"""Portraits as one picture: a row for each face, from the photo to the nearest people."""

from collections.abc import Sequence

import cv2
import numpy as np

from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.figures import sheets
from stages.tools.portrait.gallery import Gallery
from stages.tools.portrait.portrait import Portrait

SIDE = 160  # pixels of a tile
LETTERS = 25  # of a caption that fit below it
MARK = (255, 80, 60)
PHOTO, FACE, PARTS, REGION, REMOVED, FILLED, PERSON = "photo", "face", "parts", "region", "removed", "filled", "person"

Row = dict[str, tuple[Pixels, str]]
"""Tiles, RGB uint8 (SIDE, SIDE, 3), and their captions, by what they show."""


def row(photo: Pixels, name: str, place: str, portrait: Portrait | None, gallery: Gallery | None) -> Row:
    """Return the row of a face: what is there to be shown of it.

    Args:
        photo: in which it is, RGB uint8 (H, W, 3).
        name: of the photo's file.
        place: which of the photo's faces it is, or why there is none.
        portrait: what is known of it; None: the photo alone is shown.
        gallery: of the known people, if there are any.
    """
    if portrait is None:
        return {PHOTO: (sheets.fit(photo, SIDE), _named(name, place))}
    face, worn, tiles = portrait.crop.image, portrait.worn, Row()
    tiles[PHOTO] = framed(photo, portrait.points), _named(name, place)
    said = f"{'mask' if worn else 'no mask'} ({worn.probability:.2f})"
    tiles[FACE] = face, said if portrait.female is None else f"{said}, {of_sex(portrait)}"
    tiles[PARTS] = sheets.with_labels(face, portrait.labels), "parts"
    if worn or portrait.generator:
        region = np.repeat(portrait.crop.region[..., None], 3, axis=2)
        tiles[REGION] = region, f"found mask, {(portrait.crop.region > 0).mean():.0%}"
        tiles[REMOVED] = portrait.removed, "mask removed"
        tiles[FILLED] = portrait.filled, f"filled in ({portrait.generator or 'no region'})"
    if gallery is not None:
        tiles |= _people(portrait, gallery)
    return {what: (sheets.fit(tile, SIDE), caption) for what, (tile, caption) in tiles.items()}


def of_sex(portrait: Portrait) -> str:
    """Return what is said of the sex, and how likely the likelier one is."""
    female = portrait.female or 0.0
    return f"{portrait.sex or 'unsure'} {max(female, 1 - female):.2f}"


def _people(portrait: Portrait, gallery: Gallery) -> Row:
    matches = [person for person in portrait.nearest if person.match]
    if not matches:
        near = f", nearest {portrait.nearest[0].cosine:.3f}" if portrait.nearest else ""
        return {f"{PERSON} 1": (np.full((SIDE, SIDE, 3), sheets.PAPER, np.uint8), f"no match{near}")}
    return {
        f"{PERSON} {number}": (
            gallery.picture(person.photo),
            f"{number}. {_short(person.identity, 14)} {person.cosine:.3f}",
        )
        for number, person in enumerate(matches, 1)
    }


def drawn(rows: Sequence[Row], title: str) -> Pixels:
    """Return rows below each other, RGB uint8 (H, W, 3); a column that no row has is left out."""
    order = [PHOTO, FACE, PARTS, REGION, REMOVED, FILLED]
    there = {what for row in rows for what in row}
    columns = [what for what in order if what in there] + sorted(there - set(order), key=lambda what: (len(what), what))
    blank = np.full((SIDE, SIDE, 3), sheets.PAPER, np.uint8), ""
    cells = [row.get(what, blank) for row in rows for what in columns]
    tiles, captions = [tile for tile, _ in cells], [caption for _, caption in cells]
    return sheets.contact_sheet(tiles, captions, columns=max(len(columns), 1), side=SIDE, title=title)


def framed(photo: Pixels, points: Points) -> Pixels:
    """Return a photo (H, W, 3) as a tile, with a frame around the face with these landmarks (68, 2)."""
    scale = SIDE / max(photo.shape[:2])
    tile = sheets.fit(photo, SIDE)
    margin = (np.array([SIDE, SIDE]) - np.round(np.array(photo.shape[1::-1]) * scale)) // 2
    corners = np.stack([points.min(0), points.max(0)]) * scale + margin
    low, high = in_fractions(corners).tolist()
    cv2.rectangle(tile, low, high, MARK, 1, cv2.LINE_AA, FRACTION_BITS)
    return tile


def _named(name: str, place: str) -> str:
    return f"{_short(name, LETTERS - 2 - len(place))}: {place}" if name else place


def _short(text: str, letters: int) -> str:
    if len(text) <= letters:
        return text
    end = (letters - 2) // 2
    return f"{text[: letters - 2 - end]}..{text[-end:]}"
