"""Say what differs between an experiment and the workspace, in numbers and in pictures. A tool, not a stage.

python -m stages.reports.compare_experiments --base main --page report/compare.html

Prints the params and metrics that differ, and writes one page that needs no network, with curves over each other and
pictures side by side. Metrics are those of people who are in no test (val), as one may choose by them; `--by test`
takes those of the test people. `--base` takes what DVC takes: a branch, a tag, a commit, HEAD~1, an experiment's name;
so does `--other`, to compare two of them and not the workspace. Figures and replicates that are not in the cache come
from the remote.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stages.core import replicates
from stages.core.command import errors_in_words
from stages.core.outputs import whole_file
from stages.reports import content, differences, overlays, sides
from stages.reports.differences import Difference, Group

FIRST = 3  # differences of each stage that are seen at once
LONGEST = 60  # characters of a value
BY = {
    "val": "by people who are in no test (val); BY=test shows the test people",
    "test": "by the test people; choose by val, which is shown without BY=test",
}
PAIRED = (
    "Beyond chance: the 95 % interval of the difference itself, in brackets, does not contain 0. It is of the same "
    "people drawn anew for both sides."
)
MARGINAL = (
    "Inside the interval: one value lies in the interval of the other. Each such interval is of one side alone. Both "
    "sides are scored on the same people, who are easy or hard for both. So for a difference these intervals are too "
    "wide, and one that stays inside may still be real. Where both have replicates of the same people, "
    f"{replicates.FEWEST} or more, drawn with the same seed, the interval of the difference is shown instead."
)


def compare_experiments(base: str, other: str, page: Path, by: str = differences.VAL) -> str:
    """Compare two sides; return lines for the terminal.

    Args:
        base: what to compare with: a branch, tag, commit or experiment.
        other: what to compare: likewise, or `workspace`.
        page: HTML to write, whole or not at all; not written if nothing differs.
        by: by whom, where metrics are known of two kinds of people: `val` or `test`.

    Raises:
        UnmaskError: there is no repository, no such revision, or a file that cannot be read.
    """
    both = sides.read(base, other)
    of_all = {who: differences.groups(both.metrics, who, both.drawn) for who in BY}
    groups, costs, changed = of_all[by], differences.groups(both.costs), differences.changed(both.params)
    if not (any(of_all.values()) or costs or changed or both.code or overlays.names(*both.plots)):
        return f"Nothing differs between {both.base} and {both.other}: no page was written."
    found = [one for group in groups for one in group.differences]
    shown = {
        "base": both.base,
        "other": both.other,
        "page": page,
        "params": changed,
        "code": both.code,
        "groups": groups,
        "costs": costs,
        "curves": overlays.curves(*both.plots, (both.base, both.other)),
        "pairs": overlays.pairs(*both.plots),
        "first": FIRST,
        "by": BY[by] if differences.has_val(both.metrics) else "",
        "paired": PAIRED if any(one.paired for one in found) else "",
        "marginal": MARGINAL if any(one.inside is not None and not one.paired for one in found) else "",
        "unread": both.unread,
    }
    words = {"summary": summary(groups), "value": value, "change": change, "verdict": verdict, "interval": interval}
    with whole_file(page) as staging:
        staging.write_text(content.rendered("comparison.html.j2", shown | words), encoding="utf-8")
    return content.rendered("comparison.txt.j2", shown | words)


def summary(groups: Sequence[Group]) -> str:
    """Return in words how many metrics differ and how."""
    found = [one for group in groups for one in group.differences]
    if not groups:
        return "none"
    better, worse = (sum(one.verdict == name for one in found) for name in ("better", "worse"))
    inside = sum(one.inside is True for one in found)
    text = f"{len(found)} in {len(groups)} files; {better} better, {worse} worse, of the others nobody can tell"
    return f"{text}; {inside} may be chance of the people" if inside else text


def value(found: Any) -> str:
    """Return a metric or param as a short text."""
    if found is None:
        return "-"
    text = f"{found:.4g}" if isinstance(found, float) else f"{found:,}" if differences.is_number(found) else str(found)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def change(difference: Difference) -> str:
    """Return by how much a metric differs, with its sign."""
    found = difference.change
    if found is None:
        return ""
    return f"{found:+,}" if isinstance(found, int) else f"{found:+.4f}"


def verdict(difference: Difference) -> str:
    """Return in words whether a change is good, and whether it may be chance of the people."""
    chance = {
        None: "",
        True: "within chance" if difference.paired else "inside the interval",
        False: "beyond chance" if difference.paired else "outside the interval",
    }[difference.inside]
    return ", ".join(filter(None, (difference.verdict, chance)))


def interval(difference: Difference) -> str:
    """Return the interval of a difference, with signs, if the sides are paired; else an empty text."""
    return "{:+.4f} to {:+.4f}".format(*difference.paired) if difference.paired else ""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.reports.compare_experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", default="main", help="a revision or an experiment (%(default)s)")
    parser.add_argument("--other", default=sides.WORKSPACE, help="what it is compared with (%(default)s)")
    parser.add_argument("--by", choices=list(BY), default=differences.VAL, help="whose metrics (%(default)s)")
    parser.add_argument("--page", type=Path, default=Path("report/compare.html"), help="HTML to write (%(default)s)")
    given = parser.parse_args(arguments)
    with errors_in_words("compare_experiments"):
        print(compare_experiments(given.base, given.other, given.page, given.by))


if __name__ == "__main__":
    main()
