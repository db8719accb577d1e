"""Outputs that are either whole or absent: written beside their place, then renamed into it."""

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stages.common.errors import UnmaskError

PARTS = "part-*.parquet"  # the files of a face table


def _staging(path: Path) -> Path:
    # Each process has its own, so that what a killed run's workers still write cannot end up in the next run's output.
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _refuse_to_replace(out: Path, replaceable: str | None) -> None:
    """Protect a folder of the user's: only an empty folder, or one that holds nothing but our own files, may go."""
    if not out.exists():
        return
    if not out.is_dir():
        raise UnmaskError(f"{out} is a file, a folder is to be written there: name another folder")
    foreign = sorted(path.name for path in out.iterdir() if not (replaceable and path.match(replaceable)))
    if foreign:
        raise UnmaskError(f"{out} already holds {foreign[0]!r}: name a new folder, or delete this one first")


@contextmanager
def whole_folder(out: Path, replaceable: str | None = None) -> Iterator[Path]:
    """Yield an empty folder to write into; it becomes `out` in one rename if the block succeeds, else it is deleted.

    An existing `out` is replaced only if it is empty or every entry of it matches the pattern `replaceable`.

    Raises:
        UnmaskError: `out` holds something else.
    """
    _refuse_to_replace(out, replaceable)
    staging = _staging(out)
    for dead in out.parent.glob(f".{glob.escape(out.name)}.*.partial"):
        shutil.rmtree(dead, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
        if out.exists():
            shutil.rmtree(out)
        staging.rename(out)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """Yield a path to write to; the file becomes `out` in one rename if the block succeeds, else it is deleted."""
    staging = _staging(out)
    try:
        yield staging
        staging.replace(out)
    except BaseException:
        staging.unlink(missing_ok=True)
        raise
