"""export: plain files that other tools, and our own adapters, can read."""

import csv
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.data.adapters import face_mask_generator
from stages.data.files import open_files
from stages.data.photo import Photo
from stages.masks import render_masks
from stages.tools import export
from tests.conftest import ROOT, face_row, write_table
from tests.test_render_masks import PARAMS


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """Return a table of three people in three splits, of one of whom the sex is unknown."""
    of_person = [
        {"split": "train", "sex": "female", "wears_mask": None},
        {"split": "val", "sex": None, "wears_mask": False},
        {"split": "test", "sex": "male", "wears_mask": False},
    ]
    table = write_table(tmp_path / "faces", [face_row(index) | of_person[index // 4] for index in range(12)])
    params = render_masks.Params.model_validate({**PARAMS, "share": 0.7})
    render_masks.render_masks(table, Path("templates"), tmp_path / "masked", Results(tmp_path / "sheet"), params)
    return tmp_path / "masked"


def imagefolder(data_dir: Path) -> Iterator[tuple[str, dict[str, str], dict[str, np.ndarray]]]:
    """Yield split, facts and pictures as the published rules of an imagefolder say.

    Splits are folders; each has a metadata.csv, all with the same columns; `file_name` and `<column>_file_name` are
    paths below its folder.
    """
    headers = set()
    for file in sorted(data_dir.rglob("metadata.csv")):
        with file.open(newline="", encoding="utf-8") as opened:
            reader = csv.DictReader(opened)
            headers.add(tuple(reader.fieldnames or ()))
            assert (reader.fieldnames or [""])[0] == "file_name"
            for row in reader:
                assert all(row.values())  # a blank would make another type of its column
                pictures = {}
                for column in [name for name in row if name.endswith("file_name")]:
                    path = Path(row.pop(column))
                    assert not path.is_absolute()
                    assert ".." not in path.parts
                    with Image.open(file.parent / path) as picture:
                        pictures[column.removesuffix("file_name").rstrip("_") or "image"] = np.asarray(picture)
                yield file.parent.relative_to(data_dir).as_posix(), row, pictures
    assert len(headers) == 1


def test_files_hold_what_the_table_holds(masked: Path, tmp_path: Path):
    assert export.export(masked, tmp_path / "files") == 12
    found = {facts["face_id"]: (split, facts, pictures) for split, facts, pictures in imagefolder(tmp_path / "files")}
    assert len(found) == 12
    assert {split for split, _, _ in found.values()} == {"train", "validation", "test"}
    for face in tables.read(masked):
        split, facts, pictures = found[face["face_id"]]
        assert split == {"val": "validation"}.get(face["split"], face["split"])
        assert facts["identity"] == f"drawn/{face['identity']}"
        assert facts["mask_style"] == (face["mask_style"] or "none")
        assert facts["sex"] == (face["sex"] or "unknown")
        assert facts["wears_mask"] == {True: "yes", False: "no", None: "unknown"}[face["wears_mask"]]
        assert np.array_equal(
            np.asarray(Image.fromarray(pictures["image"]).convert("RGB")), images.decode(face["image"])
        )
        height, width = pictures["image"].shape[:2]
        covered = images.decode_gray(face["mask"]) if face["mask"] else np.zeros((height, width), np.uint8)
        assert np.array_equal(pictures["mask"], covered)


def test_images_alone_are_classes_of_persons(masked: Path, tmp_path: Path):
    export.export(masked, tmp_path / "files")
    people: Counter[str] = Counter()
    for split in ("train", "validation", "test"):
        folder = torchvision.datasets.ImageFolder(str(tmp_path / "files" / split / "images"))
        people |= {
            name: sum(label == index for _, label in folder.samples) for name, index in folder.class_to_idx.items()
        }
    want = {face["identity"]: 0 for face in tables.read(masked, ["face_id", "identity"])}
    for face in tables.read(masked, ["face_id", "identity"]):
        want[face["identity"]] += 1
    assert people == want


def test_our_adapter_reads_its_landmarks_back(masked: Path, tmp_path: Path):
    export.export(masked, tmp_path / "files")
    with open_files(tmp_path / "files") as files:
        photos = [photo for photo in face_mask_generator.photos(files) if isinstance(photo, Photo)]
    found = {(photo.identity, photo.name): photo for photo in photos}
    for face in tables.read(masked):
        _, person, name = face["face_id"].split("/")
        photo = found[person, name]
        np.testing.assert_allclose(photo.landmarks, face["landmarks"], rtol=1e-6)
        assert photo.face_type == face["face_type"]
        assert photo.file.endswith(f"/images/{person}/{name}.png")


def test_what_some_faces_lack(tmp_path: Path):
    rows = [face_row(index) for index in range(4)]
    region = images.encode_png(np.full(images.decode(rows[0]["image"]).shape[:2], 3, np.uint8))
    for index, row in enumerate(rows):
        row |= {
            "split": None,
            "sex": None,
            "labels": region if index else None,
            "found_mask": None if index else region,
        }
        row |= {"landmarks": None, "inpainter": None if index else "shared"}
    write_table(tmp_path / "some", rows)
    export.export(tmp_path / "some", tmp_path / "files")
    found = list(imagefolder(tmp_path / "files"))
    assert [split for split, _, _ in found] == ["train"] * 4
    assert {"sex", "split"}.isdisjoint(found[0][1])  # nobody knows any
    assert sorted(facts["inpainter"] for _, facts, _ in found) == ["none", "none", "none", "shared"]
    assert {name for _, _, pictures in found for name in pictures} == {"image", "found_mask"}
    assert sorted(int(pictures["found_mask"].max()) for _, _, pictures in found) == [0, 0, 0, 3]
    assert len(list((tmp_path / "files/train/labels").rglob("*.png"))) == 3  # by the photo's name, not by a column
    assert not (tmp_path / "files/landmarks.csv").exists()


ODD = [
    "Anna",
    "anna",
    "a:b",
    "a?b",
    "a_b",
    ".hidden",
    "dot.",
    "blank ",
    "con",
    "COM1.x",
    "e\u0301",
    "\u00e9",
    "x" * 150,
]
ODD += ["\u4f60" * 80, "__pycache__", "NA", "007", "test", "anna_test", "latest", "a[1]", "50% #2 & ~", "a__b"]


def test_names_are_safe_on_every_file_system_and_stay_apart(tmp_path: Path):
    row = face_row(0)
    rows = [row | {"face_id": f"drawn/{name}/{name}", "identity": name} for name in ODD]
    write_table(tmp_path / "odd", sorted(rows, key=lambda one: one["face_id"]))
    export.export(tmp_path / "odd", tmp_path / "files")
    with (tmp_path / "files/train/metadata.csv").open(newline="", encoding="utf-8") as file:
        files = {row["face_id"]: row["file_name"] for row in csv.DictReader(file)}
    assert files.keys() == {f"drawn/{name}/{name}" for name in ODD}
    assert len({unicodedata.normalize("NFC", path.casefold()) for path in files.values()}) == len(ODD)
    for path in files.values():
        assert (tmp_path / "files/train" / path).is_file()
        for step in path.removesuffix(".png").split("/"):
            assert not set(step) & set('<>:"\\|?*')
            assert not step.startswith(".")
            assert not re.search(r"(^|[-._ 0-9])test($|[-._ 0-9])", step)  # `datasets` would see a split
            assert not step.endswith((".", " "))
            assert step.split(".")[0].lower() not in {"con", "com1"}
            assert len(step.encode()) <= 250


def test_a_folder_in_use_is_not_touched(masked: Path, tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(UnmaskError, match=r"already holds 'holiday\.jpg': name a new folder"):
        export.export(masked, tmp_path / "pictures")
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["holiday.jpg"]


def test_the_command_line(masked: Path, tmp_path: Path):
    command = [sys.executable, "-m", "stages.tools.export"]
    done = subprocess.run([*command, masked, tmp_path / "files"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"12 faces in {tmp_path / 'files'}\n"
    done = subprocess.run([*command, tmp_path, tmp_path / "x"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("export: ")
    assert "is no face table" in done.stderr
