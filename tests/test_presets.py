"""Presets: each fits params.yaml and every stage, and `laptop` takes all of them back."""

import importlib
import shutil
from pathlib import Path

import pytest
from dvc.repo import Repo

from checks.deps import is_program
from stages.core import params
from stages.core.code import module_of
from stages.core.errors import UnmaskError
from stages.data.sources import catalogue
from stages.tools import presets
from tests.conftest import ROOT, edit_params, run

NAMES = presets.names(ROOT / "presets")
DEFAULT = params.read_yaml(ROOT / "params.yaml")
CATALOGUE = catalogue.load(ROOT / "data/catalogue.yaml")
ASKING = [name for name, dataset in CATALOGUE.items() if dataset.terms]
SECTIONS = [path.stem for path in (ROOT / "stages").glob("*/*.py") if path.stem in DEFAULT and is_program(path)]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return params.yaml, in which all terms are accepted."""
    shutil.copy(ROOT / "params.yaml", tmp_path / "params.yaml")
    edit_params(tmp_path, accept_terms=ASKING)
    return tmp_path / "params.yaml"


def apply(name: str, file: Path, folder: Path = ROOT / "presets") -> list[str]:
    return presets.apply(name, file, folder, ROOT / "data/catalogue.yaml")


def test_these_presets_are_there():
    wanted = {"laptop", "lfw", "release", "release-inpainter", "celebamask-hq", "crmfrd", "mfr2", "mlfw"}
    wanted |= {"reconstruct-face"}
    recipes = {"scanet_r101_473", "scanet_r101_112", "segformer_b2", "extractor_r18", "mask_rcnn_crops"}
    recipes |= {"mask_rcnn_photos", "inception_v3", "inpainting_gan_256", "iresnet18", "iresnet50", "iresnet100"}
    assert set(NAMES) == wanted | {f"recipes/{name}" for name in recipes}


def test_the_default_is_the_laptop(file: Path):
    before = file.read_bytes()
    assert apply("laptop", file) == []
    assert file.read_bytes() == before


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_fits_and_is_taken_back(name: str, file: Path):
    before = file.read_text()
    apply(name, file)
    content = params.read_yaml(file)
    assert content["checkpoints"] == presets.load(name, ROOT / "presets").checkpoints
    for key, value in presets.load(name, ROOT / "presets").params.items():
        place = content
        for step in key.split("."):
            place = place[step]
        assert place == value, key
    for section in SECTIONS:
        model = getattr(importlib.import_module(module_of(section)), "Params", None)
        if model is not None:
            params.load(model, section, file)
    assert set(content["datasets"]) <= CATALOGUE.keys()
    assert set(content["roles"].values()) <= set(content["datasets"])
    assert content["accept_terms"] == ASKING
    recognizers = content["recognizers"]
    models = {*recognizers["pretrained"], *(f"{loss}-bare" for loss in recognizers["bare"])}
    models |= {f"{name}-masked" for name in recognizers["distilled"] + recognizers["masked"]}
    models |= {"+".join(pair) for pair in recognizers["fused"]}
    assert set(recognizers["compared"]) <= models
    assert "norm_softmax" in recognizers["bare"]  # the inpainters need it
    after = file.read_text()
    commented = [line for line in before.splitlines() if "#" in line]
    assert not [line for line in commented if line.split("#", 1)[1] not in after]
    apply("laptop", file)
    assert params.read_yaml(file) == {**DEFAULT, "accept_terms": ASKING}


@pytest.mark.parametrize(
    ("name", "accepted", "asked"),
    [
        ("lfw", [], ["celebamask_hq"]),
        ("mlfw", ["ffhq"], ["celebamask_hq", "mlfw"]),
        ("mlfw", ["celebamask_hq"], ["mlfw"]),
        ("reconstruct-face", [], ["celeba"]),
    ],
)
def test_terms_are_the_users_to_accept(name: str, accepted: list[str], asked: list[str], file: Path):
    """Until then a preset names them and changes nothing; what the user has written stays."""
    edit_params(file.parent, accept_terms=accepted)
    before = file.read_bytes()
    with pytest.raises(UnmaskError) as stop:
        apply(name, file)
    assert file.read_bytes() == before
    said = str(stop.value)
    for dataset, source in CATALOGUE.items():
        told = f"- {dataset}, {source.title}: {source.terms} License: {source.license}. Read more at {source.homepage}."
        assert (told in said) == (dataset in asked), dataset
    line = f"accept_terms: [{', '.join(accepted + asked)}]"
    assert f"write `{line}` in" in said
    edit_params(file.parent, accept_terms=accepted + asked)
    assert apply(name, file)
    assert params.read_yaml(file)["accept_terms"] == accepted + asked


def test_no_preset_accepts_terms(file: Path, tmp_path: Path):
    about = "about: {what: x, paper: null, data: x, hardware: x, prints: x}"
    (tmp_path / "sly.yaml").write_text(f"{about}\nparams: {{accept_terms: [celeba]}}\n")
    with pytest.raises(UnmaskError, match=r"sly\.yaml, line 2: params: accept_terms is for the user alone to write"):
        apply("sly", file, tmp_path)


def test_dvc_understands_the_pipeline_of_a_preset(tmp_path: Path):
    """Among the stages of `mfr2`: what is learned from LFW is tested on MFR2."""
    for name in ("dvc.yaml", "params.yaml", "presets"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    run("git", "init", "-q", cwd=tmp_path)
    run("dvc", "init", "-q", cwd=tmp_path)
    edit_params(tmp_path, accept_terms=["celebamask_hq"])
    apply("mfr2", tmp_path / "params.yaml")
    found = {stage.name: stage for stage in Repo(str(tmp_path)).index.stages}
    assert {"distill_recognizer@dlib", "embed@dlib-masked", "align_faces@mfr2", "verify@dlib-masked"} <= found.keys()
    files = [Path(dep.fs_path) for dep in found["embed@dlib"].deps if not hasattr(dep, "params")]
    deps = {file.relative_to(tmp_path).as_posix() for file in files}
    assert {"data/aligned/lfw", "data/aligned/mfr2", "data/inpainted/oracle/mfr2"} <= deps


def test_a_preset_that_is_not_there(file: Path):
    with pytest.raises(UnmaskError, match=r"there is no preset 'phone'; .* has celebamask-hq, crmfrd, laptop"):
        apply("phone", file)


def test_a_key_that_is_not_there_changes_nothing(file: Path, tmp_path: Path):
    about = "about: {what: x, paper: null, data: x, hardware: x, prints: x}"
    (tmp_path / "odd.yaml").write_text(f"{about}\nparams: {{seed: 3, train_parser.scanet.stepz: 1}}\n")
    before = file.read_bytes()
    with pytest.raises(UnmaskError, match=r"train_parser\.scanet\.stepz is no key of .*; check its spelling"):
        apply("odd", file, tmp_path)
    (tmp_path / "old.yaml").write_text(f"{about}\nparams: {{seed: 3, inpaint.grow: 2.0}}\n")
    with pytest.raises(UnmaskError, match=r"inpaint\.grow is no key of .*; it is called dilation now"):
        apply("old", file, tmp_path)
    assert file.read_bytes() == before
    (tmp_path / "poor.yaml").write_text("about: {what: x}\nparams: {seed: 3}\n")
    with pytest.raises(UnmaskError, match=r"poor\.yaml, line 1: about\.hardware: is missing"):
        apply("poor", file, tmp_path)


def test_the_command_says_what_it_did(tmp_path: Path):
    for name in ("params.yaml", "presets", "data/catalogue.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    environment = {"PYTHONPATH": str(ROOT)}
    listed = run("python", "-m", "stages.tools.presets", cwd=tmp_path, **environment).stdout
    assert [line.split()[0] for line in listed.splitlines()] == NAMES
    command = ("python", "-m", "stages.tools.presets", "lfw")
    stopped = run(*command, cwd=tmp_path, check=False, **environment)
    assert stopped.returncode == 1
    assert stopped.stderr.startswith(
        "presets: params.yaml is unchanged, as lfw needs datasets whose terms you have not"
    )
    edit_params(tmp_path, accept_terms=["celebamask_hq"])
    said = run(*command, cwd=tmp_path, **environment).stdout
    assert "roles.recognition: orl -> lfw" in said
    assert "Now run: dvc repro" in said
    again = run(*command, cwd=tmp_path, **environment).stdout
    assert "params.yaml has these values already" in again
