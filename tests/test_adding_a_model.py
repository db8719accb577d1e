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
            (tmp_path / "patch").write_text(content)
            run("git", "apply", "--recount", str(tmp_path / "patch"), cwd=repository)
            assert run("git", "diff", "--name-only", cwd=repository).stdout.count(file) == 1
        else:
            assert not (repository / file).exists()
            (repository / file).write_text(content)
    name = "curricularface-masked"
    metrics = json.loads((repository / f"metrics/train_recognizer-{name}.json").read_text())
    assert metrics["last"]["loss"] > 0
    assert name in params.read_yaml(repository / "params.yaml")["recognizers"]["trained"]
    assert json.loads((repository / f"onnx/{name}.json").read_text())["kind"] == "recognizer"
    assert (repository / f"onnx/{name}.onnx").stat().st_size > 1e6
    run("ruff", "check", "-q", ".", cwd=repository)
    run("ruff", "format", "--check", "-q", ".", cwd=repository)


def test_links_in_the_guide_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", GUIDE.read_text()):
        assert (GUIDE.parent / target).exists(), target
