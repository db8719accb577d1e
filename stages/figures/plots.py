"""Plots of numbers, as PNG: colors that color-blind readers can tell apart, shares in percent."""

import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.metrics import ConfusionMatrixDisplay  # type: ignore[import-untyped]  # no types

from stages.core.outputs import whole_file

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
Dot = tuple[float | None, float | None, float | None]
"""A share and the ends of its interval, 0 to 1; None: not measured."""

# What is drawn of a recognizer, whatever the results: without heads, by series (`probe-reference`), in words.
CONDITIONS = {
    "bare-bare": "bare",
    "masked-bare": "masked",
    "zeroed-bare": "zeroed",
    "inpainted-bare": "inpainted",
    "upper-bare_upper": "upper half",
}
# Which of these a published list of real masks and bare photos, as they come, stands for.
IN_LISTS = {
    "list": "masked-bare",
    "list_zeroed": "zeroed-bare",
    "list_inpainted": "inpainted-bare",
    "list_upper": "upper-bare_upper",
}
# Okabe and Ito's, one for each of these in every plot; the last is that of another remedy.
COLORS = ("#000000", "#d55e00", "#cc79a7", "#0072b2", "#009e73", "#e69f00")
MARKS = ("o", "s", "D", "^", "v", "P")
LOWEST_FAR = 1e-4
IN_A_LINE = 2**13  # points; a picture has fewer pixels
APART = 0.05  # between the names of two lines, of the axis' height
IN_A_ROW = 4  # trainings


def thinned(line: Line) -> Line:
    """Return a line for `roc` with as many points as are seen: of some thousand places the last one before each.

    Args:
        line: FAR and TAR, both rising, float64 (n,) each.
    """
    far, tar = line
    if len(far) <= IN_A_LINE:
        return line
    seen = np.searchsorted(far, np.geomspace(LOWEST_FAR, 1, IN_A_LINE), side="right") - 1
    kept = np.unique(np.concatenate([[0], seen]))
    return far[kept], tar[kept]


def roc(path: Path, lines: Mapping[str, Line], *, title: str) -> None:
    """Draw true over false accept rates, the latter by its logarithm.

    Args:
        path: the PNG file.
        lines: FAR and TAR, both rising, of those series of a recognizer that `CONDITIONS` names.
        title: of the picture.
    """
    figure, axes = _axes(title, "false accept rate (FAR)", "true accept rate (TAR)")
    axes.set_xscale("log")
    axes.set_xlim(LOWEST_FAR, 1)
    axes.xaxis.set_major_formatter(_percent)
    for name, (far, tar) in lines.items():
        axes.step(np.maximum(far, LOWEST_FAR), tar, where="post", color=_color(name))
    starts = {name: float(tar[far <= LOWEST_FAR].max(initial=0)) for name, (far, tar) in lines.items()}
    _name_lines(axes, starts)
    write(path, figure)


def cmc(path: Path, lines: Mapping[str, Sequence[float]], *, title: str) -> None:
    """Draw the share of probes whose person is among the first k, over k.

    Args:
        path: the PNG file.
        lines: the shares from k = 1 on, of those series of a recognizer that `CONDITIONS` names.
        title: of the picture.
    """
    figure, axes = _axes(title, "k", "identified among the first k")
    for name, shares in lines.items():
        axes.plot(np.arange(1, len(shares) + 1), shares, color=_color(name))
    axes.set_xlim(1, max(map(len, lines.values()), default=2))
    axes.xaxis.get_major_locator().set_params(integer=True)
    _name_lines(axes, {name: shares[0] for name, shares in lines.items()})
    write(path, figure)


def dots(path: Path, panels: Mapping[str, Mapping[str, Mapping[str, Dot]]]) -> None:
    """Draw shares with their intervals as dots and lines, a row for each recognizer and condition.

    Args:
        path: the PNG file.
        panels: by title, recognizer and condition; all panels have the same recognizers and conditions.
    """
    first = next(iter(panels.values()))
    rows = [(recognizer, name) for recognizer, of in first.items() for name in ("", *of)]
    looks = list(dict.fromkeys([*CONDITIONS.values(), *(name for _, name in rows if name)]))
    figure = Figure(figsize=(9.5, 0.9 + 0.24 * len(rows)), dpi=110, layout="constrained")
    many = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, shares) in zip(many, panels.items(), strict=True):
        for row, (recognizer, name) in enumerate(rows):
            if not name:
                axes.text(0, row + 0.1, f" {recognizer}", va="center", weight="bold", fontsize=9)
                continue
            value, low, high = shares[recognizer][name]
            color, mark = (some[min(looks.index(name), len(some) - 1)] for some in (COLORS, MARKS))
            axes.plot([low, high], [row, row], color=color, linewidth=1.6, alpha=0.7)
            axes.plot([value], [row], mark, color=color, markersize=6)
        axes.set_title(title, fontsize=10)
        axes.set(xlim=(0, 1.02), ylim=(len(rows) - 0.4, -0.6))
        axes.set_yticks(range(len(rows)), [name for _, name in rows], fontsize=8)
        axes.xaxis.set_major_formatter(_percent)
        axes.tick_params(axis="x", labelsize=8)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right", "left"]].set_visible(False)
    write(path, figure)


def losses(lines: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> bytes:
    """Return a PNG with the loss of each training over its steps, relative to its first, each in a panel of its own.

    Args:
        lines: steps and losses by name.
    """
    rows = max(1, math.ceil(len(lines) / IN_A_ROW))
    figure = Figure(figsize=(10, 2 * rows), dpi=110, layout="constrained")
    panels = figure.subplots(rows, IN_A_ROW, squeeze=False).flat
    for (name, (steps, values)), axes in zip(lines.items(), panels, strict=False):  # the last row may be longer
        axes.plot(steps, np.array(values) / values[0], color=COLORS[3], linewidth=1.2)
        axes.set_title(name, fontsize=9)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(_percent)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    for axes in panels:  # the rest of the last row
        axes.remove()
    return png(figure)


def confusion_matrix(path: Path, counts: NDArray[np.int64], names: Sequence[str], *, title: str) -> None:
    """Draw a confusion matrix (n, n), truth by row: of each true class, the share taken for each, in percent.

    Classes that occur neither in the truth nor among what was found are left out.

    Args:
        path: the PNG file.
        counts: of pixels or faces, int64 (n, n).
        names: of the classes.
        title: of the picture.
    """
    kept = [i for i in range(len(names)) if counts[i].any() or counts[:, i].any()]
    shares = 100 * counts[np.ix_(kept, kept)] / np.maximum(counts[kept].sum(1, keepdims=True), 1)
    side = 2 + 0.55 * len(kept)
    figure = Figure(figsize=(side, side), dpi=110, layout="constrained")
    axes = figure.subplots()
    display = ConfusionMatrixDisplay(shares, display_labels=[names[i] for i in kept])
    display.plot(ax=axes, cmap="Blues", values_format=".1f", xticks_rotation="vertical", colorbar=False)
    axes.set(xlabel="found", ylabel="truth")
    figure.suptitle(f"{title}, %", fontsize=11, wrap=True)
    write(path, figure)


def png(figure: Figure) -> bytes:
    """Return a figure as PNG, the same bytes whatever version of Matplotlib is named in it."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def write(path: Path, figure: Figure) -> None:
    """Write a figure as PNG, whole or not at all."""
    with whole_file(path) as staging:
        staging.write_bytes(png(figure))


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(8, 5), dpi=110, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.set(xlabel=x, ylabel=y, ylim=(0, 1.01))
    axes.yaxis.set_major_formatter(_percent)
    axes.yaxis.tick_right()  # on the left stand the names of the lines
    axes.yaxis.set_label_position("right")
    axes.grid(alpha=0.3)
    return figure, axes


def _percent(share: float, _: float) -> str:
    return f"{100 * share:g} %"


def _color(name: str) -> str:
    return COLORS[list(CONDITIONS).index(name)]


def _name_lines(axes: Any, starts: Mapping[str, float]) -> None:
    """Write beside the left end of each line, or as near as the others allow, what it is."""
    names = sorted(starts, key=lambda name: starts[name])
    up = APART * np.arange(len(names))
    places = np.maximum.accumulate(np.array([starts[name] for name in names]) - up) + up
    places = np.minimum(places, 1 - up[::-1])
    for name, place in zip(names, places, strict=True):
        axes.text(
            -0.01,
            place,
            CONDITIONS[name],
            transform=axes.get_yaxis_transform(),
            color=_color(name),
            ha="right",
            va="center",
        )
