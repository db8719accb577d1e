"""Which numbers differ between two sides of a comparison, by how much, and whether that is for the better."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, TypeGuard

Values = Mapping[str, Mapping[str, Any]]
"""`old` and `new` by dotted key, as DVC's diff has them for one file."""

# On `decidability_val` nothing is said: it is of the people to choose by, who are few.
HIGHER_IS_BETTER = frozenset(
    {
        "accuracy",
        "ap",
        "ap50",
        "ap75",
        "auc",
        "balanced_accuracy",
        "cosine_to_bare",
        "f1",
        "hole_psnr",
        "hole_psnr_by_sex",
        "hole_psnr_by_style",
        "hole_ssim",
        "identity",
        "iou",
        "mask_iou",
        "mean_f1",
        "mean_iou",
        "pixel_accuracy",
        "precision",
        "psnr",
        "rank",
        "rank_1",
        "recall",
        "ssim",
        "tar_at_far",
    }
)
LOWER_IS_BETTER = frozenset(
    {
        "eer",
        "false_rejects_at_bare_threshold",
        "fnir_at_fpir",
        "found_on_bare_faces",
        "generator_of_the_other_sex",
        "lpips",
        "missed",
        "not_found",
        "pixels_changed_outside",
        "unexplained",
    }
)
# Ways to fill a face that learn nothing: a change of theirs is one of the data, for better or worse of nobody.
BASELINE = re.compile(r"^(ways|hole_psnr_by_\w+)\.(zeroed|mean_face|fitted_mean|telea|nearest_face|masked)\.")

# Where a stage writes the interval of a metric that it gives one.
INTERVALS = (
    (re.compile(r"^(.*\.)?(auc)$"), "{0}interval.{1}"),
    (re.compile(r"^(.*\.)?tar_at_far\.(.+)$"), "{0}interval.tar_at_{1}"),
    (re.compile(r"^(.*\.)?rank\.1$"), "{0}rank_1_interval"),
    (re.compile(r"^(.*\.)?balanced_accuracy$"), "{0}interval"),
)
IS_BOUND = re.compile(r"(^|[._])interval(\.|$)")
FEW = 100  # faces: of a count, a change is seen relative to at least so many


class Verdict(StrEnum):
    """What a change is; `CHANGED` where nobody can tell whether it is good."""

    BETTER = "better"
    WORSE = "worse"
    CHANGED = ""


@dataclass(frozen=True)
class Difference:
    """A metric that is not the same on both sides.

    Attributes:
        stage: whose it is: the name of its file, `verify-dlib`.
        key: dotted, within that file.
        old: of the base; None if it has none.
        new: of the other side, likewise.
        bounds: lower and upper bound of the interval of `old`; None if it has none.
        inside: whether one value lies in the interval of the other; None if neither has one.
    """

    stage: str
    key: str
    old: Any
    new: Any
    bounds: tuple[float, float] | None = None
    inside: bool | None = None

    @property
    def change(self) -> float | None:
        """The new number less the old one; None where one is no number."""
        return self.new - self.old if is_number(self.old) and is_number(self.new) else None

    @property
    def verdict(self) -> Verdict:
        """Whether the change is for the better, by the two lists above."""
        sign = direction(self.key)
        if not sign or not self.change:
            return Verdict.CHANGED
        return Verdict.BETTER if self.change * sign > 0 else Verdict.WORSE

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
        stage: the name of its file.
        differences: those first that are known to be good or bad and leave their intervals, the larger before the
            smaller.
        only: `base` or `other`, where the other side does not have the file; None if both have it.
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
    for step in reversed(key.split(".")):
        if step in HIGHER_IS_BETTER or step in LOWER_IS_BETTER:
            return 1 if step in HIGHER_IS_BETTER else -1
    return 0


def groups(files: Mapping[str, Values]) -> list[Group]:
    """Return what differs, by stage, the stage with the largest change first.

    Args:
        files: what DVC's `metrics.diff(all=True)` returns: what does not differ is there too, for the intervals.
    """
    found = []
    for file, values in files.items():
        stage = PurePosixPath(file).stem
        if only := _only(values):
            found.append(Group(stage, [], only))
        elif differences := list(_differences(stage, values)):
            found.append(Group(stage, sorted(differences, key=_rank), None))
    return sorted(found, key=lambda group: (group.only is not None, -group.size, group.stage))


def changed(files: Mapping[str, Values]) -> list[tuple[str, str, Any, Any]]:
    """Return file, dotted key, old and new value of each param that differs, in that order."""
    return [
        (file, key, value["old"], value["new"])
        for file, values in sorted(files.items())
        for key, value in sorted(values.items())
        if value["old"] != value["new"]
    ]


def _only(values: Values) -> str | None:
    """Return which side alone has a file, None if both have it."""
    for name, absent in (("other", "old"), ("base", "new")):
        if all(value[absent] is None for value in values.values()):
            return name
    return None


def _differences(stage: str, values: Values) -> Iterable[Difference]:
    for key, value in values.items():
        if value["old"] == value["new"] or IS_BOUND.search(key):
            continue
        bounds = _bounds(values, key, "old")
        inside = [
            low <= value[side] <= high
            for of, side in (("old", "new"), ("new", "old"))
            if (found := _bounds(values, key, of)) and is_number(value[side])
            for low, high in [found]
        ]
        yield Difference(stage, key, value["old"], value["new"], bounds, any(inside) if inside else None)


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
