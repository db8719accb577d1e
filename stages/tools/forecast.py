"""Say what `dvc repro` would take on this machine, stage by stage: `make repro` asks first.

python -m stages.tools.forecast
"""

from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage import PipelineStage

from stages.core import command, costs
from stages.core.progress import in_words
from stages.training import speed

SHOWN = 60.0  # seconds from which on a stage has a line of its own


def forecast() -> None:
    """Measure the machine for some seconds, ask DVC what it would run, and print what that takes."""
    milliseconds = speed.measure()
    try:
        stages = pending()
    except DvcException as error:  # which `dvc repro`, the next command, explains
        print(f"no forecast: {error}")
        return
    seconds = {stage: costs.forecast(stage, milliseconds) for stage in stages}
    costs.plan({stage: value for stage, value in seconds.items() if value is not None})
    print("\n".join(lines(seconds)))


def pending() -> list[str]:
    """Return the stages that `dvc repro` would run: what changed or is not there, and all that depends on it.

    `dvc repro --dry` does not tell where a table is missing, as in a fresh clone.
    """
    with Repo() as repo:
        changed = set(repo.status())
        stages = [stage for stage in repo.index.stages if isinstance(stage, PipelineStage)]
        users = repo.index.graph.predecessors
        todo = [stage for stage in stages if stage.addressing in changed]
        found = set(todo)
        while todo:
            more = set(users(todo.pop())) - found
            found |= more
            todo += more
    return [stage.name for stage in stages if stage in found]


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
