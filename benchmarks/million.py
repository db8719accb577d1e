"""What each stage costs for many faces: time a face, and whether its memory grows with them.

python -m benchmarks.million --faces 10000 [--workers 2] [--steps 200] [--folder …] [--stages clean embed]
python -m benchmarks.million --faces 50000 --folder … --draw
python -m benchmarks.million --plot costs-300.json costs-10000.json costs-50000.json

Photos of made-up people (benchmarks/made_up.py) go through the stages from `clean` to `identify`, and their faces
behind masks through `dvc add`, `dvc push` and `dvc pull`. Each stage runs as its command, in a process of its own with
one thread. The recognizer is that of params.yaml, and learns for one epoch in batches of 32, or so many steps. `embed`
asks it. Its tables of removed and inpainted masks are those of the drawn ones: what a picture shows makes no difference
to its costs. What each stage took is printed, and written to costs-<faces>.json.

All happens in a temporary folder, or in one that --folder names and that stays: there, a stage that has been measured
is not run again, unless --stages names it. With other --workers than 1, stages are measured beside those of one worker;
`embed` must then write the same bytes.

--draw measures what comes after `embed` without it, which takes an hour for 50,000 faces: of the people of the folder's
table embeddings are drawn, see `draw_embeddings`. How long it takes to compare them does not depend on what they are.

--plot draws the costs of several runs over the number of their faces into docs/scaling-million.png, and prints a table.
What the run of the fewest faces took is taken off the others' times: it is mostly imports, and does not grow.
"""

import argparse
import functools
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from ruamel.yaml import YAML

from benchmarks import made_up
from benchmarks.measured import Cost, run
from stages.core import costs, tables
from stages.core.code import module_of
from stages.core.seeding import generator
from stages.figures import plots
from stages.recognition import embeddings

ROOT = Path(__file__).parents[1]
PLOT = ROOT / "docs" / "scaling-million.png"
DATASET = "face_mask_generator"
BATCH = 32
MASKED = f"data/masked/realistic/{DATASET}"
EMPTY = ("unmasked/oracle", "inpainted/oracle", "masked/oracle")  # tables that `embed` asks for, left without faces
SAME = ("unmasked/realistic", "inpainted/realistic")  # and those that are the table of drawn masks
EMBEDDINGS = "data/embeddings/made.parquet"
AFTER_EMBED = ("train_heads", "verify", "identify")
NUMBERS = 128  # of an embedding, as in params.yaml
# Length of what is drawn anew for each face, beside the person's own part of length 1.
NOISE = {"bare": 0.8, "bare_upper": 1.0, "masked": 1.2, "upper": 1.1, "zeroed": 1.3, "inpainted": 1.2}
Costs = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Run:
    """One run through all stages.

    Attributes:
        folder: in which it happens.
        faces: photos of made-up people, without those that are there twice.
        workers: of each stage.
        steps: of the training; None: one epoch.
    """

    folder: Path
    faces: int
    workers: int
    steps: int | None

    def said(self, stage: str) -> dict[str, Any]:
        """Return the numbers that a stage has written."""
        found: dict[str, Any] = json.loads((self.folder / f"metrics/{stage}.json").read_text(encoding="utf-8"))
        return found

    def program(self, *words: str, folder: Path | None = None) -> Cost:
        """Run a program of this environment."""
        settings = {"DVC_NO_ANALYTICS": "1", "OMP_NUM_THREADS": "1", "UNMASK_WORKERS": str(self.workers)}
        author = {f"GIT_{who}_{what}": "benchmark" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return run(words, folder or self.folder, UNMASK_THREADS="1", UNMASK_SCHEDULER="", **settings, **author)

    def stage(self, name: str, *options: str) -> Cost:
        """Run a stage as its command."""
        return self.program(sys.executable, "-m", module_of(name), *options, "--results", f"metrics/{name}")

    def photos(self) -> tuple[Cost, int]:
        """Make the photos, and write params.yaml."""
        raw = self.folder / "data/raw" / DATASET
        shutil.rmtree(raw, ignore_errors=True)
        cost = self.program(sys.executable, "-m", "benchmarks.million", "--make", str(raw), "--faces", str(self.faces))
        yaml = YAML()
        content = yaml.load(ROOT / "params.yaml")
        content["train_recognizer"]["arcface"]["folds"] = None
        content["parallel"]["scheduler"] = None
        yaml.dump(content, self.folder / "params.yaml")
        (self.folder / "none.csv").write_text("face_id,reason\n")
        return cost, self.faces + self.faces // made_up.COPIED

    def clean(self) -> tuple[Cost, int]:
        """Read them into a table, and print how many of the copies were found."""
        paths = ["--raw", f"data/raw/{DATASET}", "--curation", "none.csv", "--rejected", "rejected.csv"]
        cost = self.stage("clean", *paths, "--out", f"data/clean/{DATASET}")
        lines = (self.folder / "rejected.csv").read_text(encoding="utf-8").splitlines()
        looks = [line for line in lines if ",same_look" in line]
        # Of a photo and its copy the first by name is kept: `p000009-09` before `p000009-09-again`.
        planted = sum(made_up.AGAIN in line.split(",")[0] for line in looks)
        copies = self.faces // made_up.COPIED
        print(f"{planted} of {copies} planted copies found; {len(looks) - planted} other photos look like another one")
        return cost, self.said("clean")["photos"]

    def find_landmarks(self) -> tuple[Cost, int]:
        """Take the landmarks that came with the photos."""
        return self._table("find_landmarks", f"data/clean/{DATASET}", f"data/landmarks/{DATASET}")

    def align_faces(self) -> tuple[Cost, int]:
        """Align the faces."""
        return self._table("align_faces", f"data/landmarks/{DATASET}", f"data/aligned/{DATASET}")

    def render_masks(self) -> tuple[Cost, int]:
        """Draw masks on them."""
        (self.folder / "templates").mkdir(exist_ok=True)
        return self._table("render_masks", f"data/aligned/{DATASET}", MASKED, "--templates", "templates")

    def _table(self, name: str, faces: str, out: str, *more: str) -> tuple[Cost, int]:
        cost = self.stage(name, "--faces", faces, "--out", out, *more)
        return cost, self.said(name)["faces"]

    def train_recognizer(self) -> tuple[Cost, int]:
        """Train a recognizer."""
        steps = self.steps or max(1, self.said("clean")["splits"]["train"]["faces"] // BATCH)
        yaml = YAML()
        content = yaml.load(self.folder / "params.yaml")
        content["train_recognizer"]["schedule"] |= {"steps": steps, "batch_size": BATCH, "checkpoint_every": steps}
        yaml.dump(content, self.folder / "params.yaml")
        options = ["--loss", "arcface", "--faces", f"data/aligned/{DATASET}", "--out", "models/recognizer.safetensors"]
        return self.stage("train_recognizer", *options), steps * BATCH

    def embed(self) -> tuple[Cost, int]:
        """Embed them under six conditions."""
        names = tables.columns(self.folder / MASKED)
        for name in EMPTY:
            (self.folder / "data" / name / DATASET).mkdir(parents=True, exist_ok=True)
            tables.write_part(self.folder / "data" / name / DATASET / tables.part_name(0), [], names)
        for name in SAME:
            place = self.folder / "data" / name / DATASET
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(self.folder.absolute() / MASKED)
        before = (self.folder / EMBEDDINGS).read_bytes() if (self.folder / EMBEDDINGS).exists() else None
        options = ["--data", "data", "--dataset", DATASET, "--test-dataset", DATASET, "--out", EMBEDDINGS]
        cost = self.stage("embed", *options, "--weights", "models/recognizer.safetensors")
        if self.workers > 1 and before is not None and before != (self.folder / EMBEDDINGS).read_bytes():
            sys.exit(f"{self.workers} workers wrote other bytes to {EMBEDDINGS} than were there")
        return cost, sum(self.said("embed")["faces"].values())

    def train_heads(self) -> tuple[Cost, int]:
        """Train the heads, of which `verify` and `identify` ask."""
        cost = self.stage("train_heads", "--embeddings", EMBEDDINGS, "--out", "models/heads.safetensors")
        return cost, sum(of["faces"] for of in self.said("train_heads").values())

    def verify(self) -> tuple[Cost, int]:
        """Compare all pairs of the test people's photos."""
        return self._asked("verify")

    def identify(self) -> tuple[Cost, int]:
        """Look for all test people."""
        return self._asked("identify")

    def _asked(self, name: str) -> tuple[Cost, int]:
        cost = self.stage(name, "--embeddings", EMBEDDINGS, "--heads", "models/heads.safetensors")
        return cost, self.said("clean")["splits"]["test"]["faces"]

    def add(self) -> tuple[Cost, int]:
        """Put the table of masked faces into a repository of its own, and into its cache."""
        for name in ("sender", "receiver", "storage"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        sender = self.folder / "sender"
        sender.mkdir()
        for words in ("git init -q", "dvc init -q", f"dvc remote add -q -d storage {self.folder.absolute()}/storage"):
            self.program(*words.split(), folder=sender)
        shutil.copytree(self.folder / MASKED, sender / "faces", copy_function=os.link)
        return self.program("dvc", "add", "-q", "faces", folder=sender), tables.count(sender / "faces")

    def push(self) -> tuple[Cost, int]:
        """Copy the cache to a remote, a folder."""
        sender = self.folder / "sender"
        self.program("git", "add", "-A", folder=sender)
        self.program("git", "commit", "-qm", "faces", folder=sender)
        return self.program("dvc", "push", "-q", folder=sender), tables.count(sender / "faces")

    def pull(self) -> tuple[Cost, int]:
        """Get the table from the remote into a clone."""
        shutil.rmtree(self.folder / "receiver", ignore_errors=True)
        self.program("git", "clone", "-q", str(self.folder / "sender"), "receiver")
        cost = self.program("dvc", "pull", "-q", folder=self.folder / "receiver")
        return cost, tables.count(self.folder / "receiver/faces")


STAGES: dict[str, Callable[[Run], tuple[Cost, int]]] = {
    stage.__name__: stage
    for stage in (
        *(Run.photos, Run.clean, Run.find_landmarks, Run.align_faces, Run.render_masks, Run.train_recognizer),
        *(Run.embed, Run.train_heads, Run.verify, Run.identify, Run.add, Run.push, Run.pull),
    )
}


def draw_embeddings(folder: Path) -> None:
    """Write a table of embeddings in the place of that of `embed`: a direction for each person, and noise."""
    faces = list(tables.read(folder / "data/clean" / DATASET, embeddings.KEYS[:3]))

    def under(condition: str, some: Sequence[tables.Face]) -> embeddings.Faces:
        rng = generator("drawn", condition, some[0]["face_id"])
        people = np.stack([generator("drawn", face["identity"]).normal(size=NUMBERS) for face in some])
        found = people + NOISE[condition] * rng.normal(size=people.shape)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        names = ([face[key] for face in some] for key in embeddings.KEYS[:3])
        return embeddings.Faces(*names, [None] * len(some), found.astype(np.float32))

    (folder / EMBEDDINGS).parent.mkdir(parents=True, exist_ok=True)
    chunks = [faces[start : start + 1000] for start in range(0, len(faces), 1000)]
    batches = ((condition, under(condition, some)) for condition in NOISE for some in chunks)
    embeddings.write(folder / EMBEDDINGS, batches, NUMBERS)


def measure(flow: Run, chosen: Sequence[str] | None, out: Path) -> None:
    """Run the stages that were chosen, or all that have not been measured, and write what each took."""
    found = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    if found.get("faces", flow.faces) != flow.faces:
        sys.exit(f"{out} is of {found['faces']} faces")
    stages: Costs = found.get("stages", {})
    for name, stage in STAGES.items():
        key = name if flow.workers == 1 else f"{name}, {flow.workers} workers"
        if name not in chosen if chosen else key in stages:
            continue
        cost, n = stage(flow)
        stages[key] = {"faces": n, "wall": cost.wall, "processor": cost.seconds, "peak": cost.peak}
        ratio = f"; {stages[name]['wall'] / cost.wall:.2f} times as fast as one" if key != name in stages else ""
        print(
            f"{key:24}{n:>9,} faces {cost.wall:8.1f} s, {cost.seconds:8.1f} s of processor time, "
            f"{1e3 * cost.seconds / n:7.2f} ms a face, {cost.peak / 2**20:6,.0f} MB{ratio}",
            flush=True,
        )
        about = {"faces": flow.faces, "processor": costs.processor(), "stages": stages}
        out.write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def each(stage: str, one: Costs, fewest: Costs) -> float | None:
    """Return the milliseconds of processor time a face beyond those of the fewest; None if they are as many."""
    more = one[stage]["faces"] - fewest[stage]["faces"]
    return 1e3 * (one[stage]["processor"] - fewest[stage]["processor"]) / more if more > 0 else None


def compare(files: Sequence[Path]) -> None:
    """Print what runs of several numbers of faces took, and draw it."""
    runs = sorted((json.loads(file.read_text(encoding="utf-8")) for file in files), key=lambda one: one["faces"])
    fewest = runs[0]["stages"]
    counts = [one["faces"] for one in runs]
    times: dict[str, dict[int, float]] = {}
    peaks: dict[str, dict[int, float]] = {}
    for one in runs:
        for stage in (name for name in STAGES if name != "photos" and name in one["stages"] and name in fewest):
            peaks.setdefault(stage, {})[one["faces"]] = one["stages"][stage]["peak"] / 1e9
            if (time := each(stage, one["stages"], fewest)) is not None:
                times.setdefault(stage, {})[one["faces"]] = max(time, 0.0)  # less than chance is nothing
    heads = [f"{n:,}: ms a face" for n in counts[1:]] + [f"{n:,}: GB" for n in counts]
    print(f"| stage | {' | '.join(heads)} |\n|{'---|' * (1 + len(heads))}")
    for stage, of in peaks.items():
        cells = [f"{times[stage][n]:.2f}" if n in times.get(stage, {}) else "" for n in counts[1:]]
        cells += [f"{of[n]:.2f}" if n in of else "" for n in counts]
        print(f"| {stage} | {' | '.join(cells)} |")
    draw(PLOT, {"milliseconds of processor time a face": times, "peak memory, GB": peaks})


def draw(path: Path, panels: Mapping[str, Mapping[str, Mapping[int, float]]]) -> None:
    """Draw a line for each stage over the number of faces, a panel for each measure."""
    figure = Figure(figsize=(10, 4.5), dpi=110, layout="constrained")
    stages = list(dict.fromkeys(stage for of in panels.values() for stage in of))
    for axes, (title, of) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        for stage, values in of.items():
            number = stages.index(stage)
            color, mark = plots.COLORS[number % len(plots.COLORS)], plots.MARKS[number // len(plots.COLORS)]
            some = {n: value for n, value in values.items() if value > 0}  # the axis has no nothing
            axes.plot(list(some), list(some.values()), marker=mark, color=color, label=stage, markersize=4)
        axes.set(xscale="log", yscale="log", xlabel="faces")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, frameon=False)
    plots.write(path, figure)


def main() -> None:
    """Measure and print, or compare what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--steps", type=int, help="of the training; default: one epoch")
    parser.add_argument("--stages", nargs="+", choices=list(STAGES), help="default: those not measured yet")
    parser.add_argument("--folder", type=Path, help="default: a temporary one")
    parser.add_argument("--json", type=Path, help="what was measured; default: costs-<faces>.json, here")
    parser.add_argument("--draw", action="store_true", help="measure what comes after embed, of drawn embeddings")
    parser.add_argument("--plot", type=Path, nargs="+", metavar="JSON")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plot:
        compare(options.plot)
    elif options.make:
        made_up.write(options.make, options.faces)
    else:
        where = functools.partial(nullcontext, options.folder) if options.folder else tempfile.TemporaryDirectory
        out = options.json or Path(f"costs-{options.faces}.json")
        with where() as folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            flow = Run(Path(folder), options.faces, options.workers, options.steps)
            if options.draw:
                draw_embeddings(flow.folder)
            measure(flow, options.stages or (AFTER_EMBED if options.draw else None), out)


if __name__ == "__main__":
    main()
