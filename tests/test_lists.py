"""Published lists of pairs, galleries and probes."""

import unicodedata
from pathlib import Path

import pytest

from stages.core.errors import UnmaskError
from stages.recognition.lists import Pair, read_list, read_pairs
from tests.conftest import SHARED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Input,Target,Label\r\na/0_0_9.jpg,a/1_0_a_0001.jpg,1\r\na/0_0_9.jpg,b/0_0_0.png,0\n",
            [Pair("a/0_0_9", "a/1_0_a_0001", True), Pair("a/0_0_9", "b/0_0_0", False)],
        ),
        (
            "2\t1\nAbel\t1\t12\nAbel\t1\tZoe\t3\nZoe\t1\t2\nZoe\t1\tAbel\t2\n",
            [
                Pair("Abel/Abel_0001", "Abel/Abel_0012", True, 0),
                Pair("Abel/Abel_0001", "Zoe/Zoe_0003", False, 0),
                Pair("Zoe/Zoe_0001", "Zoe/Zoe_0002", True, 1),
                Pair("Zoe/Zoe_0001", "Abel/Abel_0002", False, 1),
            ],
        ),
        (
            "Abel 1 2\nAbel 1 Zoe 3\n",
            [Pair("Abel/Abel_0001", "Abel/Abel_0002", True), Pair("Abel/Abel_0001", "Zoe/Zoe_0003", False)],
        ),
        (
            "Abel_Pacheco_0001_0000.jpg\tAbel_Pacheco_0004_0001.jpg\t1\n",
            [Pair("Abel_Pacheco/Abel_Pacheco_0001_0000", "Abel_Pacheco/Abel_Pacheco_0004_0001", True)],
        ),
    ],
)
def test_pairs_of_four_publishers(tmp_path: Path, text: str, expected: list[Pair]):
    (tmp_path / "pairs").write_bytes(text.encode())
    assert read_pairs(tmp_path / "pairs") == expected


A1, A2, B1 = "anna/1", "anna/2", "ben/1"
TWO = [Pair(A1, A2, True), Pair(A1, B1, False)]
WITH_SUFFIX = tuple(f"{name}.jpg" for name in (A1, A2, B1))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r", "\n\n"])
@pytest.mark.parametrize(
    "form",
    [
        "{0},{1},1\n{0},{2},0\n",
        "{0}, {1}, 1\n{0}, {2}, 0",
        "{0};{1};1;;\n{0};{2};0;;\n",
        "{0}\t{1}\t1\n{0}\t{2}\t-1\n",
        "{0} {1} True\n{0} {2} False\n",
        "1 {0} {1}\n0 {0} {2}\n",
        "{0},same,{1}\n{0},different,{2}\n",
        '"{0}"|"{1}"|"yes"\n"{0}"|"{2}"|"no"\n',
        "sep=;\n{0};{1};1.0\n{0};{2};0.0\n",
        "img1,img2,label\n{0},{1},1\n{0},{2},0\n",
        ",photo,other,is_same\n0,{0},{1},1\n1,{0},{2},0\n",
        "label;fold;a;b\ntrue;1;{0};{1}\nfalse;1;{0};{2}\n",
        ".\\faces\\{0},C:\\all\\{1},1\n../faces/{0},./{2},0\n",
    ],
)
def test_pairs_are_read_however_they_are_written(tmp_path: Path, form: str, ends: str, encoding: str):
    (tmp_path / "pairs").write_bytes(form.format(*WITH_SUFFIX).replace("\n", ends).encode(encoding))
    found = read_pairs(tmp_path / "pairs", {A1, A2, B1})
    assert found == TWO
    first = form.split("\n", maxsplit=1)[0]
    lines_before = ("sep" in first) + ("photo" in first or "label" in first)
    blank = 2 if ends == "\n\n" else 1
    assert [pair.line for pair in found] == [1 + blank * (index + lines_before) for index in (0, 1)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "name,imagenum1,imagenum2,\nAbel,1,12,\nAbel,1,Zoe,3\n",
            [("Abel_0001", "Abel_0012"), ("Abel_0001", "Zoe_0003")],
        ),
        ("name,imagenum1,name,imagenum2\nAbel,1,Zoe,3\n", [("Abel_0001", "Zoe_0003")]),
        ("10\t300\nJohn Smith\t1\t2\n", [("John Smith_0001", "John Smith_0002")]),
        (
            "John Smith 1 2\nJohn Smith 1 Anna de Vries 3\n",
            [("John Smith_0001", "John Smith_0002"), ("John Smith_0001", "Anna de Vries_0003")],
        ),
        ("Abel\t1\t2\nAbel 1 Zoe 3\n", [("Abel_0001", "Abel_0002"), ("Abel_0001", "Zoe_0003")]),
    ],
)
def test_people_with_numbers(tmp_path: Path, text: str, expected: list[tuple[str, str]]):
    (tmp_path / "pairs").write_text(text)
    assert [(pair.one.split("/")[1], pair.other.split("/")[1]) for pair in read_pairs(tmp_path / "pairs")] == expected


def test_names_may_have_blanks_commas_and_dots(tmp_path: Path):
    (tmp_path / "pairs").write_text('"Anna M/1, old.jpg",Anna M/2.jpg,1\nAnna M/2.jpg,J.K. Hill/a.b.jpg,0\n')
    assert read_pairs(tmp_path / "pairs") == [
        Pair("Anna M/1, old", "Anna M/2", True),
        Pair("Anna M/2", "J.K. Hill/a.b", False),
    ]
    (tmp_path / "pairs").write_text("Anna M/1.jpg Anna M/2.jpg 1\nAnna M/2.jpg Ben/1.jpg 0\n")
    assert read_pairs(tmp_path / "pairs") == [Pair("Anna M/1", "Anna M/2", True), Pair("Anna M/2", "Ben/1", False)]
    (tmp_path / "pairs").write_text("m.0a1/m.0a1_0001\tm.0a1/m.0a1_0003\t1\nx/a.png\tx/a.jpg\t1\n")
    assert read_pairs(tmp_path / "pairs", {"x/a.png", "x/a"}) == [
        Pair("m.0a1/m.0a1_0001", "m.0a1/m.0a1_0003", True),
        Pair("x/a.png", "x/a", True),
    ]


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("gb18030", "王伟"), ("cp1252", "Jürgen"), ("cp1251", "Иван"), ("cp932", "山田"), ("utf-16", "José")],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_known_names_tell_the_encoding(tmp_path: Path, encoding: str, name: str, form: str):
    if encoding != "utf-16" and form == "NFD" and unicodedata.normalize(form, name) != name:
        pytest.skip("these encodings have no accents of their own")
    listed = unicodedata.normalize(form, name)
    (tmp_path / "pairs").write_bytes(f"{listed}/1.jpg,{listed}/2.jpg,1\n".encode(encoding))
    known = {f"{name}/{number}" for number in (1, 2)}
    assert read_pairs(tmp_path / "pairs", known) == [Pair(f"{name}/1", f"{name}/2", True)]
    (tmp_path / "list").write_bytes(f"photo;by\n{listed}/1.jpg;me\n{listed}/2.jpg;you\n".encode(encoding))
    assert read_list(tmp_path / "list", known) == [f"{name}/1", f"{name}/2"]


def test_names_may_be_chinese_and_hold_blanks(tmp_path: Path):
    (tmp_path / "pairs").write_bytes("Input,Target,Label\r\na/0_0_批注 2020.png,b/0.jpg,0\r\n".encode("gb18030"))
    assert read_pairs(tmp_path / "pairs") == [Pair("a/0_0_批注 2020", "b/0", False)]


def test_a_mistake_of_the_publisher_is_named_and_scored_as_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    lines = [f"a/{n}.jpg,a/{n + 1}.jpg,1\na/{n}.jpg,b/{n}.jpg,0" for n in range(1, 8)]
    (tmp_path / "pairs.csv").write_text("\n".join([*lines, "a/1.jpg,a/3.jpg,0\n"]))
    assert read_pairs(tmp_path / "pairs.csv")[-1] == Pair("a/1", "a/3", False)
    assert (
        "says the opposite of the people's names on 1 of 15 lines: 15 (a/1 and a/3 are two" in capsys.readouterr().err
    )


def test_a_list_has_mixed_line_ends_and_a_line_without_slash(tmp_path: Path):
    (tmp_path / "list").write_bytes(b"axin/0_0_0.jpg\r\nbaike/0_0_1.jpg\n\r\nduhaitao0_0_duhaitao_0029.jpg\n")
    assert read_list(tmp_path / "list") == ["axin/0_0_0", "baike/0_0_1", "duhaitao/0_0_duhaitao_0029"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("Input,Target,Label\na/1.jpg,b/1.jpg,perhaps\n", "line 2: expected two photos and 1 or 0"),
        ("10\t300\nAbel\t1\n", r"line 2: expected .* `name n m`"),
        ("Abel one two\n", r"line 1: expected .* `name n m`"),
        ("a/1.jpg,a/2.jpg\na/1.jpg,b/1.jpg\n", "line 1: expected two photos and 1 or 0"),
        ("a/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,2\n", "line 2: expected two photos and 1 or 0"),
        ("a/1.jpg,a/2.jpg,oops\na/1.jpg,b/1.jpg,1\na/1.jpg,b/1.jpg,0\n", "line 1: expected two photos and 1 or 0"),
        ("a/1.jpg,a/2.jpg,1\n\na/1.jpg,b/1.jpg\na/1.jpg,b/1.jpg,0\n", "line 3: expected two photos and 1 or 0"),
        ("1,a/1.jpg,a/2.jpg,1\n0,a/1.jpg,b/1.jpg,1\n", "what could be 1 or 0 stands in columns 1 and 4"),
        ("a/1.jpg,a/2.jpg,a/3.jpg,1\n", "what could be two photos stands in columns 1 and 2 and 3"),
        ("a/1.jpg,a/2.jpg,0\na/1.jpg,b/1.jpg,1\n", "column 3 says the opposite of the people's names on every line"),
        ("Abel,1,2\nAbel,x,2\nZoe,1,2\n", "line 2: expected"),
        ("Abel,x,2\nAbel,1,2\nZoe,1,2\n", "line 1: expected"),
        ('a/1.jpg,"a/2.jpg,1\na/1.jpg,b/1.jpg,0\n', "line 1: .*look at the quotes"),
    ],
)
def test_lines_that_cannot_be_read_are_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "pairs").write_text(text)
    with pytest.raises(UnmaskError, match=message):
        read_pairs(tmp_path / "pairs")


TURNED = "a/1.jpg,a/2.jpg,1\na/1.jpg,b/1.jpg,0\na/3.jpg,a/2.jpg,0\nb/1.jpg,c/1.jpg,1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TURNED, r"column 3 .* on 2 of 4 lines: 3, 4 \(a/3 and a/2 are two people, it says\)"),
        ("a/1,a/2,1\nb/1,b/2,1\na/1,b/1,1\n", r"on 1 of 3 lines: 3 \(a/1 and b/1 are one person, it says\)"),
        ("a/1,a/2,1\nb/1,b/2,1\na/1,a/3,0\n", r"on 1 of 3 lines: 3"),
        ("a/1,b/2,0\nb/1,c/2,0\na/1,c/3,1\n", r"on 1 of 3 lines: 3"),
        ("Bo_Li_0001.jpg Bo_Li_0002.jpg 1\nBo_Li_0001.jpg Mo_Li_0001.jpg 1\n", r"on 1 of 2 lines: 2"),
        (
            "".join(f"{'ab'[n // 5 % 2]}/{n},{'ba'[n // 5 % 2]}/{n},{n % 2}\n" for n in range(20)),
            r"on 10 of 20 lines: 2, 4, 6, 8, 10, … ",
        ),
    ],
)
def test_labels_that_contradict_the_names_are_counted(tmp_path: Path, text: str, message: str):
    (tmp_path / "pairs").write_text(text)
    with pytest.raises(UnmaskError, match=message) as error:
        read_pairs(tmp_path / "pairs")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "faces/1.jpg,faces/2.jpg,1\nfaces/1.jpg,faces/3.jpg,0\n",  # all in one folder
        "bare/1.jpg,masked/1.jpg,1\nbare/1.jpg,masked/3.jpg,0\n",  # or in one for each column
        "p1/l.jpg,p1/r.jpg,1\np2/l.jpg,p2/r.jpg,0\np3/l.jpg,p3/r.jpg,1\n",  # a folder for each pair
        "x1/1.jpg,x2/2.jpg,1\nx1/1.jpg,x3/3.jpg,0\n",  # for each photo
    ],
)
def test_folders_that_are_no_people_contradict_nothing(tmp_path: Path, text: str):
    (tmp_path / "pairs").write_text(text)
    assert [pair.genuine for pair in read_pairs(tmp_path / "pairs")][:2] == [True, False]


def test_photos_that_are_not_there_contradict_nothing(tmp_path: Path):
    (tmp_path / "pairs").write_text(TURNED)
    assert len(read_pairs(tmp_path / "pairs", {"a/1", "a/2", "b/1"})) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [("ja", "nein"), ("WAHR", "FALSCH"), ("是", "否"), ("Oui", "Non"), ("да", "нет"), ("Sí", "No"), ("1,0", "0,0")],
)
def test_labels_may_be_in_other_languages(tmp_path: Path, one: str, other: str):
    (tmp_path / "pairs").write_text(f"Foto;Bild;gleich\na/1.jpg;a/2.jpg;{one}\na/1.jpg;b/1.jpg;{other}\n")
    assert [pair.genuine for pair in read_pairs(tmp_path / "pairs")] == [True, False]


def test_labels_that_are_not_known_are_refused_with_those_that_are(tmp_path: Path):
    (tmp_path / "pairs").write_text("a/1.jpg,a/2.jpg,kyllä\na/1.jpg,b/1.jpg,ei\n")
    with pytest.raises(
        UnmaskError, match=r"line 1: .*'a/1\.jpg a/2\.jpg kyllä'; labels that are known are 1/0, .*是/否"
    ):
        read_pairs(tmp_path / "pairs")


KNOWN = {"anna/masked-1", "anna/unmasked-1", "ben/1", "Cy Li/with_mask-train-2", "photo-trip-3/trip-3", "J.R./a.b"}


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("anna/masked/1.jpg", "anna/masked-1"),
        ("./faces/anna/Unmasked/1.JPG", "anna/unmasked-1"),
        ("C:\\all\\masked\\anna\\1.jpg", "anna/masked-1"),
        ("../masked/anna/1", "anna/masked-1"),
        ("friends/anna/masked-1", "anna/masked-1"),  # a face id
        ("With Mask/train/Cy Li/2.png", "Cy Li/with_mask-train-2"),
        ("file:///home/me/masked/anna/1.jpg", "anna/masked-1"),
        ("With%20Mask/train/Cy%20Li/2.png", "Cy Li/with_mask-train-2"),
        ("with-mask/Cy Li/train/2", "Cy Li/with_mask-train-2"),
        ("trip/3.webp", "photo-trip-3/trip-3"),
        ("photo-trip-3/trip-3", "photo-trip-3/trip-3"),
        ("trip-3.webp", "photo-trip-3/trip-3"),
        ("masked-1.jpg", "anna/masked-1"),
        ("J.R./a.b", "J.R./a.b"),
        ("J.R./a.b.jpeg", "J.R./a.b"),
        ("anna/1.jpg", "anna/1"),  # nobody knows which one: it is not there
        ("anna/masked/2.jpg", "masked/2"),
    ],
)
def test_photos_are_named_as_people_write_them(tmp_path: Path, written: str, name: str):
    (tmp_path / "list").write_text(f"{written}\nben/1.jpg\n")
    assert read_list(tmp_path / "list", KNOWN) == [name, "ben/1"]
    (tmp_path / "pairs").write_text(f"{written},ben/1.jpg,0\n")
    assert read_pairs(tmp_path / "pairs", KNOWN) == [Pair(name, "ben/1", False)]


def test_a_name_that_may_be_several_photos_is_an_error(tmp_path: Path):
    known = {"anna/masked-1", "masked/anna-1", "ben/2", "cleo/2"}
    (tmp_path / "list").write_text("masked/anna-1.jpg\nanna/masked/1.jpg\n")
    with pytest.raises(UnmaskError, match=r"line 2: 'anna/masked/1\.jpg' may be anna/masked-1 or masked/anna-1: write"):
        read_list(tmp_path / "list", known)
    (tmp_path / "pairs").write_text("anna/masked-1.jpg,2.jpg,0\n")
    with pytest.raises(UnmaskError, match=r"line 1: '2\.jpg' may be ben/2 or cleo/2"):
        read_pairs(tmp_path / "pairs", known)


@pytest.mark.parametrize(
    ("known", "names"),
    [
        ({"Bo Li/1", "Bo Li/2", "Mo/3"}, ["Bo Li/1", "Bo Li/2", "Mo/3"]),
        (
            {"Bo_Li/Bo_Li_0001", "Bo_Li/Bo_Li_0002", "Bo_Li/1", "Mo/03"},
            ["Bo_Li/Bo_Li_0001", "Bo_Li/Bo_Li_0002", "Mo/03"],
        ),
        ({"Bo Li/Bo Li_01"}, ["Bo Li/Bo Li_01", "Bo Li/Bo Li_0002", "Mo/Mo_0003"]),
    ],
)
def test_numbers_of_photos_are_those_of_the_table(tmp_path: Path, known: set[str], names: list[str]):
    (tmp_path / "pairs").write_text("Bo Li\t1\t2\nBo Li\t1\tMo\t3\n")
    one, two = read_pairs(tmp_path / "pairs", known)
    assert [one.one, one.other, two.other] == names
    (tmp_path / "pairs").write_text("Bo Li\t1\t2\n")
    with pytest.raises(UnmaskError, match="line 1: 'Bo Li 1' may be Bo Li/01 or Bo Li/1"):
        read_pairs(tmp_path / "pairs", {"Bo Li/01", "Bo Li/1"})


@pytest.mark.parametrize(
    "text",
    [
        "a/1.jpg\nb/2.jpg\n",
        "image\n./x/a/1.jpg\nx\\b\\2.jpg\n",
        "person;photo\na;a/1.jpg;\nb;b/2.jpg;\n",
        '"a/1.jpg"\n"b/2.jpg"\n',
        "a/1.jpg,\nb/2.jpg,\n",
    ],
)
def test_a_list_of_photos_may_have_other_columns(tmp_path: Path, text: str):
    (tmp_path / "list").write_text(text)
    assert read_list(tmp_path / "list") == ["a/1", "b/2"]


def test_lists_that_cannot_be_read_are_named(tmp_path: Path):
    (tmp_path / "list").write_text("photo.jpg\n")
    with pytest.raises(UnmaskError, match=r"line 1: 'photo\.jpg' is no photo of a person"):
        read_list(tmp_path / "list")
    with pytest.raises(UnmaskError, match="there is no file"):
        read_list(tmp_path / "none")
    (tmp_path / "list").write_text("a/1.jpg\n\na/1.png\n")
    with pytest.raises(UnmaskError, match="list, line 3: names a/1 twice, first on line 1"):
        read_list(tmp_path / "list")


@pytest.mark.skipif(not (SHARED / "peers/c_rmfrd").is_dir(), reason="the published lists are not beside the checkout")
def test_c_rmfrds_own_files():
    folder = SHARED / "peers/c_rmfrd"
    ask = folder / "Protocol_identification"
    assert (len(read_list(ask / "AFDB_gallery_fianl.csv")), len(read_list(ask / "AFDB_probe_final.csv"))) == (248, 2372)
    masked = ask / "probe_is_mask"
    assert len(read_list(masked / "AFDB_gallery_no_mask.csv")) == 248
    assert len(read_list(masked / "AFDB_probe.csv")) == 831
    pairs = read_pairs(folder / "Protocol_verification/AFDB_final_Jeff.csv")
    assert (sum(pair.genuine for pair in pairs), sum(not pair.genuine for pair in pairs)) == (945, 15011)


@pytest.mark.parametrize(
    "text", ["a/1.jpg 3\nb/2.jpg 17\n", "文件名\na/1.jpg\nb/2.jpg\n", "# gallery\na/1.jpg\nb/2.jpg\n"]
)
def test_a_list_of_photos_with_classes_or_a_head_of_its_own(tmp_path: Path, text: str):
    (tmp_path / "list").write_text(text)
    assert read_list(tmp_path / "list") == ["a/1", "b/2"]


def test_photos_of_a_person_are_numbered_from_1(tmp_path: Path):
    (tmp_path / "list").write_text("1001 1002 1\n1001 1003 0\n")
    with pytest.raises(UnmaskError, match="line 2: photos of a person are numbered from 1"):
        read_pairs(tmp_path / "list")
