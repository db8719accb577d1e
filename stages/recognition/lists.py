"""Lists of pairs, galleries and probes, as their publishers and users write them.

Names are `person/photo` without suffix, the end of a face id. What the columns of a list are is told by all its lines.
"""

import itertools
import re
import sys
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from stages.core.errors import UnmaskError
from stages.core.text import SEPARATORS, Row, decode, lines, rows, split, trimmed
from stages.photos.kinds import SUFFIXES
from stages.photos.names import Names

# How a pair of one person is labeled, and one of two people.
LABELS = [("1", "0"), ("1", "-1"), ("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("same", "different")]
LABELS += [("same", "diff"), ("match", "mismatch"), ("match", "nonmatch"), ("match", "non-match")]
LABELS += [("genuine", "impostor"), ("genuine", "imposter"), ("mated", "nonmated"), ("mated", "non-mated")]
LABELS += [("positive", "negative"), ("pos", "neg")]
LABELS += [("ja", "nein"), ("j", "n"), ("wahr", "falsch"), ("oui", "non"), ("vrai", "faux"), ("sí", "no"), ("si", "no")]
LABELS += [("verdadero", "falso"), ("vero", "falso"), ("sim", "não"), ("да", "нет"), ("истина", "ложь"), ("是", "否")]
LABELS += [("是", "不是"), ("对", "错"), ("真", "假"), ("相同", "不同"), ("はい", "いいえ"), ("예", "아니요")]
# By which of several columns of such words is found, and the first line of a list of photos.
LABEL_COLUMNS = {"label", "labels", "same", "is_same", "issame", "actual_issame", "genuine", "match", "is_match"}
PHOTO_COLUMNS = {"file", "filename", "file_name", "name", "image", "img", "photo", "path", "image_path", "face_id"}
EXPECTED = "expected two photos and 1 or 0, or `name n m` or `name n name m`"
COLUMN_NAME = re.compile(r"name|num|im(a|)ge?|photo|person|identity|^id|file|path", re.IGNORECASE)
SHOWN = 5  # lines that contradict the people's names, in a message
FEW = 0.1  # of the lines of a list: so many may be its publisher's mistakes
IN_FOLD = 600  # pairs, of 6,000: LFW's ten folds
# Cells of a line without separators: names may hold blanks, if their suffixes or the numbers tell where they end.
BLANKS = (
    re.compile(r"(.+?\.\w{2,5})\s+(.+?\.\w{2,5})\s+(\S+)"),
    re.compile(r"([^\s./\\]+)\s+(.+?\.\w{2,5})\s+(.+\.\w{2,5})"),
    re.compile(r"(\S.*?)\s+(\d+)\s+(?:(\S*[^\s\d].*?)\s+)?(\d+)"),
)


LABELED = re.compile(r"(.+\.\w{2,5})\s+-?\d+")


@dataclass(frozen=True)
class Pair:
    """Two photos.

    Attributes:
        one: name of the first.
        other: name of the second.
        genuine: whether they show one person.
        fold: of a cross-validation; 0 where the file has none.
        line: of the file, counted from 1.
    """

    one: str
    other: str
    genuine: bool
    fold: int = 0
    line: int = field(default=0, compare=False)


def read_pairs(path: Path, known: Collection[str] = ()) -> list[Pair]:
    """Read pairs of photos, in any encoding (see `stages.core.text`), with commas, semicolons, tabs, bars or blanks.

    A list is in one of two forms, and its first line may name the columns:

    - Two columns of photos, and one of `LABELS`, in any order, as c-RMFRD and MLFW have them; of 6,000 pairs every 600
      are a fold.
    - `name n m` or `name n name m`, as LFW and MFR2 have them; numbers start at 1, photo 1 of Aaron_Eckhart is
      Aaron_Eckhart_0001. LFW's first line `10<tab>300` says how many folds there are, and pairs of each kind in a fold.

    Args:
        path: of the list; `archive.zip/folder/file` is one inside an archive.
        known: names of all photos, by which encoding and suffixes are told, and which photo a path means (see
            `stages.photos.names`).

    Raises:
        UnmaskError: the file is empty, or its columns cannot be told, or a line is unlike the others, or several photos
            may be meant, or labels contradict the people's names; the message has the numbers of the lines.
    """
    names = Names(known)
    listed = _listed(path, decode(_content(path), str(path), known))
    if not listed:
        raise UnmaskError(f"{path} is empty: expected pairs of photos")
    numbered = sum(_is_numbered(row) for row in listed)
    header = listed[0]
    if len(header.cells) <= 2 and all(cell.isdecimal() for cell in header.cells):
        in_fold = max(2 * int(header.cells[-1]), 1)
        pairs = [_numbered(path, row, names, index // in_fold) for index, row in enumerate(listed[1:])]
    elif numbered and numbered >= len(listed) / 2:
        named = _is_header(header) and all(COLUMN_NAME.search(cell) for cell in header.cells)
        pairs = [_numbered(path, row, names) for row in listed[named:]]
    else:
        pairs = _labeled(path, listed, names)
    if not pairs:
        raise UnmaskError(f"{path} has a first line, but no pairs of photos")
    return pairs


def missing(listed: Mapping[int, Sequence[str]], known: Container[str], path: Path, param: str, mode: str) -> int:
    """Return how many entries of a list name a photo that is not there.

    Args:
        listed: the names of the photos on each line.
        known: the names of the photos that are there.
        path: of the list.
        param: which names it, as `verify.pairs`.
        mode: `error`, or `count`.

    Raises:
        UnmaskError: a photo is not there, and `mode` is `error`.
    """
    absent = {line: gone for line, names in listed.items() if (gone := [name for name in names if name not in known])}
    if absent and mode == "error":
        line, gone = next(iter(absent.items()))
        raise UnmaskError(
            f"{path}, line {line}: {param}: of {len(listed)} lines {len(absent)} name a photo that is not there, the "
            f"first is {gone[0]}; with {param.partition('.')[0]}.missing: count they are counted, as photos in which "
            f"no face was found"
        )
    return len(absent)


def _listed(path: Path, text: str) -> list[Row]:
    """Return the lines of a list of pairs, split by what gives most of them three cells or more."""
    by_blanks = {number: Row(number, _by_blanks(line)) for number, line in lines(text)}
    found = split(text, str(path), lambda cells: cells > 2)
    if sum(len(row.cells) > 2 for row in found) <= len(found) / 2 or not any(one in text for one in SEPARATORS):
        return list(by_blanks.values())
    # MFR2 has tabs in one line and blanks in another one.
    return [row if len(row.cells) > 1 else by_blanks[row.line] for row in found]


def _by_blanks(line: str) -> tuple[str, ...]:
    line = line.strip()
    found = next((match for pattern in BLANKS if (match := pattern.fullmatch(line))), None)
    return tuple(cell for cell in found.groups() if cell) if found else tuple(line.split())


def read_list(path: Path, known: Collection[str] = ()) -> list[str]:
    """Return the names in a gallery or a list of probes; see `read_photos`."""
    return list(read_photos(path, known))


def read_photos(path: Path, known: Collection[str] = ()) -> dict[str, int]:
    """Read a gallery or a list of probes: a photo a line, as c-RMFRD has them; other columns are not looked at.

    Args:
        path: of the list, in any encoding, see `stages.core.text`; `archive.zip/folder/file` is one inside an archive.
        known: see `read_pairs`.

    Returns:
        The line of each photo, in their order.

    Raises:
        UnmaskError: a line is no `person/photo`, or may be several, one stands there twice, or the file is empty.
    """
    names, found = Names(known), dict[str, int]()
    cells = _only_photos(path, decode(_content(path), str(path), known))
    is_headed = len(cells) > 1 and not _has_folder(cells[0][1]) and all(_has_folder(cell) for _, cell in cells[1:])
    for place, (line, cell) in enumerate(cells):
        if place == 0 and (is_headed or cell.casefold() in PHOTO_COLUMNS) and not names.find(cell):
            continue
        name = _name(path, line, cell, names)
        if name in found:
            raise UnmaskError(f"{path}, line {line}: names {name} twice, first on line {found[name]}")
        found[name] = line
    if not found:
        raise UnmaskError(f"{path} is empty: expected a photo on each line, as person/photo.jpg")
    return found


def _only_photos(path: Path, text: str) -> list[tuple[int, str]]:
    """Return the cells of the only column of photos; the whole lines if they are not split evenly."""
    whole = [(number, line.strip()) for number, line in lines(text)]
    for separator in SEPARATORS:
        try:
            found = [(row.line, trimmed(row.cells)) for row in rows(text, str(path), separator)]
        except UnmaskError:
            continue
        lengths = {len(cells) for _, cells in found}
        if len(lengths) == 1 and any(separator in line or '"' in line for _, line in whole):
            body = found[1:] or found
            photos = [place for place in range(lengths.pop()) if all(_has_folder(cells[place]) for _, cells in body)]
            if len(photos) == 1:
                return [(line, cells[photos[0]]) for line, cells in found]
    classed = [(number, LABELED.fullmatch(line)) for number, line in whole]  # a photo and its class, as Caffe has them
    if all(found and PurePosixPath(found[1]).suffix.lower() in SUFFIXES for _, found in classed):
        return [(number, found[1]) for number, found in classed if found]
    return whole


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


def _name(path: Path, number: int, text: str, names: Names) -> str:
    """Return the photo that a cell means; of one that is not there, its file in its folder."""
    text = re.sub(r"^([a-z]+)(\d_\d_)", r"\1/\2", text)  # a line of c-RMFRD lacks its slash
    in_folder = text if _has_folder(text) else _folder(text)
    if found := names.find(in_folder) or names.find(text):
        return _only(path, number, text, found)
    photo = PurePosixPath(in_folder.replace("\\", "/"))
    if len(photo.parts) < 2:
        raise UnmaskError(f"{path}, line {number}: {text!r} is no photo of a person, such as person/photo.jpg")
    name = "/".join(photo.parts[-2:])
    # Only a suffix of photos is one: names have dots, too.
    return name if photo.suffix.lower() not in SUFFIXES else name[: -len(photo.suffix)]


def _only(path: Path, number: int, text: str, found: Collection[str]) -> str:
    """Return the one photo that may be meant."""
    if len(found) > 1:
        several = " or ".join(sorted(found)[:3]) + (" or …" if len(found) > 3 else "")
        raise UnmaskError(f"{path}, line {number}: {text!r} may be {several}: write which one, in this form")
    return next(iter(found))


def _has_folder(text: str) -> bool:
    return "/" in text or "\\" in text


def _folder(file: str) -> str:
    """Return the file in its person's folder: MLFW's lists name files alone, such as Abel_Pacheco_0001_0000.jpg."""
    found = re.match(r"(.+?)_\d{4}(?:_\d+)?(?:\.|$)", file)
    return f"{found[1]}/{file}" if found else file


# ---------------------------------------------------------------- pairs with numbers


def _is_header(row: Row) -> bool:
    """Tell whether a line may name the columns: no cell is a number or a file."""
    return not any(
        cell.isdecimal() or _has_folder(cell) or PurePosixPath(cell).suffix.lower() in SUFFIXES for cell in row.cells
    )


def _is_numbered(row: Row) -> bool:
    cells = row.cells
    return len(cells) in {3, 4} and cells[1].isdecimal() and cells[-1].isdecimal()


def _numbered(path: Path, row: Row, known: Names, fold: int = 0) -> Pair:
    if not _is_numbered(row):
        raise UnmaskError(f"{path}, line {row.line}: {EXPECTED}, got {' '.join(row.cells)!r}")
    person, first, *other, second = row.cells
    if person.isdecimal() and not (int(first) and int(second)):  # three photos' numbers, or two and a label
        raise UnmaskError(f"{path}, line {row.line}: photos of a person are numbered from 1; {EXPECTED}")
    names = []
    for one, number in ((person, int(first)), (*(other or [person]), int(second))):
        found = known.numbered(one, number) or {f"{one}/{one}_{number:04d}"}
        names.append(_only(path, row.line, f"{one} {number}", found))
    return Pair(names[0], names[1], other in ([], [person]), fold, row.line)


# ---------------------------------------------------------------- pairs with labels


@dataclass(frozen=True)
class _Columns:
    """Where photos and labels stand, counted from 0, and which label says that both photos show one person."""

    photos: tuple[int, int]
    label: int
    genuine: str


def _labeled(path: Path, listed: Sequence[Row], names: Names) -> list[Pair]:
    body = listed
    found = _label_columns(body)
    if not found and _is_header(listed[0]) and (found := _label_columns(listed[1:])):
        body = listed[1:]
    columns = _columns(path, listed, body, found)
    in_fold = IN_FOLD if len(body) == 10 * IN_FOLD else len(body)
    pairs = []
    for index, row in enumerate(body):
        one, other = (_name(path, row.line, row.cells[place], names) for place in columns.photos)
        genuine = _word(row.cells[columns.label]) == columns.genuine
        pairs.append(Pair(one, other, genuine, index // in_fold, row.line))
    _check_labels(path, [pair for pair in pairs if not names.known or {pair.one, pair.other} <= names.known], columns)
    return pairs


def _check_labels(path: Path, pairs: Sequence[Pair], columns: _Columns) -> None:
    """Raise an UnmaskError if labels contradict the people's names, where these can be names of people; name a few.

    They are none where each photo has a folder of its own, or each pair, or where all of a column lie in one folder.
    """
    people = [(pair.one.split("/")[0], pair.other.split("/")[0]) for pair in pairs]
    photos = {name for pair in pairs for name in (pair.one, pair.other)}
    times = Counter(itertools.chain.from_iterable(set(both) for both in people))
    of_each_photo = len(times) == len(photos)
    of_each_pair = all(one == other for one, other in people) and max(times.values(), default=1) == 1
    of_each_column = all(len(set(column)) == 1 for column in zip(*people, strict=True))
    if of_each_photo or of_each_pair or of_each_column:
        return
    wrong = [pair for pair, (one, other) in zip(pairs, people, strict=True) if pair.genuine != (one == other)]
    if not wrong:
        return
    what = f"column {columns.label + 1} says the opposite of the people's names on"
    if len(wrong) == len(pairs):
        raise UnmaskError(f"{path}: {what} every line; {columns.genuine} must say that two photos show one person")
    lines = ", ".join(str(pair.line) for pair in wrong[:SHOWN]) + (", …" if len(wrong) > SHOWN else "")
    first = f"{wrong[0].one} and {wrong[0].other} are {'one person' if wrong[0].genuine else 'two people'}, it says"
    message = f"{path}: {what} {len(wrong)} of {len(pairs)} lines: {lines} ({first})"
    if len(wrong) < FEW * len(pairs):
        print(f"{message}; the label counts, as a published list is scored as published", file=sys.stderr)
        return
    raise UnmaskError(
        f"{message}; correct these lines, or, if it is not the label, leave that column out. {columns.genuine} must "
        "say that two photos show one person"
    )


def _word(cell: str) -> str:
    # pandas writes 1.0 where a column had a gap, and spreadsheets of many languages 1,0.
    return cell.casefold().removesuffix(".0").removesuffix(",0")


def _label_columns(body: Sequence[Row]) -> dict[int, str]:
    """Return the columns that hold labels alone, and which of these says that two photos show one person."""
    width = min((len(row.cells) for row in body), default=0)
    return {
        place: labels[0]
        for place in range(width)
        for labels in reversed(LABELS)
        if all(_word(row.cells[place]) in labels for row in body)
    }


def _columns(path: Path, listed: Sequence[Row], body: Sequence[Row], labels: dict[int, str]) -> _Columns:
    """Return what the columns are.

    Raises:
        UnmaskError: that cannot be told, or a line is unlike the others.
    """
    width = max(len(row.cells) for row in body)
    if odd := next((row for row in body if len(row.cells) != width or width < 3), None):
        raise UnmaskError(f"{path}, line {odd.line}: {EXPECTED}, got {' '.join(odd.cells)!r}")
    if not labels:
        row, known = _odd_label(listed), ", ".join("/".join(pair) for pair in LABELS)
        raise UnmaskError(
            f"{path}, line {row.line}: {EXPECTED}, got {' '.join(row.cells)!r}; labels that are known are {known}"
        )
    photos = tuple(
        place
        for place in range(width)
        if place not in labels and all(re.search(r"[^\W\d_]|[/\\]", row.cells[place]) for row in body)
    )
    if len(labels) > 1 and len(body) < len(listed):
        names = [cell.casefold() for cell in listed[0].cells]
        named = [place for place in labels if place < len(names) and names[place] in LABEL_COLUMNS]
        labels = {named[0]: labels[named[0]]} if len(named) == 1 else labels
    for some, number, what in ((photos, 2, "two photos"), (tuple(labels), 1, "1 or 0")):
        if len(some) != number:
            where = f"in columns {' and '.join(str(place + 1) for place in some)}" if some else "in no column"
            raise UnmaskError(
                f"{path}, line {body[0].line}: what could be {what} stands {where}; write three columns, below a first "
                f"line photo,photo,label"
            )
    ((label, genuine),) = labels.items()
    return _Columns((photos[0], photos[1]), label, genuine)


def _odd_label(listed: Sequence[Row]) -> Row:
    """Return the first line whose label is unlike those of the others, in the column that has most labels."""
    body = listed[1:] if _is_header(listed[0]) and listed[1:] else listed
    unlike = [
        [row for row in body if _word(row.cells[place]) not in labels]
        for place in range(min(len(row.cells) for row in body))
        for labels in LABELS
    ]
    return min((rows for rows in unlike if rows), key=len)[0]
