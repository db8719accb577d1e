"""export: plain files that other tools, and our own adapters, can read."""

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.data.adapters import face_mask_generator
from stages.data.files import open_files
from stages.data.photo import Photo
from stages.masks import render_masks
from stages.tools import export
from tests.conftest import ROOT
from tests.test_render_masks import PARAMS


@pytest.fixture
def masked(table: Path, tmp_path: Path) -> Path:
    params = render_masks.Params.model_validate({**PARAMS, "share": 0.7})
    render_masks.render_masks(table, Path("templates"), tmp_path / "masked", Results(tmp_path / "sheet"), params)
    return tmp_path / "masked"


def test_files_hold_what_the_table_holds(masked: Path, tmp_path: Path):
    assert export.export(masked, tmp_path / "files") == 12
    with (tmp_path / "files" / "index.csv").open(newline="") as file:
        index = {row["face_id"]: row for row in csv.DictReader(file)}
    for face in tables.read(masked):
        row = index[face["face_id"]]
        assert row["mask_style"] == (face["mask_style"] or "")
        picture = (tmp_path / "files" / row["image"]).read_bytes()
        assert (images.decode(picture) == images.decode(face["image"])).all()
        assert bool(row["mask"]) == (face["mask"] is not None)
        if face["mask"]:
            assert (tmp_path / "files" / row["mask"]).read_bytes() == face["mask"]


def test_our_adapter_reads_its_landmarks_back(masked: Path, tmp_path: Path):
    export.export(masked, tmp_path / "files")
    (tmp_path / "files" / "index.csv").unlink()
    with open_files(tmp_path / "files") as files:
        photos = {photo.file: photo for photo in face_mask_generator.photos(files) if isinstance(photo, Photo)}
    for face in tables.read(masked):
        _, person, name = face["face_id"].split("/")
        photo = photos[f"{person}/{name}.png"]
        np.testing.assert_allclose(photo.landmarks, face["landmarks"], rtol=1e-6)
        assert (photo.identity, photo.face_type) == (person, face["face_type"])


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
