"""Text that people and their programs write: lists saved by Excel, an editor or a script, in whatever encoding.

A text is UTF-8 or UTF-16, as it says itself, or else in the one legacy encoding that makes sense of it. What could be
read in two ways is refused, as a wrong guess would be read as other names.
"""

import csv
import io
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from stages.core.errors import UnmaskError

BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe\0\0": "utf-32-le", b"\0\0\xfe\xff": "utf-32-be"}
BOMS |= {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}  # after UTF-32, whose mark begins alike
# Encodings of Windows and of old Macs, and which of their letters people use there: the codec that knows only these,
# and the scripts of a word, by the beginnings of Unicode's names.
LEGACY = {
    "gb18030": ("gb2312", ("CJK",)),
    "big5": ("big5", ("CJK",)),
    "cp932": ("cp932", ("CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA")),
    "cp949": ("euc_kr", ("HANGUL",)),
    "cp1252": ("cp1252", ("LATIN",)),
    "cp1250": ("cp1250", ("LATIN",)),
    "cp1254": ("cp1254", ("LATIN",)),
    "mac_roman": ("mac_roman", ("LATIN",)),
    "cp850": ("cp850", ("LATIN",)),
    "cp1251": ("cp1251", ("CYRILLIC",)),
    "koi8_r": ("koi8_r", ("CYRILLIC",)),
    "cp866": ("cp866", ("CYRILLIC",)),
    "cp1253": ("cp1253", ("GREEK",)),
    "cp1255": ("cp1255", ("HEBREW",)),
    "cp1256": ("cp1256", ("ARABIC",)),
    "cp874": ("cp874", ("THAI",)),
}
# What no word has: punctuation that ends a word of Arabic before a letter, two vowels on one letter of Thai.
IMPOSSIBLE = re.compile("[\u060c\u061b\u061f][^\\W\\d]|[\u0e31\u0e34-\u0e3a]{2}")
ACCENTED = 2 / 3  # of a Latin word's letters at most; other alphabets, taken for Latin ones, have no plain letters
CONTROL = re.compile(r"[\0-\x08\x0e-\x1f\x7f]")
SHOWN = 5  # columns, in messages
SEPARATORS = ("\t", ";", ",", "|")
CHOSEN = re.compile(r"sep=(.)\s*", re.IGNORECASE)  # Excel's own first line


@dataclass(frozen=True)
class Row:
    """A line of a list: where it begins in its file, counted from 1, and its cells without blanks around them."""

    line: int
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Entry:
    """A line of a list with named columns: where it begins in its file, counted from 1, and its cells by column."""

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        """Return a cell, without blanks around it; empty if the line is shorter."""
        return self.cells[column]


def same_name(text: str) -> str:
    """Return a name as it is compared: macOS writes an accent as a character of its own (NFD), others do not (NFC)."""
    return unicodedata.normalize("NFC", text)


def printable(name: str) -> str:
    """Return a file's name to be shown and compared: bytes of it that are no UTF-8 as %E9, all else in NFC."""
    return same_name(re.sub("[\udc80-\udcff]", lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", name))


def decode(data: bytes, name: str, known: Iterable[str] = ()) -> str:
    """Return a text in NFC, its line ends as they are.

    A legacy encoding is told by the words that are not ASCII: they are words of `known`, or else look like words, whose
    letters are of one script, in one case but for the first, and in Latin ones not all accented.

    Args:
        data: the file's bytes.
        name: of the file, for the message.
        known: names that the text may hold.

    Raises:
        UnmaskError: it is no text, or its encoding cannot be told.
    """
    for mark, encoding in BOMS.items():
        if data.startswith(mark):
            return _marked(data[len(mark) :], encoding, name)
    if b"\0" in data[:4096]:  # UTF-16 without its mark: the zeros of plain letters stand on one side
        return _marked(data, "utf-16-le" if data[1:4096:2].count(0) >= data[:4096:2].count(0) else "utf-16-be", name)
    with suppress(UnicodeDecodeError):
        return _checked(data.decode("utf-8"), name)
    found: dict[str, list[str]] = {}  # the encodings that give each text
    for encoding in LEGACY:
        if (text := _legacy(data, encoding)) is not None:
            found.setdefault(text, []).append(encoding)
    names = {word for one in known if not one.isascii() for word in _words(same_name(one))}
    matching = {text: len(names.intersection(_words(text))) for text in found}
    best = max(matching.values(), default=0)
    found = {text: encodings for text, encodings in found.items() if matching[text] == best}
    if len(found) > 1 or not best:
        found = {text: by for text, by in found.items() if any(_looks_right(text, *LEGACY[one]) for one in by)}
    if len(found) == 1:
        return next(iter(found))
    how = "it could be in several encodings" if found else "its encoding is not known"
    line = next(number for number, one in enumerate(data.splitlines(), 1) if not one.isascii())
    raise UnmaskError(f"{name}, line {line}: this is no UTF-8, and {how}: save the file as UTF-8")


def _marked(data: bytes, encoding: str, name: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        raise UnmaskError(f"{name} is no text: it begins as {encoding.upper()}, but cannot be read as such") from None
    return _checked(text, name)


def _checked(text: str, name: str) -> str:
    text = text.rstrip("\x1a")  # the end of a file of DOS
    if control := CONTROL.search(text):
        line = text.count("\n", 0, control.start()) + 1
        raise UnmaskError(f"{name}, line {line}: a control character stands there, so this is no text file")
    return same_name(text)


def _legacy(data: bytes, encoding: str) -> str | None:
    try:
        text = same_name(data.decode(encoding))
    except UnicodeDecodeError:
        return None
    return None if CONTROL.search(text.rstrip("\x1a")) else text.rstrip("\x1a")


def _words(text: str) -> Iterator[str]:
    """Yield the runs of letters, and of marks on them, that are not all ASCII."""
    for part in re.findall(r"[^\s\d!-/:-@\[-`{-~]+", text):  # split at plain characters
        if not part.isascii():
            for is_word, run in itertools.groupby(part, lambda character: unicodedata.category(character)[0] in "LM"):
                word = "".join(run)
                if is_word and not word.isascii():
                    yield word


def _looks_right(text: str, codec: str, scripts: Sequence[str]) -> bool:
    """Tell whether all that is not ASCII in a text are words of these scripts, in letters that a codec has."""
    others = {character for character in set(text) if not character.isascii()}
    if not all(unicodedata.category(character)[0] in "LMNPZ" for character in others):
        return False
    return not IMPOSSIBLE.search(text) and all(_is_word(word, codec, scripts) for word in set(_words(text)))


def _is_word(word: str, codec: str, scripts: Sequence[str]) -> bool:
    try:
        data = word.encode(codec)
    except UnicodeEncodeError:
        return False
    common = codec != "big5" or all(0xA4 <= lead <= 0xC6 for lead in data[::2])
    common = common and (codec != "euc_kr" or len(data) == 2 * len(word))  # else syllables are put together from parts
    of_script = all(unicodedata.name(letter, "?").split()[0] in scripts for letter in word)
    marks = "".join(unicodedata.category(letter)[0] for letter in word)
    bearable = not marks.startswith("M") and "MMM" not in marks  # on nothing, or more than any letter has
    if scripts == ("GREEK",) and len(word) > 1 and word.isupper():  # capitals have no accents
        bearable = bearable and unicodedata.normalize("NFD", word) == word
    in_one_case = word.lower() == word.upper() or word.islower() or word.isupper() or word.istitle()
    accented = sum(not letter.isascii() for letter in word)
    plain = scripts != ("LATIN",) or len(word) == 1 or accented <= ACCENTED * len(word)
    return common and of_script and bearable and in_one_case and plain


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a text that are not blank, without their ends, and their numbers from 1.

    Only CR, LF or both end a line: names may hold the other characters at which Python splits lines.
    """
    for number, line in enumerate(io.StringIO(text, newline=""), 1):
        if line.strip():
            yield number, line.rstrip("\r\n")


def rows(text: str, name: str, separator: str) -> Iterator[Row]:
    """Yield the rows of a list that are not blank; a cell in quotes may hold separators and line ends.

    Raises:
        UnmaskError: a quote is opened and not closed, or stands in the middle of a cell.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    line = 1
    try:
        for cells in reader:
            stripped = tuple(cell.strip() for cell in cells)
            if any(stripped) and not (line == 1 and CHOSEN.fullmatch(text.partition("\n")[0].strip())):
                yield Row(line, stripped)
            line = reader.line_num + 1
    except csv.Error as error:
        raise UnmaskError(f"{name}, line {line}: {error}: look at the quotes there") from None


def split(text: str, name: str, n_cells: Callable[[int], bool]) -> list[Row]:
    """Return the rows of a list by the separator that gives most of them a number of cells that is right.

    Empty cells at the end do not count. If no separator does, blanks separate.

    Args:
        text: of the list.
        name: of the file, for messages.
        n_cells: whether a number of cells is right.

    Raises:
        UnmaskError: there are quotes in it that end nowhere.
    """
    by_blanks = [Row(number, tuple(line.split())) for number, line in lines(text)]
    best, most, trouble = by_blanks, (0, 0), None
    for separator in (one for one in SEPARATORS if one in text):
        try:
            found = [Row(row.line, trimmed(row.cells)) for row in rows(text, name, separator)]
        except UnmaskError as error:
            trouble = trouble or error
            continue
        fitting = sum(n_cells(len(row.cells)) for row in found), sum(len(row.cells) > 1 for row in found)
        if fitting > most:
            best, most = found, fitting
    if trouble and not most[0]:
        raise trouble
    return best


def trimmed(cells: Sequence[str]) -> tuple[str, ...]:
    """Return cells without empty ones at the end."""
    last = max((place for place, cell in enumerate(cells, 1) if cell), default=0)
    return tuple(cells[:last])


def table(text: str, name: str, columns: Sequence[str], *, unique: str | None = None) -> list[Entry]:
    """Return the lines of a list whose first line names its columns, in any order, in small or capital letters.

    The separator is the one that gives the first line these columns. There may be others.

    Args:
        text: of the list.
        name: of the file, for messages.
        columns: that must be there.
        unique: of these, the one in which nothing stands twice, and something on each line.

    Raises:
        UnmaskError: a column is missing or there twice, a line has more cells than the first one, or something stands
            twice or is missing; the message has the number of the line.
    """
    wanted = [column.casefold() for column in columns]
    missing = wanted
    for separator in SEPARATORS:
        found = rows(text, name, separator)
        try:
            first = next(found, None)
        except UnmaskError:  # quotes of another separator's cells
            continue
        header = [cell.casefold() for cell in first.cells] if first else []
        missing = min(missing, [column for column in wanted if column not in header], key=len)
        if first and not missing:
            break
    else:
        expected = ",".join(columns[:SHOWN]) + ",…" * (len(columns) > SHOWN)
        raise UnmaskError(f"{name} has no column {missing[0]!r}: the first line must be {expected}")
    if twice := next((column for column in wanted if header.count(column) > 1), None):
        raise UnmaskError(f"{name}, line {first.line}: the column {twice} is there twice")
    entries, seen = [], dict[str, int]()
    for row in found:
        if any(row.cells[len(header) :]):
            raise UnmaskError(
                f"{name}, line {row.line}: {len(row.cells)} cells, but the first line names {len(header)} columns; a "
                f"cell that holds {separator!r} stands in quotes"
            )
        cells = dict.fromkeys(header, "") | dict(zip(header, row.cells, strict=False))
        entry = Entry(row.line, {column: cells[column.casefold()] for column in columns})
        if unique and not entry[unique]:
            raise UnmaskError(f"{name}, line {row.line}: {unique} is empty")
        if unique and entry[unique] in seen:
            where = f"{name}, line {row.line}: {entry[unique]} stands there twice"
            raise UnmaskError(f"{where}, first on line {seen[entry[unique]]}")
        seen |= {entry[unique]: row.line} if unique else {}
        entries.append(entry)
    return entries


def read(path: Path, known: Iterable[str] = ()) -> str:
    """Return a file's text; see `decode`.

    Raises:
        UnmaskError: there is no such file, it is no text, or its encoding cannot be told.
    """
    if not path.is_file():
        raise UnmaskError(f"there is no file {path}")
    return decode(path.read_bytes(), str(path), known)
