"""Say what `dvc repro` would take on this machine, stage by stage: `make repro` asks first.

python -m stages.forecast
"""

import subprocess
import sys

from stages.common import command, costs, speed
from stages.common.errors import UnmaskError
from stages.common.progress import in_words

SHOWN = 60.0  # seconds from which on a stage has a line of its own


def forecast() -> None:
    """Measure the machine for some seconds, ask DVC what it would run, and print what that takes."""
    milliseconds = speed.measure()
    stages = pending()
    seconds = {stage: costs.forecast(stage, milliseconds) for stage in stages}
    costs.plan(seconds)
    print("\n".join(lines(seconds)))


def pending() -> list[str]:
    """Return the stages that `dvc repro` would run, in its order.

    Raises:
        UnmaskError: DVC cannot tell.
    """
    asked = [sys.executable, "-m", "dvc", "repro", "--dry"]
    said = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 -- our own
    if said.returncode:
        raise UnmaskError(f"dvc repro --dry fails:\n{said.stderr.strip()}")
    return [line.split("'")[1] for line in said.stdout.splitlines() if line.startswith("Running stage ")]


def lines(seconds: dict[str, float | None]) -> list[str]:
    """Return a forecast in words: the whole, then stages of a minute and more.

    Args:
        seconds: by stage, in their order; None: nobody knows.
    """
    if not seconds:
        return ["nothing has changed: no stage will run"]
    known = {stage: value for stage, value in seconds.items() if value is not None}
    unknown = [stage for stage, value in seconds.items() if value is None]
    total = f"about {in_words(sum(known.values()))}" if known else "nobody knows how long"
    found = [f"{len(seconds)} stages will run, {total} on this {costs.processor()}"]
    found += [f"  {in_words(value):>12}  {stage}" for stage, value in known.items() if value >= SHOWN]
    if unknown and known:
        found.append(f"  never measured, and not counted: {', '.join(unknown)}")
    return found


if __name__ == "__main__":
    with command.errors_in_words("forecast"):
        forecast()
