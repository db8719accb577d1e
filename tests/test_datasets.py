"""Adapters and archives: the publishers' layouts, and what must not be believed."""

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.core.errors import UnmaskError
from stages.core.images import encode_png
from stages.data import duplicates, on_disk
from stages.data.adapters import celebamask_hq, face_mask_generator, lfw, orl
from stages.data.files import Files, open_files
from stages.data.formats import person_folders
from stages.data.photo import Photo, Reject
from stages.photos.reading import UnreadableImageError
from tests.conftest import SHARED, drawn_face, drawn_landmarks


def write(folder: Path, content: dict[str, bytes]) -> Path:
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def tar_of(content: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def zip_of(content: dict[str, bytes], how: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", how) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return buffer.getvalue()


CONTENT = {"set/a/1.jpg": b"one", "set/a/2.jpg": b"two" * 100, "set/Zoë/1.jpg": b""}
PACKED: dict[str, Callable[[dict[str, bytes]], dict[str, bytes]]] = {
    "folder": lambda content: content,
    "tar": lambda content: {"set.tar": tar_of(content)},
    "tgz": lambda content: {"set.tgz": gzip.compress(tar_of(content))},
    "tar.bz2": lambda content: {"set.tar.bz2": bz2.compress(tar_of(content))},
    "tar.xz": lambda content: {"set.tar.xz": lzma.compress(tar_of(content))},
    "zip": lambda content: {"set.ZIP": zip_of(content)},
    "two": lambda content: {"a.zip": zip_of(dict(list(content.items())[:1])), **dict(list(content.items())[1:])},
}


@pytest.mark.parametrize("packing", PACKED)
def test_files_are_the_same_however_packed(packing: str, tmp_path: Path):
    with open_files(write(tmp_path, PACKED[packing](CONTENT))) as opened:
        files = pickle.loads(pickle.dumps(opened))  # as on its way to a worker
        assert files.names() == sorted(CONTENT)
        assert {name: files.read(name) for name in files.names()} == CONTENT
        assert "set/a/1.jpg" in files
        assert "set/a/9.jpg" not in files


def test_files_are_found_by_the_end_of_their_path(tmp_path: Path):
    names = ["1.jpg", "a/1.jpg", "a-/1.jpg", "a0/1.jpg", "b/a/1.jpg", "ba/1.jpg", "a/11.jpg", "1.jpg/2.jpg"]
    with open_files(write(tmp_path, {"set.zip": zip_of(dict.fromkeys(names, b""))})) as files:
        assert files.named("a/1.jpg") == ["a/1.jpg", "b/a/1.jpg"]
        assert files.named("b/a/1.jpg") == ["b/a/1.jpg"]
        assert files.named("1.jpg") == sorted(name for name in names if name.endswith("1.jpg") and "11" not in name)
        for nothing in ("", "/1.jpg", "c/1.jpg", "jpg", "a/", "../a/1.jpg"):
            assert files.named(nothing) == []


def test_a_file_of_many_of_one_name_is_found_without_looking_at_all_of_them():
    many = {f"p{number}/1.jpg": None for number in range(20_000)}  # all with all would take minutes
    files = Files(many)
    assert all(files.named(name) == [name] for name in many)


def test_a_kept_value_is_read_from_the_disk_as_long_as_the_dataset_is_open(tmp_path: Path):
    with open_files(write(tmp_path, CONTENT)) as files:
        other = files.of([])  # writes at the same time, in another process
        kept = [(files if number % 2 else other).keep((number, b"x" * number)) for number in range(10)]
        assert [pickle.loads(pickle.dumps(one)).read() for one in kept] == [(n, b"x" * n) for n in range(10)]
    assert not Path(kept[0].file).exists()


@given(st.lists(st.lists(st.integers(), max_size=3)))
def test_items_on_pages_are_those_that_were_put_there(items: list[list[int]]):
    with tempfile.TemporaryDirectory() as folder:
        files = Files({}, scratch=Path(folder))
        pages = on_disk.Pages[int]((files.keep(some), len(some)) for some in items)
        flat = [item for some in items for item in some]
        assert (list(pages), list(pages), len(pages)) == (flat, flat, len(flat))
        assert [pages[index] for index in range(len(flat))] == flat


def test_a_file_has_the_first_mark_that_it_is_given():
    marks = on_disk.Marks(["a", "b", "c", "d"])
    marks.put(2, ["b", "no file", "", "z"])
    marks.put(1, iter(["c", "b"]))
    assert (marks.of.tolist(), marks.without()) == ([0, 2, 1, 0], ["a", "d"])


def test_what_systems_add_is_no_data(tmp_path: Path):
    junk = {"__MACOSX/set/a/._1.jpg": b"", "set/.DS_Store": b"", "set/a/Thumbs.db": b"", ".hidden": b""}
    with open_files(write(tmp_path, {"set.zip": zip_of(CONTENT | junk), "set/b/.DS_Store": b""})) as files:
        assert files.names() == sorted(CONTENT)


def link(kind: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("set/a/1.jpg")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    return buffer.getvalue()


def zip_with_link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        member = zipfile.ZipInfo("set/a/1.jpg")
        member.external_attr = 0o120777 << 16
        archive.writestr(member, "/etc/passwd")
    return buffer.getvalue()


def overlapping_zip() -> bytes:
    """Every entry of the directory points at the same packed bytes (D. Fifield, 2019)."""
    data = bytearray(zip_of({f"{index:04d}": np.random.default_rng(index).bytes(2000) for index in range(50)}))
    place = data.index(b"PK\x01\x02")
    while data[place : place + 4] == b"PK\x01\x02":
        name, extra, comment = struct.unpack("<HHH", data[place + 28 : place + 34])
        data[place + 42 : place + 46] = struct.pack("<I", 0)
        place += 46 + name + extra + comment
    start = data.index(b"PK\x01\x02")
    first = data.index(b"PK\x03\x04", 4)
    directory = data[start:]
    data[start:] = b""
    del data[first:]
    end = directory.index(b"PK\x05\x06")
    directory[end + 16 : end + 20] = struct.pack("<I", len(data))
    return bytes(data + directory)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.zip", zip_of({"../../etc/cron.d/x": b"x"}), "leads out of the archive's folder"),
        ("a.zip", zip_of({"..\\..\\x": b"x"}), "leads out of the archive's folder"),
        ("a.zip", zip_of({"/etc/passwd": b"x"}), "leads out of the archive's folder"),
        ("a.zip", zip_of({"C:/x": b"x"}), "leads out of the archive's folder"),
        ("a.tar", tar_of({"../x": b"x"}), "leads out of the archive's folder"),
        ("a.tgz", gzip.compress(tar_of({"/x": b"x"})), "leads out of the archive's folder"),
        ("a.tar", link(tarfile.SYMTYPE), "is a link or no plain file"),
        ("a.tar", link(tarfile.LNKTYPE), "is a link or no plain file"),
        ("a.tar", link(tarfile.CHRTYPE), "is a link or no plain file"),
        ("a.zip", zip_with_link(), "is a link"),
        ("a.zip", zip_of({"x.jpg": bytes(50_000_000)}), "swells from"),
        ("a.zip", overlapping_zip(), "its members overlap"),
        ("a.tgz", gzip.compress(tar_of({"x.jpg": bytes(5_000_000)})), "swells to more than 200 times its size"),
        ("a.tar", tar_of({"x": b"1"}) + tar_of({"x": b"1"}), None),
        ("a.zip", zip_of(CONTENT)[:-30], "is a damaged archive"),
        ("a.zip", b"<html>quota</html>", "is a damaged archive"),
        ("a.tar", tar_of({"x": bytes(5000)})[:3000], "is a damaged archive"),
        ("a.tgz", gzip.compress(tar_of({"x": np.random.default_rng(0).bytes(50000)}))[:20000], "is a damaged archive"),
        ("a.tgz", b"no gzip", "is a damaged archive"),
        ("a.tar.xz", b"no xz", "is a damaged archive"),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,  # gzip writes the time into its bytes
)
def test_archives_that_are_refused(name: str, data: bytes, message: str | None, tmp_path: Path):
    write(tmp_path / "raw", {name: data})
    if message is None:  # what stands behind the end of a tar is not read
        with open_files(tmp_path / "raw") as files:
            assert files.names() == ["x"]
        return
    with pytest.raises(UnmaskError, match=message) as error, open_files(tmp_path / "raw"):
        pass
    assert name in str(error.value)
    assert not list(Path(".scratch").iterdir())


@pytest.mark.parametrize("packing", ["tar", "zip"])
def test_a_name_that_occurs_twice(packing: str, tmp_path: Path):
    write(tmp_path, PACKED[packing]({"a/1.jpg": b"1"}) | {"a/1.jpg": b"2"})
    with pytest.raises(UnmaskError, match=r"'a/1\.jpg' occurs twice"), open_files(tmp_path):
        pass


def test_a_member_that_is_damaged(tmp_path: Path):
    data = bytearray(zip_of({"a/1.jpg": b"precious" * 50, "a/2.jpg": b"fine"}, zipfile.ZIP_STORED))
    data[60] ^= 1
    with open_files(write(tmp_path, {"a.zip": bytes(data)})) as files:
        with pytest.raises(UnreadableImageError, match=r"damaged in a\.zip"):
            files.read("a/1.jpg")
        assert files.read("a/2.jpg") == b"fine"


def test_no_raw_folder(tmp_path: Path):
    with pytest.raises(UnmaskError, match="is no folder: fetch the dataset first"), open_files(tmp_path / "none"):
        pass


@settings(max_examples=300)
@given(st.binary(max_size=300), st.sampled_from([".zip", ".tar", ".tgz", ".tar.xz", ".tar.bz2"]), st.booleans())
def test_broken_archives_never_crash(data: bytes, suffix: str, whole: bool):
    """Random bytes, and whole archives with bytes changed, are read or refused in words."""
    import tempfile

    if whole:
        good = bytearray(zip_of(CONTENT) if suffix == ".zip" else tar_of(CONTENT))
        for place, value in enumerate(data[:20]):
            good[place * value * 7 % len(good)] = value
        data = bytes(good)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / f"a{suffix}").write_bytes(data)
        try:
            with open_files(Path(folder)) as files:
                for name in files.names():
                    with contextlib.suppress(UnreadableImageError):
                        files.read(name)
        except UnmaskError:
            pass


# ---------------------------------------------------------------- adapters


def listed(adapter: object, folder: Path) -> tuple[list[Photo], list[Reject]]:
    with open_files(folder) as files:
        found = list(adapter.photos(files))
    return [one for one in found if isinstance(one, Photo)], [one for one in found if isinstance(one, Reject)]


def test_person_folders(tmp_path: Path):
    names = ["ann/1.jpg", "deep/er/bob/x.PNG", "loose.jpg", "ann/notes.txt"]
    photos, rejects = listed(person_folders, write(tmp_path, dict.fromkeys(names, b"")))
    assert [(photo.identity, photo.name) for photo in photos] == [("ann", "1"), ("bob", "x")]
    assert [(reject.file, reject.reason) for reject in rejects] == [("loose.jpg", "no_person")]
    with pytest.raises(UnmaskError, match="no photo lies in a person's folder"):
        listed(person_folders, write(tmp_path / "empty", {"readme.txt": b""}))


def test_orl(tmp_path: Path):
    photos, _ = listed(orl, write(tmp_path, dict.fromkeys(["s1/1.pgm", "s1/10.pgm", "s8/2.pgm"], b"")))
    assert [(photo.identity, photo.name, photo.sex) for photo in photos] == [
        ("s1", "01", "male"),
        ("s1", "10", "male"),
        ("s8", "02", "female"),
    ]


def test_lfw(tmp_path: Path):
    names = ["lfw/Ann_Lee/Ann_Lee_0001.jpg", "lfw/Ann_Lee/Bob_0002.jpg"]
    photos, rejects = listed(lfw, write(tmp_path, {"lfw.tar": tar_of(dict.fromkeys(names, b"x"))}))
    assert [(photo.identity, photo.name) for photo in photos] == [("Ann_Lee", "Ann_Lee_0001")]
    assert [reject.reason for reject in rejects] == ["bad_name"]


def landmark_csv(*rows: tuple[str, str, str, np.ndarray], drop: str = "") -> bytes:
    columns = ["sub_folder", "image_name", "face_type", *face_mask_generator.POINTS]
    lines = [[folder, name, kind, *map(str, points.ravel())] for folder, name, kind, points in rows]
    kept = [index for index, column in enumerate(columns) if column != drop]
    return "\r\n".join(",".join(line[index] for index in kept) for line in [columns, *lines]).encode()


def test_face_mask_generator(tmp_path: Path):
    points = drawn_landmarks()
    broken = points.copy()
    broken[3] = np.nan
    table = landmark_csv(
        ("\\", "1.jpg", "0_0", points),
        ("\\ann", "2.jpg", "1_1", points - 200),
        ("\\ann", "3.jpg", "0_0", broken),
        ("\\ann", "4.jpg", "0_7", points),
        ("\\bob", "5.jpg", "0_0", points),
    )
    names = ["sample/1.jpg", "sample/ann/2.jpg", "sample/ann/3.jpg", "sample/ann/4.jpg"]
    write(tmp_path, dict.fromkeys(names, b"") | {"landmark/test.csv": table})
    photos, rejects = listed(face_mask_generator, tmp_path)
    assert [(photo.file, photo.identity, photo.name, photo.face_type) for photo in photos] == [
        ("sample/1.jpg", "1", "1", "0_0"),
        ("sample/ann/2.jpg", "ann", "2", "1_1"),  # landmarks outside the image are no fault
    ]
    np.testing.assert_allclose(photos[0].landmarks, points, atol=1e-3)
    assert [(reject.reason, reject.detail) for reject in rejects] == [
        ("bad_landmarks", "landmark/test.csv, line 4: not 68 pairs of finite numbers"),
        ("bad_face_type", "landmark/test.csv, line 5: '0_7' is none of 0_0, 0_1, 1_0, 1_1"),
        ("file_missing", "landmark/test.csv, line 6 names it"),
    ]


def test_face_mask_generator_without_a_column(tmp_path: Path):
    table = landmark_csv(("\\", "1.jpg", "0_0", drawn_landmarks()), drop="part_17_y")
    with pytest.raises(UnmaskError, match=r"test\.csv has no column 'part_17_y'"):
        listed(face_mask_generator, write(tmp_path, {"1.jpg": b"", "test.csv": table}))
    with pytest.raises(UnmaskError, match="no CSV of landmarks found"):
        listed(face_mask_generator, write(tmp_path / "none", {"1.jpg": b""}))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the samples are not beside the checkout")
def test_face_mask_generators_own_samples():
    photos, _ = listed(face_mask_generator, SHARED / "peers" / "face_mask_generator")
    # Its folder `expected` holds results of the same names; the photos themselves come first.
    assert [(photo.file, photo.face_type) for photo in photos] == [
        ("1.jpg", "0_0"),
        ("2.jpg", "1_0"),
        ("3.jpg", "0_1"),
    ]


MAPPING = """idx    orig_idx    orig_file
0         119613           119614.jpg
1         162771           162772.jpg
3         182637           182638.jpg
2001      182638           182639.jpg
"""


def celeba_sample(folder: Path, **more: bytes) -> Path:
    part = encode_png(np.zeros((8, 8), np.uint8))
    images = {f"CelebAMask-HQ/CelebA-HQ-img/{index}.jpg": b"x" for index in (0, 1, 3, 4, 2001)}
    parts = {
        f"CelebAMask-HQ/CelebAMask-HQ-mask-anno/{place}.png": part
        for place in ("0/00000_skin", "0/00000_l_eye", "0/00000_cloth", "1/02001_hair", "0/00003_unknown")
    }
    mapping = {"CelebAMask-HQ/CelebA-HQ-to-CelebA-mapping.txt": MAPPING.encode()}
    return write(folder, {"CelebAMask-HQ.zip": zip_of(images | parts | mapping), **more})


def test_celebamask_hq(tmp_path: Path):
    photos, rejects = listed(celebamask_hq, celeba_sample(tmp_path))
    assert [(photo.identity, photo.name, photo.split) for photo in photos] == [
        ("photo-00000", "00000", "train"),
        ("photo-00001", "00001", "val"),
        ("photo-00003", "00003", "val"),
        ("photo-02001", "02001", "test"),
    ]
    folder = "CelebAMask-HQ/CelebAMask-HQ-mask-anno"
    assert photos[0].label_files == (
        (1, f"{folder}/0/00000_skin.png"),
        (4, f"{folder}/0/00000_l_eye.png"),
        (18, f"{folder}/0/00000_cloth.png"),
    )
    assert photos[3].label_files == ((13, f"{folder}/1/02001_hair.png"),)
    assert [(reject.file, reject.reason) for reject in rejects] == [
        ("CelebAMask-HQ/CelebA-HQ-img/4.jpg", "not_in_mapping")
    ]


def test_celebamask_hq_with_identities_and_attributes(tmp_path: Path):
    attributes = "5\nYoung Male\n0.jpg  1 -1\n1.jpg -1  1\n"
    raw = celeba_sample(
        tmp_path,
        **{
            "identity_CelebA.txt": b"119614.jpg 77\n162772.jpg 78\n",
            "CelebAMask-HQ-attribute-anno.txt": attributes.encode(),
        },
    )
    photos, _ = listed(celebamask_hq, raw)
    assert [(photo.identity, photo.sex) for photo in photos[:3]] == [
        ("77", "female"),
        ("78", "male"),
        ("photo-00003", None),
    ]


def test_celebamask_hq_needs_its_mapping(tmp_path: Path):
    write(tmp_path, {"CelebA-HQ-img/0.jpg": b"x"})
    with pytest.raises(UnmaskError, match=r"CelebA-HQ-to-CelebA-mapping\.txt is missing"):
        listed(celebamask_hq, tmp_path)
    write(tmp_path, {"CelebA-HQ-to-CelebA-mapping.txt": b"idx orig\n0 x\n"})
    with pytest.raises(UnmaskError, match=r"mapping\.txt, line 2: expected `idx orig_idx orig_file`"):
        listed(celebamask_hq, tmp_path)


@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the photos are not beside the checkout")
def test_adapters_on_the_real_files(tmp_path: Path):
    for name, file in (("celebamask_hq", "CelebAMask-HQ.zip"), ("lfw", "lfw-deepfunneled.tar")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).symlink_to(SHARED / "data" / file)
    photos, rejects = listed(celebamask_hq, tmp_path / "celebamask_hq")
    splits = [photo.split for photo in photos]
    assert (splits.count("train"), splits.count("val"), splits.count("test"), rejects) == (800, 100, 100, [])
    photos, rejects = listed(lfw, tmp_path / "lfw")
    assert (len(photos), len({photo.identity for photo in photos}), rejects) == (6733, 610, [])


# ---------------------------------------------------------------- duplicates


def test_a_photo_saved_again_is_the_same_and_another_is_not():
    import cv2

    first, second = drawn_face(1, 128)[0], drawn_face(2, 128)[0]
    again = cv2.imdecode(cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    smaller = cv2.resize(first, (90, 90), interpolation=cv2.INTER_AREA)
    hashes = [duplicates.perceptual_hash(image) for image in (first, second[:, ::-1].copy(), again, smaller)]
    assert duplicates.near(as_rows(hashes), 24) == [(0, 2), (0, 3), (2, 3)]


def as_rows(hashes: list[bytes]) -> duplicates.Hashes:
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)


@settings(deadline=None)
@given(st.lists(st.binary(min_size=32, max_size=32), max_size=12), st.integers(0, 20), st.data())
def test_near_finds_exactly_the_near_ones(hashes: list[bytes], distance: int, data: st.DataObject):
    if hashes:  # add a neighbor: some bits of the first flipped
        bits = np.unpackbits(np.frombuffer(hashes[0], np.uint8))
        flipped = data.draw(st.lists(st.integers(0, 255), max_size=25, unique=True))
        bits[flipped] ^= 1
        hashes = [*hashes, np.packbits(bits).tobytes()]
    expected = [
        (i, j)
        for j in range(len(hashes))
        for i in range(j)
        if (
            np.unpackbits(np.frombuffer(hashes[i], np.uint8)) != np.unpackbits(np.frombuffer(hashes[j], np.uint8))
        ).sum()
        <= distance
    ]
    assert duplicates.near(as_rows(hashes), distance) == sorted(expected)


@given(st.lists(st.sampled_from([bytes(32), bytes(31) + b"\1", b"\1" + bytes(31), b"\xff" * 32])))
def test_the_first_of_equal_hashes_is_known(hashes: list[bytes]):
    assert duplicates.first_of_same(as_rows(hashes)).tolist() == [hashes.index(one) for one in hashes]


@pytest.mark.parametrize("agree", [1, 2, 3])
def test_near_copies_among_many_are_all_found(agree: int, monkeypatch: pytest.MonkeyPatch):
    """However many bands are to agree: of few photos one, of many more. Among them are three copies of one photo."""
    rng = np.random.default_rng(agree)
    bits = rng.integers(2, size=(3000, duplicates.BITS), dtype=np.uint8)
    bits[1000:2000] = bits[:1000]
    bits[2000:2010] = bits[:10]
    for row in bits[1000:2010]:
        row[rng.permutation(duplicates.BITS)[: rng.integers(7)]] ^= 1  # 12 at most from another copy
    bits[2999] = bits[2998]
    bits[2999, rng.permutation(duplicates.BITS)[:13]] ^= 1  # one more than is near
    planted = [(number, number + 1000) for number in range(1000)]
    planted += [pair for number in range(10) for pair in ((number, number + 2000), (number + 1000, number + 2000))]
    monkeypatch.setattr(duplicates, "_agreeing", lambda *_: agree)
    assert duplicates.near(np.packbits(bits, axis=1), 12) == sorted(planted)


def test_more_photos_ask_more_bands_to_agree():
    assert [duplicates._agreeing(n, 12) for n in (0, 400, 10**5)] == [1, 1, 1]
    assert duplicates._agreeing(10**7, 12) == duplicates._agreeing(10**6, 24) == 2
