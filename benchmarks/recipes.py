"""What a step of each recipe of a paper takes at full size, and how much memory, beside what `make plan` says of it.

UNMASK_THREADS=1 python -m benchmarks.recipes --faces data/labeled/orl [--only extractor_r18] [--batch 2]

Each recipe trains for some steps from scratch, in a program of its own; the faces are enlarged to the side that it has,
and a step takes as long whatever they show. Then it is planned at the same batch, as `stages.tools.plan` does it, on
made-up faces. Both are timed by the time of the processor, which other programs do not change much; with one thread it
is the wall time of a processor that has nothing else to do. Memory grows with the batch, all but that of the weights.
"""

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from stages.compute import weights
from stages.core import params as sections
from stages.core.params import read_yaml
from stages.core.results import Results
from stages.detection import train_detector
from stages.gender import train_gender
from stages.inpainting import pretrain_inpainter, train_shared_inpainter
from stages.parsing import train_parser
from stages.recognition import recognizer, train_recognizer
from stages.recognition.networks import Network
from stages.tools import presets
from stages.tools.planning import rehearsal
from stages.training import hooks

ROOT = Path(__file__).parents[1]
NAMES = [name for name in presets.names(ROOT / presets.FOLDER) if name.startswith(presets.RECIPES)]
DRAWN = ROOT / "data/mask_templates", ROOT / "data/occluders"  # folders of the user's own
STEPS = 4  # of which the first, which is slow, is not in the median
COLUMNS = "recipe", "weights, M", "batch", "seconds a step", "planned", "ratio", "memory, GB", "planned", "ratio"


def settings(name: str, to: Path, changes: Mapping[str, Any], steps: int = 2, batch: int = 2) -> Path:
    """Return params.yaml with a recipe in it, and all its trainings changed to a few steps of a few faces.

    Args:
        name: `recipes/<name>`.
        to: folder to write into.
        changes: more values, by dotted key.
        steps: of each training.
        batch: faces a step.
    """
    to.mkdir(parents=True, exist_ok=True)
    path = to / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    presets.apply(name, path, ROOT / presets.FOLDER, ROOT / presets.CATALOGUE)
    content = read_yaml(path)
    short = {"steps": steps, "batch_size": batch, "checkpoint_every": steps}
    for part in sections_of(content):
        if "schedule" in part:
            part["schedule"].update(short)
    content["train_gender"]["folds"] = 2
    for key, value in changes.items():
        *outer, last = key.split(".")
        place = content
        for section in outer:
            place = place[section]
        place[last] = value
    path.write_text(json.dumps(content))
    return path


def sections_of(content: Any) -> list[dict[str, Any]]:
    """Return all mappings in params.yaml."""
    inner = [part for value in content.values() for part in sections_of(value)] if isinstance(content, dict) else []
    return [content, *inner] if isinstance(content, dict) else []


def stage_of(name: str) -> str:
    """Return the stage, by DVC's name, that trains what a recipe is of."""
    keys = presets.load(name, ROOT / presets.FOLDER).params
    (section,) = {key.split(".")[0] for key in keys} & RUNS.keys()
    item = {"train_parser": next(iter(keys)).split(".")[1], "train_recognizer": "arcface"}.get(section)
    return f"{section}@{item}" if item else section


def train(
    name: str, faces: Path, to: Path, changes: Mapping[str, Any] | None = None, steps: int = 2, batch: int = 2
) -> tuple[Path, dict[str, Any]]:
    """Run the stage that a recipe is of, a few steps long; return the weights it wrote, and its metrics and costs.

    Args:
        name: `recipes/<name>`.
        faces: a table with labels, landmarks and sexes.
        to: folder to write into.
        changes: of params, by dotted key.
        steps: of each training.
        batch: faces a step.
    """
    path = settings(name, to, changes or {}, steps, batch)
    out, results = to / "w.safetensors", Results(to / "run")
    section, _, item = stage_of(name).partition("@")
    found = RUNS[section](item, faces, out, results, path)
    return out, {**found, "costs": json.loads(results.costs.read_text())}


def _parser(model: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    chosen = sections.load(train_parser.Params, "train_parser", path)
    return train_parser.train_parser(model, faces, *DRAWN, out, results, chosen)


def _detector(_: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    chosen = sections.load(train_detector.Params, "train_detector", path)
    return train_detector.train_detector(faces, DRAWN[0], out, results, chosen)


def _gender(_: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    chosen = sections.load(train_gender.Params, "train_gender", path)
    return train_gender.train_gender(faces, DRAWN[0], out, results, chosen)


def _recognizer(loss: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    chosen = sections.load(train_recognizer.Params, "train_recognizer", path)
    return train_recognizer.train_recognizer(loss, faces, out, results, chosen)


def _inpainter(_: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    """Train the generator by pixels alone, then as a GAN with a recognizer of the laptop's."""
    network = Network(**read_yaml(ROOT / "params.yaml")["train_recognizer"]["network"])
    judge, first = out.with_name("recognizer.safetensors"), out.with_name("pretrained.safetensors")
    weights.save(judge, network.build(), recognizer.header("norm_softmax", "bare", network, {}))
    before = sections.load(pretrain_inpainter.Params, "pretrain_inpainter", path)
    pretrain_inpainter.pretrain_inpainter(faces, DRAWN[0], first, Results(out.with_name("first")), before)
    chosen = sections.load(train_shared_inpainter.Params, "train_shared_inpainter", path)
    return train_shared_inpainter.train_shared_inpainter(faces, DRAWN[0], first, judge, out, results, chosen)


RUNS = {
    "train_parser": _parser,
    "train_detector": _detector,
    "train_gender": _gender,
    "train_recognizer": _recognizer,
    "train_shared_inpainter": _inpainter,
}


@contextlib.contextmanager
def by_processor() -> Iterator[None]:
    """Let trainings of this program time their steps by the processor's time."""
    with mock.patch.object(hooks, "time", SimpleNamespace(perf_counter=time.process_time)):
        yield


def _rehearsed(*given: Any) -> None:
    """Do what a plan does in a program of its own, timed by the processor's time."""
    with by_processor():
        rehearsal._stage(*given)


def measured(name: str, faces: Path, batch: int) -> dict[str, Any]:
    """Return parameters, seconds of a step, megabytes and precision of a recipe, trained in this program."""
    with tempfile.TemporaryDirectory() as folder, by_processor():
        _, found = train(name, faces, Path(folder), from_scratch(name), STEPS, batch)
    cost, numbers = found["costs"], found["parameters"]
    return {
        "parameters": sum(numbers.values()) if isinstance(numbers, dict) else numbers,
        "seconds": cost["step_seconds"],
        "memory": cost["peak_memory_mb"],
        "precision": cost["precision"],
    }


def from_scratch(name: str) -> dict[str, None]:
    """Return the changes of a recipe, by dotted key, with which it starts from no weights."""
    leaves = sections.leaves(presets.load(name, ROOT / presets.FOLDER).params)
    keys = (".".join(map(str, of)) for of in leaves)
    return dict.fromkeys(key for key in keys if key.endswith(".pretrained"))


def planned(name: str, batch: int) -> rehearsal.Measured:
    """Return what a plan says of a recipe's training at this batch."""
    wanted = stage_of(name)
    keys = [key for key in presets.load(name, ROOT / presets.FOLDER).params if key.startswith(wanted.replace("@", "."))]
    with tempfile.TemporaryDirectory() as folder, mock.patch.object(rehearsal, "_stage", _rehearsed):
        content = read_yaml(settings(name, Path(folder) / "settings", {}, batch=batch))
        rehearsals = rehearsal.Rehearsals(Path(folder) / "plan", content, {})
        for stage in rehearsals.touched(keys):
            found = rehearsals.measure(stage)
            if stage.name == wanted:
                return found
    raise ValueError(f"no training {wanted} reads the params of {name}")


def row(name: str, faces: Path, batch: int) -> list[str]:
    """Return a recipe's row of the table; it trains in a program of its own."""
    program = [sys.executable, "-m", "benchmarks.recipes", "--inside", "--only", name]
    given = ["--faces", str(faces), "--batch", str(batch)]
    done = subprocess.run([*program, *given], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    here, plan = json.loads(done.stdout.splitlines()[-1]), planned(name, batch)
    size = [here["memory"] / 1024, plan.memory_mb / 1024]
    return [
        name.rpartition("/")[2],
        f"{here['parameters'] / 1e6:.1f}",
        str(batch),
        *(f"{seconds:.2f}" for seconds in (here["seconds"], plan.step_seconds)),
        f"{plan.step_seconds / here['seconds']:.2f}",
        *(f"{gigabytes:.2f}" for gigabytes in size),
        f"{size[1] / size[0]:.2f}",
    ]


def main() -> None:
    """Print a row for each recipe."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    options.add_argument("--faces", type=Path, default=Path("data/labeled/orl"))
    options.add_argument("--only", help="a recipe")
    options.add_argument("--batch", type=int, default=2, help="faces a step")
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.inside:
        print(json.dumps(measured(given.only, given.faces, given.batch)))
        return
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    for name in NAMES:
        if given.only in {None, name, name.rpartition("/")[2]}:
            print(f"| {' | '.join(row(name, given.faces.absolute(), given.batch))} |", flush=True)


if __name__ == "__main__":
    main()
