"""The small pieces that every stage uses: images, metrics, figures, seeds, parallel runs, command lines."""

import csv
import io
import json
import os
import time
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import pytest
from PIL import Image
from pydantic import Field

from stages.core import images, metrics, outputs, parallel, params, seeding
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file, whole_folder
from stages.figures import sheets
from stages.photos import folders
from tests.conftest import drawn_face, face_row, write_table


def encoded(photo: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


RGB = Image.fromarray(drawn_face(1, 64)[0])


def test_png_round_trip_in_rgb_order():
    image = np.zeros((4, 5, 3), np.uint8)
    image[..., 0] = 200  # red
    assert (images.decode(images.encode_png(image)) == image).all()
    assert Image.open(io.BytesIO(images.encode_png(image))).getpixel((0, 0)) == (200, 0, 0)


def test_a_gray_image_is_stored_once():
    gray = drawn_face(2, gray=True)[0]
    assert images.is_gray(gray)
    assert Image.open(io.BytesIO(images.encode_png(gray))).mode == "L"
    assert (images.decode(images.encode_png(gray)) == gray).all()
    assert not images.is_gray(drawn_face(2)[0])


@pytest.mark.parametrize("function", [images.decode, images.decode_gray])
@pytest.mark.parametrize("data", [b"", b"no image"])
def test_a_cell_that_is_no_image(function: object, data: bytes):
    with pytest.raises(UnmaskError, match="column"):
        function(data)


def test_metrics_are_sorted_and_rounded(tmp_path: Path):
    path = tmp_path / "metrics" / "x.json"
    metrics.write(path, {"b": np.float32(1 / 3), "a": {"n": np.int64(3), "list": [0.123456]}})
    assert path.read_text() == '{\n  "a": {\n    "list": [\n      0.1235\n    ],\n    "n": 3\n  },\n  "b": 0.3333\n}\n'


def test_metrics_are_finite(tmp_path: Path):
    with pytest.raises(UnmaskError, match=r"metric a\.b\[1\] is nan"):
        metrics.write(tmp_path / "x.json", {"a": {"b": [1.0, float("nan")]}})
    assert list(tmp_path.iterdir()) == []


def test_seeds_depend_on_names_alone():
    first = seeding.generator(0, "render_masks", "orl/s1/01").random(3)
    seeding.generator(0, "render_masks", "orl/s1/02").random(100)
    assert (seeding.generator(0, "render_masks", "orl/s1/01").random(3) == first).all()
    assert (seeding.generator(1, "render_masks", "orl/s1/01").random(3) != first).all()
    assert seeding.fraction("ab", "c") != seeding.fraction("a", "bc")
    places = np.array([seeding.fraction(index) for index in range(4000)])
    assert places.min() >= 0
    assert places.max() < 1
    assert np.abs(np.histogram(places, 10, (0, 1))[0] - 400).max() < 80  # four standard deviations


def square(number: int) -> int:
    if number < 0:
        raise UnmaskError(f"{number} is negative")
    time.sleep(0.001 * number)  # so that later items may finish first
    return number * number


@pytest.mark.parametrize("workers", ["1", "3"])
def test_parallel_results_keep_their_order(workers: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNMASK_WORKERS", workers)
    assert parallel.run(square, [9, 0, 5], sizes=[1, 5, 3], label="x") == [81, 0, 25]
    with pytest.raises(UnmaskError, match="-1 is negative"):
        parallel.run(square, [1, -1], sizes=[1, 1], label="x")
    assert parallel.run(square, [], sizes=[], label="x") == []


def die(number: int) -> int:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_dead_worker_is_explained(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNMASK_WORKERS", "2")
    with pytest.raises(UnmaskError, match="a worker process was killed"):
        parallel.run(die, [1, 2], sizes=[1, 1], label="x")


def test_dask_gives_the_same():
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        Path("params.yaml").write_text(f"parallel: {{workers: null, scheduler: '{cluster.scheduler_address}'}}\n")
        assert parallel.run(square, [9, 0, 5], sizes=[1, 5, 3], label="x") == [81, 0, 25]
        with pytest.raises(UnmaskError, match="-1 is negative"):
            parallel.run(square, [1, -1], sizes=[1, 1], label="x")


@pytest.mark.parametrize("name", ["UNMASK_WORKERS", "UNMASK_THREADS", "UNMASK_PATIENCE"])
def test_bad_parallel_settings(monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setenv(name, "many")
    with pytest.raises(UnmaskError, match=f"{name} is 'many', it must be a whole number from 1"):
        parallel.settings()
    monkeypatch.delenv(name)
    Path("params.yaml").write_text("parallel: {workers: 0, scheduler: null}\n")
    with pytest.raises(UnmaskError, match=r"parallel\.workers: 0 is not allowed: a whole number from 1 or null"):
        parallel.settings()
    Path("params.yaml").write_text("parallel: {workers: 1, scheduler: nonsense}\n")
    with pytest.raises(UnmaskError, match=r"no Dask scheduler answers at nonsense \(`parallel\.scheduler`\)"):
        parallel.run(square, [1], sizes=[1], label="x")


def test_contact_sheet(tmp_path: Path):
    red = np.zeros((10, 20, 3), np.uint8)
    red[..., 0] = 255
    sheet = sheets.contact_sheet([red] * 5, ["a"] * 5, columns=4, side=50, title="Reds")
    rows, columns = 2, 4
    assert sheet.shape == (
        sheets.CAPTION + 2 * sheets.GAP + rows * (25 + sheets.CAPTION + sheets.GAP),  # as flat as the images
        columns * (50 + sheets.GAP) + sheets.GAP,
        3,
    )
    pure = (sheet == (255, 0, 0)).all(-1)
    assert pure.sum() == 5 * 50 * 25  # each tile is 50 wide and keeps its shape
    sheets.write(tmp_path / "sheet.png", sheet)
    assert (cv2.imread(str(tmp_path / "sheet.png"))[..., ::-1] == sheet).all()


def test_a_sheet_of_a_table_shows_landmarks(table: Path, tmp_path: Path):
    sheets.show_table(
        table, tmp_path / "s.png", title="Faces", caption=lambda face: face["face_id"], picture=sheets.with_points
    )
    sheet = cv2.imread(str(tmp_path / "s.png"))
    green = (sheet[..., 1] > 200) & (sheet[..., 0] < 140) & (sheet[..., 2] < 140)
    assert green.sum() > 12 * 68


def test_command_line_names_what_is_missing(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run_stage("landmarks.align_faces", ["--faces", "x"])
    assert "required: --out" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run_stage("landmarks.align_faces", ["--faces", "x", "--out", "y", "--results", "metrics/y.json"])
    assert "a name is expected, without an ending" in capsys.readouterr().err


def test_help_says_what_each_option_is(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run_stage("landmarks.align_faces", ["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--faces FACES a table with landmarks." in said
    assert "--out OUT the table to write" in said


def test_command_line_tells_the_user_without_a_traceback():
    Path("params.yaml").write_text("align_faces: {template: arcface, side: 0}\n")
    paths = ["--faces", "x", "--out", "y"]
    with pytest.raises(SystemExit) as stop:
        run_stage("landmarks.align_faces", paths)
    assert str(stop.value).startswith("align_faces: params.yaml, line 1: align_faces.side: 0 is not allowed")
    Path("params.yaml").write_text("align_faces: {template: arcface, side: 112}\n")
    with pytest.raises(SystemExit, match="x is no face table"):
        run_stage("landmarks.align_faces", paths)


def test_a_wrong_name_is_told_with_its_line_whatever_it_names(tmp_path: Path):
    class Lists(params.Section):
        lists: dict[Annotated[str, Field(pattern="^[a-z]+$")], list[int]]

    (tmp_path / "p.yaml").write_text("numbers:\n  lists:\n    good: [1]\n    B4D: [2]\n")
    with pytest.raises(UnmaskError, match=r"p\.yaml, line 4: numbers\.lists\.B4D: 'B4D' is not allowed"):
        params.load(Lists, "numbers", tmp_path / "p.yaml")


def test_what_killed_runs_left_is_deleted_and_nothing_else(tmp_path: Path):
    (tmp_path / ".faces.11.partial").mkdir()
    (tmp_path / ".faces.json.12.partial").write_text("half")
    (tmp_path / ".other.json.13.partial").write_text("of another output")
    with whole_folder(tmp_path / "faces"):
        assert (tmp_path / ".faces.json.12.partial").exists()
    with whole_file(tmp_path / "faces.json") as staging:
        staging.write_text("whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".other.json.13.partial", "faces", "faces.json"]


def test_what_a_killed_worker_left_is_not_in_the_folder(tmp_path: Path):
    with whole_folder(tmp_path / "faces") as staging:
        (staging / "part-00001.parquet").write_text("whole")
        (staging / ".part-00001.parquet.12.other-machine.partial").write_text("half")
    assert [path.name for path in (tmp_path / "faces").iterdir()] == ["part-00001.parquet"]


def test_a_file_makes_its_folder_but_not_that_of_a_killed_run(tmp_path: Path):
    with whole_file(tmp_path / "new/a.json") as staging:
        staging.write_text("whole")
    assert (tmp_path / "new/a.json").read_text() == "whole"
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "gone/part", in_whole_folder=True) as staging:
        staging.write_text("too late")
    assert not (tmp_path / "gone").exists()


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_told_in_words(table: Path, tmp_path: Path):
    Path("params.yaml").write_text("align_faces: {template: arcface, side: 64}\n")
    with pytest.raises(SystemExit, match=r"align_faces: the disk is full: free some space and run again"):
        run_stage("landmarks.align_faces", ["--faces", str(table), "--out", str(tmp_path / "out")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces"]


def test_command_line_writes_metrics(tmp_path: Path):
    write_table(tmp_path / "in" / "drawn", [face_row(index) for index in range(3)])
    Path("params.yaml").write_text("align_faces: {template: arcface, side: 64}\n")
    arguments = {"faces": "in/drawn", "out": "out/drawn", "results": "metrics/drawn"}
    run_stage(
        "landmarks.align_faces",
        [word for name, path in arguments.items() for word in (f"--{name}", str(tmp_path / path))],
    )
    assert json.loads((tmp_path / "metrics/drawn.json").read_text())["faces"] == 3
    assert (tmp_path / "metrics/figures/drawn.png").exists()
    assert "wall_seconds" in json.loads((tmp_path / "metrics/costs/drawn.json").read_text())


# ---------------------------------------------------------------- folders of photos


def seen(name: str, photo: np.ndarray) -> folders.Outcome:
    """Stand for what a stage does with a photo."""
    return folders.Outcome("seen", 1, name, {"seen": images.encode_png(photo)})


def test_every_file_of_a_folder_is_named_in_its_index(tmp_path: Path):
    """Names that are no UTF-8, or hold what shells and spreadsheets take for something else, are read and shown."""
    data = images.encode_png(np.zeros((8, 8, 3), np.uint8))
    folder = tmp_path / "photos"
    stored = [
        b"caf\xe9.jpg",
        "jose\u0301/a.png".encode(),
        b"a.png",
        b"a.jpg",
        b'a, "b"\n;$`.png',
        b"-x.png",
        b".hidden.png",
    ]
    for name in stored:
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "notes.txt").write_text("none")
    numbers = folders.map_photos(seen, folder, tmp_path / "out")
    assert numbers == {"files": 7, "hidden": 1, "faces": 6, "outcomes": {"seen": 6, "unreadable": 1}}
    with (tmp_path / "out/index.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["file"]: row["outcome"] for row in csv.DictReader(file)}
    shown = {"caf%E9.jpg", "josé/a.png", "a.png", "a.jpg", 'a, "b"\n;$`.png', "-x.png"}
    assert rows == {**dict.fromkeys(shown, "seen"), "notes.txt": "unreadable"}
    pictures = {path.relative_to(tmp_path / "out/seen").as_posix() for path in (tmp_path / "out/seen").rglob("*.png")}
    assert pictures == {"caf%E9.png", "josé/a.png", "a.png.png", "a.jpg.png", 'a, "b"\n;$`.png', "-x.png"}


def test_two_files_of_one_name_in_two_forms_of_unicode_are_refused(tmp_path: Path):
    for name in ("josé.png", "jose\u0301.png"):
        (tmp_path / name).touch()
    with pytest.raises(UnmaskError, match=r"'josé\.png' is there twice, in two spellings of Unicode"):
        folders.map_photos(seen, tmp_path, tmp_path / "out")


def test_what_is_no_utf_8_ends_no_report(tmp_path: Path):
    name = os.fsdecode(b"caf\xe9")
    metrics.write(tmp_path / "m.json", {"picture": name})
    assert json.loads((tmp_path / "m.json").read_text(encoding="utf-8")) == {"picture": name}
    outputs.write_csv(tmp_path / "m.csv", ["file"], [[name]])
    assert (tmp_path / "m.csv").read_text() == "file\ncaf\\udce9\n"
