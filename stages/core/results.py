"""Where a stage puts what it reports: numbers, picture, curve, costs and replicates, all under one name."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Results:
    """The files that a stage reports in, by one path without an ending, such as `metrics/verify-dlib`.

    Attributes:
        path: a folder and a name in it.
    """

    path: Path

    @property
    def metrics(self) -> Path:
        """Return the file of the numbers, `metrics/verify-dlib.json`."""
        return self._in(".", ".json")

    @property
    def figure(self) -> Path:
        """Return the picture, `metrics/figures/verify-dlib.png`."""
        return self._in("figures", ".png")

    @property
    def confusion(self) -> Path:
        """Return the picture of a confusion matrix beside another one, `metrics/figures/…-confusion.png`."""
        return self._in("figures", "-confusion.png")

    @property
    def curve(self) -> Path:
        """Return the losses of a training, `metrics/curves/….csv`."""
        return self._in("curves", ".csv")

    @property
    def costs(self) -> Path:
        """Return seconds and memory, `metrics/costs/….json`: they differ from run to run and are no output of DVC."""
        return self._in("costs", ".json")

    @property
    def replicates(self) -> Path:
        """Return the metrics of people drawn anew, `metrics/replicates/….parquet` (stages/core/replicates.py)."""
        return self._in("replicates", ".parquet")

    def _in(self, folder: str, ending: str) -> Path:
        return self.path.parent / folder / f"{self.path.name}{ending}"
