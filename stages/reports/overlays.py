"""The plots of two sides: curves over each other, pictures beside each other."""

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stages.core import images
from stages.reports.sides import Plot

# The base is wide and lies below, so that both are seen where they are one.
BASE_LOOK: dict[str, Any] = {"color": "#e0a83c", "linewidth": 4}
OTHER_LOOK: dict[str, Any] = {"color": "#1f5fa8", "linewidth": 1.4}
VISIBLE = 8  # gray levels by which a pixel must differ to count
QUALITY = 90  # of a JPEG
LARGE = 200_000  # bytes of a PNG; a smaller one (a plot, not a contact sheet) is kept as it is


@dataclass(frozen=True)
class Shown:
    """A picture in the page itself.

    Attributes:
        source: a data URL; empty if there is no picture.
        why: there is none.
    """

    source: str = ""
    why: str = ""


@dataclass(frozen=True)
class Pair:
    """A picture of both sides.

    Attributes:
        title: what it shows.
        base: that of the base.
        other: that of the other side.
        note: how far they differ.
    """

    title: str
    base: Shown
    other: Shown
    note: str = ""


def names(base: Mapping[str, Plot], other: Mapping[str, Plot]) -> list[str]:
    """Return the files of the plots that differ between two sides."""
    return [name for name in {**base, **other} if not _same(base.get(name), other.get(name))]


def _same(base: Plot | None, other: Plot | None) -> bool:
    if base is None or other is None:
        return False
    if base.data is not None and other.data is not None:
        return base.data == other.data
    # What is not in the cache is the same if DVC knows it by the same digest; what was never made differs in nothing.
    return base.digest == other.digest


def curves(base: Mapping[str, Plot], other: Mapping[str, Plot], sides: tuple[str, str]) -> list[tuple[str, Shown]]:
    """Return a title and a picture for each curve that differs, both sides in one.

    Args:
        base: the plots of the base.
        other: those of the other side.
        sides: their names.
    """
    found = []
    for name in names(base, other):
        both = [plots.get(name) for plots in (base, other)]
        if not any(isinstance(plot.data, list) for plot in both if plot):
            continue
        title = PurePosixPath(name).stem
        columns = dict.fromkeys(column for plot in both if plot for column in plot.y)
        for column in columns:
            lines = [_line(plot, column) for plot in both]
            if lines[0] == lines[1]:  # another column differs
                continue
            x = next(plot.x for plot in both if plot)
            found.append((f"{title}: {column}", Shown(_drawn(lines, sides, x, column))))
    return found


def _line(plot: Plot | None, column: str) -> list[tuple[float, float]]:
    """Return the points (x, y) of a column; a cell that is empty has none."""
    rows = plot.data if plot and isinstance(plot.data, list) else []
    return [(float(row[plot.x]), float(row[column])) for row in rows if plot and row.get(column) and row.get(plot.x)]


def _drawn(lines: Sequence[Sequence[tuple[float, float]]], sides: tuple[str, str], x: str, y: str) -> str:
    figure = Figure(figsize=(5, 3), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for side, line, look in zip(sides, lines, (BASE_LOOK, OTHER_LOOK), strict=True):
        if line:
            axes.plot(*zip(*line, strict=True), label=side, marker="o" * (len(line) == 1), **look)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return _url(buffer.getvalue())


def pairs(base: Mapping[str, Plot], other: Mapping[str, Plot]) -> list[Pair]:
    """Return the pictures that differ, those that differ in more of their pixels first."""
    found = []
    for name in names(base, other):
        both = (base.get(name), other.get(name))
        if not any(_is_picture(plot, name) for plot in both):
            continue
        share = _share_of_pixels(*both)
        note = "" if share is None else f"{share:.1%} of the pixels differ"
        pair = Pair(PurePosixPath(name).stem, _shown(both[0]), _shown(both[1]), note)
        found.append((share is None, -(share or 0), pair))
    return [pair for *_, pair in sorted(found, key=lambda entry: (*entry[:2], entry[2].title))]


def _is_picture(plot: Plot | None, name: str) -> bool:
    return plot is not None and (isinstance(plot.data, bytes) or (plot.data is None and name.endswith(".png")))


def _shown(plot: Plot | None) -> Shown:
    if plot is None:
        return Shown(why="there is no such figure")
    if not isinstance(plot.data, bytes):
        return Shown(why=plot.why if plot.digest else "it was never made")
    return Shown(_url(plot.data))


def _share_of_pixels(base: Plot | None, other: Plot | None) -> float | None:
    """Return the share of pixels that a person may see to differ; None if there is only one picture, or two sizes."""
    data = [plot.data for plot in (base, other) if plot and isinstance(plot.data, bytes)]
    if len(data) < 2:
        return None
    one, two = (images.decode(picture) for picture in data)
    if one.shape != two.shape:
        return None
    return float((cv2.absdiff(one, two).max(axis=2) > VISIBLE).mean())


def _url(png: bytes) -> str:
    """Return a picture as a data URL: contact sheets as JPEG, so that the page does not take long to open."""
    if len(png) > LARGE:
        pixels = cv2.cvtColor(images.decode(png), cv2.COLOR_RGB2BGR)
        done, jpeg = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if done and len(jpeg) < len(png):
            return _base64("jpeg", np.asarray(jpeg).tobytes())
    return _base64("png", png)


def _base64(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def missing(found: Iterable[Pair]) -> int:
    """Return how many of some pictures are there on one side only, or on none."""
    return sum(not (pair.base.source and pair.other.source) for pair in found)
