"""What a mask costs, at a glance: one sentence and one picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from stages.core.outputs import whole_file

# In words that end "… gives 14 back".
REMEDIES = {
    "masked-bare": "comparing faces as they are",
    "zeroed-bare": "setting the mask's pixels to 0",
    "zeroed-zeroed": "setting the same pixels to 0 in both photos",
    "inpainted-bare": "filling in the face behind the mask",
    "inpainted-inpainted": "filling in the same region of both photos",
    "upper-bare_upper": "comparing upper halves",
    "upper-upper": "comparing upper halves",
}
HEADS = {
    "none": "",
    "mean_shift": ", with a mean shift of the embeddings",
    "unmasking": ", with unmasked embeddings",
}
MARKS = ("o", "s", "D", "^", "v", "P")


@dataclass(frozen=True)
class Dot:
    """A share and its interval, all 0 to 1; None: not measured.

    Attributes:
        value: the share.
        low: the interval's lower end.
        high: its upper end.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


Dots = Mapping[str, Mapping[str, Dot]]
"""By recognizer and condition."""


def sentence(recognizer: str, bare: float, masked: float, series: str, head: str, remedied: float) -> str:
    """Return what a mask costs a recognizer, and what the best remedy gives back, in points of TAR at FAR 1 %.

    Args:
        recognizer: its name.
        bare: TAR of bare faces, 0 to 1.
        masked: of masked ones.
        series: what the remedy compares, such as `upper-bare_upper`.
        head: through which its embeddings go.
        remedied: its TAR.
    """
    probe, reference = (part.replace("_", " ") for part in series.split("-"))
    remedy = REMEDIES.get(series, f"comparing {probe} with {reference} faces") + HEADS[head]
    lost, back = round(100 * bare) - round(100 * masked), round(100 * remedied) - round(100 * masked)
    effect = f"gives {back} back" if back > 0 else "gives nothing back"
    effect += f" and costs {-back} more" if back < 0 else ""
    costs = f"costs {recognizer} {lost} points" if lost > 0 else f"costs {recognizer} no point"
    return (
        f"A mask {costs} of TAR at FAR 1 % ({100 * bare:.0f} % to {100 * masked:.0f} %); {remedy} {effect} "
        f"({100 * remedied:.0f} %)."
    )


def draw(path: Path, panels: Mapping[str, Dots]) -> None:
    """Draw shares with their intervals as dots and lines, a row for each recognizer and condition.

    Args:
        path: the PNG to write.
        panels: of each panel its title, and its dots; all have the same recognizers and conditions.
    """
    first = next(iter(panels.values()))
    conditions = list(dict.fromkeys(name for of in first.values() for name in of))
    height = 0.9 + 0.24 * sum(len(of) + 1 for of in first.values())
    figure = Figure(figsize=(9.5, height), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    many = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, dots) in zip(many, panels.items(), strict=True):
        places, labels, row = [], [], 0.0
        for recognizer, of in dots.items():
            axes.text(0, row, f" {recognizer}", va="center", weight="bold", fontsize=9)
            for name, dot in of.items():
                row += 1
                places.append(row)
                labels.append(name)
                if dot.value is None:
                    continue
                look = conditions.index(name)
                if dot.low is not None and dot.high is not None:
                    axes.plot([100 * dot.low, 100 * dot.high], [row, row], color=f"C{look}", linewidth=1.6, alpha=0.7)
                axes.plot(100 * dot.value, row, MARKS[look % len(MARKS)], color=f"C{look}", markersize=6)
            row += 1.4
        axes.set_title(title, fontsize=10)
        axes.set_xlim(0, 102)
        axes.set_ylim(row - 0.6, -0.8)
        axes.set_yticks(places, labels, fontsize=8)
        axes.set_xlabel("percent", fontsize=8)
        axes.tick_params(axis="x", labelsize=8)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.3)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    with whole_file(path) as staging:
        figure.savefig(staging, format="png", metadata={"Software": None})  # the version would change the bytes


def names(panels: Sequence[str]) -> str:
    """Return the titles of panels as a caption."""
    return f"{' and '.join(panels)}, with 95 % intervals over people; people who were in no training"
