"""Portraits as one picture: a row for each face, from the photo to the nearest people."""

from collections.abc import Mapping

import cv2
import numpy as np

from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.figures import sheets
from stages.tools.portrait.portrait import Portrait

SIDE = 160  # pixels of a tile
LETTERS = 25  # of a caption that fit below it
MARK = (255, 80, 60)

Row = tuple[list[Pixels], list[str]]
"""Tiles, RGB uint8 (SIDE, SIDE, 3), and their captions."""


def row(photo: Pixels, name: str, place: str, portrait: Portrait | None, known: Mapping[str, Pixels], n: int) -> Row:
    """Return the row of a face.

    Args:
        photo: in which it is, RGB uint8 (H, W, 3).
        name: of the photo's file.
        place: which of the photo's faces it is, or why there is none.
        portrait: what is known of it; None leaves all but the photo blank.
        known: photos of the nearest people by face_id, RGB uint8.
        n: people in a row.
    """
    blank = np.full((SIDE, SIDE, 3), sheets.PAPER, np.uint8)
    if portrait is None:
        return [sheets.fit(photo, SIDE)] + [blank] * (5 + n), [_named(name, place), *[""] * (5 + n)]
    worn = portrait.worn
    tiles = [
        framed(photo, portrait.points),
        portrait.crop.image,
        sheets.with_labels(portrait.crop.image, portrait.labels),
        np.repeat(portrait.crop.region[..., None], 3, axis=2),
        portrait.removed,
        portrait.filled,
    ]
    captions = [
        _named(name, place),
        f"{'mask' if worn else 'no mask'} ({worn.probability:.2f}), {portrait.sex} {portrait.certainty:.2f}",
        "parts",
        f"found mask, {(portrait.crop.region > 0).mean():.0%}",
        "mask removed" if worn else "nothing to remove",
        f"filled in ({portrait.generator})" if portrait.generator else "nothing to fill in",
    ]
    for number, person in enumerate(portrait.nearest, 1):
        tiles.append(known.get(person.face_id, blank))
        captions.append(f"{number}. {_short(person.identity, 14)} {person.cosine:.3f}")
    missing = 6 + n - len(tiles)
    return [sheets.fit(tile, SIDE) for tile in tiles] + [blank] * missing, captions + [""] * missing


def drawn(rows: list[Row], title: str) -> Pixels:
    """Return rows of one length below each other, RGB uint8 (H, W, 3)."""
    tiles = [tile for tiles, _ in rows for tile in tiles]
    captions = [caption for _, captions in rows for caption in captions]
    columns = len(rows[0][0]) if rows else 1
    return sheets.contact_sheet(tiles, captions, columns=columns, side=SIDE, title=title)


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
