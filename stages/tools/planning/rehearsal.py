"""The first steps of a training, as its stage makes them, on made-up faces: what a step takes, and how much memory.

Each runs in a folder of its own, in a process of its own, so that its memory is that of this training alone. The stage
is the one that dvc.yaml names, with the params of the preset but for the number of steps; so whatever network these
name is what is measured.
"""

import contextlib
import copy
import functools
import importlib
import json
import multiprocessing
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.utils.serialize import dumps_yaml

from stages.core import command, costs
from stages.core.errors import UnmaskError
from stages.core.params import PARAMS_FILE
from stages.tools.planning import made_up

FACES = 32  # made-up ones, where it does not matter how many people there are
PHOTO = 250  # side of a photo before it is aligned, pixels, as LFW's
STEPS = 10  # that are timed, after the first, which is slow
PATIENCE = 30.0  # seconds; of a training that takes longer for so many steps, the second step alone is timed
NEEDED = ("dvc.yaml", "data/mask_templates", "data/occluders", "models/catalogue.yaml", "models/pretrained")
LOG = "log.txt"
LEAST_FOLDS = {"train_gender": 2}  # others can do without networks for folds


@dataclass(frozen=True)
class Measured:
    """What a training takes on this device."""

    parameters: int
    gflops: float
    """Of a step, an image: forward and backward, a multiplication and an addition counted as two."""
    step_seconds: float
    memory_mb: float
    precision: str
    device: str
    threads: int


@dataclass(frozen=True)
class Rehearsals:
    """A folder in which the trainings of a preset are begun.

    Attributes:
        folder: an empty one, for this alone.
        content: of params.yaml, with the preset's values.
        people: how many there are to train on, by dataset, where its publisher says it.
    """

    folder: Path
    content: Mapping[str, Any]
    people: Mapping[str, int]

    @functools.cached_property
    def stages(self) -> list[PipelineStage]:
        """Return the stages of the pipeline as the preset makes it, in the order of dvc.yaml."""
        for name in NEEDED:
            place = self.folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if Path(name).exists():
                place.symlink_to(Path(name).absolute())
        self._write_params(self.content)
        with Repo(str(self.folder), uninitialized=True) as repo:
            return [stage for stage in repo.index.stages if isinstance(stage, PipelineStage)]

    @property
    def trainings(self) -> list[PipelineStage]:
        """Return those that train by a schedule."""
        return [stage for stage in self.stages if costs.schedule(stage.name, self.content)]

    def touched(self, keys: Collection[str]) -> list[PipelineStage]:
        """Return the trainings that read some params, by dotted key, and those whose weights these ask."""

        def reads(stage: PipelineStage) -> bool:
            read = [param for dep in stage.deps if isinstance(dep, ParamsDependency) for param in dep.params]
            return any(f"{key}.".startswith(f"{param}.") for key in keys for param in read)

        found = {stage.name: stage for stage in self.trainings if reads(stage)}
        todo = list(found.values())
        while todo:
            needed = _inputs(todo.pop())
            more = [stage for stage in self.trainings if needed & {out.def_path for out in stage.outs}]
            todo += [stage for stage in more if stage.name not in found]
            found |= {stage.name: stage for stage in more}
        return [stage for stage in self.trainings if stage.name in found]

    def measure(self, stage: PipelineStage) -> Measured:
        """Return what a training takes; those whose weights it starts from must have been measured before.

        Raises:
            UnmaskError: it could not be begun; the message is that of the stage.
        """
        for other in self.stages:
            if other.name.startswith("import_recognizer@") and {out.def_path for out in other.outs} & _inputs(stage):
                self._run(other, 1)
        flops, cost, result = self._run(stage, 2, counted=True)
        batch = (costs.schedule(stage.name, self.content) or {})["batch_size"]
        gflops = flops / 1e9 / (cost.get("trainings", 1) * 2 * batch)
        if cost["step_seconds"] * STEPS <= PATIENCE:
            _, cost, result = self._run(stage, 1 + STEPS)
        parameters = result["parameters"]
        return Measured(
            sum(parameters.values()) if isinstance(parameters, dict) else parameters,
            gflops,
            cost["step_seconds"],
            cost["peak_memory_mb"],
            cost["precision"],
            cost["device"],
            cost["threads"],
        )

    def _run(self, stage: PipelineStage, steps: int, *, counted: bool = False) -> tuple[int, Any, Any]:
        """Run a stage with so many steps; return its FLOPs, if they are counted, its costs and its result."""
        self._write_params(shortened(self.content, steps))
        _, _, module, *arguments = shlex.split(stage.cmd)
        option = dict(zip(arguments[::2], arguments[1::2], strict=True))
        if "--faces" in option:
            table = Path(option["--faces"])  # data/<kind>/<dataset>
            side = PHOTO if "landmarks" in table.parts else self.content["align_faces"]["side"]
            known = self.people.get(table.name, FACES) if "_recognizer" in module else FACES
            made_up.table(self.folder / table, known, side)
        # A fork starts at once, but does not count libraries that it shares among its own memory.
        context: Any = multiprocessing.get_context("forkserver" if counted else "spawn")
        context.set_forkserver_preload([shlex.split(one.cmd)[2] for one in self.trainings])
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(target=_stage, args=(module, arguments, self.folder, counted, sender))
        child.start()
        sender.close()
        child.join()
        if child.exitcode:
            raise UnmaskError(self._why(child.exitcode))
        results = self.folder / option["--results"]
        cost = json.loads((results.parent / "costs" / f"{results.name}.json").read_text(encoding="utf-8"))
        return receiver.recv(), cost, json.loads(results.with_suffix(".json").read_text(encoding="utf-8"))

    def _why(self, code: int) -> str:
        if code < 0:
            return f"it was killed by signal {-code}, most likely for lack of memory"
        said = (self.folder / LOG).read_text(encoding="utf-8").strip().splitlines()
        return said[-1] if said else "it ended without a word"

    def _write_params(self, content: Mapping[str, Any]) -> None:
        (self.folder / PARAMS_FILE).write_text(dumps_yaml(content), encoding="utf-8")


def _inputs(stage: PipelineStage) -> set[str]:
    return {dep.def_path for dep in stage.deps}


def _stage(module: str, arguments: Sequence[str], folder: Path, counted: bool, sender: Any) -> None:
    """Run a stage in a folder, in this process; what it says goes into a file there. Send its FLOPs, or 0."""
    from torch.utils.flop_counter import FlopCounterMode  # noqa: PLC0415 -- in this process alone

    os.chdir(folder)
    log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(log, stream)
    importlib.import_module(module)
    counter = FlopCounterMode(display=False)
    counting: contextlib.AbstractContextManager[Any] = counter if counted else contextlib.nullcontext()
    with counting:
        command.run_stage(module.removeprefix("stages."), list(arguments))
    sender.send(counter.get_total_flops())


def shortened(content: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Return the content of params.yaml with trainings of so many steps, of one network each, from scratch.

    Weights to start from, which are perhaps not there yet, change neither time nor memory. A network of which the last
    layer alone would be trained is trained whole, and takes longer.
    """
    short = copy.deepcopy(dict(content))

    def cut(section: Any, name: str) -> None:
        if not isinstance(section, dict):
            return
        if isinstance(section.get("schedule"), dict):
            section["schedule"] |= {"steps": steps, "checkpoint_every": steps}
        if "folds" in section:
            section["folds"] = LEAST_FOLDS.get(name)
        if Path(str(section.get("config"))).is_file():  # one of the user's, named from here
            section["config"] = str(Path(section["config"]).absolute())
        for key, instead in (("pretrained", None), ("frozen", False), ("looks", 1)):
            if key in section:
                section[key] = instead
        for inner in section.values():
            cut(inner, name)

    for name in short:
        if name.startswith(("train_", "pretrain_", "distill_")):
            cut(short[name], name)
    return short


def networks(stage: str, content: Mapping[str, Any]) -> int:
    """Return how many networks a training trains: one, and one for each fold of the people."""
    name, _, item = stage.replace("_masked_", "_").partition("@")
    section = content[name]
    folds = (section[item] if isinstance(section.get(item), dict) else section).get("folds")
    return 1 + int(folds or 0)
