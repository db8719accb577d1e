"""What the page and the Markdown files are made of: shares in percent, tables, pictures, sections, templates."""

import base64
import functools
import json
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import jinja2

from stages.core import images

HERE = Path(__file__).parent
NONE = "n/a"  # what was not measured
LARGE = 200_000  # bytes of a PNG; a smaller one (a plot, not a contact sheet) is kept as it is
JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)


class Share(NamedTuple):
    """A share and its interval, all 0 to 1; None: not measured. As text it is in percent.

    `rests_on` is how many cases decide it, where these are few.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    rests_on: int | None = None

    def __str__(self) -> str:
        bounds = "" if self.low is None or self.high is None else f" ({100 * self.low:.0f} to {100 * self.high:.0f})"
        few = "" if self.rests_on is None else f" [{self.rests_on}]"
        return NONE if self.value is None else f"{100 * self.value:.1f}{few}{bounds}"


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        rows: of each the cells by column.
        title: above it.
        text: what a reader must know.
        best: numbers of rows to stress.
        folded: whether the page shows it only on a click.
        words: whether its cells are words, which the page does not set like numbers.
    """

    rows: Sequence[Mapping[str, str]]
    title: str = ""
    text: str = ""
    best: frozenset[int] = frozenset()
    folded: bool = False
    words: bool = False

    def markdown(self) -> str:
        """Return the table as Markdown."""
        columns = list(self.rows[0]) if self.rows else []
        lines = ["| " + " | ".join(cells) + " |" for cells in (columns, *(row.values() for row in self.rows))]
        cells = "\n".join([lines[0], "|" + "---|" * len(columns), *lines[1:]])
        return "\n\n".join(filter(None, [self.title and f"### {self.title}", self.text, cells]))


class Picture(NamedTuple):
    """A picture that lies in the page itself: what it shows, in words, and a data URL."""

    title: str
    source: str


class Section(NamedTuple):
    """A part of the report: the id by which one gets to it, a title, a paragraph, tables, and pictures below these."""

    id: str
    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = ()


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as text; `n/a` for None."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """Return a share, 0 to 1, in percent; `n/a` for None."""
    return str(Share(value))


def read(metrics: Path, prefix: str, names: Container[str] | None = None) -> dict[str, Any]:
    """Return the content of the metrics files `<prefix><name>.json` by name; of some names, or of all."""
    found = {path.stem.removeprefix(prefix): path for path in sorted(metrics.glob(f"{prefix}*.json"))}
    return {name: json.loads(path.read_text()) for name, path in found.items() if names is None or name in names}


def data_url(png: bytes) -> str:
    """Return a picture as a data URL: contact sheets as JPEG, so that the page does not take long to open."""
    if len(png) > LARGE:
        done, jpeg = cv2.imencode(".jpg", cv2.cvtColor(images.decode(png), cv2.COLOR_RGB2BGR), JPEG)
        if done and len(jpeg) < len(png):
            return f"data:image/jpeg;base64,{base64.b64encode(jpeg.tobytes()).decode()}"
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def rendered(template: str, values: Mapping[str, Any]) -> str:
    """Return a template of this folder, HTML or Markdown, filled in."""
    return _templates().get_template(template).render(values)


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=jinja2.select_autoescape(["html.j2"]),
    )
    environment.filters |= {"number": number, "percent": percent}
    return environment
