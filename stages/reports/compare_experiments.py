"""Say what differs between an experiment and the workspace, in numbers and in pictures. A tool, not a stage.

python -m stages.reports.compare_experiments --base main --page report/compare.html

Prints the params and metrics that differ, and writes one page that needs no network, with curves over each other and
pictures side by side. `--base` takes what DVC takes: a branch, a tag, a commit, HEAD~1, an experiment's name; so does
`--other`, to compare two of them and not the workspace. Figures that are not in the cache come from the remote.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jinja2

from stages.core.command import errors_in_words
from stages.core.outputs import whole_file
from stages.reports import differences, overlays, sides
from stages.reports.differences import Difference, Group, Verdict

FIRST = 3  # differences of each stage that are seen at once
LONGEST = 60  # characters of a value

TEMPLATES = Path(__file__).parent


def compare_experiments(base: str, other: str, page: Path) -> Iterator[str]:
    """Compare two sides; yield lines for the terminal.

    Args:
        base: what to compare with: a branch, tag, commit or experiment.
        other: what to compare: likewise, or `workspace`.
        page: HTML to write, whole or not at all; not written if nothing differs.

    Raises:
        UnmaskError: there is no repository, no such revision, or a file that cannot be read.
    """
    both = sides.read(base, other)
    groups, costs = differences.groups(both.metrics), differences.groups(both.costs)
    changed = differences.changed(both.params)
    if not (groups or costs or changed or both.code or overlays.names(*both.plots)):
        yield f"Nothing differs between {both.base} and {both.other}: no page was written."
        return
    curves = overlays.curves(*both.plots, (both.base, both.other))
    pairs = overlays.pairs(*both.plots)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)
    environment.filters |= {"value": value, "change": change, "verdict": verdict}
    html = environment.get_template("comparison.html.j2").render(
        base=both.base,
        other=both.other,
        summary=summary(groups),
        params=changed,
        code=both.code,
        groups=groups,
        costs=costs,
        curves=curves,
        pairs=pairs,
        first=FIRST,
    )
    with whole_file(page) as staging:
        staging.write_text(html, encoding="utf-8")
    yield f"{both.base} -> {both.other}"
    yield from _params(changed, both.code)
    yield f"\nmetrics that differ: {summary(groups)}"
    yield from itertools.chain.from_iterable(_group(group) for group in groups)
    yield from _pictures(len(curves), pairs)
    yield f"\nThe page is {page}"


def summary(groups: Sequence[Group]) -> str:
    """Return in words how many metrics differ and how."""
    found = [one for group in groups for one in group.differences]
    if not groups:
        return "none"
    counts = {name: sum(one.verdict == name for one in found) for name in (Verdict.BETTER, Verdict.WORSE)}
    inside = sum(one.inside is True for one in found)
    text = f"{len(found)} in {len(groups)} files; {counts[Verdict.BETTER]} better, {counts[Verdict.WORSE]} worse, "
    text += "of the others nobody can tell"
    return f"{text}; {inside} stay inside their intervals" if inside else text


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
    """Return in words whether a change is good, and whether it stays inside the intervals."""
    interval = {True: "inside the interval", False: "outside the interval", None: ""}[difference.inside]
    return ", ".join(filter(None, (difference.verdict.value, interval)))


def _params(changed: Sequence[tuple[str, str, Any, Any]], code: Sequence[str]) -> Iterator[str]:
    yield f"\nparams that differ: {len(changed) or 'none'}"
    yield from _columns([[f"  {key}", f"{value(old)} -> {value(new)}"] for _, key, old, new in changed])
    if code:
        yield f"\nfiles of code that differ: {len(code)}"
        yield from (f"  {file}" for file in code[:FIRST])
        if len(code) > FIRST:
            yield f"  and {len(code) - FIRST} more"


def _group(group: Group) -> Iterator[str]:
    if group.only:
        yield f"\n{group.stage}: only the {'base' if group.only == 'base' else 'new side'} has it"
        return
    yield f"\n{group.stage}"
    rows = [
        [f"  {one.key}", f"{value(one.old)} -> {value(one.new)}", change(one), verdict(one)]
        for one in group.differences[:FIRST]
    ]
    yield from _columns(rows)
    if len(group.differences) > FIRST:
        yield f"  and {len(group.differences) - FIRST} more on the page"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _pictures(curves: int, pairs: Sequence[overlays.Pair]) -> Iterator[str]:
    if curves or pairs:
        yield f"\nplots that differ: {curves} curves, {len(pairs)} pictures"
    if missing := overlays.missing(pairs):
        yield f"  of {missing} one side is missing; the page says why"


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.reports.compare_experiments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base", default="main")
    parser.add_argument("--other", default=sides.WORKSPACE)
    parser.add_argument("--page", type=Path, default=Path("report/compare.html"))
    given = parser.parse_args(arguments)
    with errors_in_words("compare_experiments"):
        for line in compare_experiments(given.base, given.other, given.page):
            print(line)


if __name__ == "__main__":
    main()
