"""Is a file what its publisher, or our own record of it, says it is?"""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from stages.common.errors import UnmaskError
from stages.common.outputs import whole_file
from stages.sources.catalogue import Checks

BLOCK = 1 << 20
FIELDS = ("name", "bytes", "sha256", "note")


@dataclass(frozen=True)
class Content:
    """What a file, or all files of a folder, hold."""

    bytes: int
    md5: str
    sha256: str
    git_blob: str


def content(path: Path) -> Content:
    """Return size and checksums of a file; for a folder, of the list of its files' names and sha256s."""
    if path.is_dir():
        listing, size = b"", 0
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            inside = content(file)
            listing += f"{inside.sha256}  {file.relative_to(path).as_posix()}\n".encode()
            size += inside.bytes
        digest = hashlib.sha256(listing).hexdigest()
        return Content(size, "", digest, "")
    size = path.stat().st_size
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    git_blob = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for digest in (md5, sha256, git_blob):
                digest.update(block)
    return Content(size, md5.hexdigest(), sha256.hexdigest(), git_blob.hexdigest())


def difference(found: Content, published: Checks) -> str | None:
    """Return in words how a file differs from what was published, or None if it does not."""
    if published.bytes is not None and found.bytes != published.bytes:
        return f"it has {found.bytes:,} bytes, published were {published.bytes:,}"
    for kind in ("md5", "sha256", "git_blob"):
        value = getattr(published, kind)
        if value is not None and getattr(found, kind) != value:
            return f"its {kind} is {getattr(found, kind)}, published was {value}"
    return None


class Records:
    """data/checksums/<dataset>.csv: the files that were believed, in Git.

    A file whose checksum nobody published is recorded when it is first fetched and compared from then on. A line
    written by hand accepts an edition that the catalogue does not know, such as a subset.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: list[dict[str, str]] = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.DictReader(file)
                if tuple(reader.fieldnames or ()) != FIELDS:
                    raise UnmaskError(f"{path}: the first line must be {','.join(FIELDS)}")
                self._lines = list(reader)

    def knows(self, name: str) -> bool:
        """Tell whether a file of this name was recorded."""
        return any(line["name"] == name for line in self._lines)

    def accepts(self, name: str, found: Content) -> bool:
        """Tell whether this very content was recorded under this name."""
        return any(line["name"] == name and line["sha256"] == found.sha256 for line in self._lines)

    def add(self, name: str, found: Content, note: str) -> None:
        """Record a file."""
        self._lines.append({"name": name, "bytes": str(found.bytes), "sha256": found.sha256, "note": note})
        with whole_file(self.path) as staging, staging.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._lines)


def believe(path: Path, published: Checks, records: Records, *, note: str) -> Content:
    """Return a file's content if it can be believed; record it if nobody published a checksum.

    Args:
        path: a file, or a folder.
        published: what the catalogue says of it.
        records: of the dataset.
        note: where it came from, for the record.

    Raises:
        UnmaskError: it differs from what was published or recorded.
    """
    found = content(path)
    if records.accepts(published.name, found):
        return found
    wrong = difference(found, published)
    if wrong is None and not published.has_checksum and records.knows(published.name):
        wrong = f"its sha256 is {found.sha256}, which {records.path} does not list: it is not what was fetched before"
    if wrong is None:
        if not published.has_checksum:
            records.add(published.name, found, note)
        return found
    raise UnmaskError(
        f"{path} is not what it should be: {wrong}. If you know this file and trust it (a subset, another edition), "
        f"add this line to {records.path}:\n{published.name},{found.bytes},{found.sha256},<what it is>"
    )
