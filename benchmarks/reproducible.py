"""Does `reproducible: strict` give the same bytes whatever the processor offers, and the number of threads?

python -m benchmarks.reproducible [fast]

Run it after `dvc repro`, in a clone that you can spare: the schedules in its params.yaml become short. Each training
runs for a few steps natively and with the instructions of an older processor, with 1, 2 and 4 threads, and on one core;
then a stage that only looks at faces does. `fast` shows what happens without strict. Printed is, for each stage, how
many different files came out, and the seconds of the first run.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from stages.core import params
from stages.core.params import PARAMS_FILE

STAGES = (
    "train_parser@scanet",
    "train_parser@extractor",
    "train_detector",
    "train_masked_recognizer@arcface",
    "train_gender",
    "pretrain_inpainter",
    "train_shared_inpainter",
    "embed@dlib",
    "remove_masks@oracle-orl",
)
STEPS = 4
OLDER = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell"}
RUNS = {
    "native, 2 threads": {"UNMASK_THREADS": "2"},
    "native, 1 thread": {"UNMASK_THREADS": "1", "OMP_NUM_THREADS": "1"},
    "native, 4 threads": {"UNMASK_THREADS": "4", "OMP_NUM_THREADS": "4"},
    "AVX2, 2 threads": {"UNMASK_THREADS": "2", **OLDER},
    "AVX2, 4 threads": {"UNMASK_THREADS": "4", "OMP_NUM_THREADS": "4", **OLDER},
}
WORK = Path(".scratch/reproducible")


def shorten() -> None:
    """Give all schedules in params.yaml a few steps."""
    lines = PARAMS_FILE.read_text(encoding="utf-8").splitlines()
    for key in ("steps", "checkpoint_every"):
        lines = [
            f"{line.split(key)[0]}{key}: {STEPS}" if line.strip().startswith(f"{key}:") else line for line in lines
        ]
    PARAMS_FILE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def digest(stage: str, environment: dict[str, str]) -> tuple[str, float]:
    """Run a stage, and return the digest of what it wrote to `--out`, and its seconds."""
    shutil.rmtree(WORK, ignore_errors=True)
    words = shlex.split(params.read_yaml(Path("dvc.lock"))["stages"][stage]["cmd"])
    for option in {"--out", "--results"} & set(words):
        place = words.index(option) + 1
        words[place] = str(WORK / option.strip("-") / Path(words[place]).name)
    start = time.perf_counter()
    subprocess.run(
        [sys.executable, *words[1:]], check=True, env={**os.environ, **environment}, capture_output=True, text=True
    )
    seconds = time.perf_counter() - start
    found = hashlib.sha256()
    for file in sorted(path for path in (WORK / "out").rglob("*") if path.is_file()):
        found.update(file.read_bytes())
    return found.hexdigest()[:12], seconds


def main(how: str = "strict") -> None:
    """Measure and print."""
    shorten()
    for stage in STAGES:
        found = {name: digest(stage, {**more, "UNMASK_REPRODUCIBLE": how}) for name, more in RUNS.items()}
        groups: dict[str, list[str]] = {}
        for name, (file, _) in found.items():
            groups.setdefault(file, []).append(name)
        same = "the same bytes" if len(groups) == 1 else " | ".join(", ".join(names) for names in groups.values())
        print(f"{how}  {stage:32}  {same}  ({next(iter(found.values()))[1]:.0f} s)", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
