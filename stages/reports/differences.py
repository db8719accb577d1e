"""Which numbers differ between two sides of a comparison, by how much, and whether that is for the better."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, TypeGuard

from stages.core import params, replicates
from stages.core.replicates import Replicates

Values = Mapping[str, Mapping[str, Any]]
"""`old` and `new` by dotted key, as DVC's diff has them for one file."""

Drawn = Mapping[str, Mapping[str, Replicates]]
"""The replicates of one side, by file of metrics and dotted key."""

VAL = "val"  # below it, a file has the metrics of the people to choose by

# By a part of a key: 1 if more is better, -1 if less is.
SIGNS = {
    name: {"higher": 1, "lower": -1}[side]
    for side, topics in params.read_yaml(Path(__file__).with_name("better.yaml")).items()
    for names in topics.values()
    for name in names
}
# Ways to fill a face that learn nothing: a change of theirs is one of the data, for better or worse of nobody.
BASELINE = re.compile(r"^(val\.)?(ways|hole_psnr_by_\w+)\.(zeroed|mean_face|fitted_mean|telea|nearest_face|masked)\.")

# Where a stage writes the interval of a metric that it gives one.
INTERVALS = (
    (re.compile(r"^(.*\.)?(auc)$"), "{0}interval.{1}"),
    (re.compile(r"^(.*\.)?tar_at_far\.(.+)$"), "{0}interval.tar_at_{1}"),
    (re.compile(r"^(.*\.)?rank\.1$"), "{0}rank_1_interval"),
    (re.compile(r"^(.*\.)?fnir_at_fpir\.(.+)$"), "{0}fnir_interval.{1}"),
    (re.compile(r"^(.*\.)?balanced_accuracy$"), "{0}interval"),
)
IS_BOUND = re.compile(r"(^|[._])interval(\.|$)")
FEW = 100  # faces: of a count, a change is seen relative to at least so many


@dataclass(frozen=True)
class Difference:
    """A metric that is not the same on both sides.

    Attributes:
        key: dotted, within the file of its stage.
        old: of the base; None if it has none.
        new: of the other side, likewise.
        bounds: lower and upper bound of the interval of `old`; None if it has none.
        paired: those of the interval of the difference itself; None if the two sides cannot be paired.
        inside: whether chance of the people may explain it: zero lies in the interval of the difference, or, if there
            is none, one value in the interval of the other; None if there is no interval at all.
    """

    key: str
    old: Any
    new: Any
    bounds: tuple[float, float] | None = None
    paired: tuple[float, float] | None = None
    inside: bool | None = None

    @property
    def change(self) -> float | None:
        """The new number less the old one; None where one is no number."""
        return self.new - self.old if is_number(self.old) and is_number(self.new) else None

    @property
    def verdict(self) -> str:
        """`better` or `worse`; empty where nobody can tell."""
        good = (self.change or 0) * direction(self.key)
        return "better" if good > 0 else "worse" if good < 0 else ""

    @property
    def size(self) -> float:
        """How large the change is, from 0 to 1 and beyond: that of a share as it is, others relative to the values."""
        if self.change is None:
            return 0.0 if self.old is None or self.new is None else 1.0
        largest: float = max(abs(self.old), abs(self.new))
        if isinstance(self.old, int) and isinstance(self.new, int):
            return abs(self.change) / max(largest, FEW)
        is_share = min(self.old, self.new) >= 0 and largest <= 1
        return abs(self.change) if is_share else abs(self.change) / largest


@dataclass(frozen=True)
class Group:
    """All that differs in the metrics of one stage.

    Attributes:
        stage: the name of its file; with ` (val)` if of val only one side has metrics.
        differences: those first that are known to be good or bad and leave their intervals, the larger before the
            smaller.
        only: `base` or `other`, where the other side does not have the file, or the part of val; None if both have it.
    """

    stage: str
    differences: Sequence[Difference]
    only: str | None = None

    @property
    def size(self) -> float:
        """That of its largest change which is known to be good or bad and does not stay inside its interval."""
        return max((one.size for one in self.differences if one.verdict and not one.inside), default=0.0)


def is_number(value: Any) -> TypeGuard[float]:
    """Tell a number from a text, a truth value and None."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def direction(key: str) -> int:
    """Return 1 if more of a metric is better, -1 if less is, 0 if nobody can tell from its dotted key."""
    if IS_BOUND.search(key) or BASELINE.match(key):
        return 0
    return next((SIGNS[step] for step in reversed(key.split(".")) if step in SIGNS), 0)


def groups(files: Mapping[str, Values], by: str = VAL, drawn: tuple[Drawn, Drawn] = ({}, {})) -> list[Group]:
    """Return what differs, by stage, the stage with the largest change first.

    Args:
        files: what DVC's `metrics.diff(all=True)` returns: what does not differ is there too, for the intervals.
        by: whom to compare by, where a file has metrics of val beside others: `val`, or `test` for the others.
        drawn: replicates of the base and of the other side; where both have those of a metric, the two are paired.
    """
    found = []
    for file, values in files.items():
        stage, only = PurePosixPath(file).stem, _only(values)
        chosen = _of(values, by)
        if only is None and (only := _only(chosen)):
            stage = f"{stage} ({by})"
        elif by == VAL and VAL in values and chosen is values:
            stage = f"{stage} (test: nobody to choose by)"
        differences = [] if only else sorted(_differences(chosen, *(side.get(file, {}) for side in drawn)), key=_rank)
        if only or differences:
            found.append(Group(stage, differences, only))
    return sorted(found, key=lambda group: (group.only is not None, -group.size, group.stage))


def has_val(files: Mapping[str, Values]) -> bool:
    """Tell whether any file has metrics of val beside others."""
    return any(_is_val(key) for values in files.values() for key in values)


def changed(files: Mapping[str, Values]) -> list[tuple[str, str, Any, Any]]:
    """Return file, dotted key, old and new value of each param that differs, in that order."""
    return [
        (file, key, value["old"], value["new"])
        for file, values in sorted(files.items())
        for key, value in sorted(values.items())
        if value["old"] != value["new"]
    ]


def _is_val(key: str) -> bool:
    return key.startswith(f"{VAL}.")


def _of(values: Values, by: str) -> Values:
    if not any(map(_is_val, values)):
        return values
    return {key: value for key, value in values.items() if key != VAL and _is_val(key) == (by == VAL)}


def _only(values: Values) -> str | None:
    """Return which side alone has any of the values; None if both have some, or neither."""
    has_old, has_new = (any(value[side] is not None for value in values.values()) for side in ("old", "new"))
    return None if has_old == has_new else "base" if has_old else "other"


def _differences(values: Values, old: Mapping[str, Replicates], new: Mapping[str, Replicates]) -> Iterator[Difference]:
    for key, value in values.items():
        if value["old"] == value["new"] or IS_BOUND.search(key):
            continue
        bounds = {side: _bounds(values, key, side) for side in ("old", "new")}
        paired = replicates.difference(old[key], new[key]) if key in old and key in new else None
        if paired:
            inside = [paired.low <= 0 <= paired.high]
        else:
            compared = [(bounds["old"], value["new"]), (bounds["new"], value["old"])]
            inside = [of[0] <= number <= of[1] for of, number in compared if of and is_number(number)]
        yield Difference(key, value["old"], value["new"], bounds["old"], paired, any(inside) if inside else None)


def _bounds(values: Values, key: str, side: str) -> tuple[float, float] | None:
    for pattern, where in INTERVALS:
        if match := pattern.match(key):
            place = where.format(*(part or "" for part in match.groups()))
            low, high = (values.get(f"{place}.{end}", {}).get(side) for end in ("low", "high"))
            if is_number(low) and is_number(high):
                return low, high
    return None


def _rank(difference: Difference) -> tuple[bool, bool, float, str]:
    return not difference.verdict, difference.inside is True, -difference.size, difference.key
