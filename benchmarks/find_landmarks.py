"""How much faster find_landmarks is with 2 workers than with 1, on real photos, in one run.

python -m benchmarks.find_landmarks [times]

The table is ORL's 400 photos several times over (default 5: 2,000 faces). Each figure is the median of three runs,
taken in turn. Both tables must have the same bytes.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.orl import write_table
from stages import find_landmarks
from stages.common import params


def main(times: int) -> None:
    """Measure and print."""
    chosen = params.load(find_landmarks.Params, "find_landmarks")
    with tempfile.TemporaryDirectory() as folder:
        table = write_table(Path(folder) / "orl", times)
        seconds: dict[str, list[float]] = {"1": [], "2": []}
        written = {}
        for _ in range(3):
            for workers, measured in seconds.items():
                os.environ["UNMASK_WORKERS"] = workers
                out = Path(folder) / f"out-{workers}"
                start = time.perf_counter()
                find_landmarks.find_landmarks(table, out, Path(folder) / "sheet.png", chosen)
                measured.append(time.perf_counter() - start)
                written[workers] = [path.read_bytes() for path in sorted(out.iterdir())]
        assert written["1"] == written["2"]
        one, two = (statistics.median(measured) for measured in seconds.values())
        print(f"{400 * times} faces, same bytes: 1 worker {one:.1f} s, 2 workers {two:.1f} s; ratio {one / two:.2f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
