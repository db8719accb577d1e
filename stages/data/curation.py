"""data/curation/<dataset>.csv: the photos that a person leaves out of a dataset, by face_id, and why."""

import os
from collections.abc import Collection
from pathlib import Path

from stages.core import text
from stages.core.errors import UnmaskError
from stages.core.outputs import write_csv

COLUMNS = ("face_id", "reason")


def read(path: Path, known: Collection[str] | None = None) -> dict[str, str]:
    """Return the reason by face_id, in the file's order; a path as Windows writes it counts as a face_id, too.

    Args:
        path: the list, in any encoding and with any separator; see `stages.core.text`.
        known: all face_ids of the dataset; None: whatever stands there.

    Raises:
        UnmaskError: there is no such list, it lacks a column, or names a face twice or one that is not there.
    """
    entries = text.table(text.read(path, known or ()), str(path), COLUMNS, unique="face_id")
    lines: dict[str, int] = {}
    for entry in entries:
        face_id = os.path.normpath(entry["face_id"].replace("\\", "/"))
        if face_id in lines:
            raise UnmaskError(f"{path}, line {entry.line}: {face_id} stands there twice")
        lines[face_id] = entry.line
    if known is not None and (unknown := [f"line {line}: {one}" for one, line in lines.items() if one not in known]):
        raise UnmaskError(f"{path} names faces that are not in the dataset: {'; '.join(unknown)}")
    return {face_id: entry["reason"] for face_id, entry in zip(lines, entries, strict=True)}


def write(path: Path, reasons: dict[str, str]) -> None:
    """Write the list, in UTF-8, with commas."""
    write_csv(path, COLUMNS, reasons.items())
