"""The environment: which Python may make it, when it is made anew, and what is said to who runs another one."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from checks import python_version
from stages.core.code import module_of
from tests.conftest import ROOT, run

REQUIRED = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]

# Stands for a Python: it makes environments of itself, and writes down what it is asked to do. Files of these names say
# what goes wrong: the environment's Python is old, pip fails, or make is killed while pip installs.
FAKE = """#!/bin/sh
echo "$@" >> log
case "$*" in
  checks/python_version.py) [ "$0" != .venv/bin/python ] || [ ! -e old ] ;;
  "-m venv "*) mkdir -p "$3/bin" "$3/site" && cp fake "$3/bin/python" && rm -f old ;;
  "-c "*) echo .venv/site ;;
  *install*) [ ! -e fails ] || exit 1; [ ! -e stops ] || kill -9 $PPID ;;
esac
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with the Makefile, and a stand-in for Python."""
    (tmp_path / "checks").mkdir()
    for name in (
        "Makefile",
        "pyproject.toml",
        "requirements.lock",
        "checks/python_version.py",
        "checks/startup_line.txt",
    ):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "fake").write_text(FAKE)
    (tmp_path / "fake").chmod(0o755)
    return tmp_path


def make(project: Path, target: str = ".venv/installed", *, check: bool = True) -> tuple[int, list[str], str]:
    """Return status, what Python was asked for but questions, and what was printed."""
    (project / "log").write_text("")
    done = run("make", target, "PYTHON=./fake", cwd=project, check=check)
    asked = (project / "log").read_text().splitlines()
    asked = ["venv" if " venv " in line else "pip" for line in asked if line.startswith("-m")]
    return done.returncode, asked, done.stdout + done.stderr


def test_an_environment_is_made_once(project: Path):
    assert make(project)[1] == ["venv", "pip"]
    assert (project / ".venv/site/unmask.pth").exists()
    assert make(project)[1] == []
    assert make(project, ".venv/installed-dev")[1] == ["pip"]
    os.utime(project / ".venv/installed", (1e9, 1e9))  # so pyproject.toml is newer
    assert make(project)[1] == ["pip"]


def test_what_a_person_installed_first_is_kept(project: Path):
    """As README says of torch's build for the CPU."""
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/site").mkdir()
    shutil.copy(project / "fake", project / ".venv/bin/python")
    (project / ".venv/theirs").touch()
    assert make(project)[1] == ["pip"]
    assert (project / ".venv/theirs").exists()
    assert (project / ".venv/site/unmask.pth").exists()


@pytest.mark.parametrize("target", [".venv/installed", ".venv/installed-dev", ".venv/installed-app"])
@pytest.mark.parametrize("way", ["old", ".venv/installing", "python is gone"])
def test_a_broken_environment_is_made_anew(project: Path, target: str, way: str):
    make(project)
    make(project, target)
    (project / ".venv/theirs").touch()
    if way == "python is gone":
        (project / ".venv/bin/python").unlink()
    else:
        (project / way).touch()
    assert make(project, target)[1] == ["venv", "pip"] + ["pip"] * (target != ".venv/installed")
    assert not (project / ".venv/theirs").exists()
    assert make(project, target)[1] == []


def test_an_installation_that_was_broken_off_begins_anew(project: Path):
    (project / "stops").touch()
    assert make(project, check=False)[0] != 0
    (project / "stops").unlink()
    assert make(project)[1] == ["venv", "pip"]


def test_where_pip_gives_up_the_environment_is_kept(project: Path):
    make(project)
    os.utime(project / ".venv/installed", (1e9, 1e9))  # so pyproject.toml is newer
    (project / "fails").touch()
    assert make(project, check=False)[0] != 0
    (project / "fails").unlink()
    assert make(project)[1] == ["pip"]


def test_an_old_python_is_told_so_and_leaves_nothing(project: Path):
    text = (project / "pyproject.toml").read_text()
    (project / "pyproject.toml").write_text(text.replace(REQUIRED, ">=3.97,<3.99"))
    done = run("make", "repro", f"PYTHON={sys.executable}", cwd=project, check=False)
    assert done.returncode != 0
    assert f"{sys.executable} is Python 3.{sys.version_info[1]}, and this project runs on 3.97 to 3.98." in done.stderr
    assert "make repro PYTHON=/path/to/python3.97" in done.stderr
    assert not (project / ".venv").exists()


@pytest.mark.parametrize(
    ("version", "right"),
    [((2, 7), False), ((3, 9), False), ((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)],
)
def test_which_pythons_will_do(version: tuple[int, int], right: bool):
    assert (python_version.wrong(version) is None) == right
    assert REQUIRED == ">=3.11,<3.14"  # as the guard in stages/__init__.py has it
    assert "sys.version_info < (3, 11)" in (ROOT / "stages/__init__.py").read_text()


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment without a package in it."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    return folder


@pytest.mark.parametrize("stage", ["fetch", "train_parser", "run_app"])
def test_a_python_without_the_packages_is_told_what_to_do(bare: Path, stage: str):
    done = run(str(bare / "bin/python"), "-m", module_of(stage), cwd=ROOT, check=False, PYTHONPATH="")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"{bare}/bin/python (Python 3.{sys.version_info[1]}) is not the environment of this project")
    for words in ("it has no cv2, mmengine, pydantic, torch", "`make repro`", "`source .venv/bin/activate`"):
        assert words in line


def test_the_guard_speaks_to_an_old_python():
    """Nothing in it is newer than Python 3.9; where such a one is installed, it is asked."""
    old = [name for name in ("python3.9", "python3.10") if shutil.which(name)]
    for file in ("stages/__init__.py", "checks/python_version.py"):
        source = (ROOT / file).read_text()
        ast.parse(source, feature_version=(3, 9))
        assert not re.search(r"\bmatch \w+:|-> |: \w+ \| ", source), file
    for name in old:
        if subprocess.run([name, "--version"], check=False, capture_output=True).returncode == 0:
            done = subprocess.run(
                [name, "-m", "stages.data.fetch"], cwd=ROOT, check=False, capture_output=True, text=True
            )
            assert "is not the environment of this project" in done.stderr
            assert "Traceback" not in done.stderr


def test_an_environment_finds_its_own_programs(bare: Path):
    """So `.venv/bin/dvc repro` runs `python` of .venv, whichever stands first on the path."""
    site = next(bare.glob("lib/python*/site-packages"))
    shutil.copy(ROOT / "checks/startup_line.txt", site / "unmask.pth")
    try:
        script = "import shutil, subprocess; subprocess.run('which python; echo $PATH', shell=True)"
        done = subprocess.run(
            [bare / "bin/python", "-c", script],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
        )
        assert done.stdout.splitlines() == [f"{bare}/bin/python", f"{bare}/bin{os.pathsep}/usr/bin:/bin"]
    finally:
        (site / "unmask.pth").unlink()
