"""What a program costs: seconds, and the memory of its largest process.

A process that is started begins with the memory of the one that starts it, as far as the system's count of its peak
goes. So a small one is between: this module, run as a program.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Cost:
    """What a program took."""

    wall: float
    """Seconds from its start to its end."""
    seconds: float
    """Of processor time, its workers' included; other programs do not lengthen it much."""
    peak: int
    """Memory of its largest process, bytes."""


def run(words: Sequence[str], folder: Path, **settings: str) -> Cost:
    """Run a program in a folder with some settings in its environment; end this one with its words if it fails."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": programs, "PYTHONPATH": str(ROOT), **settings}
    with tempfile.TemporaryDirectory() as kept:
        said, usage = Path(kept) / "said", Path(kept) / "usage"
        between = [sys.executable, "-m", "benchmarks.measured", str(usage), *words]
        with said.open("wb") as log:
            status = subprocess.run(between, cwd=folder, env=environment, stdout=log, stderr=log, check=False)
        if status.returncode:
            sys.exit(f"{' '.join(words)} failed, in {folder}:\n{said.read_text(errors='replace')[-2000:]}")
        return Cost(**json.loads(usage.read_text()))


def main(usage: Path, words: Sequence[str]) -> int:
    """Run a program, write what it took, and return its exit status."""
    start = time.perf_counter()
    status = subprocess.run(words, check=False).returncode
    wall, found = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    kilobyte = 1 if sys.platform == "darwin" else 1024  # in which the system counts memory
    seconds, peak = found.ru_utime + found.ru_stime, found.ru_maxrss * kilobyte
    usage.write_text(json.dumps({"wall": wall, "seconds": seconds, "peak": peak}))
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
