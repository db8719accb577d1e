"""Published lists of pairs, galleries and probes, read as their publishers wrote them.

Names are `person/photo` without suffix, the end of a face id. Which format a file has is told by its first line.
"""

import re
import zipfile
import zlib
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from stages.core.errors import UnmaskError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Pair:
    """Two photos.

    Attributes:
        one: name of the first.
        other: name of the second.
        genuine: whether they show one person.
        fold: of a cross-validation; 0 where the file has none.
    """

    one: str
    other: str
    genuine: bool
    fold: int = 0


def read_pairs(path: Path) -> list[Pair]:
    """Read the pairs of c-RMFRD, MFR2, LFW or MLFW.

    - c-RMFRD: a line `Input,Target,Label`, then two files and 1 or 0.
    - LFW: a line `10<tab>300` (folds, and pairs of each kind in a fold), then `name n m` or `name n name m`; numbers
      start at 1, photo 1 of Aaron_Eckhart is Aaron_Eckhart_0001.
    - MFR2: the same lines without the first, tabs or blanks between; photos are named likewise.
    - MLFW: two files and 1 or 0, in one column each; every 600 pairs are a fold if there are 6,000.

    Raises:
        UnmaskError: the file is empty, or a line is in none of these formats; the message has its number.
    """
    lines = [(number, line.strip()) for number, line in enumerate(_lines(path), 1) if line.strip()]
    if not lines:
        raise UnmaskError(f"{path} is empty: expected pairs of photos")
    pairs = list(_pairs(path, lines))
    if not pairs:
        raise UnmaskError(f"{path} has a first line, but no pairs of photos")
    return pairs


def missing(
    listed: Sequence[Item], names: Callable[[Item], Sequence[str]], known: Container[str], param: str, mode: str
) -> int:
    """Return how many entries of a published list name a photo that is not there.

    Args:
        listed: pairs or photos.
        names: tells the names of an entry's photos.
        known: the names of the photos that are there.
        param: which names the list, as `verify.pairs`.
        mode: `error`, or `count`.

    Raises:
        UnmaskError: a photo is not there, and `mode` is `error`.
    """
    absent = [[name for name in names(one) if name not in known] for one in listed]
    n = sum(map(bool, absent))
    if n and mode == "error":
        first = next(name for of_entry in absent for name in of_entry)
        raise UnmaskError(
            f"{param}: of {len(listed)} lines {n} name a photo that is not there, the first is {first}; with "
            f"{param.partition('.')[0]}.missing: count they are counted, as photos in which no face was found"
        )
    return n


def _pairs(path: Path, lines: list[tuple[int, str]]) -> Iterator[Pair]:
    head = re.split(r"[,\s]+", lines[0][1])
    if head == ["Input", "Target", "Label"]:
        yield from (_labeled(path, number, line) for number, line in lines[1:])
    elif all(word.isdecimal() for word in head) and len(head) in {1, 2}:
        in_fold = 2 * int(head[-1])
        yield from (_numbered(path, *line, index // max(in_fold, 1)) for index, line in enumerate(lines[1:]))
    elif head[-1] in {"0", "1"} and len(head) == 3 and "." in head[0]:
        in_fold = 600 if len(lines) == 6000 else len(lines)
        yield from (_labeled(path, *line, index // in_fold) for index, line in enumerate(lines))
    else:
        yield from (_numbered(path, *line, 0) for line in lines)


def read_list(path: Path) -> list[str]:
    """Read a gallery or a list of probes: a file a line, as c-RMFRD has them.

    Raises:
        UnmaskError: a line is no `person/photo`, or the file is empty.
    """
    names = []
    for number, line in enumerate(_lines(path), 1):
        if line.strip():
            names.append(_name(path, number, line.strip()))
    if not names:
        raise UnmaskError(f"{path} is empty: expected a photo on each line, as person/photo.jpg")
    return names


def _lines(path: Path) -> Iterator[str]:
    data = _content(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("gb18030", errors="replace")  # c-RMFRD's lists have a few Chinese file names
    yield from text.splitlines()


def _content(path: Path) -> bytes:
    """Return a file's bytes; `archive.zip/folder/file` is a file inside an archive."""
    if path.is_file():
        return path.read_bytes()
    archive = next((parent for parent in path.parents if parent.is_file()), None)
    if archive is None or not zipfile.is_zipfile(archive):
        raise UnmaskError(f"there is no file {path}")
    with zipfile.ZipFile(archive) as opened:
        try:
            return opened.read(path.relative_to(archive).as_posix())
        except (KeyError, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
            raise UnmaskError(f"{path} cannot be read from the archive: {error}") from None


def _name(path: Path, number: int, text: str) -> str:
    text = re.sub(r"^([a-z]+)(\d_\d_)", r"\1/\2", text)  # a line of c-RMFRD lacks its slash
    photo = PurePosixPath(text.replace("\\", "/"))
    if len(photo.parts) < 2:
        raise UnmaskError(f"{path}, line {number}: {text!r} is no photo of a person, such as person/photo.jpg")
    return "/".join(photo.with_suffix("").parts[-2:])


def _labeled(path: Path, number: int, line: str, fold: int = 0) -> Pair:
    words = line.split(",") if "," in line else line.split()  # some of c-RMFRD's names hold blanks
    if len(words) != 3 or words[2] not in {"0", "1"}:
        raise UnmaskError(f"{path}, line {number}: expected two photos and 1 or 0, got {line!r}")
    one, other = (_name(path, number, word if "/" in word else _folder(word)) for word in words[:2])
    return Pair(one, other, words[2] == "1", fold)


def _folder(file: str) -> str:
    """Return the file in its person's folder: MLFW's lists name files alone, such as Abel_Pacheco_0001_0000.jpg."""
    found = re.match(r"(.+?)_\d{4}(?:_\d+)?\.", file)
    return f"{found[1]}/{file}" if found else file


def _numbered(path: Path, number: int, line: str, fold: int) -> Pair:
    words = re.split(r"[,\s]+", line)
    if len(words) == 3:
        words = [words[0], words[1], words[0], words[2]]
    if len(words) != 4 or not (words[1].isdecimal() and words[3].isdecimal()):
        raise UnmaskError(f"{path}, line {number}: expected `name n m` or `name n name m`, got {line!r}")
    one, other = (f"{person}/{person}_{int(photo):04d}" for person, photo in (words[:2], words[2:]))
    return Pair(one, other, words[0] == words[2], fold)
