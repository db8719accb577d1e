"""Releases: half precision, what is said of each model, what is refused, and what has changed."""

import functools
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from stages.compute import weights
from stages.core import images, params
from stages.core.errors import UnmaskError
from stages.inpainting import inpainter
from stages.tools import release as stage
from stages.tools.releasing import agreement
from tests.conftest import ROOT, commit, face_row, run, write_table
from tests.tiny_gan import ABOUT, SIZES

NAME = "inpainter-shared"
METRICS = "metrics/evaluate_inpainting.json"
BY_HAND = params.read_yaml(stage.BY_HAND)


def save(path: Path, scale: float = 0.05) -> None:
    torch.manual_seed(0)
    networks = inpainter.Networks(SIZES)
    torch.nn.init.normal_(networks.generator.last[-1].weight, std=scale)
    weights.save(path, networks, ABOUT)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a checkout with the model and the metrics of a run."""
    root = tmp_path / "run"
    for folder in ("models", "metrics", "data"):
        (root / folder).mkdir(parents=True)
    for name in ("params.yaml", "data/catalogue.yaml"):
        (root / name).write_text((ROOT / name).read_text())
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    figures = {"ways": {"shared_gan": {"hole_psnr": 21.5, "sharpness": 0.4}}}
    (root / METRICS).write_text(json.dumps(figures))
    run("git", "init", "-q", cwd=root)
    commit(root, "a run")
    save(root / f"models/{NAME}.safetensors")
    lock(root)
    return root


def lock(root: Path) -> None:
    """Write into dvc.lock that the metrics are of what was filled in, and that of the model."""
    digests = {path: stage._md5(root / path) for path in (f"models/{NAME}.safetensors", METRICS)}
    model, metrics = ({"path": path, "md5": digest} for path, digest in digests.items())
    table = {"path": "data/inpainted", "md5": "0.dir"}
    stages = {
        "inpaint": {"deps": [{"path": "stages", "md5": "1"}, model], "outs": [table]},
        "evaluate_inpainting": {"deps": [table], "outs": [metrics]},
    }
    (root / "dvc.lock").write_text(json.dumps({"stages": stages}))


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    rows = [face_row(index) for index in range(6)]
    for face in rows:
        region = np.zeros((112, 112), np.uint8)
        region[60:105, 25:90] = 255
        face["mask"] = images.encode_png(region)
    return write_table(tmp_path / "masked", rows)


def released(made: Path, faces: Path, **changes: Any) -> dict[str, Any]:
    chosen = stage.Params(**{"models": [NAME], "megabytes": 25.0} | changes)
    return stage.release("lfw", faces, chosen, made, made.parent / "models/released")


def test_a_release_fills_as_its_model_did_and_says_where_it_is_from(made: Path, faces: Path):
    said = released(made, faces)
    out = made.parent / "models/released"
    full, half = made / f"models/{NAME}.safetensors", out / f"{NAME}.safetensors"
    assert half.stat().st_size < 0.75 * full.stat().st_size
    assert not any(name.startswith(inpainter.DISCRIMINATOR) for name in weights.load(half, inpainter.KIND)[1])
    assert said["changes"] == dict.fromkeys((NAME, *BY_HAND), "new")
    picture, hole = images.decode(face_row(0)["image"]), np.zeros((112, 112), np.uint8)
    hole[60:100, 30:80] = 255
    one, other = (inpainter.load(path)([picture], [hole])[0].astype(int) for path in (full, half))
    assert np.abs(one - other).max() <= 2
    about, state = weights.load(half, inpainter.KIND)
    assert about["size"] == 32
    assert {tensor.dtype for tensor in state.values() if tensor.ndim > 1} == {torch.float16}
    assert {tensor.dtype for tensor in state.values() if tensor.ndim == 1} == {torch.float32}
    header = about[stage.KEY]
    assert header["preset"] == "lfw"
    assert header["commit"] == run("git", "rev-parse", "--short=12", "HEAD", cwd=made).stdout.strip()
    assert [one["title"] for one in header["data"]] == ["ORL, the AT&T Database of Faces"]
    assert set(header["figures"].values()) == {21.5, 0.4}
    page = (out.parent / "README.md").read_text()
    assert f"| `{NAME}` |" in page
    assert "PSNR in the hole, dB: 21.5" in page
    assert header["commit"] in page
    assert "free for research" in page
    assert "{" not in page
    own = params.read_yaml(out / "params.yaml")
    assert own.keys() == {*stage.TRAINED, *stage.USED}
    assert own["align_faces"] == params.read_yaml(ROOT / "params.yaml")["align_faces"]


def test_weights_that_have_not_changed_keep_the_commit_that_made_them(made: Path, faces: Path):
    released(made, faces)
    out = made.parent / f"models/released/{NAME}.safetensors"
    first = weights.load(out, inpainter.KIND)[0][stage.KEY]["commit"]
    (made / "notes").write_text("another commit")
    commit(made, "another commit")
    released(made, faces)
    assert weights.load(out, inpainter.KIND)[0][stage.KEY]["commit"] == first
    save(made / f"models/{NAME}.safetensors", 0.06)
    lock(made)
    released(made, faces)
    assert weights.load(out, inpainter.KIND)[0][stage.KEY]["commit"] != first


def test_a_parser_that_a_run_has_not_trained_stays_and_so_does_how_its_faces_lie(made: Path, faces: Path):
    """An inpainter may have learned from faces that are aligned otherwise: its own header says so."""
    released(made, faces)
    out = made.parent / "models/released"
    header = weights.load(out / f"{NAME}.safetensors", inpainter.KIND)[0][stage.KEY] | {"name": stage.FINDER}
    parser = out / f"{stage.FINDER}.safetensors"
    weights.save(parser, torch.nn.Linear(1, 1), {"kind": "parser", stage.KEY: header})
    before = parser.read_bytes()
    settings = params.read_yaml(made / "params.yaml")
    settings["align_faces"] = {"template": "ffhq", "side": 256}
    (made / "params.yaml").write_text(json.dumps(settings))
    released(made, faces, models=[stage.FINDER, NAME])
    assert parser.read_bytes() == before
    assert params.read_yaml(out / "params.yaml")["align_faces"] == {"template": "arcface", "side": 112}
    parser.unlink()
    released(made, faces)
    assert params.read_yaml(out / "params.yaml")["align_faces"] == {"template": "ffhq", "side": 256}


def test_the_same_run_gives_the_same_bytes_and_another_one_is_told_apart(made: Path, faces: Path):
    released(made, faces)
    first = (made.parent / f"models/released/{NAME}.safetensors").read_bytes()
    assert released(made, faces)["changes"] == {}
    assert (made.parent / f"models/released/{NAME}.safetensors").read_bytes() == first
    figures = {"ways": {"shared_gan": {"hole_psnr": 22.0, "sharpness": 0.4}}}
    (made / METRICS).write_text(json.dumps(figures))
    lock(made)
    (change,) = released(made, faces)["changes"].values()
    assert "PSNR in the hole, dB 21.5 -> 22.0" in change
    assert "sharpness" not in change


def test_a_model_that_a_run_has_not_trained_stays_as_it_was_released(made: Path, faces: Path):
    released(made, faces)
    out = made.parent / f"models/released/{NAME}.safetensors"
    first, page = out.read_bytes(), (out.parent.parent / "README.md").read_text()
    (made / f"models/{NAME}.safetensors").unlink()
    assert released(made, faces)["changes"] == {}
    assert out.read_bytes() == first
    assert (out.parent.parent / "README.md").read_text() == page


def test_every_release_has_what_was_trained_by_hand_as_it_is_here(made: Path, faces: Path):
    released(made, faces)
    page = (made.parent / "models/README.md").read_text()
    for name, said in BY_HAND.items():
        content = (made.parent / f"models/released/{name}.safetensors").read_bytes()
        assert content == (ROOT / f"models/released/{name}.safetensors").read_bytes(), "make release"
        assert hashlib.sha256(stage._tensors(content)).hexdigest().startswith(said["weights"])
        header = stage.safetensors_header(content)[stage.KEY]
        assert {key: header[key] for key in ("commit", "figures", "made_by")} == {
            key: said[key] for key in ("commit", "figures", "made_by")
        }
        assert f"`{name}` is trained by hand, with `{said['made_by']}`" in page


@pytest.mark.parametrize("name", BY_HAND)
def test_figures_of_what_was_trained_by_hand_are_where_they_were_measured(name: str):
    page, _, heading = BY_HAND[name]["measured"].partition("#")
    (part,) = (
        text
        for text in (ROOT / page).read_text().split("\n## ")
        if text.partition("\n")[0].lower().replace(" ", "-") == heading
    )
    for value in BY_HAND[name]["figures"].values():
        assert f"| {value}" in part


def test_figures_of_other_weights_by_hand_are_refused(tmp_path: Path):
    """A training has written new weights, and nobody has measured them yet."""
    with pytest.raises(UnmaskError, match=r"landmarker.safetensors: no such file; Git has it, or `python -m "):
        stage.headers_by_hand(tmp_path, ROOT / stage.CATALOGUE)
    for name in BY_HAND:
        weights.save(tmp_path / f"{name}.safetensors", torch.nn.Linear(1, 1), {"kind": name})
    with pytest.raises(UnmaskError, match=r"the figures in by_hand.yaml are of ed38854a: measure it as docs/"):
        stage.headers_by_hand(tmp_path, ROOT / stage.CATALOGUE)


def test_a_header_that_a_training_wrote_counts_as_one_without_figures():
    def header(about: dict[str, Any]) -> bytes:
        return safetensors.torch.save({}, {weights.KEY: json.dumps(about)})

    after = {"landmarker": header({stage.KEY: {"commit": "abc", "figures": {"faces found": 100}}})}
    (change,) = stage.changes({"landmarker": header({})}, after).values()
    assert change == "commit None -> abc; faces found unknown -> 100"


@pytest.mark.parametrize(("weight", "titles"), [(0.0, ["Labeled"]), (0.05, ["Labeled", "ORL,"])])
def test_a_dataset_counts_whose_network_a_loss_asks(made: Path, faces: Path, weight: float, titles: list[str]):
    text = (made / "params.yaml").read_text()
    text, n = re.subn(r"^    identity: [0-9.]+", f"    identity: {weight}", text, flags=re.M)
    text, m = re.subn(r"^  inpainting: orl", "  inpainting: lfw", text, flags=re.M)
    assert (n, m) == (1, 1)
    (made / "params.yaml").write_text(text)
    released(made, faces)
    about, _ = weights.load(made.parent / f"models/released/{NAME}.safetensors", inpainter.KIND)
    assert [one["title"].split()[0] for one in about[stage.KEY]["data"]] == titles


def test_a_parser_names_the_datasets_of_its_real_masks(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stage, "_figure", lambda *_: 0.5)
    (made / "models/parser-scanet.safetensors").touch()
    write_table(made / "data/real", [{**face_row(0), "face_id": "face_mask_detection/a/0"}])
    settings = (made / "params.yaml").read_text()
    for real, titles in (("", ["ORL"]), ("data/real", ["ORL", "Face Mask Detection"])):
        (made / "params.yaml").write_text(re.sub(r"    real: +#", f"    real: {real} #", settings))
        header = stage._header("parser-scanet", made, "release", {})
        assert len(header["data"]) == len(titles)
        assert all(one["title"].startswith(title) for one, title in zip(header["data"], titles, strict=True))


def test_a_model_that_was_never_made_is_named(made: Path, faces: Path):
    (made / f"models/{NAME}.safetensors").unlink()
    with pytest.raises(UnmaskError, match="no such file; `dvc repro` trains it"):
        released(made, faces)


def test_what_is_too_large_is_named(made: Path, faces: Path):
    with pytest.raises(UnmaskError, match=rf"have 2.4 MB in all, release.megabytes allows 0.001: .*{NAME} 0.1"):
        released(made, faces, megabytes=0.001)
    assert not (made.parent / "models/released").exists()


def test_a_model_that_half_precision_changes_is_refused(made: Path, faces: Path, monkeypatch: pytest.MonkeyPatch):
    compare, _, words = agreement.MEASURES[inpainter.KIND]
    monkeypatch.setitem(agreement.MEASURES, inpainter.KIND, (compare, -1.0, words))
    with pytest.raises(UnmaskError, match=rf"{NAME} differs in half precision from what it was by 0.\d+ of 255"):
        released(made, faces)
    assert not (made.parent / "models/released").exists()


def test_a_difference_is_measured(made: Path, faces: Path):
    other = made / "other.safetensors"
    save(other, 0.5)
    rows = stage._sample(faces)
    source = made / f"models/{NAME}.safetensors"
    assert agreement.difference(source, source, rows).value == 0
    assert agreement.difference(source, other, rows).value > 0.5


def test_numbers_beyond_half_precision_are_named():
    with pytest.raises(UnmaskError, match=r"^big has numbers beyond half precision, 1e\+05"):
        stage.halved({"small": torch.ones(2, 2), "big": torch.full((2, 2), 1e5)})
    kept = stage.halved({"variance": torch.tensor([1e5]), "steps": torch.tensor([[3]])})
    assert [tensor.dtype for tensor in kept.values()] == [torch.float32, torch.int64]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda made: (made / METRICS).unlink(), "`dvc repro` of that run writes it"),
        (lambda made: (made / METRICS).write_text("{}"), "has no ways.shared_gan.hole_psnr"),
    ],
)
def test_what_is_missing_is_said_and_the_last_release_stays(made: Path, faces: Path, change: Any, says: str):
    released(made, faces)
    change(made)
    with pytest.raises(UnmaskError, match=re.escape(says)):
        released(made, faces)
    assert (made.parent / f"models/released/{NAME}.safetensors").exists()


def test_figures_of_another_model_are_none_of_this_one(made: Path, faces: Path):
    """A run that was broken off has new models beside old metrics."""
    save(made / f"models/{NAME}.safetensors", 0.06)
    with pytest.raises(UnmaskError, match=r"was not measured with .* as it is now: do `dvc repro`"):
        released(made, faces)
    lock(made)
    released(made, faces)
    (made / METRICS).write_text((made / METRICS).read_text() + " ")
    with pytest.raises(UnmaskError, match="was not measured with"):
        released(made, faces)


def test_a_model_that_nobody_described_and_faces_without_masks_are_refused(made: Path, faces: Path, tmp_path: Path):
    with pytest.raises(UnmaskError, match=r"release.models: 'mine' is not allowed: one of detector, "):
        released(made, faces, models=["mine"])
    with pytest.raises(UnmaskError, match="has no faces with drawn masks"):
        released(made, write_table(tmp_path / "bare", [face_row(0)]))


def test_all_that_can_be_released_is_described_and_the_default_run_measures_most_of_it():
    described = params.read_yaml(stage.HERE / "models.yaml")
    assert set(params.load(stage.Params, "release", ROOT / "params.yaml").models) <= set(described)
    for name, entry in described.items():
        one = params.check(stage.Described, entry, stage.HERE / "models.yaml", (name,))
        for file, *steps in one.figures.values():
            if (path := ROOT / f"metrics/{file}.json").exists():
                assert isinstance(functools.reduce(dict.__getitem__, steps, json.loads(path.read_text())), float)
            else:
                assert name == "recognizer-dlib-masked"  # not in the default run
