"""The detector, trained in one go and trained with three kills at random steps: the same weights, the same score?

python -m benchmarks.killed_training

Run it after `dvc repro evaluate_detector`, whose results are the run in one go. It prints both scores and whether the
weights are equal to the last bit.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from stages.common import params

KILLS = 3
WORK = Path(".scratch/killed_training")


def train(role: str) -> list[str]:
    """Return the command of the training."""
    paths = {
        "faces": f"data/aligned/{role}",
        "templates": "data/mask_templates",
        "out": WORK / "detector.safetensors",
        "curve": WORK / "curve.csv",
        "costs": WORK / "costs.json",
    }
    options = [text for name, path in paths.items() for text in (f"--{name}", str(path))]
    return [sys.executable, "-m", "stages.train_detector", *options]


def main() -> None:
    """Measure and print."""
    role = params.read_yaml(params.PARAMS_FILE)["roles"]["detection"]
    seconds = json.loads(Path("metrics/costs/train_detector.json").read_text())["seconds"]
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    for kill in range(KILLS):
        process = subprocess.Popen(train(role), start_new_session=True)
        time.sleep(20 + random.uniform(0.1, 0.3) * seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reached = sorted(Path(".scratch/train_detector").glob("*/epoch_*.pth"), key=lambda path: path.stat().st_mtime)
        print(f"kill {kill + 1} after {reached[-1].name if reached else 'no checkpoint'}", flush=True)
    subprocess.run(train(role), check=True, stdout=subprocess.DEVNULL)
    evaluation = [sys.executable, "-m", "stages.evaluate_detector", "--faces", f"data/masked/{role}"]
    evaluation += ["--weights", str(WORK / "detector.safetensors"), "--figure", str(WORK / "figure.png")]
    killed = json.loads(subprocess.run(evaluation, check=True, stdout=subprocess.PIPE, text=True).stdout)
    whole = json.loads(Path("metrics/evaluate_detector.json").read_text())
    digests = [
        hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (Path("models/detector.safetensors"), WORK / "detector.safetensors")
    ]
    print(f"in one go   segm AP {whole['segm']['ap']:.4f}")
    print(f"with kills  segm AP {killed['segm']['ap']:.4f}")
    print(f"weights {'equal' if digests[0] == digests[1] else 'differ'}")


if __name__ == "__main__":
    main()
