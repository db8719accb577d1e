"""find_landmarks: who found what, on photos that are easy, hard, hopeless or crowded."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from stages.compute import weights
from stages.core import params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels, encode_png
from stages.core.results import Results
from stages.faces import alignment, landmarks
from stages.landmarks import boxes, dlib, face_alignment, find_landmarks, landmarker, search, train_landmarker
from stages.landmarks.behind_masks import Found
from stages.landmarks.boxes import Box
from stages.landmarks.search import Search, all_faces, main_face
from stages.masks.looks import Looks, Positions
from tests.conftest import ROOT, drawn_landmarks, face_row, write_table

SEARCH = {"backends": ["csv", "dlib"], "short_side": 224, "long_side": 1600, "masked": True, "whole_crop": True}
PROPER = Positions(proper=1, below_nose=0, chin=0)
PARAMS = {"search": SEARCH, "face_types": {"profile_above": 0.6, "blurred_below": 0.13}, "masked_from": 0.2}


def run(rows: list[tables.Face], tmp_path: Path, **search: Any) -> tuple[dict[str, Any], dict[str, tables.Face]]:
    """Find landmarks in a table of these rows; return the metrics and the faces by name."""
    table = write_table(tmp_path / "faces", rows)
    params = find_landmarks.Params.model_validate({**PARAMS, "search": SEARCH | search})
    result = find_landmarks.find_landmarks(table, tmp_path / "out", Results(tmp_path / "found"), params)
    assert (tmp_path / "figures/found.png").exists()
    return result, {face["face_id"].split("/")[2]: face for face in tables.read(tmp_path / "out")}


def row(name: str, image: Pixels, **more: Any) -> tables.Face:
    return {"face_id": f"d/p/{name}", "identity": "p", "image": encode_png(image), **more}


def side_by_side(orl_photo: Callable[[str], Pixels]) -> Pixels:
    return np.hstack([orl_photo("s1/1"), orl_photo("s2/1")])


def test_each_photo_says_what_found_it(orl_photo: Callable[[str], Pixels], tmp_path: Path):
    flat = np.full((112, 92, 3), 128, np.uint8)
    bare = {"wears_mask": False}
    rows = [
        row("hog", orl_photo("s1/1"), **bare),
        row("cnn", orl_photo("s37/4"), **bare),  # a full beard: HOG sees no face
        row("flat", flat, **bare),
        row("two", side_by_side(orl_photo), **bare),
    ]
    result, faces = run(rows, tmp_path)
    assert {name: face["landmarks_by"] for name, face in faces.items()} == {
        "hog": "dlib_hog",
        "cnn": "dlib_cnn",
        "flat": "dlib_crop",
        "two": "dlib_hog",
    }
    assert result["found_by"] == {"dlib_hog": 2, "dlib_cnn": 1, "dlib_crop": 1}
    assert (result["faces"], result["not_found"], result["photos_with_several_faces"]) == (4, 0, 1)
    assert sum(result["face_types"].values()) == 4


def test_without_the_whole_crop_a_face_is_said_not_to_be_found(tmp_path: Path):
    flat = row("flat", np.full((112, 92, 3), 128, np.uint8), wears_mask=False)
    result, faces = run([flat], tmp_path, whole_crop=False)
    assert result["not_found"] == 1
    assert faces["flat"]["landmarks"] is None
    assert faces["flat"]["landmarks_by"] is None
    assert faces["flat"]["face_type"] is None


# ---------------------------------------------------------------- behind masks


def masked(photo: Pixels, seed: int = 0) -> tuple[Pixels, landmarks.Points]:
    """Return a photo with a mask drawn on its face, and the landmarks of the bare face."""
    found, _ = main_face(photo, {"wears_mask": False}, Search.model_validate(SEARCH))
    assert found is not None
    looks = params.load(Looks, "render_masks", ROOT / "params.yaml").model_copy(update={"positions": PROPER})
    return looks.draw(photo, found.points, "0_0", np.random.default_rng(seed), {})[1], found.points


def test_a_face_behind_a_mask_has_its_landmarks(orl_photo: Callable[[str], Pixels], tmp_path: Path):
    photos = {f"s{person}": masked(orl_photo(f"s{person}/1"), person) for person in (1, 2, 5)}
    rows = [
        row(f"{name}_{known}", photo, wears_mask=known) for name, (photo, _) in photos.items() for known in (True, None)
    ]
    result, faces = run(rows, tmp_path)
    assert result["not_found"] == 0
    assert 2 <= result["masks_seen"] <= 3  # of the three of whom nobody told
    for name, (_, points) in photos.items():
        found = faces[f"{name}_True"]
        assert found["landmarks_by"] == "landmarker_centerface"
        away = np.linalg.norm(found["landmarks"] - points, axis=1).mean()
        assert away < 0.12 * landmarks.face_size(points), name
    assert all(
        face["wears_mask"] is (True if face["landmarks_by"].startswith("landmarker") else None)
        for face in faces.values()
    )


@pytest.fixture
def alarms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every photo show one face, and the network see a mask on each whose first pixel is white."""
    box, points = Box(0, 0, 40, 40, "hog"), drawn_landmarks(40)

    def all_faces(image: Pixels, _: Search, *, masked: bool | None) -> list[Found]:
        return [Found(points + 1, "landmarker_centerface", masked=bool(masked or image[0, 0, 0] == 255))]

    monkeypatch.setattr(boxes, "find", lambda *_, **__: [box])
    monkeypatch.setattr(search, "all_faces", all_faces)
    monkeypatch.setattr(dlib, "points", lambda *_: points)


def small(number: int, *, seen: bool, **more: Any) -> tables.Face:
    """Return a row with a small photo on which a mask is seen or not."""
    image = np.full((40, 40, 3), 100, np.uint8)
    image[0, 0] = 255 if seen else 0
    return row(f"{number:03d}", image, **more)


@pytest.mark.usefixtures("alarms")
def test_two_alarms_in_a_bare_set_are_not_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    known = {"wears_mask": None, "face_type": None}
    rows = [small(n, seen=n in {17, 200}, **known) for n in range(238)]
    rows += [small(n, seen=True, wears_mask=None, face_type="1_1") for n in (238, 239)]  # as the publisher says
    result, faces = run(rows, tmp_path)
    assert (result["faces"], result["masks_seen"], result["masks_not_believed"]) == (240, 4, 4)
    assert result["unknown_whether_masked"] == 240
    assert result["found_by"] == {"dlib_hog": 240}
    assert sum(result["face_types"].values()) == 240
    assert all(face["wears_mask"] is None for face in faces.values())
    for face in faces.values():  # found as those of a bare face
        assert face["landmarks_by"] == "dlib_hog"
        np.testing.assert_array_equal(face["landmarks"], drawn_landmarks(40))
    assert faces["238"]["face_type"] == "1_1"
    assert "of 240 faces of whom nobody said, 4 seem to wear a mask" in capsys.readouterr().err


@pytest.mark.usefixtures("alarms")
def test_a_folder_in_which_most_wear_masks_is_believed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    result, faces = run([small(n, seen=n < 8, wears_mask=None) for n in range(10)], tmp_path)
    assert (result["masks_seen"], result["masks_not_believed"], result["unknown_whether_masked"]) == (8, 0, 2)
    assert [face["wears_mask"] for face in faces.values()] == [True] * 8 + [None] * 2
    assert "nobody said" not in capsys.readouterr().err


@pytest.mark.usefixtures("alarms")
@pytest.mark.parametrize(("seen", "believed"), [(1, False), (2, True)])
def test_what_the_publisher_says_wins_and_is_no_reason_to_believe(tmp_path: Path, seen: int, believed: bool):
    """Of ten faces of whom nobody spoke, one or two seem masked; forty others are what the publisher says."""
    rows = [small(n, seen=n < seen, wears_mask=None) for n in range(10)]
    rows += [small(10 + n, seen=n % 3 > 0, wears_mask=n < 20) for n in range(40)]
    result, faces = run(rows, tmp_path)
    assert [face["wears_mask"] for face in list(faces.values())[10:]] == [True] * 20 + [False] * 20
    assert [face["wears_mask"] for face in list(faces.values())[:10]] == [
        True if believed and n < seen else None for n in range(10)
    ]
    assert result["masks_not_believed"] == (0 if believed else seen)


def test_a_face_that_is_not_believed_has_the_landmarks_of_a_bare_one(
    orl_photo: Callable[[str], Pixels], tmp_path: Path
):
    """A drawn mask stands for what the network takes for one; the same photo that is said to be bare is the truth."""
    worn, unseen = masked(orl_photo("s1/1"), 2)[0], masked(orl_photo("s2/1"))[0]  # by HOG, and by neither detector
    rows = [
        row(f"s{person}_{n}", orl_photo(f"s{person}/{n}"), wears_mask=None) for person in (2, 5, 6) for n in (1, 2, 3)
    ]
    rows += [row("alarm", worn, wears_mask=None), row("told", worn, wears_mask=False)]
    rows += [row("unseen", unseen, wears_mask=None)]
    result, faces = run(rows, tmp_path)
    assert (result["masks_seen"], result["masks_not_believed"]) == (2, 2)
    assert sum(result["found_by"].values()) == len(rows)
    assert faces["alarm"]["landmarks_by"] == faces["told"]["landmarks_by"] == "dlib_hog"
    np.testing.assert_array_equal(faces["alarm"]["landmarks"], faces["told"]["landmarks"])
    assert faces["unseen"]["landmarks_by"] == "landmarker"  # no detector finds it: better these than the whole crop
    assert faces["alarm"]["wears_mask"] is faces["unseen"]["wears_mask"] is None


def test_where_nothing_is_seen_nothing_is_found(tmp_path: Path):
    """Not even the whole crop, which is for bare faces only: alignment would quietly go wrong."""
    noise = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    flat = np.full((112, 92, 3), 128, np.uint8)
    rows = [
        row(f"{name}_{known}", image, wears_mask=known)
        for name, image in (("noise", noise), ("flat", flat))
        for known in (True, None)
    ]
    result, faces = run(rows, tmp_path)
    assert (result["not_found"], result["masks_seen"]) == (4, 0)
    assert [face["wears_mask"] for face in faces.values()] == [None, True] * 2


def test_masked_and_bare_faces_of_one_photo(orl_photo: Callable[[str], Pixels]):
    one, other = masked(orl_photo("s1/1"))[0], orl_photo("s2/1")
    photo = np.hstack([one, other])
    found = all_faces(photo, Search.model_validate(SEARCH))
    assert sorted(face.points[landmarks.NOSE_TIP, 0] > 92 for face in found) == [False, True]
    left = min(found, key=lambda face: face.points[landmarks.NOSE_TIP, 0])
    assert left.masked
    blind = all_faces(photo, Search.model_validate({**SEARCH, "masked": False}))
    assert all(face.by.startswith("dlib") for face in blind)


@pytest.mark.parametrize("turn", [0.0, 25.0, -60.0])
def test_a_square_and_its_crop_agree(turn: float):
    """A head that is tilted to the right stands upright in a square that is turned as much."""
    upright = drawn_landmarks(112)
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    points = upright @ np.array([[cos, sin], [-sin, cos]]) + 40
    square = landmarker.Square.around(points, turn)
    matrix = square.matrix()
    scale = landmarker.SIZE / square.side
    moved = alignment.apply(matrix, points) - scale * upright
    assert np.ptp(moved, axis=0).max() < 1e-2
    inside = alignment.apply(matrix, points)
    assert np.allclose((inside.min(0) + inside.max(0)) / 2, (landmarker.SIZE - 1) / 2, atol=0.01)
    assert np.ptp(inside, axis=0).max() == pytest.approx(landmarker.SIZE / landmarker.CONTEXT, rel=1e-3)
    assert np.allclose(landmarker._back(matrix, inside), points, atol=1e-2)


def test_the_squares_cover_the_photo():
    photo = np.zeros((300, 500, 3), np.uint8)
    squares = list(landmarker.everywhere(photo))
    rng = np.random.default_rng(0)
    for _ in range(200):  # wherever a face is, some square has it near its middle, at about its size
        side = rng.uniform(0.3, 1.0) * 300
        x, y = rng.uniform(side / 2, 500 - side / 2), rng.uniform(side / 2, 300 - side / 2)
        fits = [max(abs(one.x - x), abs(one.y - y)) / side for one in squares if 0.7 < one.side / side < 1.45]
        assert min(fits) < 0.25


def test_the_network_is_trained(tmp_path: Path):
    """Two steps on drawn faces: the weights are written, whole and as float16."""
    rows = [{**face_row(index), "split": "train", "landmarks_by": "dlib_hog"} for index in range(6)]
    table = write_table(tmp_path / "faces", rows)
    content = params.read_yaml(ROOT / "params.yaml")
    schedule = {**content["train_landmarker"]["schedule"], "steps": 2, "batch_size": 4, "checkpoint_every": 1}
    chosen = train_landmarker.Params.model_validate(
        {**content["train_landmarker"], "schedule": schedule, "seed": 0, "render_masks": content["render_masks"]}
    )
    result = train_landmarker.train_landmarker(
        table, ROOT / "data/mask_templates", tmp_path / "w.safetensors", Results(tmp_path / "training"), chosen
    )
    assert (result["faces"], result["identities"]) == (6, 2)
    _, state = weights.load(tmp_path / "w.safetensors", landmarker.KIND)
    assert state["last.weight"].dtype == torch.float16
    some = train_landmarker.Samples(rows, {}, chosen)
    assert torch.equal(some[7]["inputs"], some[7]["inputs"])
    assert not torch.equal(some[1]["inputs"], some[7]["inputs"])


# ---------------------------------------------------------------- where they lie


def test_landmarks_lie_where_the_face_is(orl_photo: Callable[[str], Pixels], tmp_path: Path):
    """Moved into a larger picture, and enlarged, the same face has the same landmarks, moved and enlarged."""
    photo = orl_photo("s1/1")
    wide = np.full((260, 300, 3), 60, np.uint8)
    wide[90:202, 120:212] = photo
    _, faces = run(
        [row("as_it_is", photo), row("moved", wide), row("doubled", photo.repeat(2, 0).repeat(2, 1))], tmp_path
    )
    points = faces["as_it_is"]["landmarks"]
    eyes = landmarks.eye_centers(points)
    assert eyes[0, 0] < points[landmarks.NOSE_TIP, 0] < eyes[1, 0]
    assert eyes[:, 1].max() < points[landmarks.NOSE_TIP, 1] < points[landmarks.LIP_TOP, 1] < points[landmarks.CHIN, 1]
    size = landmarks.face_size(points)
    assert np.linalg.norm(faces["moved"]["landmarks"] - [120, 90] - points, axis=1).mean() < 0.05 * size
    assert np.linalg.norm(faces["doubled"]["landmarks"] / 2 - points, axis=1).mean() < 0.05 * size


def test_given_landmarks_come_first(orl_photo: Callable[[str], Pixels], tmp_path: Path):
    given = drawn_landmarks(92) + 500  # outside the image, which is no fault
    rows = [
        row("given", orl_photo("s1/1"), landmarks=given, face_type="1_1"),
        row("not_given", orl_photo("s1/2"), landmarks=None, face_type=None),
    ]
    result, faces = run(rows, tmp_path)
    np.testing.assert_array_equal(faces["given"]["landmarks"], given)
    assert (faces["given"]["landmarks_by"], faces["given"]["face_type"]) == ("csv", "1_1")
    assert faces["not_given"]["landmarks_by"] == "dlib_hog"
    assert result["landmarks_outside_the_image"] >= 1
    found, _ = main_face(orl_photo("s1/1"), rows[0], Search.model_validate({**SEARCH, "backends": ["dlib"]}))
    assert found is not None
    assert found.by == "dlib_hog"


def test_the_main_face_is_the_most_central_of_the_large_ones(orl_photo: Callable[[str], Pixels]):
    image = np.zeros((200, 300, 3), np.uint8)
    large, central, tiny = Box(0, 0, 100, 100, "hog"), Box(110, 60, 190, 140, "hog"), Box(145, 95, 155, 105, "hog")
    assert boxes.main_face([large, central, tiny], image) == central
    found = all_faces(side_by_side(orl_photo), Search.model_validate(SEARCH))
    assert sorted(one.points[landmarks.NOSE_TIP, 0] > 92 for one in found) == [False, True]


@pytest.mark.parametrize("known", [True, None])
def test_a_bare_bystander_is_not_taken_for_the_masked_person(orl_photo: Callable[[str], Pixels], known: bool | None):
    """HOG sees the small bare face alone."""
    worn, points = masked(orl_photo("s1/1"))
    bystander = cv2.resize(orl_photo("s2/1"), (60, 73), interpolation=cv2.INTER_AREA)
    photo = np.full((240, 320, 3), 128, np.uint8)
    photo[10:234, 100:284] = cv2.resize(worn, (184, 224), interpolation=cv2.INTER_CUBIC)
    photo[20:93, 20:80] = bystander
    found, n = main_face(photo, {"wears_mask": known}, Search.model_validate(SEARCH))
    assert n == 2
    assert found is not None
    assert found.masked
    truth = 2 * points + [100, 10]
    assert np.linalg.norm(found.points - truth, axis=1).mean() < 0.1 * landmarks.face_size(truth)


def test_a_large_photo_is_shrunk_for_the_search(orl_photo: Callable[[str], Pixels]):
    large = np.full((2000, 2400, 3), 60, np.uint8)
    large[300:1420, 500:1420] = orl_photo("s1/1").repeat(10, 0).repeat(10, 1)
    (box,) = boxes.find(large, short_side=224, long_side=600)
    assert 500 < (box.left + box.right) / 2 < 1420
    assert 300 < (box.top + box.bottom) / 2 < 1420


def test_models_that_are_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(UnmaskError, match="pip install face_recognition_models"):
        boxes.model_file("x.dat")


def test_face_alignment_backend(orl_photo: Callable[[str], Pixels], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The real package and network on weights from a local file; drawn by chance, they find no real landmarks."""
    from face_alignment import api
    from face_alignment.models import FAN

    torch.manual_seed(0)
    weights = tmp_path / "2DFAN4-11f355bf06.pth.tar"
    torch.save(FAN(4).state_dict(), weights)
    monkeypatch.setattr(api, "load_file_from_url", lambda _: str(weights))
    face_alignment._network.cache_clear()
    try:
        photo = orl_photo("s1/1")
        found, _ = main_face(photo, {}, Search.model_validate({**SEARCH, "backends": ["face_alignment"]}))
    finally:
        face_alignment._network.cache_clear()
    assert found is not None
    assert found.by == "face_alignment_hog"
    assert found.points.shape == (68, 2)
    assert found.points.dtype == np.float32


def test_face_alignment_that_is_not_installed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "face_alignment", None)
    face_alignment._network.cache_clear()
    with pytest.raises(
        UnmaskError, match=r"^find_landmarks\.search\.backends names .* pip install '\.\[face-alignment\]'$"
    ):
        face_alignment.points(np.zeros((90, 90, 3), np.uint8), Box(0, 0, 90, 90, "hog"))


def test_face_alignment_without_weights(orl_photo: Callable[[str], Pixels], monkeypatch: pytest.MonkeyPatch):
    from face_alignment import api

    def refused(url: str) -> str:
        raise OSError(f"cannot open {url}")

    monkeypatch.setattr(api, "load_file_from_url", refused)
    face_alignment._network.cache_clear()
    with pytest.raises(UnmaskError, match="the weights of face_alignment could not be loaded: cannot open https"):
        face_alignment.points(orl_photo("s1/1"), Box(0, 0, 90, 90, "hog"))
