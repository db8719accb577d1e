"""align_faces: image, landmarks and labels move together."""

from pathlib import Path

import numpy as np
import pytest

from stages.core import images, tables
from stages.core.results import Results
from stages.faces import alignment, landmarks
from stages.landmarks import align_faces
from tests.conftest import drawn_face, face_row, write_table


def run(rows: list[tables.Face], tmp_path: Path, **params: object) -> tuple[dict[str, object], list[tables.Face]]:
    table = write_table(tmp_path / "faces", rows)
    checked = align_faces.Params.model_validate({"template": "arcface", "side": 112} | params)
    result = align_faces.align_faces(table, tmp_path / "out", Results(tmp_path / "sheet"), checked)
    return result, list(tables.read(tmp_path / "out"))


@pytest.mark.parametrize(("template", "size"), [("arcface", 112), ("arcface", 64), ("ffhq", 160)])
def test_faces_of_every_place_and_size_come_to_one(template: str, size: int, tmp_path: Path):
    rows = []
    for index, side in enumerate((112, 200, 300)):
        image, points = drawn_face(index, side)
        canvas = np.zeros((400, 420, 3), np.uint8)
        canvas[40 : 40 + side, 60 : 60 + side] = image
        face = {**face_row(index, identity="p"), "image": images.encode_png(canvas), "landmarks": points + [60, 40]}
        rows.append({**face, "landmarks": face["landmarks"].astype(np.float32)})
    result, faces = run(rows, tmp_path, template=template, side=size)
    assert result["faces"] == 3
    for face in faces:
        assert images.decode(face["image"]).shape == (size, size, 3)
        np.testing.assert_allclose(face["landmarks"], faces[0]["landmarks"], atol=0.01 * size)
    if template == "arcface":
        want = (alignment.ARCFACE_112 + 0.5) * size / 112 - 0.5
        assert np.abs(landmarks.five_points(faces[0]["landmarks"]) - want).mean() < 0.03 * size


def test_labels_move_with_the_image(tmp_path: Path):
    image, points = drawn_face(0, 224)
    labels = np.zeros((224, 224), np.uint8)
    x, y = points[landmarks.NOSE_TIP].astype(int)
    labels[y - 6 : y + 7, x - 6 : x + 7] = 17
    row = {**face_row(0), "image": images.encode_png(image), "landmarks": points, "labels": images.encode_png(labels)}
    _, (face,) = run([row], tmp_path)
    moved = images.decode_gray(face["labels"])
    assert moved.shape == (112, 112)
    assert set(np.unique(moved)) == {0, 17}
    center = np.argwhere(moved == 17).mean(0)[::-1]
    np.testing.assert_allclose(center, face["landmarks"][landmarks.NOSE_TIP], atol=1)


def test_faces_that_cannot_be_aligned_are_counted(tmp_path: Path):
    rows = [face_row(0), {**face_row(1), "landmarks": None}, {**face_row(2), "landmarks": np.ones((68, 2), np.float32)}]
    result, faces = run(rows, tmp_path)
    assert [face["face_id"] for face in faces] == ["drawn/p0/000"]
    assert result["faces"] == 1
    assert result["left_out"] == {"no_landmarks": 1, "landmarks_coincide": 1}


def test_a_face_outside_the_photo_is_black_and_no_error(tmp_path: Path):
    row = face_row(0)
    result, (face,) = run([{**row, "landmarks": row["landmarks"] + 5000}], tmp_path)
    assert result["mean_share_outside_the_photo"] == 1
    assert not images.decode(face["image"]).any()
