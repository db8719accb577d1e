"""How much faster find_landmarks is with 2 workers than with 1, on real photos, in one run.

python -m benchmarks.find_landmarks [faces] [--dask]

The table is ORL's 400 photos several times over (default: 2,000 faces), or some of them. Each figure is the median of
three runs, taken in turn. Both tables must have the same bytes. Workers are processes of joblib; with --dask they are
those of two Dask clusters on this machine, one thread each, which both stand ready while the other one works.
"""

import argparse
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.orl import write_table
from stages.core import params, tables
from stages.core.results import Results
from stages.landmarks import find_landmarks

RUNS = 3
WORKERS = (1, 2)


@contextlib.contextmanager
def clusters() -> Iterator[dict[int, Mapping[str, str]]]:
    """Yield by number of workers the settings that send work to a Dask cluster of so many."""
    from distributed import LocalCluster  # noqa: PLC0415 -- an extra

    options = {"threads_per_worker": 1, "dashboard_address": ":0", "silence_logs": 50, "host": "127.0.0.1"}
    with contextlib.ExitStack() as stack:
        yield {
            n: {"UNMASK_SCHEDULER": stack.enter_context(LocalCluster(n_workers=n, **options)).scheduler_address}
            for n in WORKERS
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=int, nargs="?", default=2000)
    parser.add_argument("--dask", action="store_true")
    options = parser.parse_args()
    chosen = params.load(find_landmarks.Params, "find_landmarks")
    processes = contextlib.nullcontext({n: {"UNMASK_WORKERS": str(n)} for n in WORKERS})
    with tempfile.TemporaryDirectory() as folder, clusters() if options.dask else processes as settings:
        table = write_table(Path(folder) / "orl", options.faces)
        seconds: dict[int, list[float]] = {n: [] for n in WORKERS}
        written = {}
        for _ in range(RUNS):
            for n, setting in settings.items():
                os.environ.update(setting)
                out = Path(folder) / f"out-{n}"
                start = time.perf_counter()
                find_landmarks.find_landmarks(table, out, Results(Path(folder) / "sheet"), chosen)
                seconds[n].append(time.perf_counter() - start)
                written[n] = [path.read_bytes() for path in sorted(out.iterdir())]
        assert written[1] == written[2]
        one, two = (statistics.median(measured) for measured in seconds.values())
        kind = "Dask workers" if options.dask else "processes"
        print(
            f"{tables.count(table)} faces, {kind}, same bytes: 1 worker {one:.1f} s, 2 workers {two:.1f} s; "
            f"ratio {one / two:.2f}"
        )


if __name__ == "__main__":
    main()
