"""What stages cost: measured where they ran, and from that a forecast of what they will cost here.

Each stage leaves its seconds in `metrics/costs/`, with the processor and how fast that was at two small pieces of work.
The same pieces, measured here, tell how long the stage will take here.
"""

import json
import os
import platform
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from stages.core import metrics, params
from stages.core.progress import in_words

COSTS = Path("metrics/costs")
SCRATCH = Path(".scratch")
SPEED = SCRATCH / "speed.json"  # of this machine, as last measured
PLAN = SCRATCH / "plan.json"  # what the current run has still to do, seconds by stage
CHANGE_SPEED = ("ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY", "OPENBLAS_CORETYPE", "UNMASK_DEVICE", "UNMASK_THREADS")

Speed = Mapping[str, float]
"""Milliseconds of each piece of work: `network`, a step of a small training, and `single`, one thread's arithmetic."""


def processor() -> str:
    """Return the name of this machine's processor, with family and model where Linux says them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    said = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = said.get("model name", platform.machine())
    return f"{name} (family {said['cpu family']}, model {said['model']})" if "cpu family" in said else name


def capability() -> str | None:
    """Return the instructions that torch uses here (AVX2, AVX512, …); None if torch was not imported."""
    torch = sys.modules.get("torch")
    return torch.backends.cpu.get_cpu_capability() if torch else None


def known_speed() -> dict[str, float] | None:
    """Return how fast this machine is, as `speed.measure` found it; None if nobody asked, or on another machine."""
    found = _read(SPEED)
    return found["milliseconds"] if found.get("of") == machine() else None


def machine() -> dict[str, Any]:
    """Return what a measured speed is of: the processor, and the settings that change how fast it computes."""
    pinned = {name: os.environ[name] for name in sorted(os.environ) if name in CHANGE_SPEED}
    section = params.read_yaml(params.PARAMS_FILE).get("parallel") if params.PARAMS_FILE.exists() else None
    return {"processor": processor(), "environment": pinned, "parallel": section}


def path_in_dvc() -> Path | None:
    """Return where the costs of a stage stand that DVC runs, by its name; None if it was started by hand."""
    return _of_stage(stage) if (stage := current()) else None


def _of_stage(stage: str) -> Path:
    return COSTS / f"{stage.replace('@', '-')}.json"


def seconds_so_far() -> float:
    """Return for how many seconds this program has run, its start and imports included."""
    return time.time() - psutil.Process().create_time()


def write(path: Path, seconds: float) -> None:
    """Add to what a stage has written of its costs: the seconds from the program's start to its end, and where."""
    where = {"processor": processor(), "capability": capability(), "speed": known_speed()}
    said = {name: value for name, value in where.items() if value is not None}
    metrics.write(path, {**_read(path), "wall_seconds": seconds, **said})


def forecast(stage: str, speed: Speed) -> float | None:
    """Return the seconds that a stage (by DVC's name, such as `train_parser@scanet`) takes on a machine of this speed.

    That is what it took where it was last measured: the training by the images it sees and how fast networks are here;
    the rest, which gains nothing from bfloat16, by that where it is slower; without torch by how fast one thread is.
    None if it was never measured.
    """
    found = _read(_of_stage(stage))
    if "wall_seconds" not in found or "speed" not in found:
        return None
    ratio = {name: speed[name] / found["speed"][name] for name in speed}
    training = found.get("seconds", 0.0) if "images_per_second" in found else 0.0
    rest = max(0.0, found["wall_seconds"] - training)
    images = _images(stage)
    share = images * found.get("trainings", 1) / found["images"] if images and "images" in found else 1.0
    of_rest = max(1.0, ratio["network"]) if "capability" in found else ratio["single"]
    return training * share * ratio["network"] + rest * of_rest


def _images(stage: str) -> int | None:
    """Return how many images the schedule in params.yaml lets a training see; None if the stage trains nothing."""
    found = schedule(stage, params.read_yaml(params.PARAMS_FILE)) if params.PARAMS_FILE.exists() else None
    return int(found["steps"] * found["batch_size"]) if found else None


def schedule(stage: str, content: Any) -> dict[str, Any] | None:
    """Return the schedule of a stage in the content of params.yaml; None if it trains nothing by one."""
    name, _, item = stage.replace("_masked_", "_").partition("@")  # train_masked_recognizer has no schedule of its own
    section = content.get(name)
    for candidate in (section, section.get(item) if isinstance(section, dict) else None):
        if isinstance(candidate, dict) and isinstance(candidate.get("schedule"), dict):
            return dict(candidate["schedule"])
    return None


def plan(stages: Mapping[str, float | None]) -> None:
    """Write down what a run has to do, seconds by stage, for the stages to tell how long it still takes."""
    metrics.write(PLAN, stages)


def current() -> str | None:
    """Return the name by which DVC runs this stage, such as `train_parser@scanet`; None if it was started by hand."""
    return os.environ.get("DVC_STAGE")


def rest_of_the_run() -> float | None:
    """Return the seconds that the run still takes after this stage; None if nobody knows, or this is no planned run."""
    left = _read(PLAN)
    if current() not in left:
        return None
    rest = [seconds for name, seconds in left.items() if name != current()]
    return None if None in rest else sum(rest)


def done() -> None:
    """Take this stage off the plan."""
    left = _read(PLAN)
    if current() in left:
        plan({name: seconds for name, seconds in left.items() if name != current()})


def line() -> str | None:
    """Return how long this stage and then the rest of the run will take here; None if nobody knows."""
    stage, speed = current(), known_speed()
    seconds = forecast(stage, speed) if stage and speed else None
    if seconds is None:
        return None
    rest = rest_of_the_run()
    return f"about {in_words(seconds)}" + ("" if rest is None else f", {in_words(seconds + rest)} of the whole run")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
