"""What a step of each recipe of a paper takes at full size, and how much memory: `presets/recipes` on two cores.

OMP_NUM_THREADS=2 python -m benchmarks.recipes --faces data/labeled/orl [--only extractor_r18]

Two steps of two faces each, from scratch, in a program of its own; the faces are enlarged to the recipe's side, and a
step takes as long whatever they show. Batches of the recipes are larger: memory grows with them, all but that of the
weights.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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

ROOT = Path(__file__).parents[1]
NAMES = [name for name in presets.names(ROOT / presets.FOLDER) if name.startswith(presets.RECIPES)]
DRAWN = ROOT / "data/mask_templates", ROOT / "data/occluders"  # folders of the user's own


def settings(name: str, to: Path, changes: Mapping[str, Any]) -> Path:
    """Return params.yaml with a recipe in it, and all its trainings changed to two steps of two faces.

    Args:
        name: `recipes/<name>`.
        to: folder to write into.
        changes: more values, by dotted key.
    """
    to.mkdir(parents=True, exist_ok=True)
    path = to / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    presets.apply(name, path, ROOT / presets.FOLDER, ROOT / presets.CATALOGUE)
    content = read_yaml(path)
    short = {"steps": 2, "batch_size": 2, "checkpoint_every": 2}
    for part in sections_of(content):
        if "schedule" in part:
            part["schedule"].update(short)
    content["train_gender"]["folds"] = 2
    for key, value in changes.items():
        *steps, last = key.split(".")
        place = content
        for step in steps:
            place = place[step]
        place[last] = value
    path.write_text(json.dumps(content))
    return path


def sections_of(content: Any) -> list[dict[str, Any]]:
    """Return all mappings in params.yaml."""
    inner = [part for value in content.values() for part in sections_of(value)] if isinstance(content, dict) else []
    return [content, *inner] if isinstance(content, dict) else []


def train(name: str, faces: Path, to: Path, changes: Mapping[str, Any] | None = None) -> tuple[Path, dict[str, Any]]:
    """Run the stage that a recipe is of, two steps long; return the weights it wrote, and its metrics and costs.

    Args:
        name: `recipes/<name>`.
        faces: a table with labels, landmarks and sexes.
        to: folder to write into.
        changes: of params, by dotted key.
    """
    path = settings(name, to, changes or {})
    out, results = to / "w.safetensors", Results(to / "run")
    values = presets.load(name, ROOT / presets.FOLDER).params
    (stage,) = {key.split(".")[0] for key in values} & RUNS.keys()
    found = RUNS[stage](next(iter(values)), faces, out, results, path)
    return out, {**found, "costs": json.loads(results.costs.read_text())}


def _parser(key: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    chosen = sections.load(train_parser.Params, "train_parser", path)
    return train_parser.train_parser(key.split(".")[1], faces, *DRAWN, out, results, chosen)


def _detector(_: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    chosen = sections.load(train_detector.Params, "train_detector", path)
    return train_detector.train_detector(faces, DRAWN[0], out, results, chosen)


def _gender(_: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    chosen = sections.load(train_gender.Params, "train_gender", path)
    return train_gender.train_gender(faces, DRAWN[0], out, results, chosen)


def _recognizer(_: str, faces: Path, out: Path, results: Results, path: Path) -> dict[str, Any]:
    chosen = sections.load(train_recognizer.Params, "train_recognizer", path)
    return train_recognizer.train_recognizer("arcface", faces, out, results, chosen)


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


def measure(name: str, faces: Path) -> dict[str, Any]:
    """Return parameters, seconds of a step and megabytes of a recipe, in this program."""
    scratch: dict[str, Any] = {}
    preset = presets.load(name, ROOT / presets.FOLDER)
    for key, value in preset.params.items():
        if key.endswith("pretrained"):
            scratch[key] = None
        elif isinstance(value, dict) and "pretrained" in value:
            scratch[f"{key}.pretrained"] = None
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        _, found = train(name, faces, Path(folder), scratch)
        whole = time.perf_counter() - start
    costs = found["costs"]
    steps = 2 * costs.get("trainings", 1)
    numbers = found["parameters"]
    numbers = numbers["generator"] if isinstance(numbers, dict) else numbers
    return {
        "parameters": numbers,
        "seconds": costs["seconds"] / steps,
        "memory": costs["peak_memory_mb"],
        "precision": costs["precision"],
        "whole": whole,
    }


def main() -> None:
    """Print a row for each recipe."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    options.add_argument("--faces", type=Path, default=Path("data/labeled/orl"))
    options.add_argument("--only", help="a recipe")
    options.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = options.parse_args()
    if given.inside:
        print(json.dumps(measure(given.only, given.faces.absolute())))
        return
    print(
        "| recipe | parameters, M | seconds a step of 2 | peak memory, GB | precision |\n|---|---|---|---|---|",
        flush=True,
    )
    for name in NAMES:
        if given.only in {None, name, name.rpartition("/")[2]}:
            program = [sys.executable, "-m", "benchmarks.recipes", "--inside", "--only", name, "--faces", given.faces]
            done = subprocess.run(program, capture_output=True, text=True, check=True)
            row = json.loads(done.stdout.splitlines()[-1])
            print(
                f"| {name.rpartition('/')[2]} | {row['parameters'] / 1e6:.1f} | {row['seconds']:.1f} | "
                f"{row['memory'] / 1024:.1f} | {row['precision']} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
