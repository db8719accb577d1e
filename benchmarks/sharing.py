"""What it takes to share 100,000 faces through DVC: add, push, clone and pull, as a face table and as loose files.

python -m benchmarks.sharing [faces] [--loose]

The faces are made up (6 kB of noise each). With --loose the same faces are shared as files, too, which takes minutes;
the last line is then the ratio.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages.core import tables


def faces_of(part: int, parts: int, faces: int) -> list[tables.Face]:
    """Return the made-up faces of a part, four photos of each person."""
    rng = np.random.default_rng(part)
    rows = []
    for person in range(faces // 4):
        identity = f"p{person:06d}"
        if tables.part_of(identity, parts) == part:
            rows += [
                {"face_id": f"made/{identity}/{photo}", "identity": identity, "image": rng.bytes(6000)}
                for photo in range(4)
            ]
    return rows


def write_shards(folder: Path, faces: int) -> None:
    """Write the faces as a table."""
    parts = tables.n_parts({f"p{person:06d}": 4 for person in range(faces // 4)})
    folder.mkdir()
    for part in range(parts):
        rows = faces_of(part, parts, faces)
        tables.write_part(folder / tables.part_name(part), rows, ["face_id", "identity", "image"])


def write_files(folder: Path, faces: int) -> None:
    """Write the faces as files, one folder a person."""
    for face in faces_of(0, 1, faces):
        path = folder / f"{face['face_id'].removeprefix('made/')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(face["image"])


def share(work: Path, write: Callable[[Path, int], None], faces: int) -> float:
    """Return the seconds for add, push, clone and pull."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    author = {f"GIT_{who}_{what}": "benchmark" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, "PATH": programs, "DVC_NO_ANALYTICS": "1", **author}

    def run(command: str, cwd: Path) -> float:
        start = time.perf_counter()
        subprocess.run(command.split(), cwd=cwd, check=True, stdout=subprocess.DEVNULL, env=environment)
        return time.perf_counter() - start

    repository = work / "sender"
    repository.mkdir(parents=True)
    for command in ("git init -q", "dvc init -q", f"dvc remote add -q -d storage {work / 'storage'}"):
        run(command, repository)
    write(repository / "faces", faces)
    seconds = {"add": run("dvc add -q faces", repository)}
    run("git add -A", repository)
    run("git commit -qm faces", repository)
    seconds["push"] = run("dvc push -q", repository)
    seconds["clone"] = run(f"git clone -q {repository} {work / 'receiver'}", work)
    seconds["pull"] = run("dvc pull -q", work / "receiver")
    total = sum(seconds.values())
    count = sum(1 for path in (work / "receiver" / "faces").rglob("*") if path.is_file())
    each = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    print(f"{faces} faces in {count} files: {each}; {total:.1f} s in all", flush=True)
    return total


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("faces", type=int, nargs="?", default=100_000)
    parser.add_argument("--loose", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        shards = share(Path(folder) / "shards", write_shards, options.faces)
        if options.loose:
            loose = share(Path(folder) / "loose", write_files, options.faces)
            print(f"loose files took {loose / shards:.1f} times as long")


if __name__ == "__main__":
    main()
