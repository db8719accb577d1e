"""Is a file what its publisher, or our own record of it, says it is?"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from stages.core import text
from stages.core.errors import UnmaskError
from stages.core.outputs import write_csv
from stages.core.text import Entry
from stages.data.sources.catalogue import Checks

BLOCK = 1 << 20
FIELDS = ("name", "bytes", "sha256", "note")
HEAD = ",".join(FIELDS)


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
        inside = {file: content(file) for file in sorted(file for file in path.rglob("*") if file.is_file())}
        listing = "".join(f"{one.sha256}  {file.relative_to(path).as_posix()}\n" for file, one in inside.items())
        size = sum(one.bytes for one in inside.values())
        return Content(size, "", hashlib.sha256(listing.encode()).hexdigest(), "")
    size = path.stat().st_size
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    git_blob = hashlib.sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            for digest in (md5, sha256, git_blob):
                digest.update(block)
    return Content(size, md5.hexdigest(), sha256.hexdigest(), git_blob.hexdigest())


class RefusedError(UnmaskError):
    """A file is not what was published or recorded: `wrong` says in which way, `remedy` what to do if it is right."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(f"{wrong}. {remedy}")
        self.wrong = wrong
        self.remedy = remedy


class Records:
    """data/checksums/<dataset>.csv: the files that were believed, in Git.

    A file whose checksum nobody published is recorded when it is first fetched and compared from then on. A line
    written by hand accepts an edition that the catalogue does not know, such as a subset.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_new = not path.exists() or not path.stat().st_size
        self._lines = [] if self.is_new else text.table(text.read(path), str(path), FIELDS)
        for line in self._lines:
            if not (line["bytes"].isdecimal() and re.fullmatch("[0-9a-fA-F]{64}", line["sha256"])):
                raise UnmaskError(f"{path}, line {line.line}: expected {HEAD}, got {','.join(line.cells.values())}")

    def of(self, published: Checks) -> dict[int, Entry]:
        """Return what a file is compared with, by line of the CSV.

        A line of another size than the published one is of another edition, and says nothing of this one.
        """
        return {
            line.line: line
            for line in self._lines
            if line["name"] == published.name and published.bytes in {None, int(line["bytes"])}
        }

    def accepts(self, name: str, found: Content) -> bool:
        """Tell whether this very content was recorded under this name."""
        return (name, found.sha256) in {(line["name"], line["sha256"].lower()) for line in self._lines}

    def add(self, name: str, found: Content, note: str) -> None:
        """Record a file."""
        cells = dict(zip(FIELDS, (name, str(found.bytes), found.sha256, note), strict=True))
        self._lines.append(Entry(len(self._lines) + 2, cells))
        self.is_new = False
        write_csv(self.path, FIELDS, ([line[field] for field in FIELDS] for line in self._lines))


def _difference(found: Content, published: Checks) -> str:
    """Return in words how a file differs from what was published; empty if it does not."""
    if published.bytes not in {None, found.bytes}:
        return f"it has {found.bytes:,} bytes, published were {published.bytes:,}"
    for kind in ("md5", "sha256", "git_blob"):
        if getattr(published, kind) not in {None, getattr(found, kind)}:
            return f"its {kind} is {getattr(found, kind)}, published was {getattr(published, kind)}"
    if published.sha256_begins and not found.sha256.startswith(published.sha256_begins):
        return f"its sha256 is {found.sha256}, published was one that begins with {published.sha256_begins}"
    if published.mebibytes not in {None, round(found.bytes / 2**20, 3)}:
        return f"it has {found.bytes / 2**20:.3f} MiB, published were {published.mebibytes}"
    return ""


def believe(path: Path, published: Checks, records: Records, *, note: str) -> Content:
    """Return what a file or folder holds if it can be believed; record it, with a note, if nobody published a checksum.

    Raises:
        RefusedError: it differs from what was published or recorded.
    """
    found = content(path)
    if records.accepts(published.name, found):
        return found
    if wrong := _difference(found, published):
        line = f"{published.name},{found.bytes},{found.sha256},<what it is>"
        how = f"add this line to {records.path}:\n{line}"
        if records.is_new:
            how = f"add this line to {records.path}, which is not there yet, below its first line:\n{HEAD}\n{line}"
        raise RefusedError(wrong, f"If you know this file and trust it (a subset, another edition), {how}")
    if published.has_checksum:
        return found
    if recorded := records.of(published):
        were = "; ".join(f"line {number}: {line['sha256']}, {line['note']}" for number, line in recorded.items())
        raise RefusedError(
            f"its sha256 is {found.sha256}, {records.path} has another one ({were})",
            f"If it is right, as its publisher has replaced the file or a sample was recorded, delete "
            f"{' and '.join(f'line {number}' for number in recorded)} of {records.path}",
        )
    records.add(published.name, found, note)
    return found
