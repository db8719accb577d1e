"""Published lists of pairs, galleries and probes."""

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


def test_names_may_be_chinese_and_hold_blanks(tmp_path: Path):
    (tmp_path / "pairs").write_bytes("Input,Target,Label\r\na/0_0_批注 2020.png,b/0.jpg,0\r\n".encode("gb18030"))
    assert read_pairs(tmp_path / "pairs") == [Pair("a/0_0_批注 2020", "b/0", False)]


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
    ],
)
def test_lines_that_cannot_be_read_are_named(tmp_path: Path, text: str, message: str):
    (tmp_path / "pairs").write_text(text)
    with pytest.raises(UnmaskError, match=message):
        read_pairs(tmp_path / "pairs")


def test_lists_that_cannot_be_read_are_named(tmp_path: Path):
    (tmp_path / "list").write_text("photo.jpg\n")
    with pytest.raises(UnmaskError, match=r"line 1: 'photo\.jpg' is no photo of a person"):
        read_list(tmp_path / "list")
    with pytest.raises(UnmaskError, match="there is no file"):
        read_list(tmp_path / "none")


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
