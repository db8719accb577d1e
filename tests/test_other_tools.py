"""Other people's tools read a face table as it is: the programs of docs/share.md, each run as it stands there."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, face_row, write_table

PROGRAMS = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs/share.md").read_text(), re.MULTILINE | re.DOTALL)
TOOLS = ("pandas", "pyarrow", "duckdb", "polars", "datasets", "torch")
TESTED = 8


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go where a table of 12 faces lies, 8 of split test, one of them without landmarks and without a mask."""
    rows = [{**face_row(index), "mask": b"png", "mask_style": "cloth"} for index in range(12)]
    for row in rows[:TESTED]:
        row["split"] = "test"
    rows[0] |= {"landmarks": None, "mask": None, "mask_style": None}
    write_table(tmp_path / "data/masked/oracle/orl", rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_there_is_a_program_for_each_tool():
    assert len(PROGRAMS) == len(TOOLS)
    for tool, program in zip(TOOLS, PROGRAMS, strict=True):
        assert re.search(rf"^(import|from) {tool}\b", program, re.MULTILINE)
        assert len([line for line in program.splitlines() if line]) <= 10


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tool_reads_a_table(tool: str, here: Path, capsys: pytest.CaptureFixture[str]):
    pytest.importorskip(tool)
    found: dict[str, Any] = {}
    exec(compile(PROGRAMS[TOOLS.index(tool)], f"docs/share.md, {tool}", "exec"), found)
    if tool == "pandas":
        assert (len(found["faces"]), found["photo"].size) == (TESTED, (112, 112))
    elif tool == "pyarrow":
        assert (found["table"].count_rows(), found["found"]) == (12, TESTED - 1)
    elif tool == "duckdb":
        assert found["rows"] == [("cloth", TESTED - 1, 2), (None, 1, 1)]
    elif tool == "polars":
        assert found["people"].rows() == [("p0", 4), ("p1", 4)]
        assert found["landmarks"].shape == (68, 2)
    elif tool == "datasets":
        assert (len(found["faces"]), found["faces"][0]["image"].size) == (TESTED, (112, 112))
    else:
        assert found["images"].shape[1:] == (3, 112, 112)
        assert len(found["rows"]) == 12
