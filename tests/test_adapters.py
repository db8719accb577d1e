"""Adapters on made-up copies of their publishers' layouts: who is on a photo, what is known of it, what is rejected."""

import json
from pathlib import Path

import numpy as np
import pytest

from stages.common.errors import UnmaskError
from stages.datasets import (
    ar_face,
    c_rmfrd,
    celeba,
    faceocc,
    ffhq,
    gender_masked,
    image_label_pairs,
    maskedface_net,
    mfr2,
    mlfw,
    photo_folder,
    rmfrd,
    rwmfd,
)
from stages.datasets.photo import Photo
from stages.faces.parts import CLASSES, MASK
from stages.recognition import protocols
from tests.conftest import SHARED, drawn_landmarks
from tests.test_datasets import listed, write

NOT_THERE = {
    ar_face: "M|F",
    c_rmfrd: "no photo lies in a person's folder",
    celeba: "img_align_celeba",
    faceocc: "expected a folder images",
    gender_masked: "expected Training/female",
    maskedface_net: "_Mask",
    mfr2: r"mfr2_labels\.txt is missing",
    mlfw: "aligned",
    photo_folder: "no image file",
    rmfrd: "AFDB_face_dataset",
    rwmfd: "no image file",
    ffhq: r"ffhq-dataset-v2\.json is missing",
}


@pytest.mark.parametrize("adapter", NOT_THERE, ids=lambda adapter: adapter.__name__.rsplit(".", 1)[1])
def test_files_in_another_layout_are_told(adapter: object, tmp_path: Path):
    with pytest.raises(UnmaskError, match=NOT_THERE[adapter]):
        listed(adapter, write(tmp_path, {"readme.txt": b"nothing here"}))


def test_celeba(tmp_path: Path):
    names = [f"img_align_celeba/{number:06d}.jpg" for number in range(1, 5)]
    lists = {
        "identity_CelebA.txt": b"000001.jpg 2880\n000002.jpg 2937\n000003.jpg 2880\n",
        "list_eval_partition.txt": b"000001.jpg 0\n000002.jpg 2\n000003.jpg 0\n000004.jpg 1\n",
        "list_attr_celeba.txt": b"4\nBald Male Young\n000001.jpg -1  1  1\n000002.jpg -1 -1  1\n",
    }
    photos, rejects = listed(celeba, write(tmp_path, {**dict.fromkeys(names, b""), **lists}))
    assert [(photo.identity, photo.name, photo.split, photo.sex) for photo in photos] == [
        ("2880", "000001", "train", "male"),
        ("2937", "000002", "test", "female"),
        ("2880", "000003", "train", None),
    ]
    assert [(reject.file, reject.reason) for reject in rejects] == [(names[3], "not_in_list")]
    (tmp_path / "list_eval_partition.txt").write_bytes(b"000001.jpg 7\n")
    with pytest.raises(UnmaskError, match=r"000001\.jpg has split '7', expected 0, 1 or 2"):
        listed(celeba, tmp_path)


def test_celeba_without_lists(tmp_path: Path):
    photos, _ = listed(celeba, write(tmp_path, {"img_align_celeba/000001.png": b""}))
    assert photos == [Photo("img_align_celeba/000001.png", "photo-000001", "000001")]


def test_ffhq(tmp_path: Path):
    points = drawn_landmarks().tolist()
    entries = {
        "0": {"category": "training", "image": {"face_landmarks": points}},
        "60001": {"category": "validation", "image": {"face_landmarks": points}},
        "2": {"category": "training", "image": {"face_landmarks": points[:67]}},
    }
    names = [
        "thumbnails128x128/00000/00000.png",
        "images1024x1024/60000/60001.png",
        "thumbnails128x128/00000/00002.png",
    ]
    content = {**dict.fromkeys(names, b""), "ffhq-dataset-v2.json": json.dumps(entries).encode()}
    photos, rejects = listed(ffhq, write(tmp_path, content))
    by_name = {photo.name: photo for photo in photos}
    assert {name: photo.split for name, photo in by_name.items()} == {"00000": "train", "60001": "test"}
    assert np.allclose(by_name["60001"].landmarks, points, atol=1e-3)
    assert np.allclose(by_name["00000"].landmarks * 8, points, atol=1e-3)
    assert [reject.reason for reject in rejects] == ["bad_landmarks"]
    (tmp_path / "ffhq-dataset-v2.json").write_bytes(b"[")
    with pytest.raises(UnmaskError, match="is no whole JSON"):
        listed(ffhq, tmp_path)


def test_rmfrd(tmp_path: Path):
    root = "self-built-masked-face-recognition-dataset"
    names = [
        f"{root}/AFDB_face_dataset/anhu/1_0_anhu_0007.jpg",
        f"{root}/AFDB_masked_face_dataset/anhu/0_1_2.jpg",
        f"{root}/AFDB_masked_face_dataset/anhu/1.jpg",
        f"{root}/AFDB_face_dataset/anhu/1.jpg",
    ]
    photos, rejects = listed(rmfrd, write(tmp_path, dict.fromkeys(names, b"")))
    assert {(photo.identity, photo.name, photo.wears_mask, photo.face_type) for photo in photos} == {
        ("anhu", "1_0_anhu_0007", False, "1_0"),
        ("anhu", "masked-0_1_2", True, "0_1"),
        ("anhu", "masked-1", True, None),
        ("anhu", "1", False, None),
    }
    assert not rejects


def test_c_rmfrd(tmp_path: Path):
    names = ["C/masked/axin/0_0_0.jpg", "C/bare/axin/1_0_axin_0013.jpg", "C/bare/axin/axin.jpg"]
    photos, rejects = listed(c_rmfrd, write(tmp_path, dict.fromkeys(names, b"")))
    assert {(photo.identity, photo.name, photo.wears_mask, photo.face_type) for photo in photos} == {
        ("axin", "0_0_0", True, "0_0"),
        ("axin", "1_0_axin_0013", False, "1_0"),
    }
    assert [reject.reason for reject in rejects] == ["bad_name"]


@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the published lists")
def test_c_rmfrds_own_lists_name_masked_and_bare_photos():
    """Gallery bare and probes masked, and the other way round, as told by the names alone."""
    folder = SHARED / "peers/c_rmfrd/Protocol_identification"
    expected = {
        "AFDB_gallery_fianl.csv": True,
        "AFDB_probe_final.csv": False,
        "probe_is_mask/AFDB_gallery_no_mask.csv": False,
        "probe_is_mask/AFDB_probe.csv": True,
    }
    for name, masked in expected.items():
        found = [
            not c_rmfrd.afdb.is_bare(photo, person)
            for person, photo in (entry.split("/") for entry in protocols.read_list(folder / name))
        ]
        assert found.count(masked) >= 0.99 * len(found), name


def test_mfr2(tmp_path: Path):
    content = {
        "mfr2/mfr2_labels.txt": b"AdrienBrody, 1, surgical_blue\nAdrienBrody, 2, no-mask\n",
        **{f"mfr2/AdrienBrody/AdrienBrody_{number:04d}.png": b"" for number in (1, 2, 3)},
        "mfr2/AdrienBrody/other.png": b"",
    }
    photos, rejects = listed(mfr2, write(tmp_path, content))
    assert [(photo.identity, photo.name, photo.wears_mask) for photo in photos] == [
        ("AdrienBrody", "AdrienBrody_0001", True),
        ("AdrienBrody", "AdrienBrody_0002", False),
    ]
    assert sorted(reject.reason for reject in rejects) == ["bad_name", "not_in_list"]
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("AdrienBrody 1 2\n")
    pair = protocols.read_pairs(pairs)[0]
    assert (pair.one, pair.other) == tuple(f"{photo.identity}/{photo.name}" for photo in photos)


def test_mlfw(tmp_path: Path):
    names = ["MLFW/aligned/Abel_Pacheco_0001_0000.jpg", "MLFW/origin/Abel_Pacheco_0001_0000.jpg", "MLFW/aligned/x.jpg"]
    photos, rejects = listed(mlfw, write(tmp_path, dict.fromkeys(names, b"")))
    assert [(photo.identity, photo.name) for photo in photos] == [("Abel_Pacheco", "Abel_Pacheco_0001_0000")]
    assert {reject.file: reject.reason for reject in rejects} == {names[1]: "other_alignment", names[2]: "bad_name"}
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("Abel_Pacheco_0001_0000.jpg\tAbel_Pacheco_0002_0000.jpg\t1\n")
    assert protocols.read_pairs(pairs)[0].one == f"{photos[0].identity}/{photos[0].name}"
    only = write(tmp_path / "only", {"origin/Bo_Li_0003.jpg": b""})
    assert [photo.identity for photo in listed(mlfw, only)[0]] == ["Bo_Li"]


def test_ar_face(tmp_path: Path):
    names = ["M-001-01.bmp", "W-002-11.bmp", "W-002-24.bmp", "M-001-08.bmp", "F-003-13.raw", "M-001-27.bmp", "x.bmp"]
    photos, rejects = listed(ar_face, write(tmp_path, dict.fromkeys(names, b"")))
    assert {(photo.identity, photo.name, photo.sex, photo.wears_mask) for photo in photos} == {
        ("m-001", "01", "male", False),
        ("m-001", "08", "male", False),
        ("f-002", "11", "female", True),
        ("f-002", "24", "female", True),
    }
    reasons = {reject.file: reject.reason for reject in rejects}
    assert reasons == {"F-003-13.raw": "raw_format", "M-001-27.bmp": "bad_name", "x.bmp": "bad_name"}


def test_gender_masked(tmp_path: Path):
    names = ["G/Training/female/a b.jpg", "G/Training/male/a b.jpg", "G/Validation/male/c.jpg", "G/other/d.jpg"]
    photos, _ = listed(gender_masked, write(tmp_path, dict.fromkeys(names, b"")))
    assert {(photo.identity, photo.sex, photo.split) for photo in photos} == {
        ("train-female-a_b", "female", "train"),
        ("train-male-a_b", "male", "train"),
        ("test-male-c", "male", "test"),
    }


def test_photos_of_nobody_known(tmp_path: Path):
    folder = write(tmp_path, dict.fromkeys(["0001/a.jpg", "0002/a.jpg", "b.png", "x.txt"], b""))
    for adapter in (photo_folder, rwmfd):
        photos, rejects = listed(adapter, folder)
        assert [(photo.identity, photo.name) for photo in photos] == [
            ("photo-0001-a", "0001-a"),
            ("photo-0002-a", "0002-a"),
            ("photo-b", "b"),
        ]
        assert not rejects


def test_images_with_masks_beside_them(tmp_path: Path):
    names = ["set/images/a.jpg", "set/images/b.jpg", "set/labels/a.png", "labels/b.png"]
    folder = write(tmp_path, dict.fromkeys(names, b""))

    class Adapter:
        photos = staticmethod(lambda files: image_label_pairs.photos(files, MASK))

    photos, rejects = listed(Adapter, folder)
    assert [(photo.name, photo.label_files) for photo in photos] == [("a", ((MASK, "set/labels/a.png"),))]
    assert [(reject.file, reject.reason) for reject in rejects] == [("set/images/b.jpg", "no_label")]


def test_faceocc(tmp_path: Path):
    names = ["FaceOcc/COFW_test/img/1.jpg", "FaceOcc/COFW_test/mask/1.png", "FaceOcc/CelebAHQ/7.png"]
    photos, _ = listed(faceocc, write(tmp_path, dict.fromkeys(names, b"")))
    assert [(photo.split, photo.label_files) for photo in photos] == [("test", ((CLASSES.index("skin"), names[1]),))]


def test_maskedface_net(tmp_path: Path):
    names = ["CMFD/00000/00007_Mask.jpg", "IMFD/00000/00007_Mask_Chin.jpg", "CMFD/readme.jpg"]
    photos, rejects = listed(maskedface_net, write(tmp_path, dict.fromkeys(names, b"")))
    assert [(photo.identity, photo.name, photo.wears_mask) for photo in photos] == [
        ("photo-00007", "Mask", True),
        ("photo-00007", "Mask_Chin", True),
    ]
    assert [reject.file for reject in rejects] == ["CMFD/readme.jpg"]
