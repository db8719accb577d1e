"""Put all results on one page that needs no network, and the same tables into Markdown.

python -m stages.reports.report --metrics metrics --pipeline dvc.yaml --catalogue data/catalogue.yaml \
    --page report/index.html --summary report/summary.md --card report/model-card.md --datasheet report/datasheet.md \
    --figure report/what-a-mask-costs.png

With `--readme README.md` it also puts the result there, in words and short tables, between its two comments.
"""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import jinja2
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError

from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file
from stages.core.params import Section, StageParams
from stages.figures import plots
from stages.reports import cards, glance, sections

PACKAGES = (
    "torch",
    "torchvision",
    "mmengine",
    "mmdet",
    "mmsegmentation",
    "dvc",
    "opencv-python",
    "scikit-learn",
    "numpy",
)

START, END = "<!-- results: make readme-table -->", "<!-- end of results -->"


class Compared(Section):
    """Section `recognizers:` of params.yaml."""

    bare: list[str]
    masked: list[str]
    pretrained: list[str]
    distilled: list[str]
    compared: list[str]
    """Metrics of others, from former runs, are left out."""


class Params(StageParams):
    """Of params.yaml only what stands at its top."""

    top_level: ClassVar = ("datasets", "roles", "recognizers")

    datasets: list[str]
    roles: dict[str, str]
    recognizers: Compared


def report(
    metrics: Path,
    pipeline: Path,
    catalogue: Path,
    page: Path,
    summary: Path,
    card: Path,
    datasheet: Path,
    figure: Path,
    params: Params,
    readme: Path | None = None,
) -> dict[str, Any]:
    """Write the report.

    Args:
        metrics: the folder of that name: JSON files, `curves`, `costs` and `figures`.
        pipeline: dvc.yaml.
        catalogue: data/catalogue.yaml.
        page: HTML to write; it tells times, versions and the revision, so it is no output of DVC.
        summary: Markdown to write, the tables without these.
        card: Markdown, the model card to write.
        datasheet: Markdown, the datasheet to write.
        figure: PNG to write: the result as a picture.
        params: section `report`.
        readme: Markdown in which the result is put in the place of an older one.

    Returns:
        How many tables and pictures there are.

    Raises:
        UnmaskError: there are no results, or `readme` has no place for them.
    """
    compared = params.recognizers.compared
    joined, sentence = sections.recognition(metrics, compared)
    same = [joined, sections.models(metrics), sections.data(metrics), sections.published()]
    if not any(metrics.glob("*.json")):
        raise UnmaskError(f"{metrics} has no results: run dvc repro")
    shown = sections.panels(metrics, compared)
    glance.draw(figure, shown)
    first = [sections.picture(figure, glance.names(list(shown)))] if joined.tables else []
    with_plot = page.parent / ".curves.partial.png"
    page.parent.mkdir(parents=True, exist_ok=True)
    plots.curves(with_plot, sections.curves(metrics), title="Losses of the trainings, each relative to its first")
    try:
        learning = sections.Section("curves", "Trainings", pictures=[sections.picture(with_plot, "losses over steps")])
    finally:
        with_plot.unlink()
    all_of_them = [
        *same[:2],
        sections.sheets(metrics),
        learning,
        *same[2:],
        sections.costs(metrics),
        sections.versions(_versions()),
    ]
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(cards.TEMPLATES), autoescape=True, trim_blocks=True)
    html = environment.get_template("page.html.j2").render(summary=sentence, pictures=first, sections=all_of_them)
    with whole_file(page) as staging:
        staging.write_text(html, encoding="utf-8")
    parts = [f"# What a mask costs\n\n{sentence}"]
    for section in same:
        parts.append("\n\n".join([f"## {section.title}", *([section.text] if section.text else [])]))
        parts += [table.markdown() for table in section.tables]
    with whole_file(summary) as staging:
        staging.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    texts = {
        card: cards.model_card(metrics, pipeline, catalogue, params.roles, compared),
        datasheet: cards.datasheet(metrics, catalogue, params.datasets),
    }
    if readme is not None:
        texts[readme] = with_overview(readme, metrics, compared)
    for path, text in texts.items():
        with whole_file(path) as staging:
            staging.write_text(text, encoding="utf-8")
    return {
        "tables": sum(len(section.tables) for section in all_of_them),
        "pictures": len(first) + sum(len(section.pictures) for section in all_of_them),
    }


def with_overview(readme: Path, results: Path, recognizers: Sequence[str]) -> str:
    """Return the text of a Markdown file with the result in words and in short tables between its two comments.

    Raises:
        UnmaskError: the comments are not there.
    """
    text = readme.read_text(encoding="utf-8")
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise UnmaskError(f"{readme} has no place for the results: the lines {START} and {END}")
    said = [f"**{sections.recognition(results, recognizers)[1]}**"]
    said += [table.markdown() for table in sections.overview(results, recognizers)]
    return "\n\n".join([f"{before}{start}", *said, f"{end}{after}"])


def _versions() -> list[tuple[str, str]]:
    """Return the revision of params.yaml, and the versions of packages."""
    try:
        with Repo(".") as repository:
            revision = repository.scm.get_rev()
            changed = repository.scm.is_dirty()
    except (DvcException, SCMError):
        revision, changed = "not in Git", False
    code = f"{revision}{', with changes that are not committed' if changed else ''}"
    return [("revision", code), *((name, importlib.metadata.version(name)) for name in PACKAGES)]


if __name__ == "__main__":
    run_stage("reports.report")
