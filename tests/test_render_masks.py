"""render_masks: on tables and on plain folders, by seed and name alone."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels, encode_png
from stages.core.params import load
from stages.core.results import Results
from stages.core.seeding import generator
from stages.landmarks.search import Search, main_face
from stages.masks import render_masks, rendering
from tests.conftest import ROOT, face_row, write_table

PARAMS: dict[str, Any] = {
    "seed": 0,
    "share": 1.0,
    "over_worn": False,
    "styles": {"polygon": 1, "surgical": 1, "cloth": 1, "kn95": 1, "n95": 1},
    "positions": {"proper": 8, "below_nose": 1, "chin": 1},
    "positions_in_training": None,
    "colors": {name: ["#000000", "#9cc5e3"] for name in ("polygon", "surgical", "cloth", "kn95", "n95")},
    "softness": 0.5,
}


def run(table: Path, out: str = "out", templates: str = "templates", **changes: Any) -> dict[str, Any]:
    params = render_masks.Params.model_validate(PARAMS | changes)
    return render_masks.render_masks(table, Path(templates), Path(out), Results(Path("sheet")), params)


def by_id(table: str) -> dict[str, tables.Face]:
    return {face["face_id"]: face for face in tables.read(Path(table))}


def test_every_face_gets_a_mask_and_its_region(table: Path):
    result = run(table)
    before = {face["face_id"]: face for face in tables.read(table)}
    assert result["faces"] == result["masked"] == 12
    assert sum(result["styles"].values()) == sum(result["positions"].values()) == 12
    for face_id, face in by_id("out").items():
        bare, masked = images.decode(before[face_id]["image"]), images.decode(face["image"])
        region = images.decode_gray(face["mask"])
        assert region.shape == bare.shape[:2]
        assert (masked != bare).any(-1)[region > 0].mean() > 0.9
        assert face["mask_style"] in PARAMS["styles"]
        assert face["mask_color"] in {"#000000", "#9cc5e3"}
        np.testing.assert_array_equal(face["landmarks"], before[face_id]["landmarks"])


def test_a_mask_does_not_depend_on_other_faces_or_workers(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run(table)
    alone = write_table(tmp_path / "alone", [face_row(7)])
    run(alone, "alone_out")
    one, all_of_them = by_id("alone_out")["drawn/p1/007"], by_id("out")["drawn/p1/007"]
    assert (one["image"], one["mask"], one["mask_style"]) == (
        all_of_them["image"],
        all_of_them["mask"],
        all_of_them["mask_style"],
    )
    monkeypatch.setenv("UNMASK_WORKERS", "2")
    run(table, "two")
    for path in tables.parts(Path("out")):
        assert path.read_bytes() == (Path("two") / path.name).read_bytes()


def test_another_seed_draws_other_masks(table: Path):
    run(table)
    run(table, "other", seed=1)
    styles = [[face["mask_style"], face["image"]] for face in by_id("out").values()]
    assert styles != [[face["mask_style"], face["image"]] for face in by_id("other").values()]


def test_weights_are_followed(table: Path):
    result = run(table, styles={"surgical": 0, "kn95": 2}, positions={"proper": 0, "below_nose": 0, "chin": 1})
    assert result["styles"] == {"surgical": 0, "kn95": 12}
    assert result["positions"] == {"proper": 0, "below_nose": 0, "chin": 12}


def test_who_gets_no_mask_and_why(tmp_path: Path):
    rows = [{**face_row(index), "wears_mask": index == 0} for index in range(12)]
    rows[1] = {**rows[1], "landmarks": None, "face_type": None}
    table = write_table(tmp_path / "faces", rows)
    result = run(table, share=0.5)
    not_masked = result["not_masked"]
    assert (not_masked["wears_mask"], not_masked["no_landmarks"]) == (1, 1)
    assert 1 <= not_masked["not_drawn_by_share"] <= 9
    assert result["masked"] + sum(not_masked.values()) == 12
    face = by_id("out")["drawn/p0/000"]
    assert face["image"] == rows[0]["image"]
    assert (face["mask"], face["mask_style"], face["mask_position"], face["mask_color"]) == (None,) * 4


def test_landmarks_on_a_line_are_counted(tmp_path: Path):
    line = np.linspace([0.1, 3.3], [97.7, 80.2], 68).astype(np.float32)
    table = write_table(tmp_path / "faces", [face_row(0), {**face_row(1), "landmarks": line}])
    result = run(table, styles={"surgical": 1})
    assert (result["masked"], result["not_masked"]["landmarks_on_a_line"]) == (1, 1)


def test_gray_photos_stay_gray(tmp_path: Path):
    table = write_table(tmp_path / "faces", [face_row(index, gray=True) for index in range(8)])
    run(table)
    for face in by_id("out").values():
        assert images.is_gray(images.decode(face["image"]))


# ---------------------------------------------------------------- masks of one's own

TEMPLATE = """\
points:
  - {x: 4, y: 4, landmark: 2}
  - {x: 95, y: 4, landmark: 14}
  - {x: 50, y: 75, landmark: 8}
"""


def write_template(name: str = "mine", description: str = TEMPLATE, picture: bytes | None = None) -> None:
    import cv2

    folder = Path("templates") / name
    folder.mkdir(parents=True)
    if picture is None:
        image = np.zeros((80, 100, 4), np.uint8)
        image[2:78, 2:98] = (0, 0, 255, 255)  # red, in OpenCV's order
        picture = cv2.imencode(".png", image)[1].tobytes()
    (folder / "mask.png").write_bytes(picture)
    (folder / "template.yaml").write_text(description)


def test_a_template_is_a_style_like_the_others(table: Path):
    write_template()
    result = run(table, styles={"mine": 1, "surgical": 1})
    assert result["styles"]["mine"] + result["styles"]["surgical"] == 12
    mine = [face for face in by_id("out").values() if face["mask_style"] == "mine"]
    assert mine
    for face in mine:
        red, green, _ = images.decode(face["image"])[images.decode_gray(face["mask"]) > 0].mean(0)
        assert red > 4 * green
        assert face["mask_color"] is None


@pytest.mark.parametrize(
    ("description", "picture", "message"),
    [
        (TEMPLATE, encode_png(np.zeros((8, 8, 3), np.uint8)), r"mask\.png must be an 8-bit PNG with an alpha channel"),
        (TEMPLATE, b"no image", r"mask\.png must be an 8-bit PNG"),
        (TEMPLATE.replace("landmark: 8", "landmark: 68"), None, r"line 4: points\.2\.landmark: 68 is not allowed"),
        ("points: []\n", None, r"template\.yaml, line 1: points"),
        (TEMPLATE.replace("y: 75", "y: 4"), None, r"template\.yaml: points: the points lie on a line"),
    ],
)
def test_a_template_that_cannot_be_used(table: Path, description: str, picture: bytes | None, message: str):
    write_template(description=description, picture=picture)
    with pytest.raises(UnmaskError, match=message):
        run(table, styles={"mine": 1})


def test_an_unknown_style(table: Path):
    with pytest.raises(
        UnmaskError, match=r"render_masks\.styles: 'sugrical' is none of polygon, surgical, cloth, kn95, n95"
    ):
        run(table, styles={"sugrical": 1})
    with pytest.raises(ValueError, match="all weights are 0"):
        run(table, styles={"surgical": 0})


# ---------------------------------------------------------------- a plain folder of photos


def test_a_folder_of_photos(orl_photo: Callable[[str], Pixels], tmp_path: Path):
    (tmp_path / "photos" / "trip").mkdir(parents=True)
    (tmp_path / "photos" / ".hidden").mkdir()
    photos = {
        "one.png": encode_png(orl_photo("s1/1")),
        "trip/two.png": encode_png(np.hstack([orl_photo("s1/1"), orl_photo("s2/1")])),
        "nobody.png": encode_png(np.full((100, 100, 3), 128, np.uint8)),
        "cut.jpg": encode_png(orl_photo("s1/1"))[:500],
        "empty.jpg": b"",
        "notes.txt": b"hello",
        ".hidden/x.png": b"",
    }
    for name, data in photos.items():
        (tmp_path / "photos" / name).write_bytes(data)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    arguments = {"faces": tmp_path / "photos", "templates": Path("templates"), "out": tmp_path / "out"}
    run_stage("masks.render_masks", [word for name, path in arguments.items() for word in (f"--{name}", str(path))])
    with (tmp_path / "out" / "index.csv").open(newline="") as file:
        index = {row["file"]: row for row in csv.DictReader(file)}
    assert {name: (row["outcome"], row["faces"]) for name, row in index.items()} == {
        "one.png": ("masked", "1"),
        "trip/two.png": ("masked", "2"),
        "nobody.png": ("no_face", "0"),
        "cut.jpg": ("unreadable", "0"),
        "empty.jpg": ("empty", "0"),
        "notes.txt": ("unreadable", "0"),
    }
    assert len(index["trip/two.png"]["detail"].split("; ")) == 2
    masked = images.decode((tmp_path / "out/masked/trip/two.png").read_bytes())
    region = images.decode_gray((tmp_path / "out/regions/trip/two.png").read_bytes())
    bare = images.decode(photos["trip/two.png"])
    assert masked.shape == bare.shape
    assert region[:, :92].any()
    assert region[:, 92:].any()
    assert (masked != bare).any(-1)[region > 0].mean() > 0.9
    untouched = images.decode((tmp_path / "out/masked/nobody.png").read_bytes())
    assert (untouched == images.decode(photos["nobody.png"])).all()


@pytest.mark.parametrize("over_worn", [False, True])
def test_a_mask_that_is_worn_is_left_and_said(orl_photo: Callable[[str], Pixels], tmp_path: Path, over_worn: bool):
    """One of two people wears a mask, and one is alone with it; drawn masks stand for worn ones."""
    bare, worn = orl_photo("s1/1"), orl_photo("s2/1")
    found, _ = main_face(worn, {"wears_mask": False}, load(Search, "find_landmarks.search", ROOT / "params.yaml"))
    worn = rendering.draw(worn, found.points, rendering.Look("surgical", color=(156, 197, 227)), "0_0", generator(0))[0]
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/two.png").write_bytes(encode_png(np.hstack([bare, worn])))
    (tmp_path / "photos/worn.png").write_bytes(encode_png(worn))
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    chosen = render_masks.Params.model_validate(PARAMS | {"over_worn": over_worn})
    numbers = render_masks.photos_folder(tmp_path / "photos", Path("templates"), tmp_path / "out", chosen)
    assert numbers["faces"] == 3
    assert numbers.get("wears_mask", 0) == (0 if over_worn else 2)
    with (tmp_path / "out/index.csv").open(newline="") as file:
        index = {row["file"]: row for row in csv.DictReader(file)}
    assert index["worn.png"]["outcome"] == ("masked" if over_worn else "not_masked")
    assert index["two.png"]["outcome"] == "masked"
    assert index["two.png"]["detail"].split("; ").count("wears_mask") == (0 if over_worn else 1)
    region = images.decode_gray((tmp_path / "out/regions/two.png").read_bytes())
    assert region[:, :92].any()
    assert region[:, 100:].any() == over_worn
    shown = images.decode((tmp_path / "out/masked/worn.png").read_bytes())
    assert np.array_equal(shown, worn) != over_worn


def test_a_table_says_who_wears_a_mask(tmp_path: Path):
    rows = [{**face_row(index), "wears_mask": index % 2 > 0} for index in range(4)]
    faces = write_table(tmp_path / "worn", rows)
    assert (result := run(faces))["masked"] == 2
    assert result["not_masked"]["wears_mask"] == 2
    assert run(faces, "over", over_worn=True)["masked"] == 4


def test_photos_of_one_name_do_not_overwrite_each_other(orl_photo: Callable[[str], Pixels], tmp_path: Path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(encode_png(orl_photo("s1/1")))
    (tmp_path / "photos" / "a.jpg").write_bytes(encode_png(orl_photo("s2/1")))
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    params = render_masks.Params.model_validate(PARAMS)
    result = render_masks.photos_folder(tmp_path / "photos", Path("templates"), tmp_path / "out", params)
    assert result == {"files": 2, "hidden": 0, "faces": 2, "outcomes": {"masked": 2}}
    assert (tmp_path / "out" / "masked" / "a.png.png").exists()
    assert (tmp_path / "out" / "masked" / "a.jpg.png").exists()


@pytest.mark.parametrize(
    ("make", "message"), [(False, "is neither a face table nor a folder"), (True, "holds no files")]
)
def test_no_photos(make: bool, message: str, tmp_path: Path):
    if make:
        (tmp_path / "photos").mkdir()
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    with pytest.raises(UnmaskError, match=message):
        render_masks.photos_folder(
            tmp_path / "photos", Path("templates"), tmp_path / "out", render_masks.Params.model_validate(PARAMS)
        )
