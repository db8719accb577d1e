"""docs/adding-a-model.md is followed to the letter, in a clone, with few faces and steps."""

import json
import re
from pathlib import Path

import pytest

from stages.core import params
from tests.conftest import ROOT, commit, copy_repository, run

GUIDE = ROOT / "docs/adding-a-model.md"
SMALLER = {  # what is done to params.yaml before, so that data stages and training are short
    r"^    identities:": "    identities: 8",
    r"photos: +(?=# of each person)": "photos: 4  ",
    r"steps: 260$": "steps: 20",
}


def blocks() -> list[tuple[str, str, str]]:
    """Return language, file and content of each block of code."""
    found = re.findall(r"```(\w+) ?([^\n]*)\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    assert len(found) >= 8
    return found


def make_small(repository: Path) -> None:
    text = (repository / "params.yaml").read_text()
    for pattern, line in SMALLER.items():
        text, times = re.subn(pattern, line, text, flags=re.MULTILINE)
        assert times == 1, pattern
    (repository / "params.yaml").write_text(text)


def changed(text: str, diff: str) -> str:
    """Return a file's text after a change: lines beside it, lines that go (-), lines that come (+)."""
    for part in re.findall(r"(?:^ .*\n)*(?:^-.*\n)*(?:^\+.*\n)+", diff, flags=re.MULTILINE):
        lines = part.splitlines(keepends=True)
        before, after = ("".join(line[1:] for line in lines if line[0] in kind) for kind in (" -", " +"))
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    return text


def test_the_changes_in_the_guide_fit():
    for language, file, content in blocks():
        if language == "diff":
            assert changed((ROOT / file).read_text(), content) != (ROOT / file).read_text()


@pytest.mark.slow  # two minutes of processor time
def test_the_guide_works(tmp_path: Path):
    pytest.importorskip("onnxruntime")
    repository = copy_repository(tmp_path / "unmask")
    make_small(repository)
    commit(repository, "as cloned, with few faces")
    for language, file, content in blocks():
        if language == "sh":
            for command in content.replace("\\\n", " ").strip().splitlines():
                if "export_onnx" in command:
                    run("dvc", "repro", "render_masks@orl", cwd=repository)  # which the default run has made long since
                run("bash", "-c", command, cwd=repository)
        elif language == "diff":
            (repository / file).write_text(changed((repository / file).read_text(), content))
        else:
            assert not (repository / file).exists()
            (repository / file).write_text(content)
    name = "curricularface-masked"
    metrics = json.loads((repository / "metrics/train_masked_recognizer-curricularface.json").read_text())
    assert metrics["last"]["loss"] > 0
    assert "curricularface" in params.read_yaml(repository / "params.yaml")["recognizers"]["masked"]
    assert json.loads((repository / f"onnx/{name}.json").read_text())["kind"] == "recognizer"
    assert (repository / f"onnx/{name}.onnx").stat().st_size > 1e6
    run("ruff", "check", "-q", ".", cwd=repository)
    run("ruff", "format", "--check", "-q", ".", cwd=repository)


def test_links_in_the_guide_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", GUIDE.read_text()):
        assert (GUIDE.parent / target).exists(), target
