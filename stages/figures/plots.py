"""Line plots, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.core.outputs import whole_file

Line = tuple[NDArray[np.float64], NDArray[np.float64]]
Key = tuple[str, str]
"""Name of a line: the first part has a color, the second a dash."""
LOWEST_FAR = 1e-4
DASHES = ("-", "--", ":")


def roc(path: Path, lines: Mapping[Key, Line], *, title: str) -> None:
    """Draw true over false accept rates, the latter by its logarithm.

    Args:
        path: the PNG file.
        lines: FAR and TAR by name, both rising.
        title: of the picture.
    """
    figure, axes = _axes(title, "false accept rate", "true accept rate")
    for key, (far, tar) in lines.items():
        axes.step(np.maximum(far, LOWEST_FAR), tar, where="post", **_look(key, list(lines)))
    axes.set_xscale("log")
    axes.set_xlim(LOWEST_FAR, 1)
    _write(path, figure, axes)


def cmc(path: Path, lines: Mapping[Key, Sequence[float]], *, title: str) -> None:
    """Draw the share of probes whose person is among the first k, over k.

    Args:
        path: the PNG file.
        lines: the shares from k = 1 on, by name.
        title: of the picture.
    """
    figure, axes = _axes(title, "rank", "identified")
    for key, shares in lines.items():
        axes.plot(np.arange(1, len(shares) + 1), shares, **_look(key, list(lines)))
    axes.set_xlim(left=1)
    _write(path, figure, axes)


def curves(path: Path, lines: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str) -> None:
    """Draw losses over steps, each relative to its first.

    Args:
        path: the PNG file.
        lines: steps and losses by name.
        title: of the picture.
    """
    figure, axes = _axes(title, "step", "loss")
    for index, (name, (steps, losses)) in enumerate(lines.items()):
        axes.plot(
            steps,
            np.array(losses) / losses[0],
            color=f"C{index % 10}",
            linestyle=DASHES[index // 10 % len(DASHES)],
            label=name,
            linewidth=1.2,
        )
    axes.set_ylim(bottom=0, top=None)
    axes.autoscale(axis="y")
    _write(path, figure, axes)


def _look(key: Key, keys: Sequence[Key]) -> dict[str, Any]:
    colors, dashes = (list(dict.fromkeys(parts)) for parts in zip(*keys, strict=True))
    return {
        "color": f"C{colors.index(key[0])}",
        "linestyle": DASHES[dashes.index(key[1]) % len(DASHES)],
        "label": f"{key[0]}, {key[1].replace('_', ' ')}",
        "linewidth": 1.2,
    }


def _axes(title: str, x: str, y: str) -> tuple[Figure, Any]:
    figure = Figure(figsize=(8, 5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.set_title(title, fontsize=11)
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.set_ylim(0, 1.01)
    axes.grid(alpha=0.3)
    return figure, axes


def _write(path: Path, figure: Figure, axes: Any) -> None:
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    with whole_file(path) as staging:
        figure.savefig(staging, format="png", metadata={"Software": None})  # the version would change the bytes
