"""docs/first-hour.md is followed to the letter on few faces: clone, change, compare, share, import elsewhere."""

import os
import re
import shutil
from pathlib import Path

import pytest

from stages.core import params, tables
from tests.conftest import NOBODY, ROOT, SMALL, run

GUIDE = ROOT / "docs/first-hour.md"

pytestmark = pytest.mark.xdist_group("repository")  # one process makes it, and runs all that needs it


@pytest.fixture
def origin(small_repository: Path, tmp_path: Path) -> Path:
    """Return a bare repository with the run on few faces; what was pushed lies beside where the guide clones to."""
    run("git", "clone", "-q", "--bare", str(small_repository), str(tmp_path / "origin.git"), cwd=tmp_path)
    files = small_repository / ".dvc/cache/files"
    shutil.copytree(files, tmp_path / "home/unmask-storage/files", copy_function=os.link)
    return tmp_path / "origin.git"


@pytest.mark.slow  # a minute of processor time
def test_the_guide_works(origin: Path, tmp_path: Path):
    blocks = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 7
    places = {"ORIGIN": str(origin), "STORAGE": str(tmp_path / "storage")}
    script = "".join(f"echo '# block {number}'\n{block}" for number, block in enumerate(blocks))
    done = run("bash", "-euo", "pipefail", "-c", script, cwd=tmp_path / "home", **places, **NOBODY)
    said = re.split(r"# block \d+\n", done.stdout)[1:]

    assert "Running stage" not in said[1]  # the pull brought all
    assert f"{SMALL} faces in ../faces" in said[2]
    assert re.findall("Running stage '(.*)'", said[3]) == ["render_masks@orl"]
    assert "render_masks.softness  0.5 -> 2" in said[4]
    assert "The page is report/compare.html" in said[4]
    page = (tmp_path / "home/unmask/report/compare.html").read_text()
    assert len(re.findall(r'<img src="data:image/[^"]+" alt="(?:main \(\w+\)|workspace)"', page)) == 2

    paper = tmp_path / "home/paper"
    theirs, ours = (
        sorted(tables.read(folder), key=lambda face: face["face_id"])
        for folder in (paper / "faces", tmp_path / "home/unmask/data/masked/oracle/orl")
    )
    assert [face["image"] for face in theirs] == [face["image"] for face in ours]
    assert len(theirs) == SMALL
    assert (paper / "masks.png").stat().st_size > 1000
    (dep,) = params.read_yaml(paper / "faces.dvc")["deps"]
    assert dep["repo"]["url"] == str(origin)
    assert dep["repo"]["rev"] == "soft-masks-v1"
    for repository in (paper, tmp_path / "home/unmask"):
        assert run("git", "status", "--porcelain", cwd=repository).stdout == ""
    assert "exp/soft-edges" in run("git", "branch", "--list", cwd=origin).stdout
