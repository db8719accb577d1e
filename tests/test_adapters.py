"""Adapters on made-up copies of their publishers' layouts: who is on a photo, what is known of it, what is rejected."""

import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from stages.core import images
from stages.core.errors import UnmaskError
from stages.data import labels
from stages.data.adapters import (
    ar_face,
    c_rmfrd,
    celeba,
    cofw,
    faceocc,
    ffhq,
    gender_masked,
    lfw,
    maskedface_net,
    mfr2,
    mfsd,
    mlfw,
    realocc,
    rmfrd,
    rwmfd,
)
from stages.data.files import open_files
from stages.data.formats import coco, image_label_pairs, labelme, photo_folder
from stages.data.photo import Photo
from stages.faces.parts import CLASSES, MASK
from stages.photos.reading import UnreadableImageError
from stages.recognition import lists
from tests.conftest import SHARED, drawn_landmarks
from tests.test_datasets import listed, write, zip_of

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
    coco: "no JSON in COCO's form",
    cofw: "COFW_train_color",
    labelme: "no JSON of labelme",
    mfsd: "expected a folder face_crop",
    realocc: "expected a folder images",
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
            for person, photo in (entry.split("/") for entry in lists.read_list(folder / name))
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
    pair = lists.read_pairs(pairs)[0]
    assert (pair.one, pair.other) == tuple(f"{photo.identity}/{photo.name}" for photo in photos)


def test_mlfw(tmp_path: Path):
    names = ["MLFW/aligned/Abel_Pacheco_0001_0000.jpg", "MLFW/origin/Abel_Pacheco_0001_0000.jpg", "MLFW/aligned/x.jpg"]
    photos, rejects = listed(mlfw, write(tmp_path, dict.fromkeys(names, b"")))
    assert [(photo.identity, photo.name) for photo in photos] == [("Abel_Pacheco", "Abel_Pacheco_0001_0000")]
    assert {reject.file: reject.reason for reject in rejects} == {names[1]: "other_alignment", names[2]: "bad_name"}
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("Abel_Pacheco_0001_0000.jpg\tAbel_Pacheco_0002_0000.jpg\t1\n")
    assert lists.read_pairs(pairs)[0].one == f"{photos[0].identity}/{photos[0].name}"
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


def test_realocc(tmp_path: Path):
    names = ["RealOcc/image/a.jpg", "RealOcc/mask/a.png", "RealOcc/image/b.jpg"]
    half = np.zeros((16, 20), np.uint8)
    half[:, :8] = 1
    folder = write(tmp_path, {**dict.fromkeys(names, b""), names[1]: images.encode_png(half)})
    photos, rejects = listed(realocc, folder)
    assert [(photo.split, photo.label_files) for photo in photos] == [("test", ((CLASSES.index("skin"), names[1]),))]
    assert [reject.reason for reject in rejects] == ["no_label"]
    assert (painted(folder, photos[0]) == CLASSES.index("skin")).sum() == 16 * 8
    with pytest.raises(UnmaskError, match=r"RealOcc\.7z is packed: unpack it"):
        listed(realocc, write(tmp_path / "packed", {"RealOcc.7z": b"7z"}))


def test_mfsd(tmp_path: Path):
    names = ["MSFD/1/face_crop/a.jpg", "MSFD/1/face_crop_segmentation/a.png", "MSFD/1/img/a.jpg", "MSFD/2/img/b.jpg"]
    photos, rejects = listed(mfsd, write(tmp_path, dict.fromkeys(names, b"")))
    assert [(photo.name, photo.wears_mask, photo.label_files) for photo in photos] == [("a", True, ((MASK, names[1]),))]
    assert not rejects


def test_the_sexes_of_lfws_people_are_the_users_own(tmp_path: Path):
    folder = write(tmp_path, {"lfw/Bo_Li/Bo_Li_0001.jpg": b"", "lfw/Mo_Li/Mo_Li_0001.jpg": b""})
    assert {photo.sex for photo in listed(lfw, folder)[0]} == {None}
    write(tmp_path, {"sexes.csv": b"identity,sex\nBo_Li,female\n"})
    assert [photo.sex for photo in listed(lfw, folder)[0]] == ["female", None]
    for text, message in (
        ("name,sex\n", "the first line must be identity,sex"),
        ("identity,sex\nBo_Li,f\n", r"line 2: sex is 'f', not one of female, male"),
        ("identity,sex\nBo_Li,male\nBo_Li,female\n", "line 3: Bo_Li stands there twice"),
    ):
        write(tmp_path, {"sexes.csv": text.encode()})
        with pytest.raises(UnmaskError, match=message):
            listed(lfw, folder)


def test_maskedface_net(tmp_path: Path):
    names = ["CMFD/00000/00007_Mask.jpg", "IMFD/00000/00007_Mask_Chin.jpg", "CMFD/readme.jpg"]
    photos, rejects = listed(maskedface_net, write(tmp_path, dict.fromkeys(names, b"")))
    assert [(photo.identity, photo.name, photo.wears_mask) for photo in photos] == [
        ("photo-00007", "Mask", True),
        ("photo-00007", "Mask_Chin", True),
    ]
    assert [reject.file for reject in rejects] == ["CMFD/readme.jpg"]


def painted(folder: Path, photo: Photo) -> np.ndarray:
    with open_files(folder) as files:
        return labels.paint(files, photo, labels.Frame(20, 16), 10**6).labels


def matlab_file(**cells: list[np.ndarray]) -> bytes:
    """Return a file as MATLAB 7.3 writes it: cells are references, axes are turned round."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name, arrays in cells.items():
            places = file.create_dataset(name, (1, len(arrays)), h5py.ref_dtype)
            for number, array in enumerate(arrays):
                places[0, number] = file.create_dataset(f"#refs#/{name}{number}", data=np.transpose(array)).ref
        file.create_dataset("phisT", data=np.arange(6.0).reshape(3, 2))
    return buffer.getvalue()


@pytest.mark.parametrize("packed", [False, True])
def test_cofw(packed: bool, tmp_path: Path):
    rng = np.random.default_rng(0)
    color, gray = rng.integers(0, 256, (5, 7, 3), np.uint8), rng.integers(0, 256, (4, 6), np.uint8)
    name = "common/COFW_test_color.mat"
    content = {name: matlab_file(IsT=[color, gray, gray.astype(float)])}
    folder = write(tmp_path, {"COFW_color.zip": zip_of(content)} if packed else content)
    photos, rejects = listed(cofw, folder)
    assert [(photo.identity, photo.split) for photo in photos] == [(f"photo-test-0000{n}", "test") for n in range(3)]
    assert not rejects
    with open_files(folder) as files:
        assert np.array_equal(images.decode(files.read(photos[0].file)), color)
        assert np.array_equal(images.decode(files.read(photos[1].file))[..., 0], gray)
        assert np.load(io.BytesIO(files.read(f"{name}/phisT.npy"))).shape == (2, 3)
        with pytest.raises(UnreadableImageError, match=r"is float64 \(4, 6\), no image"):
            files.read(photos[2].file)


def test_a_damaged_matlab_file_is_told(tmp_path: Path):
    data = matlab_file(IsT=[np.zeros((4, 4), np.uint8)])
    write(tmp_path, {"COFW_test_color.mat": data[:600]})
    with pytest.raises(UnmaskError, match="is a damaged MATLAB file"):
        listed(cofw, tmp_path)
