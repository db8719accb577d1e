"""A model card and a datasheet, as far as metrics, catalogue and pipeline can tell what they ask.

Their headings are those of Mitchell et al., Model Cards for Model Reporting (FAT* 2019), and of Gebru et al.,
Datasheets for Datasets (Communications of the ACM 64(12), 2021).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from stages.core import params
from stages.reports import content, sections
from stages.reports.content import Table, number, percent
from stages.reports.recognition import Comparison

TRAININGS = ("train_", "pretrain_", "import_", "distill_")


def model_card(results: Path, pipeline: Path, catalogue: Path, roles: Mapping[str, str], compared: Comparison) -> str:
    """Return the card of all models, Markdown.

    Args:
        results: the folder `metrics`.
        pipeline: dvc.yaml, whose `artifacts` say in a sentence what each model is.
        catalogue: data/catalogue.yaml, which says what its datasets cannot show.
        roles: by what is learned the dataset for it, as in params.yaml.
        compared: what `verify` and `identify` wrote.
    """
    artifacts = params.read_yaml(pipeline).get("artifacts", {})
    known = params.read_yaml(catalogue)
    files = [{"model": name, "file": f"`{of['path']}`", "what it is": of["desc"]} for name, of in artifacts.items()]
    values = {
        "files": Table(files),
        "trainings": Table(list(_trainings(results))),
        "roles": Table([{"learned": what.replace("_", " "), "from": name} for what, name in roles.items()]),
        "scores": sections.models(results),
        "recognition": compared.short_tables(),
        "factors": _factors(results),
        "tested": content.read(results, "clean-").get(roles["recognition_test"], {}),
        "limits": {known[name]["title"]: known[name].get("limits", []) for name in sorted(set(roles.values()))},
        "warnings": list(_warnings(results)),
    }
    return content.rendered("model_card.md.j2", values).strip() + "\n"


def datasheet(results: Path, catalogue: Path, datasets: Sequence[str]) -> str:
    """Return the datasheet of the tables of faces, one part for each dataset, Markdown.

    Args:
        results: the folder `metrics`.
        catalogue: data/catalogue.yaml.
        datasets: names of its entries.
    """
    known = params.read_yaml(catalogue)
    stages = ("fetch", "clean", "find_landmarks", "align_faces", "render_masks", "label_parts")
    described = [
        (name, known[name], {stage: content.read(results, f"{stage}-").get(name, {}) for stage in stages})
        for name in datasets
    ]
    return content.rendered("datasheet.md.j2", {"datasets": described}).strip() + "\n"


def _trainings(results: Path) -> Iterator[dict[str, str]]:
    for name, found in content.read(results, "").items():
        if name.startswith(TRAININGS) and "parameters" in found:
            size = found["parameters"]
            size = size.get("generator") if isinstance(size, dict) else size
            identities = found.get("identities")
            identities = sum(identities.values()) if isinstance(identities, dict) else identities
            photos = number(found.get("faces"))
            yield {"stage": name, "photos": photos, "people": number(identities), "parameters": number(size)}


def _factors(results: Path) -> list[Table]:
    """Return how the detector fares with each style and position of masks."""
    found = content.read(results, "evaluate_detector").get("", {}).get("mask_iou", {})
    return [
        Table([{kind.removeprefix("by_"): name, "mean IoU, %": percent(of)} for name, of in found[kind].items()])
        for kind in ("by_style", "by_position")
        if kind in found
    ]


def _warnings(results: Path) -> Iterator[str]:
    """Yield what the metrics themselves say against relying on them."""
    for model, found in content.read(results, "evaluate_parser-").items():
        if found.get("labels_by", {}).get("landmarks"):
            yield f"The labels of parser {model}, in training and in testing, were drawn from landmarks, not by people."
    for found in content.read(results, "evaluate_gender").values():
        if "warning" in found:
            yield f"The classifier of the sex: {found['warning']}."
    if not any(found["real_masks"] for found in content.read(results, "embed-").values()):
        yield "All masks of the people to test on are drawn. Real ones hide other parts, and come in other light."
