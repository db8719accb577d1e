"""mask_photos: the masks of render_masks on the photos, and faces aligned by what is found behind them."""

from pathlib import Path

import numpy as np
import pytest

from stages.core import images, params, tables
from stages.core.results import Results
from stages.faces import alignment
from stages.landmarks import search
from stages.landmarks.behind_masks import Found
from stages.masks import mask_photos, render_masks
from tests.conftest import ROOT, face_row, write_table

PARAMS = params.load(mask_photos.Params, "mask_photos", ROOT / "params.yaml")
TEMPLATES = ROOT / "data/mask_templates"


def seen(monkeypatch: pytest.MonkeyPatch, row: tables.Face, by: str, shift: tuple[float, float] | None) -> tuple:
    """Return what comes of a face that is found shifted by some pixels, or not at all; and what was looked at."""
    looked = []

    def find(image: np.ndarray, face: tables.Face, searched: search.Search) -> tuple[Found | None, int]:
        looked.append((image, face, searched))
        return None if shift is None else Found((row["landmarks"] + np.float32(shift)), by), 1

    monkeypatch.setattr(mask_photos, "main_face", find)
    by_sight = mask_photos._by_sight(PARAMS.find_landmarks.search)
    return *mask_photos._seen_behind(row, {}, by_sight, PARAMS), looked


def test_the_mask_is_that_of_the_oracle_drawn_on_the_photo(monkeypatch: pytest.MonkeyPatch):
    row = {**face_row(0), "wears_mask": False, "landmarks_by": "csv"}
    result, numbers, looked = seen(monkeypatch, row, "landmarker", (0, 0))
    expected, _ = render_masks.masked(row, {}, PARAMS.render_masks, PARAMS.seed)
    image, face, searched = looked[0]
    assert np.array_equal(image, images.decode(expected["image"]))
    assert {name: result[name] for name in ("mask_style", "mask_position", "mask_color")} == {
        name: expected[name] for name in ("mask_style", "mask_position", "mask_color")
    }
    # Neither landmarks that came with the photo nor that a mask is worn are known to the search.
    assert face.get("landmarks") is None
    assert face["wears_mask"] is None
    assert "csv" not in searched.backends
    assert result["landmarks_by"] == "landmarker"
    assert (numbers["drawn"], numbers["by landmarker"], numbers["off"]) == (1, 1, 0)
    side = PARAMS.align_faces.side
    matrix = alignment.TRANSFORMS[PARAMS.align_faces.template](row["landmarks"], side)
    region = alignment.warp(images.decode_gray(expected["mask"]), matrix, side, nearest=True)
    assert np.array_equal(images.decode_gray(result["mask"]), region)
    assert images.decode(result["image"]).shape == (side, side, 3)


def test_a_face_is_aligned_by_what_was_found_and_how_far_off_that_is_is_told(monkeypatch: pytest.MonkeyPatch):
    row = {**face_row(1), "wears_mask": None, "landmarks_by": "csv"}
    result, numbers, _ = seen(monkeypatch, row, "dlib_hog", (3, 4))
    transform = alignment.TRANSFORMS[PARAMS.align_faces.template]
    found = row["landmarks"] + np.float32([3, 4])
    expected = alignment.apply(transform(found, PARAMS.align_faces.side), found)
    assert np.allclose(result["landmarks"], expected, atol=1e-3)
    scale = alignment.scale_of(transform(row["landmarks"], PARAMS.align_faces.side))
    assert numbers["off"] == pytest.approx(5 * scale, rel=1e-4)
    far = float(np.ptp(row["landmarks"][:, 0])) * 3
    _, numbers, _ = seen(monkeypatch, row, "dlib_hog", (far, 0))
    assert numbers["elsewhere"] == 1
    assert "off" not in numbers


def test_who_is_not_found_is_left_out_and_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Of four faces one is not found behind its mask, one wears a real mask, and one has no landmarks."""
    monkeypatch.setenv("UNMASK_WORKERS", "1")
    rows = [{**face_row(index), "wears_mask": False, "landmarks_by": "csv"} for index in range(4)]
    rows[1]["wears_mask"] = True
    rows[2]["landmarks"] = None
    places = {images.decode(row["image"]).tobytes(): row for row in rows}

    def find(image: np.ndarray, face: tables.Face, searched: search.Search) -> tuple[Found | None, int]:
        del face, searched
        assert image.tobytes() not in places  # a mask is drawn on it
        calls.append(image)
        return (Found(rows[0]["landmarks"], "landmarker"), 1) if len(calls) == 1 else (None, 0)

    calls: list[np.ndarray] = []
    monkeypatch.setattr(mask_photos, "main_face", find)
    faces = write_table(tmp_path / "faces", rows)
    found = mask_photos.mask_photos(faces, TEMPLATES, tmp_path / "out", Results(tmp_path / "r"), PARAMS)
    assert found["faces"] == 4
    assert (found["masked"], found["not_found"], found["found_by"]) == (2, 1, {"landmarker": 1})
    assert (found["not_masked"], found["without_landmarks"], found["landmarks_coincide"]) == (1, 1, 0)
    kept = {face["face_id"]: face for face in tables.read(tmp_path / "out")}
    assert kept.keys() == {rows[0]["face_id"], rows[1]["face_id"]}
    worn = kept[rows[1]["face_id"]]
    assert (worn["mask"], worn["mask_style"], worn["landmarks_by"]) == (None, None, "csv")
