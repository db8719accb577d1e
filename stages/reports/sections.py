"""What stands in the report: tables and pictures, from the metrics that the stages wrote."""

import base64
import csv
import json
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stages.core import params
from stages.reports import glance

HEADS = ("none", "mean_shift", "unmasking")  # in the order of the tables
CONDITIONS = ("bare", "masked", "zeroed", "inpainted", "upper", "bare_upper")
PUBLISHED = Path(__file__).parent / "published.yaml"
NONE = "n/a"  # what was not measured
TAR, RANK_1 = "TAR at FAR 1 %", "rank-1"
PLAIN = (("none", "bare-bare"), ("none", "masked-bare"))  # what a mask costs without any remedy


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        columns: their names.
        rows: the cells.
        title: above it.
        text: what a reader must know.
        best: numbers of rows to stress.
        folded: whether the page shows it only on a click.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    text: str = ""
    best: frozenset[int] = frozenset()
    folded: bool = False

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = ["| " + " | ".join(self.columns) + " |", "|" + "---|" * len(self.columns)]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        return "\n".join([f"### {self.title}\n"] * bool(self.title) + [f"{self.text}\n"] * bool(self.text) + lines)


@dataclass(frozen=True)
class Picture:
    """A picture that lies in the page itself.

    Attributes:
        title: below it.
        data: PNG, base64.
    """

    title: str
    data: str


@dataclass(frozen=True)
class Section:
    """A part of the report.

    Attributes:
        id: by which one gets to it.
        title: above it.
        text: a paragraph before its tables.
        tables: of it.
        pictures: below the tables.
    """

    id: str
    title: str
    text: str = ""
    tables: Sequence[Table] = ()
    pictures: Sequence[Picture] = field(default=())


def number(value: Any, digits: int = 3) -> str:
    """Return a number as text; `n/a` for None."""
    if value is None:
        return NONE
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}f}"


def percent(value: float | None) -> str:
    """Return a share in percent; `n/a` for None."""
    return number(None if value is None else 100 * value, 1)


def within(value: float | None, bounds: Mapping[str, float] | None) -> str:
    """Return a share in percent with its interval."""
    if value is None or bounds is None:
        return percent(value)
    return f"{percent(value)} ({100 * bounds['low']:.0f} to {100 * bounds['high']:.0f})"


def read(metrics: Path, prefix: str, names: Container[str] | None = None) -> dict[str, Any]:
    """Return the content of the metrics files `<prefix><name>.json` by name; of some names, or of all."""
    found = {path.stem.removeprefix(prefix): path for path in sorted(metrics.glob(f"{prefix}*.json"))}
    return {name: json.loads(path.read_text()) for name, path in found.items() if names is None or name in names}


def picture(path: Path, title: str) -> Picture:
    """Return a PNG file as part of the page."""
    return Picture(title, base64.b64encode(path.read_bytes()).decode())


def recognition(metrics: Path, recognizers: Sequence[str]) -> tuple[Section, str]:
    """Return what joins all: recognizer, head and series; and one sentence on it, empty where nothing is to be said."""
    verified = read(metrics, "verify-", recognizers)
    if not verified:
        return Section("recognition", "Recognition", "Nothing was verified yet."), ""
    entries = list(_entries(verified, read(metrics, "identify-", recognizers)))
    best = _best(verified)
    tables = overview(metrics, recognizers)
    for recognizer in verified:
        of = [entry for entry in entries if entry.key[0] == recognizer]
        tables.append(_table(of, f"{recognizer}: all that was compared, probes - references", best))
    figures = metrics / "figures"
    plots = [
        picture(path, f"{kind} of {path.stem.split('-', 1)[1]}")
        for kind, prefix in (("ROC", "verify"), ("CMC", "identify"))
        for path in sorted(figures.glob(f"{prefix}-*.png"))
        if path.stem.split("-", 1)[1] in recognizers
    ]
    sentence = ""
    if best is not None:
        of = verified[best[0]]["series"]
        tars = [of[head][name]["tar_at_far"]["0.01"] for head, name in (*PLAIN, best[1:])]
        if None not in tars:
            sentence = glance.sentence(best[0], tars[0], tars[1], best[2], best[1], tars[2])
    text = (
        "Shares are in percent; intervals are of 95 %, over people drawn anew. The best remedy is the one that was "
        "best on the people of the validation split; the test people had no say."
    )
    return Section("recognition", "Recognition behind a mask", text, tables, plots), sentence


@dataclass(frozen=True)
class Entry:
    """A recognizer, a head and a series, and their scores.

    Attributes:
        key: these three.
        scores: of `verify`.
        ranks: of `identify`; empty if it did not run.
    """

    key: tuple[str, str, str]
    scores: Mapping[str, Any]
    ranks: Mapping[str, Any]

    @property
    def remedy(self) -> str:
        """Series and head in words."""
        probe, reference = (part.replace("_", " ") for part in self.key[2].split("-"))
        head = "" if self.key[1] == "none" else f", {self.key[1].replace('_', ' ')}"
        return f"{probe} - {reference}{head}"

    @property
    def auc(self) -> str:
        """AUC with its interval."""
        return within(self.scores["auc"], self.scores["interval"]["auc"])

    def tar(self, far: str) -> str:
        """Return TAR with its interval."""
        return within(self.scores["tar_at_far"].get(far), self.scores["interval"].get(f"tar_at_{far}"))

    @property
    def dots(self) -> dict[str, glance.Dot]:
        """TAR and rank-1 as they are drawn."""
        rates, bounds = self.scores["tar_at_far"].get("0.01"), self.scores["interval"].get("tar_at_0.01") or {}
        of_rank = self.ranks.get("rank_1_interval") or {}
        return {TAR: glance.Dot(rates, **bounds), RANK_1: glance.Dot(self.ranks.get("rank", {}).get("1"), **of_rank)}

    @property
    def rank_1(self) -> str:
        """Rank-1 with its interval."""
        return within(self.ranks.get("rank", {}).get("1"), self.ranks.get("rank_1_interval"))


def _entries(verified: Mapping[str, Any], identified: Mapping[str, Any]) -> Iterable[Entry]:
    for recognizer, found in verified.items():
        for head in sorted(found["series"], key=HEADS.index):
            series = found["series"][head]
            for name in sorted(series, key=lambda name: [CONDITIONS.index(part) for part in reversed(name.split("-"))]):
                ranks = identified.get(recognizer, {}).get("series", {}).get(head, {}).get(name, {})
                yield Entry((recognizer, head, name), series[name], ranks)


def _best(verified: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Return recognizer, head and series of the remedy that was best on the people to choose by."""
    found = {}
    for recognizer, of in verified.items():
        if (best := of["best_on_val"]) is not None:
            value = of["series"][best["head"]][best["series"]]["decidability_val"]
            found[recognizer, best["head"], best["series"]] = value
    return max(found, key=lambda key: found[key], default=None)


def _table(entries: Sequence[Entry], title: str, best: tuple[str, str, str] | None) -> Table:
    fars = sorted(entries[0].scores["tar_at_far"], key=float, reverse=True)
    rows = []
    for entry in entries:
        _, head, name = entry.key
        rows.append(
            [
                name,
                head.replace("_", " "),
                entry.auc,
                percent(entry.scores["eer"]),
                *(entry.tar(far) for far in fars),
                percent(entry.scores["false_rejects_at_bare_threshold"].get("0.01")),
                entry.rank_1,
                percent(entry.ranks.get("rank", {}).get("5")),
                percent(entry.ranks.get("fnir_at_fpir", {}).get("0.1")),
            ]
        )
    columns = ["probe-reference", "head", "AUC", "EER", *(f"TAR at FAR {100 * float(far):g} %" for far in fars)]
    columns += ["false rejects at bare threshold", "rank-1", "rank-5", "FNIR at FPIR 10 %"]
    stressed = frozenset(index for index, entry in enumerate(entries) if entry.key == best)
    return Table(columns, rows, title, best=stressed, folded=True)


SHOWN = {
    "bare": "bare-bare",
    "masked": "masked-bare",
    "zeroed": "zeroed-bare",
    "inpainted": "inpainted-bare",
    "upper half": "upper-bare_upper",
}


def overview(metrics: Path, recognizers: Sequence[str]) -> list[Table]:
    """Return the short tables: TAR at FAR 1 % and rank-1, by recognizer and condition, and the best remedy."""
    verified, identified = (read(metrics, prefix, recognizers) for prefix in ("verify-", "identify-"))
    entries = {entry.key: entry for entry in _entries(verified, identified)}
    best = _best(verified)
    stressed = frozenset(index for index, recognizer in enumerate(verified) if best and best[0] == recognizer)
    tables = []
    for title, value in ((TAR, lambda entry: entry.tar("0.01")), (RANK_1, lambda entry: entry.rank_1)):
        rows = []
        for recognizer, found in verified.items():
            cells = [value(entries[recognizer, "none", name]) for name in SHOWN.values()]
            remedy = entries.get(_remedy(recognizer, found))
            rows.append([recognizer, *cells, *([NONE] * 2 if remedy is None else [remedy.remedy, value(remedy)])])
        tables.append(Table([f"{title}, %", *SHOWN, "best remedy", "with it"], rows, best=stressed))
    return tables


def _remedy(recognizer: str, found: Mapping[str, Any]) -> tuple[str, str, str] | None:
    chosen = found["best_on_val"]
    return None if chosen is None else (recognizer, chosen["head"], chosen["series"])


def panels(metrics: Path, recognizers: Sequence[str]) -> dict[str, glance.Dots]:
    """Return what the picture of the result shows: the short tables as dots."""
    verified, identified = (read(metrics, prefix, recognizers) for prefix in ("verify-", "identify-"))
    entries = {entry.key: entry for entry in _entries(verified, identified)}
    found: dict[str, dict[str, dict[str, glance.Dot]]] = {TAR: {}, RANK_1: {}}
    for recognizer, of in verified.items():
        keys = {name: (recognizer, "none", series) for name, series in SHOWN.items()}
        if (remedy := _remedy(recognizer, of)) is not None and remedy not in keys.values():
            keys[entries[remedy].remedy] = remedy
        for title, dots in found.items():
            dots[recognizer] = {name: entries[key].dots[title] for name, key in keys.items()}
    return found


def data(metrics: Path) -> Section:
    """Return how many photos each dataset has, and why others were left out."""
    rows = []
    for name, found in read(metrics, "clean-").items():
        rejected = ", ".join(f"{reason} {count:,}" for reason, count in found["rejected"].items() if count) or "none"
        splits = [number(found["splits"][split]["identities"]) for split in ("train", "val", "test")]
        rows.append([name, number(found["faces"]), number(found["identities"]), *splits, rejected])
    columns = ["dataset", "photos", "people", "to train on", "to choose by", "to test", "left out"]
    return Section("data", "Data", tables=[Table(columns, rows)])


def models(metrics: Path) -> Section:
    """Return the scores of what sees the mask, tells the sex and fills in."""
    tables = []
    for model, found in read(metrics, "evaluate_parser-").items():
        rows = []
        for kind, scores in found.items():
            if isinstance(scores, dict) and kind != "labels_by":
                flat = {name: value for name, value in scores.items() if isinstance(value, (int, float))}
                rows.append([kind, *(number(value) for value in flat.values())])
                columns = ["faces", *(name.replace("_", " ") for name in flat)]
        tables.append(Table(columns, rows, f"Parser {model}"))
    for found in read(metrics, "evaluate_detector").values():
        rows = [["all", number(found["segm"]["ap"]), number(found["mask_iou"]["mean"])]]
        tables.append(Table(["masks", "segm AP", "mean IoU"], rows, "Detector"))
    for found in read(metrics, "evaluate_gender").values():
        rows = [
            [condition, within(scores["balanced_accuracy"], scores["interval"]), percent(scores["accuracy"])]
            for condition, scores in found["folds"].items()
        ]
        columns = ["faces", "balanced accuracy, %", "accuracy, %"]
        tables.append(Table(columns, rows, "Sex, by folds of people", found.get("warning", "")))
    for found in read(metrics, "evaluate_inpainting").values():
        names = list(next(iter(found["ways"].values())))
        rows = [
            [way.replace("_", " "), *(number(scores[name]) for name in names)] for way, scores in found["ways"].items()
        ]
        tables.append(Table(["filled with", *(name.replace("_", " ") for name in names)], rows, "Behind the mask"))
    return Section("models", "Models", "Scored on people who were in no training.", tables)


def sheets(metrics: Path) -> Section:
    """Return the contact sheets of all stages."""
    found = [
        path
        for path in sorted((metrics / "figures").glob("*.png"))
        if path.stem.split("-")[0] not in {"verify", "identify"}
    ]
    return Section("sheets", "What the stages made", pictures=[picture(path, path.stem) for path in found])


def curves(metrics: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return steps and loss of each training by name."""
    found = {}
    for path in sorted((metrics / "curves").glob("train_*.csv")):
        with path.open() as file:
            rows = list(csv.DictReader(file))
        if not rows:  # as of the inpainter of a sex that is not known of anybody
            continue
        found[path.stem.removeprefix("train_")] = (
            [float(row["step"]) for row in rows],
            [float(row["loss"]) for row in rows],
        )
    return found


def published() -> Section:
    """Return figures of others, each with what differs from ours."""
    tables = []
    for entry in (entry for group in params.read_yaml(PUBLISHED).values() for entry in group):
        rows = [[str(cell) for cell in row] for row in entry["rows"]]
        text = f"{entry['source']}. What differs: {entry['differs']}."
        tables.append(Table(entry["columns"], rows, entry["title"], text))
    warning = "Data, people and masks differ from table to table: these are no measurements of the same thing."
    return Section("published", "Published figures", warning, tables)


def costs(metrics: Path) -> Section:
    """Return what the stages took, and on which processors."""
    names = {"wall_seconds": 0, "seconds": 0, "images_per_second": 1, "peak_memory_mb": 0}
    found = read(metrics / "costs", "")
    rows = [
        [stage, *(number(cost.get(name), digits) for name, digits in names.items()), cost.get("precision", NONE)]
        for stage, cost in found.items()
    ]
    columns = ["stage", "seconds in all", "of training", "images a second", "MB at most", "precision"]
    said = [cost for cost in found.values() if "processor" in cost and "capability" in cost]
    processors = sorted({f"{cost['processor']} (torch: {cost['capability']})" for cost in said})
    text = f"Measured on {'; '.join(processors)}." if processors else ""
    return Section("costs", "Time and memory", text, [Table(columns, rows)])


def versions(entries: Iterable[tuple[str, str]]) -> Section:
    """Return on what it ran."""
    return Section("versions", "Versions", tables=[Table(["what", "version"], [list(entry) for entry in entries])])
