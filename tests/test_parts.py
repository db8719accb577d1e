"""Parts of a face, taking masks off, and the stage that labels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.data.adapters import celebamask_hq
from stages.faces import landmarks, parts, removal
from stages.parsing.label_parts import Params, label_parts
from tests.conftest import drawn_landmarks, face_row, write_table

IDS = {name: number for number, name in enumerate(parts.NAMES)}


def test_classes_are_those_of_the_publisher():
    assert celebamask_hq.CLASSES is parts.CLASSES
    assert (IDS["l_eye"], IDS["r_eye"], IDS["l_brow"], IDS["r_brow"], IDS["l_ear"], IDS["r_ear"]) == (4, 5, 6, 7, 8, 9)
    assert parts.MASK == IDS["mask"] == 19
    names = {"skin", "nose", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip"}
    assert {parts.NAMES[number] for number in parts.FACE} == names


@given(st.integers(0, 2**32 - 1))
def test_a_flip_twice_is_none_and_swaps_left_and_right(seed: int):
    labels = np.random.default_rng(seed).integers(0, 20, (5, 7), np.uint8)
    once = parts.flip(labels)
    assert np.array_equal(parts.flip(once), labels)
    swap = {4: 5, 5: 4, 6: 7, 7: 6, 8: 9, 9: 8}
    expected = np.array([[swap.get(int(value), int(value)) for value in row[::-1]] for row in labels])
    assert np.array_equal(once, expected)


def center(labels: np.ndarray, name: str) -> tuple[float, float]:
    y, x = np.nonzero(labels == IDS[name])
    return float(x.mean()), float(y.mean())


def test_parts_lie_where_their_landmarks_are():
    points = drawn_landmarks()
    labels = parts.from_landmarks(points, 112, 112)
    assert set(np.unique(labels)) <= {0, *parts.FACE}
    # `l_` is the subject's left, on the right of the image.
    for name, indices in (("r_eye", slice(36, 42)), ("l_eye", slice(42, 48)), ("mouth", slice(60, 68))):
        assert center(labels, name) == pytest.approx(tuple(points[indices].mean(0)), abs=1.0)
    assert center(labels, "u_lip")[1] < center(labels, "mouth")[1] < center(labels, "l_lip")[1]
    assert center(labels, "r_brow")[1] < center(labels, "r_eye")[1]
    assert labels[0, 0] == IDS["background"]
    assert labels[int(points[8, 1]) - 3, int(points[8, 0])] == IDS["skin"]
    forehead = points[19:25].mean(0) - [0, 9]
    assert labels[int(forehead[1]), int(forehead[0])] == IDS["skin"]


def test_a_mirrored_face_has_mirrored_labels():
    points = drawn_landmarks() + np.float32([1.3, 0.4])
    direct = parts.flip(parts.from_landmarks(points, 112, 112))
    mirrored = parts.from_landmarks(landmarks.flip(points, 112), 112, 112)
    assert (direct == mirrored).mean() > 0.985


def test_a_closed_mouth_has_no_inside():
    points = drawn_landmarks()
    points[60:68, 1] = 88
    assert not (parts.from_landmarks(points, 112, 112) == IDS["mouth"]).any()


def test_landmarks_outside_the_image_are_no_error():
    assert parts.from_landmarks(drawn_landmarks() + 60, 112, 112).shape == (112, 112)


def test_behind_a_mask_is_class_19():
    labels, region = np.full((2, 2), 2, np.uint8), np.array([[0, 255], [1, 0]], np.uint8)
    assert parts.covered(labels, region, by=parts.MASK).tolist() == [[2, 19], [19, 2]]


# ---------------------------------------------------------------- removal


def photo(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 256, (6, 8, 3), np.uint8)


def test_removal_sets_the_region_to_0_and_nothing_else():
    image, region = photo(0), np.zeros((6, 8), np.uint8)
    region[2:4, 1:5] = 255
    removed = removal.remove(image, region)
    assert (removed[2:4, 1:5] == 0).all()
    assert np.array_equal(removed[region == 0], image[region == 0])


def test_equal_pairs_show_the_same_pixels():
    first, second = photo(1), photo(2)
    one, two = np.zeros((6, 8), np.uint8), np.zeros((6, 8), np.uint8)
    one[:3], two[:, :2] = 255, 255
    a, b = removal.equalize(first, second, one, two)
    hidden = (one > 0) | (two > 0)
    assert np.array_equal((a == 0).all(2), hidden)
    assert np.array_equal((b == 0).all(2), hidden)
    assert np.array_equal(a[~hidden], first[~hidden])
    assert np.array_equal(b[~hidden], second[~hidden])


def test_a_pair_without_masks_stays_as_it_is():
    none = np.zeros((6, 8), np.uint8)
    a, b = removal.equalize(photo(1), photo(2), none, none)
    assert np.array_equal(a, photo(1))
    assert np.array_equal(b, photo(2))


def test_a_pair_of_two_sizes_is_refused():
    with pytest.raises(ValueError, match="show different parts"):
        removal.equalize(photo(1), photo(2)[:4], np.zeros((6, 8), np.uint8), np.zeros((4, 8), np.uint8))


def test_a_triptych_shows_input_region_and_output():
    region = np.zeros((6, 8), np.uint8)
    region[1] = 255
    sheet = removal.triptych(photo(0), region)
    assert sheet.shape == (6, 3 * 8 + 2 * removal.GAP, 3)
    assert np.array_equal(sheet[:, :8], photo(0))
    assert (sheet[1, 8 + removal.GAP : 16 + removal.GAP] == 255).all()
    assert np.array_equal(sheet[:, -8:], removal.remove(photo(0), region))


# ---------------------------------------------------------------- the stage


def label(faces: Path, tmp_path: Path) -> tuple[dict, list]:
    numbers = label_parts(faces, tmp_path / "labeled", Results(tmp_path / "labeled"), Params())
    return numbers, list(tables.read(tmp_path / "labeled"))


def test_labels_are_the_publishers_or_else_from_landmarks(tmp_path: Path):
    own = np.full((112, 112), IDS["hat"], np.uint8)
    rows = [
        {**face_row(0), "labels": images.encode_png(own), "wears_mask": None},
        {**face_row(1), "labels": None, "wears_mask": None},
        {**face_row(2), "labels": None, "wears_mask": True},
        {**face_row(3), "labels": None, "wears_mask": None, "landmarks": None},
    ]
    numbers, faces = label(write_table(tmp_path / "faces", rows), tmp_path)
    assert [face["labels_by"] for face in faces] == ["publisher", "landmarks", None, None]
    assert np.array_equal(images.decode_gray(faces[0]["labels"]), own)
    expected = parts.from_landmarks(faces[1]["landmarks"], 112, 112)
    assert np.array_equal(images.decode_gray(faces[1]["labels"]), expected)
    assert numbers["labels_by"] == {"publisher": 1, "landmarks_weak": 1}
    assert numbers["not_labeled"] == {"wears_mask": 1, "no_landmarks": 1}
    assert numbers["mean_share"]["hat"] == 0.5


def test_a_dataset_whose_labels_hold_masks_runs_through(tmp_path: Path):
    def of(number: int, worn: bool | None, *classes: str) -> dict:
        own = np.zeros((112, 112), np.uint8)
        for place, name in enumerate(classes):
            own[10 * place : 10 * place + 10] = parts.NAMES.index(name)
        return {**face_row(number), "labels": images.encode_png(own), "wears_mask": worn}

    rows = [
        of(0, True, "mask"),
        of(1, None, "mask"),
        of(2, True, "skin", "mask"),
        of(3, False),  # a map of masks alone, in which there is none
        of(4, True),
        of(5, True, "skin", "hair"),
    ]
    numbers, faces = label(write_table(tmp_path / "faces", rows), tmp_path)
    assert [face["labels_by"] for face in faces] == [None, None, None, "landmarks", None, "publisher"]
    assert [face["labels"] is None for face in faces] == [True, True, True, False, True, False]
    weak = parts.from_landmarks(faces[3]["landmarks"], 112, 112)
    assert np.array_equal(images.decode_gray(faces[3]["labels"]), weak)
    assert numbers["not_labeled"] == {"wears_mask": 4, "no_landmarks": 0}
    assert numbers["labels_by"] == {"publisher": 1, "landmarks_weak": 1}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.full((112, 112), 42, np.uint8),
            r"part-\d+.parquet, face drawn/p0/000: .* unknown class 42; known are 0 to 19",
        ),
        (np.zeros((50, 60), np.uint8), "label map is 60x50 pixels, its image 112x112"),
    ],
)
def test_a_label_map_that_cannot_be_is_named(tmp_path: Path, labels: np.ndarray, message: str):
    faces = write_table(tmp_path / "faces", [{**face_row(0), "labels": images.encode_png(labels)}])
    with pytest.raises(UnmaskError, match=message):
        label(faces, tmp_path)
    assert not (tmp_path / "labeled").exists()
