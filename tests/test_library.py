"""The module `unmask`: arrays in, arrays out; what is installed; the notebook in docs/ runs."""

import json
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest

import unmask
from stages.core.images import Pixels
from stages.faces import parts
from stages.inpainting import inpaint
from stages.landmarks.behind_masks import Found
from stages.removal import finder, judge
from tests.conftest import ROOT, drawn_face, run
from tests.stand_ins import Shade

SETUP = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FILLED = 99
BAND = slice(60, 100)  # rows that the stand-in takes for a mask, of a face that wears one


def seen(pictures: list[Pixels], of: int) -> list[finder.Likely]:
    """Stand for a parser that sees a mask over every mouth."""
    likely = np.zeros((112, 112), np.float32)
    likely[BAND, 25:85] = of == parts.MASK
    return [likely for _ in pictures]


@pytest.fixture
def _stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Replace the networks: a face wears a mask if its middle is green."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.setattr(unmask, "MODELS", tmp_path)
    unmask._settings.cache_clear()
    monkeypatch.setattr(finder, "_parser", lambda _: SimpleNamespace(likely=seen))
    monkeypatch.setattr(inpaint, "_generator", lambda _: Shade(FILLED))

    def likely(photo: Pixels, faces: list[np.ndarray]) -> list[float]:
        middles = [np.round(points.mean(0)).astype(int) for points in faces]
        return [0.99 if photo[y, x, 1] > 180 > photo[y, x, 0] else 0.01 for x, y in middles]

    monkeypatch.setattr(judge.worn_masks, "probabilities", likely)


@pytest.fixture
def _one_face(monkeypatch: pytest.MonkeyPatch, _stand_ins: None) -> None:
    monkeypatch.setattr(unmask, "all_faces", lambda *_: [Found(drawn_face()[1], "drawn")])


def green(photo: Pixels) -> Pixels:
    masked = photo.copy()
    masked[50:100, 20:90] = (0, 255, 0)
    return masked


@pytest.mark.usefixtures("_one_face")
def test_a_worn_mask_is_found_removed_and_filled_in_and_nothing_else_changes():
    photo = green(drawn_face()[0])
    (face,) = unmask.find_faces(photo)
    assert face.wears_mask
    assert face.points.shape == (68, 2)
    region = unmask.find_mask(photo)
    assert region.dtype == np.uint8
    assert region.shape == photo.shape[:2]
    assert set(np.unique(region)) == {0, 255}
    removed, filled = unmask.remove_mask(photo), unmask.inpaint(photo)
    assert (removed[region > 0] == 0).all()
    assert np.array_equal(removed[region == 0], photo[region == 0])
    changed = (filled != photo).any(2)
    assert changed[region > 0].mean() > 0.95
    assert np.median(filled[region > 0]) == FILLED
    assert changed.mean() < 1.3 * (region > 0).mean()
    assert np.array_equal(unmask.inpaint(photo, [face]), filled)
    assert np.array_equal(unmask.inpaint(photo, []), photo)


@pytest.mark.usefixtures("_one_face")
def test_a_bare_face_stays_as_it_is_whatever_the_parser_sees():
    photo = drawn_face()[0]
    (face,) = unmask.find_faces(photo)
    assert not face.wears_mask
    assert not unmask.find_mask(photo).any()
    assert np.array_equal(unmask.remove_mask(photo), photo)
    assert np.array_equal(unmask.inpaint(photo), photo)


@pytest.mark.usefixtures("_one_face")
def test_a_mask_is_drawn_within_its_region():
    photo = drawn_face()[0]
    (face,) = unmask.find_faces(photo)
    for style in ("polygon", "surgical", "n95"):
        masked, region = unmask.render_mask(photo, face, style, color="#ff0000")
        assert 0.05 < (region > 0).mean() < 0.6
        changed = (masked != photo).any(2)
        assert changed[region > 0].mean() > 0.9
        assert masked[region > 0][:, 0].mean() > masked[region > 0][:, 1].mean() + 50
    with pytest.raises(unmask.UnmaskError, match=r"style is 'silk', it must be one of polygon, surgical"):
        unmask.render_mask(photo, face, "silk")
    with pytest.raises(unmask.UnmaskError, match="position is 'ear', it must be one of proper"):
        unmask.render_mask(photo, face, position="ear")


@pytest.mark.parametrize(
    ("photo", "what"),
    [
        ("a.jpg", "this is str"),
        (np.zeros((5, 5), np.uint8), r"this is uint8 \(5, 5\)"),
        (np.zeros((5, 5, 4), np.uint8), r"this is uint8 \(5, 5, 4\)"),
        (np.zeros((5, 5, 3), np.float32), r"this is float32 \(5, 5, 3\)"),
    ],
)
def test_what_is_no_photo_is_said(photo: object, what: str):
    for function in (unmask.find_faces, unmask.find_mask, unmask.remove_mask, unmask.inpaint):
        with pytest.raises(unmask.UnmaskError, match=rf"array of RGB uint8 \(height, width, 3\), {what}"):
            function(photo)


@pytest.mark.usefixtures("_stand_ins")
def test_the_notebook_runs():
    """Its photo, faces and masks are real, its networks stand-ins."""
    mpl.use("Agg")
    cells = json.loads((ROOT / "docs/library.ipynb").read_text())["cells"]
    names: dict[str, object] = {}
    for cell in cells:
        assert not cell.get("outputs")
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "docs/library.ipynb", "exec"), names)
    assert names["photo"].shape == (336, 276, 3)
    assert names["masked"].shape == names["filled"].shape == names["removed"].shape
    assert names["region"].shape == names["truth"].shape


def test_every_package_and_every_file_that_code_reads_is_installed():
    code = {path.parent for path in (ROOT / "stages").rglob("*.py")}
    there = {ROOT / name.replace(".", "/") for name in SETUP["packages"]}
    assert code <= there
    assert SETUP["package-dir"] == {"unmask.released": "models/released"}
    endings = {f"*{path.suffix}" for path in (ROOT / "stages").rglob("*.*") if path.is_file()}
    assert endings - {"*.py", "*.pyc"} <= set(SETUP["package-data"]["*"])


@pytest.mark.slow  # a build in an environment of its own
def test_the_wheel_has_all_of_it(tmp_path: Path):
    run("pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(ROOT), cwd=tmp_path)
    (wheel,) = tmp_path.glob("unmask-*.whl")
    run(sys.executable, "-m", "zipfile", "-e", str(wheel), str(tmp_path / "site"), cwd=tmp_path)
    for name in ("landmarker.safetensors", "params.yaml", "worn.safetensors"):
        assert (tmp_path / "site/unmask/released" / name).exists()
    script = "import unmask, numpy; print(unmask.MODELS, unmask.find_faces(numpy.zeros((200, 200, 3), 'uint8')))"
    said = run(sys.executable, "-c", script, cwd=tmp_path, PYTHONPATH=str(tmp_path / "site")).stdout
    assert said.strip() == f"{tmp_path}/site/unmask/released []"
