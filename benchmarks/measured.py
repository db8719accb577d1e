"""What a program costs: seconds, and the memory of its largest process."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


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
    start = time.perf_counter()
    with (folder / "said.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=folder, env={**os.environ, **settings}, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)  # its usage is that of the largest process below it
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(words)} failed, in {folder}:\n{(folder / 'said.log').read_text(errors='replace')[-2000:]}")
    kilobyte = 1 if sys.platform == "darwin" else 1024  # in which the system counts memory
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * kilobyte)
