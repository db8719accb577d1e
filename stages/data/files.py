"""The raw folder of a dataset as one list of files, whether they lie loose, in a tar or in a zip.

Nothing is unpacked into folders; members are read one at a time. Archives that try to lead out of their folder, to
link elsewhere or to swell when unpacked are refused, and so are names that occur twice. Names are compared, and shown,
in Unicode's composed form (NFC); bytes of a name that are no UTF-8 stand as %E9 in it.
"""

import bisect
import bz2
import errno
import functools
import gzip
import itertools
import json
import lzma
import os
import pickle
import re
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import IO, Any

from stages.core.errors import UnmaskError
from stages.core.text import decode, lines, printable, same_name
from stages.data import matlab
from stages.data.photo import Kept, Photo
from stages.photos.kinds import SUFFIXES
from stages.photos.reading import UnreadableImageError

SCRATCH = Path(".scratch")
COMPRESSED_TAR = {".tgz": gzip.open, ".tar.gz": gzip.open, ".tar.bz2": bz2.open, ".tar.xz": lzma.open}
MAX_MEMBER = 2**31  # bytes; no photo, label map or list of a face dataset comes near
MAX_RATIO = 200  # unpacked to packed: text packs ten times, blank masks a hundred
RATIO_FROM = 2**20  # unpacked bytes below which the ratio does no harm
BLOCK = 2**20
AFTER_SLASH = "0"  # the next character
ZIP_UTF8 = 0x800  # of a member's flags
# What the archive modules and h5py raise for damaged files; RuntimeErrors stand for encryption and unknown compression.
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error)
DAMAGE += (EOFError, OSError, RuntimeError, ValueError, OverflowError, LookupError)
# Folders and files that operating systems add.
JUNK = re.compile(r"(^|/)(__MACOSX|\.[^/]+|Thumbs\.db|desktop\.ini)(/|$)")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file's bytes are: a stretch of a file (a loose file, or a tar), or a member of a zip or of a .mat."""

    file: str  # there may be millions of places, and a Path takes 400 bytes
    size: int
    offset: int = 0
    member: str | None = None
    variable: str | None = None

    @property
    def path(self) -> Path:
        """Return the file's path."""
        return Path(self.file)


class Files:
    """A dataset's files by name: the path below the raw folder, or the path inside its archive. Picklable.

    Attributes:
        opened: the files that were read through this object.
        hidden: how many files of operating systems, and such whose names begin with a dot, are not among them.
    """

    def __init__(self, places: dict[str, _Place], hidden: int = 0, scratch: Path = SCRATCH) -> None:
        self._places = places
        self._scratch = scratch
        self._kept: str | None = None
        self.opened: set[str] = set()
        self.hidden = hidden

    def names(self) -> list[str]:
        """Return all names, sorted."""
        return sorted(self._places)

    def images(self) -> list[PurePosixPath]:
        """Return the paths of all files with the suffix of an image, sorted by name."""
        return [path for path in map(PurePosixPath, self.names()) if path.suffix.lower() in SUFFIXES]

    def matching(self, pattern: str, expected: str) -> list[re.Match[str]]:
        """Return where the names of images (`match.string`) hold a pattern, sorted by name.

        Raises:
            UnmaskError: none does; the message says what was expected.
        """
        found = [match for path in self.images() if (match := re.search(pattern, path.as_posix()))]
        if not found:
            raise UnmaskError(f"no photo found: expected {expected}")
        return found

    def named(self, name: str) -> list[str]:
        """Return the files that have this name, or whose path ends with these steps (`p1/1.jpg`), sorted."""
        first = _backwards(same_name(name))
        bounds = first, first[:-1] + AFTER_SLASH
        return sorted(self._by_name[slice(*(bisect.bisect_left(self._by_name, one, key=_backwards) for one in bounds))])

    @functools.cached_property
    def _by_name(self) -> list[str]:
        return sorted(self._places, key=_backwards)

    def of(self, photos: Iterable[Photo]) -> "Files":
        """Return only the files that these photos need, to be sent to a worker."""
        names = {name for photo in photos for name in (photo.file, *(name for _, name in photo.label_files))}
        return Files({name: self._places[name] for name in map(same_name, names)}, scratch=self._scratch)

    def keep(self, value: Any) -> Kept:
        """Write a picklable value to the disk, where it is as long as the dataset is open, and return where it lies."""
        if self._kept is None:  # a file for each object: several processes write at a time
            descriptor, self._kept = tempfile.mkstemp(dir=self._scratch)
            os.close(descriptor)
        with open(self._kept, "ab") as file:  # noqa: PTH123 -- a Path would be made for each value
            place = Kept(self._kept, file.tell())
            pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)
        return place

    def without_landmarks(self, photo: Photo) -> Photo:
        """Return a photo whose landmarks, if it has any, lie on the disk: they take more memory than all else of it."""
        if photo.landmarks is None or isinstance(photo.landmarks, Kept):
            return photo
        return replace(photo, landmarks=self.keep(photo.landmarks))

    def __contains__(self, name: str) -> bool:
        return same_name(name) in self._places

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            UnreadableImageError: `unreadable`: it is damaged inside its archive.
            KeyError: there is no such file.
        """
        name = same_name(name)
        place = self._places[name]
        self.opened.add(name)
        try:
            if place.variable is not None:
                return matlab.read(place.path, place.variable)
            if place.member is not None:
                return _zip(place.path).read(place.member)
            with place.path.open("rb") as file:
                file.seek(place.offset)
                data = file.read(place.size)
        except DAMAGE as error:
            if _is_of_the_disk(error):
                raise
            raise UnreadableImageError("unreadable", f"damaged in {place.path.name}: {error}") from None
        if len(data) < place.size:
            raise UnreadableImageError("unreadable", f"cut off in {place.path.name}")
        return data

    def head(self, name: str, size: int) -> bytes:
        """Return a file's first bytes, without reading all of it; none if it is damaged inside its archive."""
        place = self._places[same_name(name)]
        try:
            if place.variable is not None:
                return b""
            if place.member is not None:
                with _zip(place.path).open(place.member) as member:
                    return member.read(size)
            with place.path.open("rb") as file:
                file.seek(place.offset)
                return file.read(min(size, place.size))
        except DAMAGE as error:
            if _is_of_the_disk(error):
                raise
            return b""

    def text(self, name: str, known: Iterable[str] = ()) -> str:
        """Return a text file's content, in whatever encoding it is; see `stages.core.text.decode`.

        Args:
            name: of the file.
            known: words that it may hold, beside the names of files.

        Raises:
            UnmaskError: it is no text, or its encoding cannot be told.
        """
        try:
            return decode(self.read(name), name, itertools.chain(self._places, known))
        except UnreadableImageError as error:
            raise UnmaskError(f"{name} is no readable text file: {error}") from None

    def lines(self, name: str, pattern: str, form: str, *, first: int = 1) -> Iterator[re.Match[str]]:
        """Yield the match of each line of a text file, without blanks around it, with a pattern; none of blank lines.

        Raises:
            UnmaskError: it is no text, or a line from the `first` on (counted from 1) has not this form.
        """
        for number, line in lines(self.text(name)):
            if number < first:
                continue
            found = re.fullmatch(pattern, line.strip())
            if not found:
                raise UnmaskError(f"{name}, line {number}: expected {form}, got {line[:80]!r}")
            yield found

    def json(self, name: str, known: Iterable[str] = ()) -> Any:
        """Return the content of a JSON file, in whatever encoding it is; see `text`.

        Raises:
            UnmaskError: it is none.
        """
        try:
            return json.loads(self.text(name, known))
        except (ValueError, RecursionError) as error:
            raise UnmaskError(f"{name} is no whole JSON: {error}") from None


def _backwards(path: str) -> str:
    """Return a path's steps from the last to the first, a slash after each: what ends alike begins alike."""
    return "".join(f"{step}/" for step in reversed(path.split("/")))


@functools.lru_cache(maxsize=8)
def _zip(path: Path) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


@contextmanager
def open_files(raw: Path) -> Iterator[Files]:
    """Yield the files of a raw folder; archives in it count as the files they hold.

    A compressed tar is unpacked to a plain one in `.scratch` for as long as the block runs, and so is a MATLAB file in
    a zip. Of a MATLAB file (v7.3) the variables count as files, see `stages.data.matlab`.

    Raises:
        UnmaskError: there is no such folder, or an archive is damaged or refused.
    """
    if not raw.is_dir():
        raise UnmaskError(f"{raw} is no folder: fetch the dataset first")
    SCRATCH.mkdir(exist_ok=True)
    places: dict[str, _Place] = {}
    stored: dict[str, str] = {}  # as it is stored, a name that is written in another way
    hidden = 0
    with tempfile.TemporaryDirectory(dir=SCRATCH) as unpacked:
        scratch = Path(unpacked).absolute()
        for path in sorted(path for path in raw.rglob("*") if path.is_file()):
            found = _listed(path.absolute(), path.relative_to(raw).as_posix(), scratch)
            for as_stored, place in found:
                if JUNK.search(as_stored):
                    hidden += 1
                    continue
                name = printable(as_stored)
                if name in places:
                    how = "" if stored.get(name, name) == as_stored else ", in two spellings of Unicode"
                    raise UnmaskError(f"{path}: {name!r} occurs twice in {raw}{how}; keep one of them")
                places[name] = place
                if name != as_stored:
                    stored[name] = as_stored
        try:
            yield Files(places, hidden, scratch)
        finally:
            _zip.cache_clear()  # closes the archives


def _listed(path: Path, name: str, unpacked: Path) -> Iterator[tuple[str, _Place]]:
    lower = path.name.lower()
    try:
        if lower.endswith(".mat") and matlab.is_one(path):
            members = _variables(path, name)
        elif lower.endswith(".zip"):
            members = _zip_members(path, unpacked)
        elif lower.endswith(".tar"):
            members = _tar_members(path)
        elif suffix := next((suffix for suffix in COMPRESSED_TAR if lower.endswith(suffix)), None):
            members = _tar_members(_unpack(path, COMPRESSED_TAR[suffix], unpacked))
        else:
            members = iter([(name, _Place(str(path), path.stat().st_size))])
        for member, place in members:
            yield _safe(path, member), place
    except DAMAGE as error:
        if _is_of_the_disk(error):
            raise
        raise UnmaskError(f"{path.name} is a damaged archive ({error}): fetch it again") from None


def _is_of_the_disk(error: Exception) -> bool:
    # gzip and bz2 raise OSErrors without a number for bad data; a bad offset makes a seek invalid.
    return isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}


def _safe(archive: Path, member: str) -> str:
    name = member.replace("\\", "/")
    steps = PurePosixPath(name).parts
    if name.startswith("/") or ".." in steps or re.match("^[A-Za-z]:", name) or "\0" in name:
        raise UnmaskError(f"{archive.name} is refused: its member {member!r} leads out of the archive's folder")
    return PurePosixPath(name).as_posix()


def _variables(path: Path, name: str) -> Iterator[tuple[str, _Place]]:
    file = str(path)
    return ((f"{name}/{variable}", _Place(file, 0, variable=variable)) for variable in matlab.names(path))


def _zip_members(path: Path, unpacked: Path) -> Iterator[tuple[str, _Place]]:
    packed, file = 0, str(path)
    for info in _zip(path).infolist():
        if info.is_dir():
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            raise UnmaskError(f"{path.name} is refused: its member {info.filename!r} is a link")
        size = info.file_size
        if size > MAX_MEMBER or size > max(RATIO_FROM, MAX_RATIO * info.compress_size):
            how = f"from {info.compress_size:,} to {size:,} bytes"
            raise UnmaskError(f"{path.name} is refused: {info.filename!r} swells {how}")
        packed += info.compress_size
        if info.filename.lower().endswith(".mat"):
            plain = unpacked / f"{path.name}-{info.header_offset}.mat"
            with _zip(path).open(info) as reading, plain.open("wb") as writing:
                shutil.copyfileobj(reading, writing)
            if matlab.is_one(plain):
                yield from _variables(plain, _safe(path, _in_unicode(info)))
                continue
        yield _in_unicode(info), _Place(file, size, member=info.filename)
    if packed > path.stat().st_size:
        raise UnmaskError(f"{path.name} is refused: its members overlap, as in a decompression bomb")


def _in_unicode(info: zipfile.ZipInfo) -> str:
    """Return a member's name; one that does not say that it is UTF-8 may be, as old Macs wrote them."""
    try:
        stored = info.filename.encode("utf-8" if info.flag_bits & ZIP_UTF8 else "cp437")
    except UnicodeEncodeError:  # the name comes from a field of its own, which is Unicode
        return info.filename
    return stored.decode("utf-8", "surrogateescape")


def _tar_members(path: Path) -> Iterator[tuple[str, _Place]]:
    file = str(path)
    with tarfile.open(path, "r:") as archive:
        for member in archive:
            archive.members.clear()  # else it keeps all of them, 1 kB each
            if member.isdir():
                continue
            if not member.isreg() or member.issparse():
                raise UnmaskError(f"{path.name} is refused: its member {member.name!r} is a link or no plain file")
            yield member.name, _Place(file, member.size, member.offset_data)


def _unpack(path: Path, opener: Callable[[Path], IO[bytes]], unpacked: Path) -> Path:
    """Return a plain tar made from a compressed one."""
    plain = unpacked / f"{path.name}.tar"
    packed, size = path.stat().st_size, 0
    with opener(path) as reading, plain.open("wb") as writing:
        while block := reading.read(BLOCK):
            size += len(block)
            if size > max(RATIO_FROM, MAX_RATIO * packed):
                raise UnmaskError(f"{path.name} is refused: it swells to more than {MAX_RATIO} times its size")
            writing.write(block)
    return plain
