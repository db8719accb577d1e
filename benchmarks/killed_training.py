"""A training stage in one go, and with three kills at random moments: the same weights?

python -m benchmarks.killed_training [train_detector | train_shared_inpainter@gan | …]

Run it after `dvc repro`, whose weights are those of the run in one go. It prints after which checkpoint each kill came,
and whether all weights are equal to the last bit: then every score is, too.
"""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

from stages.core import params
from stages.core.results import Results
from stages.training.loop import SCRATCH

KILLS = 3
WORK = SCRATCH / "killed_training"
STARTING = 20  # seconds, of the imports


def command(stage: str) -> tuple[list[str], Path, float]:
    """Return the stage's command with its outputs in `WORK`, the weights it wrote before, and how long it took."""
    words = shlex.split(params.read_yaml(Path("dvc.lock"))["stages"][stage]["cmd"])
    words[0] = sys.executable
    out, results = (words[words.index(option) + 1] for option in ("--out", "--results"))
    seconds = json.loads(Results(Path(results)).costs.read_text())["seconds"]
    moved = {out: str(WORK / Path(out).name), results: str(WORK / "results")}
    return [moved.get(word, word) for word in words], Path(out), seconds


def main(stage: str = "train_detector") -> None:
    """Measure and print."""
    words, whole, seconds = command(stage)
    name = stage.replace("@", "-")
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for kill in range(KILLS):
        process = subprocess.Popen(words, start_new_session=True)
        time.sleep(STARTING + random.uniform(0.1, 0.3) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reached = sorted((SCRATCH / name).glob("*/epoch_*.pth"), key=lambda path: path.stat().st_mtime)
        print(f"kill {kill + 1} after {reached[-1].name if reached else 'no checkpoint'}", flush=True)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    before, after = load_file(whole), load_file(WORK / whole.name)
    differing = [key for key in before if not torch.equal(before[key], after[key])]
    print(f"{len(before)} tensors, {len(differing)} differ")


if __name__ == "__main__":
    main(*sys.argv[1:])
