"""Outputs that are either whole or absent: written beside their place, then renamed into it."""

import csv
import glob
import os
import shutil
import socket
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stages.core.errors import UnmaskError

PARTS = "part-*.parquet"  # the files of a face table


def _staging(path: Path) -> Path:
    # Each process of each machine has its own, so that what a killed run's workers still write cannot end up in the
    # next run's output, nor two workers of a cluster in one file.
    return path.with_name(f".{path.name}.{os.getpid()}.{socket.gethostname()}.partial")


def _delete_what_killed_runs_left(out: Path) -> None:
    for dead in out.parent.glob(f".{glob.escape(out.name)}.[0-9]*.partial"):
        if dead.is_dir():
            shutil.rmtree(dead, ignore_errors=True)
        else:
            dead.unlink(missing_ok=True)


@contextmanager
def whole_folder(out: Path, replaceable: str | None = None) -> Iterator[Path]:
    """Yield an empty folder to write into; it becomes `out` in one rename if the block succeeds, else it is deleted.

    An existing `out` is replaced only if it is empty or every entry of it matches the pattern `replaceable`.

    Raises:
        UnmaskError: `out` holds something else, which may be dear to the user.
    """
    if out.exists() and not out.is_dir():
        raise UnmaskError(f"{out} is a file, a folder is to be written there: name another folder")
    foreign = [path.name for path in out.glob("*") if not (replaceable and path.match(replaceable))]
    if foreign:
        raise UnmaskError(f"{out} already holds {min(foreign)!r}: name a new folder, or delete this one first")
    staging = _staging(out)
    _delete_what_killed_runs_left(out)
    staging.mkdir(parents=True)
    try:
        yield staging
        for half in staging.glob(".*.partial"):  # of a worker that was killed; another one has written that file
            half.unlink()
        if out.exists():
            shutil.rmtree(out)
        staging.rename(out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


@contextmanager
def whole_file(out: Path, *, in_whole_folder: bool = False) -> Iterator[Path]:
    """Yield a path to write to; the file becomes `out` in one rename if the block succeeds, else it is deleted.

    Args:
        out: the file; its folder is made if it is missing.
        in_whole_folder: its folder is one that `whole_folder` yields. That is new, so nothing lies in it; and if it is
            gone, the run was killed and it must not come back.
    """
    staging = _staging(out)
    if not in_whole_folder:
        out.parent.mkdir(parents=True, exist_ok=True)
        _delete_what_killed_runs_left(out)
    try:
        yield staging
        staging.replace(out)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise


def write_csv(out: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file whole or not at all: the columns' names, then a line a row, each ended by a line feed.

    Bytes of file names that are no UTF-8 are written as escapes.
    """
    with (
        whole_file(out) as staging,
        staging.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
