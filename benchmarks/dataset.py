"""Time and memory of the five data stages on a dataset of your own or a large one.

python -m benchmarks.dataset lfw

Run it in a clone that you can spare: it sets `datasets` in params.yaml, runs the pipeline stage by stage, and prints
for each stage the seconds, the photos a second and the peak memory of its largest process.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from ruamel.yaml import YAML

STAGES = ("fetch", "clean", "find_landmarks", "align_faces", "render_masks")


def main(dataset: str) -> None:
    """Measure and print."""
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params["datasets"] = [dataset]
    yaml.dump(params, Path("params.yaml"))
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for stage in STAGES:
        start = time.perf_counter()
        command = ["dvc", "repro", "-s", f"{stage}@{dataset}"]
        process = subprocess.Popen(command, env={**os.environ, "PATH": programs}, stdout=sys.stderr)
        _, status, usage = os.wait4(process.pid, 0)  # its usage is that of the largest process below it
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(command)} failed")
        seconds = time.perf_counter() - start
        metrics = json.loads(Path(f"metrics/{stage}-{dataset}.json").read_text())
        faces = metrics.get("photos") or metrics.get("faces")
        rate = f"{faces / seconds:7.0f} photos a second" if faces else ""
        print(f"{stage:16}{seconds:8.1f} s  {usage.ru_maxrss / 2**20:5.2f} GiB {rate}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
