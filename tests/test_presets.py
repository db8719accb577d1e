"""Presets: each fits params.yaml and every stage, and `laptop` takes all of them back."""

import importlib
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from stages.common import params, presets
from stages.common.errors import UnmaskError
from stages.sources import catalogue
from tests.conftest import ROOT, run

NAMES = presets.names(ROOT / "presets")
DEFAULT = params.read_yaml(ROOT / "params.yaml")
SECTIONS = [path.stem for path in (ROOT / "stages").glob("*.py") if path.stem in DEFAULT]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml"))


def test_these_presets_are_there():
    wanted = {"laptop", "lfw", "celebamask-hq", "crmfrd", "mfr2", "mlfw", "reconstruct-face"}
    assert set(NAMES) == wanted


def test_the_default_is_the_laptop(file: Path):
    before = file.read_bytes()
    assert presets.apply("laptop", file, ROOT / "presets") == []
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_fits_and_is_taken_back(name: str, file: Path):
    before = file.read_text()
    presets.apply(name, file, ROOT / "presets")
    content = params.read_yaml(file)
    for key, value in presets.load(name, ROOT / "presets").params.items():
        place = content
        for step in key.split("."):
            place = place[step]
        assert place == value, key
    for section in SECTIONS:
        model = getattr(importlib.import_module(f"stages.{section}"), "Params", None)
        if model is not None:
            params.load(model, section, file)
    known = catalogue.load(ROOT / "data/catalogue.yaml")
    assert set(content["datasets"]) <= known.keys()
    assert set(content["roles"].values()) <= set(content["datasets"])
    asked = {dataset for dataset in content["datasets"] if known[dataset].terms}
    assert asked <= set(content["accept_terms"])
    models = {*content["recognizers"]["trained"], *content["recognizers"]["pretrained"]}
    models |= {f"{recognizer}-masked" for recognizer in content["recognizers"]["distilled"]}
    assert set(content["recognizers"]["compared"]) <= models
    after = file.read_text()
    commented = [line for line in before.splitlines() if "#" in line and '"' not in line]
    assert not [line for line in commented if line.split("#", 1)[1] not in after]
    presets.apply("laptop", file, ROOT / "presets")
    assert params.read_yaml(file) == DEFAULT


def test_dvc_understands_the_pipeline_of_a_preset(tmp_path: Path):
    """Among the stages of `mfr2`: what is learned from LFW is tested on MFR2."""
    for name in ("dvc.yaml", "params.yaml", "presets"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    run("git", "init", "-q", cwd=tmp_path)
    run("dvc", "init", "-q", cwd=tmp_path)
    presets.apply("mfr2", tmp_path / "params.yaml", tmp_path / "presets")
    found = {stage.name: stage for stage in Repo(str(tmp_path)).index.stages}
    assert {"distill_recognizer@dlib", "embed@dlib-masked", "align_faces@mfr2", "verify@dlib-masked"} <= found.keys()
    files = [Path(dep.fs_path) for dep in found["embed@dlib"].deps if not hasattr(dep, "params")]
    deps = {file.relative_to(tmp_path).as_posix() for file in files}
    assert {"data/aligned/lfw", "data/aligned/mfr2", "data/inpainted/mfr2"} <= deps


def test_a_preset_that_is_not_there(file: Path):
    with pytest.raises(UnmaskError, match=r"there is no preset 'phone'; .* has celebamask-hq, crmfrd, laptop"):
        presets.apply("phone", file, ROOT / "presets")


def test_a_key_that_is_not_there_changes_nothing(file: Path, tmp_path: Path):
    about = "about: {what: x, paper: null, data: x, hardware: x, prints: x}"
    (tmp_path / "odd.yaml").write_text(f"{about}\nparams: {{seed: 3, train_parser.scanet.stepz: 1}}\n")
    before = file.read_bytes()
    with pytest.raises(UnmaskError, match=r"train_parser\.scanet\.stepz is no key of"):
        presets.apply("odd", file, tmp_path)
    assert file.read_bytes() == before
    (tmp_path / "poor.yaml").write_text("about: {what: x}\nparams: {seed: 3}\n")
    with pytest.raises(UnmaskError, match=r"poor\.yaml, line 1: about\.hardware: is missing"):
        presets.apply("poor", file, tmp_path)


def test_the_command_says_what_it_did(tmp_path: Path):
    for name in ("params.yaml", "presets"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    environment = {"PYTHONPATH": str(ROOT)}
    listed = run("python", "-m", "stages.common.presets", cwd=tmp_path, **environment).stdout
    assert [line.split()[0] for line in listed.splitlines()] == NAMES
    said = run("python", "-m", "stages.common.presets", "lfw", cwd=tmp_path, **environment).stdout
    assert "roles.recognition: orl -> lfw" in said
    assert "Now run: dvc repro" in said
    again = run("python", "-m", "stages.common.presets", "lfw", cwd=tmp_path, **environment).stdout
    assert "params.yaml has these values already" in again
