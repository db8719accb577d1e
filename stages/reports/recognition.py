"""What a mask costs each recognizer, and what each remedy gives back, from the files of `verify` and `identify`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stages.figures.plots import CONDITIONS, IN_LISTS, Dot
from stages.reports.content import NONE, Share, Table, percent, read

PLAIN = "none"
HEADS = {  # in the order of the tables: by what a remedy's sentence goes on
    PLAIN: "",
    "mean_shift": ", with a mean shift of the embeddings,",
    "unmasking": ", with unmasked embeddings,",
}
IN_ORDER = ("bare", "masked", "zeroed", "inpainted", "upper", "bare_upper")
ORACLE = "_oracle"  # ends the name of a condition whose faces are aligned by landmarks of the bare photo
FEW = 30  # impostor pairs on which a TAR rests; of fewer their number is told
REMEDIES = {  # in words that end "… gives 14 back"
    "masked-bare": "comparing faces as they are",
    "zeroed-bare": "setting the mask's pixels to 0",
    "inpainted-bare": "filling in the face behind the mask",
    "upper-bare_upper": "comparing upper halves",
}

Key = tuple[str, str, str]
"""Recognizer, head and series (`probe-reference`)."""


@dataclass(frozen=True)
class Comparison:
    """All that was compared.

    Attributes:
        scores: by what was compared, in the order of the tables, what `verify` and `identify` say of it.
        remedies: by recognizer the remedy that people in no test chose; None if a cross-validation chose, or nobody.
        chosen: how far genuine and impostor scores of these people lie apart with each of these remedies.
        crossed: by recognizer what a cross-validation over the test people chose, and what it gave.
    """

    scores: Mapping[Key, Mapping[str, Any]]
    remedies: Mapping[str, Key | None]
    chosen: Mapping[Key, float]
    crossed: Mapping[str, Mapping[str, Any]]

    @property
    def best(self) -> Key | None:
        """The best of the remedies, on the people to choose by."""
        return max(self.chosen, key=lambda key: self.chosen[key], default=None)

    def sentence(self) -> str:
        """Return what a mask costs the recognizer with the best remedy, and what that gives back; empty if unknown.

        It counts in points of TAR at FAR 1 %.
        """
        if self.best is None:
            return ""
        recognizer, head, series = self.best
        plain = [(recognizer, PLAIN, "bare-bare"), (recognizer, PLAIN, "masked-bare")]
        tars = [tar(self.scores[key]).value for key in (*plain, self.best) if key in self.scores]
        if None in tars or len(tars) < 3:  # a list of real masks has no series of bare photos
            return ""
        bare, masked, remedied = (round(100 * tar) for tar in tars)
        probe, reference = (part.replace("_", " ") for part in series.split("-"))
        remedy = REMEDIES.get(series, f"comparing {probe} with {reference} faces") + HEADS[head]
        lost, back = bare - masked, remedied - masked
        effect = f"gives {back} back" if back > 0 else "gives nothing back"
        effect += f" and costs {-back} more" if back < 0 else ""
        costs = f"costs {recognizer} {lost} points" if lost > 0 else f"costs {recognizer} no point"
        return f"A mask {costs} of TAR at FAR 1 % ({bare} % to {masked} %); {remedy} {effect} ({remedied} %)."

    def short_tables(self) -> list[Table]:
        """Return TAR at FAR 1 % and rank-1, by recognizer and condition, and with the best remedy; and by an oracle."""
        stressed = frozenset(place for place, name in enumerate(self.remedies) if self.best and self.best[0] == name)
        tables = []
        for title, shares in self.panels().items():
            rows = []
            for name, of in shares.items():
                cells = {f"{title}, %": name, **{condition: str(of[condition]) for condition in CONDITIONS.values()}}
                rows.append(cells | dict(zip(("best remedy", "with it"), self._remedy(name, title), strict=True)))
            tables.append(Table(rows, best=stressed))
        return tables + self.oracle_tables()

    def oracle_tables(self) -> list[Table]:
        """Return the same of faces aligned by landmarks of the bare photo, which nobody has of a masked face."""
        tables = []
        for title, score in AT_A_GLANCE.items():
            rows = []
            for name in self.remedies:
                cells = {f"{title}, aligned by an oracle, %": name}
                for series, condition in list(CONDITIONS.items())[1:]:
                    probe, reference = series.split("-")
                    scores = self.scores.get((name, PLAIN, f"{probe}{ORACLE}-{reference}"))
                    cells[condition] = NONE if scores is None else str(score(scores))
                rows.append(cells)
            if any(value != NONE for cells in rows for value in list(cells.values())[1:]):
                tables.append(Table(rows))
        return tables

    def _remedy(self, recognizer: str, title: str) -> tuple[str, str]:
        """Return the best remedy in words, and what it gives."""
        if (key := self.remedies[recognizer]) is not None:
            return _name(key), str(AT_A_GLANCE[title](self.scores[key]))
        if (crossed := self.crossed.get(recognizer)) is None:
            return NONE, NONE
        names = dict.fromkeys(_name((recognizer, one["head"], one["series"])) for one in crossed["chosen"])
        share = _rate(crossed) if title == TAR else Share(None)
        return f"{' or '.join(names)} (cross-validated)", str(share)

    def full_tables(self) -> list[Table]:
        """Return a table with all that was compared for each recognizer."""
        tables = []
        for recognizer in self.remedies:
            of = {key: scores for key, scores in self.scores.items() if key[0] == recognizer}
            stressed = frozenset(place for place, key in enumerate(of) if key == self.best)
            rows = [_row(key, scores) for key, scores in of.items()]
            title = f"{recognizer}: all that was compared, probes - references, %"
            tables.append(Table(rows, title, best=stressed, folded=True))
        return tables

    def panels(self) -> dict[str, dict[str, dict[str, Share]]]:
        """Return shares by score, recognizer and condition; a remedy that is none of these is one more of them."""
        found: dict[str, dict[str, dict[str, Share]]] = {title: {} for title in AT_A_GLANCE}
        for recognizer, remedy in self.remedies.items():
            keys = {condition: self._key(recognizer, series) for series, condition in CONDITIONS.items()}
            if remedy is not None and remedy not in keys.values():
                keys[_name(remedy)] = remedy
            for title, shares in found.items():
                shares[recognizer] = {
                    name: AT_A_GLANCE[title](self.scores[key]) if key in self.scores else Share(None)
                    for name, key in keys.items()
                }
        return found

    def dots(self) -> dict[str, dict[str, dict[str, Dot]]]:
        """Return the shares of `panels` and their bounds."""
        return {
            title: {
                recognizer: {name: (share.value, share.low, share.high) for name, share in of.items()}
                for recognizer, of in shares.items()
            }
            for title, shares in self.panels().items()
        }

    def _key(self, recognizer: str, series: str) -> Key:
        """Return a series without a head; of a published list of real masks, that which stands for it."""
        listed = next(name for name, of in [*IN_LISTS.items(), (series, series)] if of == series)
        key = (recognizer, PLAIN, listed)
        return key if key in self.scores else (recognizer, PLAIN, series)


def load(metrics: Path, recognizers: Sequence[str]) -> Comparison:
    """Return what `verify` and `identify` wrote of some recognizers; what is not there is left out."""
    verified, identified = (read(metrics, f"{stage}-", recognizers) for stage in ("verify", "identify"))
    scores = {
        (recognizer, head, name): {**of, **_ranks(identified.get(recognizer, {}), head, name)}
        for recognizer, found in verified.items()
        for head in sorted(found["series"], key=list(HEADS).index)
        for name, of in sorted(found["series"][head].items(), key=lambda one: _place(one[0]))
    }
    best = {recognizer: found["best"] or {} for recognizer, found in verified.items()}
    remedies = {name: (name, of["head"], of["series"]) if of.get("by") == "val" else None for name, of in best.items()}
    chosen = {key: best[key[0]]["decidability"] for key in remedies.values() if key}
    crossed = {name: of for name, of in best.items() if of.get("by") == "cross-validation"}
    return Comparison(scores, remedies, chosen, crossed)


def _ranks(identified: Mapping[str, Any], head: str, series: str) -> Mapping[str, Any]:
    """Return what `identify` says of a series; of a published list, else of what it stands for."""
    by_name = identified.get("series", {}).get(head, {})
    found: Mapping[str, Any] = by_name.get(series) or by_name.get(IN_LISTS.get(series, ""), {})
    return found


def _place(series: str) -> tuple[bool, list[int]]:
    """Return by what series are sorted: those of an oracle last, the others by reference and probe."""
    if series in IN_LISTS:
        return False, [list(IN_LISTS).index(series)]
    parts = [part.removesuffix(ORACLE) for part in reversed(series.split("-"))]
    return ORACLE in series, [IN_ORDER.index(part) for part in parts]


def _name(key: Key) -> str:
    """Return series and head in words."""
    series = key[2].replace("-", " - ")
    return (series if key[1] == PLAIN else f"{series}, {key[1]}").replace("_", " ")


def tar(scores: Mapping[str, Any], far: str = "0.01") -> Share:
    """Return TAR at a FAR, with its interval, of a series' scores."""
    return _rate(scores, far)._replace(**(scores["interval"].get(f"tar_at_{far}") or {}))


def _rate(scores: Mapping[str, Any], far: str = "0.01") -> Share:
    """Return TAR without an interval, and on how many impostor pairs it rests if these are few."""
    rests_on = scores["impostors_at_far"].get(far)
    return Share(scores["tar_at_far"].get(far), rests_on=rests_on if rests_on is not None and rests_on < FEW else None)


def rank_1(scores: Mapping[str, Any]) -> Share:
    """Return rank-1, with its interval, of what `identify` says of a series."""
    return Share(scores.get("rank", {}).get("1"), **(scores.get("rank_1_interval") or {}))


def _fnir(scores: Mapping[str, Any], fpir: str = "0.1") -> Share:
    return Share(scores.get("fnir_at_fpir", {}).get(fpir), **(scores.get("fnir_interval", {}).get(fpir) or {}))


TAR = "TAR at FAR 1 %"
AT_A_GLANCE: Mapping[str, Callable[[Mapping[str, Any]], Share]] = {TAR: tar, "rank-1": rank_1}


def _row(key: Key, scores: Mapping[str, Any]) -> dict[str, str]:
    fars = sorted(scores["tar_at_far"], key=float, reverse=True)
    bare = scores["at_bare_threshold"].get("0.01", {})
    return {
        "probe-reference": key[2],
        "head": key[1].replace("_", " "),
        "AUC": str(Share(scores["auc"], **(scores["interval"]["auc"] or {}))),
        "EER": percent(scores["eer"]),
        "not found": percent(scores["not_found"]["probes"]),
        **{f"TAR at FAR {100 * float(far):g} %": str(tar(scores, far)) for far in fars},
        **{f"{name.upper()} at bare threshold": percent(bare.get(name)) for name in ("fmr", "fnmr")},
        "rank-1": str(rank_1(scores)),
        "rank-5": percent(scores.get("rank", {}).get("5")),
        **({"rank-1, all bare": percent(all_bare["rank"].get("1"))} if (all_bare := scores.get("all_bare")) else {}),
        "FNIR at FPIR 10 %": str(_fnir(scores)),
    }
