"""Contact sheets: what a stage made, as one PNG that a person can judge."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from stages.core import params, tables
from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.core.images import Pixels, decode, encode_png
from stages.core.outputs import whole_file

INK = (40, 40, 40)
PAPER = 255
GAP = 6  # pixels between tiles
CAPTION = 16  # pixels of height for a line of text
TILE = 112  # pixels
SHEET_FACES = 40


def fit(image: Pixels, side: int) -> Pixels:
    """Return an RGB image (H, W, 3) scaled to fit a white square of `side` pixels, centered."""
    scale = side / max(image.shape[:2])
    size = tuple(max(1, round(length * scale)) for length in image.shape[1::-1])
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    tile = np.full((side, side, 3), PAPER, np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile


def contact_sheet(
    images: Sequence[Pixels],
    captions: Sequence[str],
    *,
    columns: int = 8,
    side: int = TILE,
    title: str = "",
    legend: Mapping[str, int] | None = None,
) -> Pixels:
    """Return RGB images of any sizes on one sheet (H, W, 3), row by row, each with a line of text below.

    Args:
        images: RGB uint8 (H, W, 3).
        captions: one line an image; characters that don't fit the tile are cut off.
        columns: tiles a row.
        side: of a tile, in pixels; where all images are wider than high, tiles are too.
        title: a line above all.
        legend: class ids by name, whose colors are explained below the title.
    """
    rows = max(1, math.ceil(len(images) / columns))
    entries = list((legend or {}).items())
    head = CAPTION + GAP if title else 0
    below = head + math.ceil(len(entries) / columns) * (CAPTION + GAP)
    tile = max((math.ceil(side * image.shape[0] / max(image.shape[:2])) for image in images), default=side)
    height, width = tile + CAPTION + GAP, side + GAP
    sheet = np.full((below + rows * height + GAP, columns * width + GAP, 3), PAPER, np.uint8)
    if title:
        _text(sheet, title, GAP, CAPTION, 0.45)
    for index, (name, label) in enumerate(entries):
        top, left = head + GAP + index // columns * (CAPTION + GAP), GAP + index % columns * width
        gray = np.full((CAPTION, CAPTION, 3), 128, np.uint8)  # so that the color is as it is on a face
        sheet[top : top + CAPTION, left : left + CAPTION] = with_labels(gray, np.full_like(gray[..., 0], label))
        _text(sheet, name, left + CAPTION + GAP, top + CAPTION - 4, 0.36)
    for index, (image, caption) in enumerate(zip(images, captions, strict=True)):
        top, left = below + GAP + index // columns * height, GAP + index % columns * width
        rest = (side - tile) // 2  # paper above what is wider than high
        sheet[top : top + tile, left : left + side] = fit(image, side)[rest : rest + tile]
        _text(sheet[:, left : left + side], caption, 0, top + tile + CAPTION - 4, 0.36)
    return sheet


def _text(sheet: Pixels, text: str, left: int, baseline: int, scale: float) -> None:
    # OpenCV's built-in font has ASCII only.
    plain = text.encode("ascii", "replace").decode()
    cv2.putText(sheet, plain, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)


def with_points(face: tables.Face) -> Pixels:
    """Return a face's image, enlarged to 224 pixels, with its landmarks drawn on it."""
    image = decode(face["image"])
    scale = 2 * TILE / max(image.shape[:2])
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    if face["landmarks"] is not None:
        for x, y in (face["landmarks"] + 0.5) * scale - 0.5:
            center, radius = in_fractions(np.array([x, y])), in_fractions(np.array(1.25))
            cv2.circle(large, center.tolist(), int(radius), (80, 255, 80), -1, cv2.LINE_AA, FRACTION_BITS)
    return np.asarray(large, np.uint8)


PARTS = params.read_yaml(Path(__file__).with_name("parts.yaml"))
_COLORS = np.full((256, 3), 128, np.uint8)
_COLORS[: len(PARTS)] = [part["color"] for part in PARTS.values()]
TINT = 0.6  # of a part's color in the picture


def in_words(names: Sequence[str]) -> list[str]:
    """Return the names of parts of a face, some of which are abbreviations, as words."""
    return [PARTS[name]["words"] if name in PARTS else name for name in names]


def with_labels(image: Pixels, labels: Pixels) -> Pixels:
    """Return an RGB image (H, W, 3) with the classes of a label map (H, W) in color over it; 0 is not colored."""
    tinted = cv2.addWeighted(image, 1 - TINT, _COLORS[labels], TINT, 0)
    return np.where((labels > 0)[..., None], tinted, image)


def show_table(
    table: Path,
    out: Path,
    *,
    title: str,
    caption: Callable[[tables.Face], str],
    picture: Callable[[tables.Face], Pixels] = lambda face: decode(face["image"]),
    by: Sequence[str] = (),
    first: Callable[[tables.Face], bool] | None = None,
    legend: Mapping[str, int] | None = None,
) -> None:
    """Write a contact sheet of 40 faces of a table.

    Args:
        table: the face table.
        out: the PNG file.
        title: what is to be seen.
        caption: of a face, from its row.
        picture: of a face, RGB (H, W, 3), from its row.
        by: columns that `first` looks at.
        first: which faces to prefer, see `tables.sample`.
        legend: see `contact_sheet`.
    """
    faces = tables.sample(table, SHEET_FACES, by=by, first=first)
    pictures, captions = [picture(face) for face in faces], [caption(face) for face in faces]
    write(out, contact_sheet(pictures, captions, title=f"{title} - {table.name}", legend=legend))


def show_labels(
    shown: Sequence[tuple[str, Pixels, Pixels]], out: Path, *, title: str, classes: Sequence[str] = ()
) -> None:
    """Write a contact sheet of 40 images with label maps over them.

    Args:
        shown: captions, images RGB (H, W, 3) and label maps (H, W); 40 of them, spread evenly, are taken.
        out: the PNG file.
        title: what is to be seen.
        classes: their names by id; those that are seen are in the legend.
    """
    some = tables.evenly(shown, SHEET_FACES)
    pictures = [with_labels(image, labels) for _, image, labels in some]
    seen = {label for _, _, labels in some for label in np.unique(labels).tolist()}
    legend = {name: label for label, name in enumerate(classes) if label in seen - {0}}
    write(out, contact_sheet(pictures, [caption for caption, _, _ in some], title=title, legend=legend))


def write(path: Path, image: Pixels) -> None:
    """Write an RGB image as PNG, whole or not at all."""
    with whole_file(path) as staging:
        staging.write_bytes(encode_png(image))
