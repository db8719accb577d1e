"""params.yaml: what is wrong is named, with its line and what is allowed."""

import ast
import re
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import Field

from stages.core.errors import UnmaskError
from stages.core.params import RENAMED, Section, StageParams, leaves, load, read_yaml
from tests.conftest import ROOT


class Inner(Section):
    share: float = Field(ge=0, le=1)
    kind: str | None


class Params(StageParams):
    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    side: int = Field(gt=0)
    inner: Inner


GOOD = """\
seed: 3   # shared
draw:
  side: 4
  inner:
    share: 1e-3
    kind: null
"""


def write(text: str) -> Path:
    path = Path("params.yaml")
    path.write_text(text)
    return path


def test_reads_yaml_1_2_and_top_level_keys():
    params = load(Params, "draw", write(GOOD))
    assert (params.seed, params.side, params.inner.share, params.inner.kind) == (3, 4, 0.001, None)


def test_reads_a_section_within_a_section():
    assert load(Inner, "draw.inner", write(GOOD)).share == 0.001


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("side: 4", "side: 0", "params.yaml, line 3: draw.side: 0 is not allowed: a whole number above 0"),
        ("side: 4", "side: 4.5", "draw.side: 4.5 is not allowed: a whole number above 0"),
        ("side: 4", 'side: "4"', "draw.side: '4' is not allowed"),
        ("share: 1e-3", "share: 2", "line 5: draw.inner.share: 2 is not allowed: a number from 0 to 1"),
        ("share: 1e-3", "shaer: 1", "line 5: draw.inner.shaer: is not a known key"),
        ("  side: 4\n", "", "line 2: draw.side: is missing (a whole number above 0)"),
        ("kind: null", "kind: [1]", "draw.inner.kind: [1] is not allowed: a text or null"),
        ("seed: 3", "seed: -1", "line 1: seed: -1 is not allowed: a whole number from 0"),
        ("draw:", "drawn:", "has no section `draw:`"),
        (
            "side: 4",
            "size: 4",
            "params.yaml, line 3: draw.size: no param may be called nfiles or size",
        ),
        ("kind: null", "kind: [{a: 1, nfiles: 2}]", "line 6: draw.inner.kind.0.nfiles: no param may be called"),
        ("kind: null", "kind: &a [*a]", "params.yaml: draw is nested too deep, or within itself"),
        ("side: 4", "side: [", "cannot be read as YAML"),
    ],
)
def test_names_the_key_the_line_and_the_range(old: str, new: str, expected: str):
    assert old in GOOD
    with pytest.raises(UnmaskError) as error:
        load(Params, "draw", write(GOOD.replace(old, new)))
    assert expected in str(error.value)


def test_a_key_of_an_earlier_version_is_told_its_new_name():
    class Inpaint(StageParams):
        dilation: float

    with pytest.raises(UnmaskError) as error:
        load(Inpaint, "inpaint", write("inpaint:\n  dilation: 1.0\n  grow: 1.0\n"))
    assert str(error.value) == "params.yaml, line 3: inpaint.grow: is not a known key; it is called dilation now"


def test_new_names_are_keys_and_old_ones_are_not():
    keys = {".".join(map(str, path[:n])) for path in leaves(read_yaml(ROOT / "params.yaml")) for n in range(1, 9)}
    for old, name in RENAMED.items():
        assert (name if "." in name else f"{old.rpartition('.')[0]}.{name}") in keys
        assert old not in keys


def test_each_param_that_a_message_names_is_there():
    """Texts of the code that name a param by its dotted key; what is put into a text while it runs is not seen."""
    content = read_yaml(ROOT / "params.yaml")
    keys = {".".join(map(str, path[:n])) for path in leaves(content) for n in range(1, 9)}
    sections = [name for name, values in content.items() if isinstance(values, dict)]
    dotted = re.compile(rf"(?<![\w./])(?:{'|'.join(sections)})(?:\.[a-z]\w*)+")
    named = {
        (key, file.relative_to(ROOT).as_posix())
        for file in (ROOT / "stages").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for key in dotted.findall(node.value)
    }
    assert ("find_landmarks.search.backends", "stages/landmarks/face_alignment.py") in named
    assert len(named) > 30
    known = {(old, "stages/core/params.py") for old in RENAMED}
    assert sorted(one for one in named - known if one[0] not in keys) == []


def test_all_problems_are_told_at_once():
    with pytest.raises(UnmaskError) as error:
        load(Params, "draw", write(GOOD.replace("side: 4", "side: 0").replace("1e-3", "9")))
    assert len(str(error.value).splitlines()) == 2


def test_no_file():
    with pytest.raises(UnmaskError, match=r"params\.yaml: no such file"):
        load(Params, "draw", Path("params.yaml"))
