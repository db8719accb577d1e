"""Put all results on one page that needs no network, and the same tables into Markdown.

python -m stages.reports.report --metrics metrics --pipeline dvc.yaml --catalogue data/catalogue.yaml \
    --page report/index.html --summary report/summary.md --card report/model-card.md --datasheet report/datasheet.md \
    --figure report/what-a-mask-costs.png

With `--readme README.md` it also puts the result there, in words and short tables, between its two comments.
"""

import importlib.metadata
from pathlib import Path
from typing import Any, ClassVar

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError

from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file
from stages.core.params import Section, StageParams
from stages.figures import plots
from stages.reports import cards, content, recognition, sections

SHOWN = ("torch", "torchvision", "mmengine", "mmdet", "mmsegmentation", "dvc", "opencv-python", "scikit-learn", "numpy")
CAPTION = f"{' and '.join(recognition.AT_A_GLANCE)}, with 95 % intervals over people; people who were in no training"
START, END = "<!-- results: make readme-table -->", "<!-- end of results -->"


class Compared(Section):
    """Section `recognizers:` of params.yaml."""

    bare: list[str]
    masked: list[str]
    pretrained: list[str]
    distilled: list[str]
    fused: list[list[str]]
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
    if not any(metrics.glob("*.json")):
        raise UnmaskError(f"{metrics} has no results: run dvc repro")
    names = params.recognizers.compared
    compared = recognition.load(metrics, names)
    plots.dots(figure, compared.dots())
    first = [content.Picture(CAPTION, content.data_url(figure.read_bytes()))]
    values = {"sentence": compared.sentence(), "pictures": first if compared.scores else []}
    told = sections.every(metrics, compared, names)
    on_page = [*told, sections.costs(metrics), sections.versions(_versions())]
    texts = {
        page: content.rendered("page.html.j2", {"title": "What a mask costs", **values, "sections": on_page}),
        summary: content.rendered("summary.md.j2", {**values, "sections": told}),
        card: cards.model_card(metrics, pipeline, catalogue, params.roles, compared),
        datasheet: cards.datasheet(metrics, catalogue, params.datasets),
    }
    if readme is not None:
        texts[readme] = with_result(readme, compared)
    for path, text in texts.items():
        with whole_file(path) as staging:
            staging.write_text(text.strip() + "\n", encoding="utf-8")
    return {
        "tables": sum(len(section.tables) for section in on_page),
        "pictures": len(values["pictures"]) + sum(len(section.pictures) for section in on_page),
    }


def with_result(readme: Path, compared: recognition.Comparison) -> str:
    """Return the text of a Markdown file with the result in words and in short tables between its two comments.

    Raises:
        UnmaskError: the comments are not there.
    """
    before, start, rest = readme.read_text(encoding="utf-8").partition(START)
    _, end, after = rest.partition(END)
    if not end:
        raise UnmaskError(f"{readme} has no place for the results: the lines {START} and {END}")
    said = [f"**{compared.sentence()}**", *(table.markdown() for table in compared.short_tables())]
    return "\n\n".join([f"{before}{start}", *said, f"{end}{after}"])


def _versions() -> dict[str, str]:
    """Return the revision of params.yaml, and the versions of packages."""
    try:
        with Repo(".") as repository:
            revision = repository.scm.get_rev()
            changed = repository.scm.is_dirty()
    except (DvcException, SCMError):
        revision, changed = "not in Git", False
    code = f"{revision}{', with changes that are not committed' if changed else ''}"
    return {"revision": code, **{name: importlib.metadata.version(name) for name in SHOWN}}


if __name__ == "__main__":
    run_stage("reports.report")
