"""What stands in the report: tables and pictures, from the metrics that the stages wrote."""

import csv
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.core import params
from stages.figures import plots
from stages.reports.content import NONE, Picture, Section, Share, Table, data_url, number, percent, read
from stages.reports.recognition import Comparison

HERE = Path(__file__).parent
TEST_PEOPLE = "Shares are in percent; intervals are of 95 %, over people drawn anew. Nobody tested was in a training."
CHOSEN = (
    "Masks are drawn on the photos, and faces aligned by the landmarks that are found behind them; a face that is not "
    "found counts as rejected, and identifies nobody. The best remedy is the one that was best on people who are in no "
    "test, by recognizers that never saw them. It is written probe - reference, and what corrects the embeddings, if "
    "anything. In square brackets: on how many impostor pairs a rate rests, where these are fewer than 30."
)
FILLED = {  # scores of what is filled in, and how they are written
    "hole_psnr": ("PSNR in the hole, dB", lambda value: number(value, 2)),
    "hole_ssim": ("SSIM in the hole", number),
    "psnr": ("PSNR, dB", lambda value: number(value, 2)),
    "ssim": ("SSIM", number),
    "sharpness": ("sharpness", number),
    "lpips": ("LPIPS", number),
    "identity": ("cosine with the truth", number),
    "rank_1": ("rank-1, %", percent),
}
COSTS = {  # by title: in the files of metrics/costs, and digits after the point
    "seconds in all": ("wall_seconds", 0),
    "of training": ("seconds", 0),
    "images a second": ("images_per_second", 1),
    "MB at most": ("peak_memory_mb", 0),
}


def every(metrics: Path, compared: Comparison, recognizers: Container[str]) -> list[Section]:
    """Return what the metrics tell: the result first, then all else in the order of the pipeline.

    Args:
        metrics: the folder `metrics`.
        compared: what `verify` and `identify` wrote there.
        recognizers: of which there are plots; those of former runs are left out.
    """
    shown = pictures(metrics / "figures", recognizers)
    result = f"{TEST_PEOPLE} {CHOSEN}" if compared.scores else "Nothing was verified yet."
    return [
        Section("result", "The result", result, compared.short_tables() if compared.scores else []),
        data(metrics, shown["data"]),
        Section("models", "Models", TEST_PEOPLE, models(metrics), [*learning(metrics), *shown["models"]]),
        Section("recognition", "Recognition behind a mask", TEST_PEOPLE, compared.full_tables(), shown["recognition"]),
        published(),
    ]


def pictures(figures: Path, recognizers: Container[str]) -> dict[str, list[Picture]]:
    """Return the pictures of each section, with captions; one that nobody wrote a caption for is among the models."""
    left = sorted(figures.glob("*.png"))
    found: dict[str, list[Picture]] = {}
    for section, captions in params.read_yaml(HERE / "captions.yaml").items():
        found[section] = []
        for pattern, caption in captions.items():
            before, _, after = pattern.partition("*")
            for path in [path for path in left if path.match(f"{pattern}.png")]:
                left.remove(path)
                item = path.stem.removeprefix(before).removesuffix(after)
                if section != "recognition" or item in recognizers:
                    found[section].append(Picture(caption.format(item), data_url(path.read_bytes())))
    found["models"] += [Picture(path.stem, data_url(path.read_bytes())) for path in left]
    return found


def data(metrics: Path, shown: Sequence[Picture] = ()) -> Section:
    """Return how many photos each dataset has, and why others were left out."""
    rows = []
    for name, found in read(metrics, "clean-").items():
        split = {name: number(of["identities"]) for name, of in found["splits"].items()}
        rejected = ", ".join(f"{reason} {count:,}" for reason, count in found["rejected"].items() if count)
        rows.append(
            {
                "dataset": name,
                "photos": number(found["faces"]),
                "people": number(found["identities"]),
                "to train on": split["train"],
                "to choose by": split["val"],
                "to test": split["test"],
                "left out": rejected or "none",
            }
        )
    return Section("data", "Data", tables=[Table(rows)], pictures=shown)


def models(metrics: Path) -> list[Table]:
    """Return the scores of what sees the mask, tells the sex and fills in."""
    tables = []
    for model, found in read(metrics, "evaluate_parser-").items():
        kinds = {kind: of for kind, of in found.items() if isinstance(of, dict) and kind not in {"labels_by", "val"}}
        rows = [{"faces, %": kind, **_shares(of)} for kind, of in kinds.items()]
        tables.append(Table(rows, f"Parser {model}"))
    for found in read(metrics, "evaluate_detector").values():
        ap, iou = percent(found["segm"]["ap"]), percent(found["mask_iou"]["mean"])
        tables.append(Table([{"masks, %": "all", "segm AP": ap, "mean IoU": iou}], "Detector"))
    for found in read(metrics, "evaluate_gender").values():
        rows = [
            {
                "faces, %": condition,
                "balanced accuracy": str(Share(of["balanced_accuracy"], **of["interval"])),
                "accuracy": percent(of["accuracy"]),
            }
            for condition, of in found["folds"].items()
        ]
        tables.append(Table(rows, "Sex, by folds of people", found.get("warning", "")))
    for found in read(metrics, "evaluate_inpainting").values():
        rows = [
            {"filled with": way.replace("_", " ")}
            | {title: written(scores[name]) for name, (title, written) in FILLED.items() if name in scores}
            for way, scores in found["ways"].items()
        ]
        tables.append(Table(rows, "Behind the mask", _scale_of_cosines(found)))
    return tables


def _scale_of_cosines(found: Mapping[str, Any]) -> str:
    """Return what the cosine with the truth is to be read against; nothing in metrics that do not have it."""
    if "identity_of_others" not in found:
        return ""
    own, others = number(found["identity_of_another_photo"]), number(found["identity_of_others"])
    return f"For scale, the mean cosine of two bare photos: {own} of one person, {others} of two people."


def _shares(scores: dict[str, Any]) -> dict[str, str]:
    """Return the numbers among some scores, by name: counts, and shares in percent."""
    named = {name.replace("_", " ").replace("iou", "IoU").replace("f1", "F1"): of for name, of in scores.items()}
    numbers = {name: of for name, of in named.items() if isinstance(of, int | float)}
    return {name: number(of) if isinstance(of, int) else percent(of) for name, of in numbers.items()}


def curves(metrics: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return steps and loss of each training by name."""
    found = {}
    for path in sorted((metrics / "curves").glob("*.csv")):
        with path.open() as file:
            rows = list(csv.DictReader(file))
        if rows and "loss" in rows[0]:  # no rows has the inpainter of a sex that is not known of anybody
            found[path.stem] = ([float(row["step"]) for row in rows], [float(row["loss"]) for row in rows])
    return found


def learning(metrics: Path) -> list[Picture]:
    """Return the picture of all losses; none where nothing was trained."""
    found = {name.removeprefix("train_").replace("_", " "): lines for name, lines in curves(metrics).items()}
    title = "Losses of the trainings over their steps, in percent of the first"
    return [Picture(title, data_url(plots.losses(found)))] if found else []


def published() -> Section:
    """Return figures of others, each with what differs from ours."""
    tables = []
    for entry in (entry for group in params.read_yaml(HERE / "published.yaml").values() for entry in group):
        rows = [dict(zip(entry["columns"], map(str, row), strict=True)) for row in entry["rows"]]
        tables.append(Table(rows, entry["title"], f"{entry['source']}. What differs: {entry['differs']}."))
    warning = "Data, people and masks differ from table to table: these are no measurements of the same thing."
    return Section("published", "Published figures", f"Shares are in percent. {warning}", tables)


def costs(metrics: Path) -> Section:
    """Return what the stages took, and on which processors."""
    found = read(metrics / "costs", "")
    rows = [
        {"stage": stage}
        | {title: number(cost.get(name), digits) for title, (name, digits) in COSTS.items()}
        | {"precision": cost.get("precision", NONE)}
        for stage, cost in found.items()
    ]
    said = [cost for cost in found.values() if "processor" in cost and "capability" in cost]
    processors = sorted({f"{cost['processor']} (torch: {cost['capability']})" for cost in said})
    text = f"Measured on {'; '.join(processors)}." if processors else ""
    return Section("costs", "Time and memory", text, [Table(rows)])


def versions(entries: Mapping[str, str]) -> Section:
    """Return on what it ran."""
    rows = [{"what": what, "version": version} for what, version in entries.items()]
    return Section("versions", "Versions", tables=[Table(rows)])
