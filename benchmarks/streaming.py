"""Training from faces on the disk against faces in memory: images a second of processor time, and memory.

python -m benchmarks.streaming [faces]

The faces are ORL's, again and again (default: 10,000). A process each reads all of them once in a random order. Then a
recognizer of the size in params.yaml learns from the one and the other, in pairs whose first alternates. It must end
with the same weights; of how much faster it is from the disk, the median of the pairs counts.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.orl import repeated
from stages.core import params
from stages.core.tables import Face
from stages.recognition import train_recognizer, training
from stages.training.rows import on_disk

PARAMS = Path(__file__).parents[1] / "params.yaml"
STEPS = 20
PAIRS = 7  # one before, which warms up, does not count
WAYS: dict[str, Callable[[Iterator[Face]], Sequence[Face]]] = {"memory": list, "disk": on_disk}


def faces(n: int) -> Iterator[Face]:
    """Yield `n` faces."""
    for copy, person, number, data in repeated(n):
        identity = f"{person}-{copy}"
        yield {"face_id": f"orl/{identity}/{number}", "identity": identity, "image": bytes(bytearray(data))}


def learn(way: str, samples: training.Samples, recipe: train_recognizer.Params) -> tuple[float, dict[str, Tensor]]:
    """Train once; return the images a second of processor time, and the weights."""
    start = time.process_time()
    run = training.fit("arcface", recipe, samples, start=recipe.start(), name=f"streaming-{way}", key="", last=True)
    speed = run.cost["images"] / (time.process_time() - start)
    run.forget()
    return speed, run.model.state_dict()


def speed(n: int) -> None:
    """Measure images a second and print; end with a message if the weights differ."""
    recipe = params.load(train_recognizer.Params, "train_recognizer", PARAMS)
    schedule = recipe.schedule.model_copy(update={"steps": STEPS, "checkpoint_every": STEPS})
    recipe = recipe.model_copy(update={"schedule": schedule})
    samples = {way: training.Samples(keep(faces(n)), recipe.network.side, 0) for way, keep in WAYS.items()}
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for pair in range(PAIRS + 1):
        weights = {}
        for way in list(WAYS)[:: 1 if pair % 2 else -1]:
            images, weights[way] = learn(way, samples[way], recipe)
            found[way] += [images] if pair else []
        if not all(torch.equal(weights["disk"][name], value) for name, value in weights["memory"].items()):
            sys.exit("a training from the disk ended with other weights than the one from memory")
    memory, disk = (statistics.median(found[way]) for way in ("memory", "disk"))
    ratios = sorted(disk / memory for disk, memory in zip(found["disk"], found["memory"], strict=True))
    print(
        f"{n:,} faces: {memory:.1f} images a second of processor time from memory, {disk:.1f} from the disk: "
        f"{statistics.median(ratios):.3f} times as many, median of {PAIRS} pairs from {ratios[0]:.3f} to "
        f"{ratios[-1]:.3f}; the same weights to the last bit"
    )


def memory(way: str, n: int) -> None:
    """Measure the memory that faces take and how long one is read, and print."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    rows = WAYS[way](faces(n))
    start = time.process_time()
    total = sum(len(rows[index]["image"]) for index in np.random.default_rng(0).permutation(n))
    seconds = time.process_time() - start
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(
        f"{n:,} faces of {total / n / 1000:.1f} kB, {way}: {more / 2**10:,.0f} MB, {1e6 * seconds / n:.1f} µs a face",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--memory"]:
        with tempfile.TemporaryDirectory(dir=".") as folder, chdir(folder):
            memory(sys.argv[2], int(sys.argv[3]))
    else:
        chosen = sys.argv[1] if sys.argv[1:] else "10000"
        for way in WAYS:
            subprocess.run([sys.executable, "-m", "benchmarks.streaming", "--memory", way, chosen], check=True)
        speed(int(chosen))
