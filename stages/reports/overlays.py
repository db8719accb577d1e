"""The plots of two sides: curves over each other, pictures beside each other."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import cv2
from matplotlib.figure import Figure

from stages.core import images
from stages.figures import plots
from stages.reports.content import Picture, data_url
from stages.reports.sides import Plot

# The base is wide and lies below, so that both are seen where they are one.
BASE_LOOK: dict[str, Any] = {"color": "#e0a83c", "linewidth": 4}
OTHER_LOOK: dict[str, Any] = {"color": "#1f5fa8", "linewidth": 1.4}
VISIBLE = 8  # gray levels by which a pixel must differ to count

Plots = Mapping[str, Plot]
"""Those of a side by file."""


class Pair(NamedTuple):
    """A picture of both sides, each a data URL, or why there is none; and how far they differ."""

    title: str
    base: str
    other: str
    note: str = ""

    @property
    def whole(self) -> bool:
        """Whether both sides have it."""
        return self.base.startswith("data:") and self.other.startswith("data:")


def names(base: Plots, other: Plots) -> list[str]:
    """Return the files of the plots that differ between two sides."""
    return [name for name in {**base, **other} if not _same(base.get(name), other.get(name))]


def _same(base: Plot | None, other: Plot | None) -> bool:
    if base is None or other is None:
        return False
    if base.data is not None and other.data is not None:
        return base.data == other.data
    # What is not in the cache is the same if DVC knows it by the same digest; what was never made differs in nothing.
    return base.digest == other.digest


def curves(base: Plots, other: Plots, sides: tuple[str, str]) -> list[Picture]:
    """Return a picture for each curve that differs, both sides in one.

    Args:
        base: the plots of the base.
        other: those of the other side.
        sides: their names.
    """
    found = []
    for name in names(base, other):
        both = [plot for plot in (base.get(name), other.get(name)) if plot]
        if not any(isinstance(plot.data, list) for plot in both):
            continue
        for column in dict.fromkeys(column for plot in both for column in plot.y):
            lines = [_line(of.get(name), column) for of in (base, other)]
            if lines[0] != lines[1]:  # else another column differs
                png = _drawn(lines, sides, both[0].x, column)
                found.append(Picture(f"{PurePosixPath(name).stem}: {column}", data_url(png)))
    return found


def _line(plot: Plot | None, column: str) -> list[tuple[float, float]]:
    """Return the points (x, y) of a column; a cell that is empty has none."""
    rows = plot.data if plot and isinstance(plot.data, list) else []
    return [(float(row[plot.x]), float(row[column])) for row in rows if plot and row.get(column) and row.get(plot.x)]


def _drawn(lines: Sequence[Sequence[tuple[float, float]]], sides: tuple[str, str], x: str, y: str) -> bytes:
    figure = Figure(figsize=(5, 3), dpi=130, layout="constrained")
    axes = figure.subplots()
    for side, line, look in zip(sides, lines, (BASE_LOOK, OTHER_LOOK), strict=True):
        if line:
            axes.plot(*zip(*line, strict=True), label=side, marker="o" * (len(line) == 1), **look)
    axes.set(xlabel=x, ylabel=y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    return plots.png(figure)


def pairs(base: Plots, other: Plots) -> list[Pair]:
    """Return the pictures that differ, those that differ in more of their pixels first."""
    found = []
    for name in names(base, other):
        both = (base.get(name), other.get(name))
        if any(_is_picture(plot, name) for plot in both):
            share = _share_of_pixels(*both)
            note = "" if share is None else f"{share:.1%} of the pixels differ"
            found.append((-1 if share is None else share, Pair(PurePosixPath(name).stem, *map(_shown, both), note)))
    return [pair for _, pair in sorted(found, key=lambda entry: (-entry[0], entry[1].title))]


def _is_picture(plot: Plot | None, name: str) -> bool:
    return plot is not None and (isinstance(plot.data, bytes) or (plot.data is None and name.endswith(".png")))


def _shown(plot: Plot | None) -> str:
    if plot is None:
        return "there is no such figure"
    if not isinstance(plot.data, bytes):
        return plot.why if plot.digest else "it was never made"
    return data_url(plot.data)


def _share_of_pixels(base: Plot | None, other: Plot | None) -> float | None:
    """Return the share of pixels that a person may see to differ; None if there is only one picture, or two sizes."""
    pixels = [images.decode(plot.data) for plot in (base, other) if plot and isinstance(plot.data, bytes)]
    if len(pixels) < 2 or pixels[0].shape != pixels[1].shape:
        return None
    return float((cv2.absdiff(*pixels).max(axis=2) > VISIBLE).mean())
