"""Text in any encoding, and lists of any make: read right, or refused in words that name the line."""

import itertools
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stages.core import text
from stages.core.errors import UnmaskError
from stages.photos import kinds

# Names and remarks as people write them, by the encoding in which spreadsheets and editors of their systems save them.
PEOPLE = {
    "gb18030": ["王伟", "张三", "刘德华", "批注 2020", "欧阳娜娜", "模糊", "戴口罩"],
    "big5": ["陳大文", "林志玲", "模糊"],
    "cp932": ["山田太郎", "さくら", "タロウ", "ぼやけ"],
    "cp949": ["김철수", "이영희", "흐림"],
    "cp1251": ["Иван_Петров", "Анна", "Пётр", "размыто"],
    "cp1252": ["Jürgen_Müller", "José", "Øystein", "Renée", "zu dunkel für uns"],
    "cp1250": ["Dvořák", "Šárka", "Łukasz"],
    "cp1253": ["Γιώργος", "Μαρία"],
    "cp1254": ["Gülşen", "İbrahim"],
    "cp1255": ["\u05d9\u05d5\u05e1\u05d9"],
    "cp1256": ["محمد"],
    "cp874": ["สมชาย", "กานต์"],
    "koi8_r": ["Иван"],
    "mac_roman": ["José", "Jürgen"],
    "cp850": ["Jürgen", "Renée"],
}
LINES = [
    (encoding, f"face_id,reason\r\nlfw/{name}/1,{remark}\r\n")
    for encoding, words in PEOPLE.items()
    for name, remark in itertools.product(words, [*words, "not sharp"])
]


@pytest.mark.parametrize(("encoding", "content"), LINES)
def test_known_names_tell_the_encoding(encoding: str, content: str):
    name = content.split("/")[1]
    known = [f"lfw/{name}/1", "lfw/Anna/1", f"lfw/{unicodedata.normalize('NFD', name)}/2"]
    try:
        found = text.decode(content.encode(encoding), "list.csv", known)
    except UnmaskError:  # the name is the same in two encodings, the remark is not
        remark = content.encode(encoding).split(b",")[-1]
        assert remark.decode("cp1252") != remark.decode("cp1250")
    else:
        assert found == unicodedata.normalize("NFC", content)


def test_without_known_names_nothing_is_read_wrongly():
    read = 0
    for encoding, content in LINES:
        try:
            found = text.decode(content.encode(encoding), "list.csv")
        except UnmaskError as error:
            assert "list.csv, line 2: this is no UTF-8" in str(error)  # noqa: PT017 -- either is right
            continue
        assert found == unicodedata.normalize("NFC", content), encoding
        read += 1
    assert read > len(LINES) / 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_unicode_is_read_with_and_without_its_mark(encoding: str, form: str):
    content = unicodedata.normalize(form, "face_id\treason\r\nlfw/José/1\t批注 Иван\r\n")
    assert text.decode(content.encode(encoding), "x") == unicodedata.normalize("NFC", content)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a,b\n\x01\n", "x, line 2: a control character"),
        (b"\xef\xbb\xbfa\n\xff", "x is no text: it begins as UTF-8"),
        (b"\xff\xfea\0b", "x is no text: it begins as UTF-16"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "x"),
        (b"a\nJ\xfcr\xa7gen\xa9\n", "x, line 2: this is no UTF-8"),
    ],
)
def test_what_is_no_text_is_refused(data: bytes, message: str):
    with pytest.raises(UnmaskError, match=message):
        text.decode(data, "x")


def test_a_name_is_compared_and_shown_in_one_form():
    assert text.printable("cafe\N{COMBINING ACUTE ACCENT}.jpg") == text.printable("café.jpg") == "café.jpg"
    assert text.printable(b"caf\xe9/\xff.jpg".decode(errors="surrogateescape")) == "caf%E9/%FF.jpg"


WAYS = {
    "as it was": "face_id,reason\nlfw/a/1,not sharp\nlfw/b/2,\n",
    "semicolons": "face_id;reason\nlfw/a/1;not sharp\nlfw/b/2;\n",
    "tabs": "face_id\treason\nlfw/a/1\tnot sharp\nlfw/b/2\t\n",
    "line ends of old Macs": "face_id,reason\rlfw/a/1,not sharp\rlfw/b/2,\r",
    "of Windows": "face_id,reason\r\nlfw/a/1,not sharp\r\nlfw/b/2,\r\n",
    "Excel says so": "sep=;\nface_id;reason\nlfw/a/1;not sharp\nlfw/b/2\n",
    "capitals, another order": "Reason,FACE_ID\nnot sharp,lfw/a/1\n,lfw/b/2\n",
    "quotes": '"face_id","reason"\n"lfw/a/1","not sharp"\n"lfw/b/2",""\n',
    "blanks": " face_id , reason \n lfw/a/1 , not sharp \nlfw/b/2 \n",
    "blank lines": "\n\nface_id,reason\n,,\nlfw/a/1,not sharp\n\n  \nlfw/b/2,\n\n",
    "empty columns": "face_id,reason,,,\nlfw/a/1,not sharp,,,\nlfw/b/2,,,,,,\n",
    "columns of one's own": "n,face_id,by,reason\n1,lfw/a/1,me,not sharp\n2,lfw/b/2,me\n",
    "the end of a file of DOS": "face_id,reason\nlfw/a/1,not sharp\nlfw/b/2,\n\x1a",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
def test_a_list_is_read_however_it_was_saved(way: str, encoding: str, tmp_path: Path):
    (tmp_path / "list.csv").write_bytes(WAYS[way].encode(encoding))
    found = text.table(text.read(tmp_path / "list.csv"), "list.csv", ["face_id", "reason"], unique="face_id")
    assert [(entry["face_id"], entry["reason"]) for entry in found] == [("lfw/a/1", "not sharp"), ("lfw/b/2", "")]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "list has no column 'a': the first line must be a,b"),
        ("a,c\n1,2\n", "list has no column 'b': the first line must be a,b"),
        ("a,b,A\n1,2,3\n", "list, line 1: the column a is there twice"),
        ("a,b\n1,2\n\n3,4,5\n", "list, line 4: 3 cells, but the first line names 2 columns"),
        ("a,b\n1,2\n\n1,4\n", "list, line 4: 1 stands there twice, first on line 2"),
        ('a,b\n1,"x\ny"\n1,2\n', "list, line 4: 1 stands there twice, first on line 2"),
        ("a,b\n1,2\n ,4\n", "list, line 3: a is empty"),
        ('a,b\n1,2\n3,"4\n5,6\n', "list, line 3: .*look at the quotes"),
        ('a,b\n1,2\n3,"4"x\n', "list, line 3: .*look at the quotes"),
    ],
)
def test_a_list_that_cannot_be_read_names_its_line(content: str, message: str):
    with pytest.raises(UnmaskError, match=message):
        text.table(content, "list", ["a", "b"], unique="a")


CELL = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=6)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(CELL.filter(bool), CELL), max_size=6, unique_by=lambda row: text.same_name(row[0])))
@example([("sep=;", "x")])
def test_what_was_written_is_read(cells: list[tuple[str, str]]):
    quoted = ["a,b", *(",".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in cells)]
    found = text.table(text.decode("\n".join(quoted).encode("utf-16"), "x"), "x", ["a", "b"], unique="a")
    assert [(entry["a"], entry["b"]) for entry in found] == [tuple(map(text.same_name, row)) for row in cells]
    assert [entry.line for entry in found] == list(range(2, len(cells) + 2))


@pytest.mark.parametrize(
    ("head", "kind", "is_text"),
    [
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "JPEG", False),
        (b"\x89PNG\r\n\x1a\n", "PNG", False),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC", False),
        (b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF", False),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "a video", False),
        (b"P5 92 112 255 \0", "PPM", False),
        (b"%PDF-1.7\n", "PDF", True),
        (b"P50 is a name\n", None, True),
        (b"BMI,weight\n1,2\n", None, True),
        (b"\xff\xfea\0", None, True),
        (b"\0\1\2", None, False),
        (b"", None, True),
    ],
)
def test_a_file_is_known_by_its_first_bytes(head: bytes, kind: str | None, *, is_text: bool):
    assert kinds.kind(head) == kind
    assert kinds.is_text(head) == is_text
