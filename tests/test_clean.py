"""clean: every photo is in the table or in the list of rejects, and the split holds."""

import csv
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.data import clean, curation
from stages.data.files import open_files
from stages.data.on_disk import Pages
from stages.data.photo import Kept
from tests.conftest import SHARED, drawn_face, two_dask_workers, workers
from tests.test_datasets import MAPPING, landmark_csv, tar_of, write, zip_of

DEFAULTS: dict[str, Any] = {
    "min_side": 32,
    "max_pixels": 2_000_000,
    "near_duplicates": 12,
    "require_face": False,
    "split": {"train": 0.5, "val": 0.1, "test": 0.4, "salt": 0},
    "limit": {"identities": None, "photos": None},
}


def encoded(image: np.ndarray | Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    photo = image if isinstance(image, Image.Image) else Image.fromarray(image)
    photo.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(seed: int, side: int = 96) -> np.ndarray:
    """Return a picture that is like no other: blobs at places of its own."""
    rng = np.random.default_rng(seed)
    noise = rng.uniform(0, 255, (12, 12, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(noise).resize((side, side), Image.Resampling.BICUBIC))


def run(raw: Path, curation: str = "", **changes: Any) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """Clean a raw folder into ./table; return the metrics and the rejects."""
    Path("curation.csv").write_text(f"face_id,reason\n{curation}")
    params = clean.Params.model_validate({**DEFAULTS, **changes})
    result = clean.clean(raw, Path("curation.csv"), Path("table"), Path("rejected.csv"), Results(Path("sheet")), params)
    with Path("rejected.csv").open(newline="") as file:
        return result, list(csv.DictReader(file))


def people(tmp_path: Path, content: dict[str, bytes]) -> Path:
    """Return a raw folder of the dataset `lfw`, whose adapter wants <person>/<person>_<4 digits>."""
    return write(tmp_path / "raw" / "lfw", content)


GOOD = {f"p{index // 3}/p{index // 3}_{index % 3:04d}.jpg": encoded(photo(index)) for index in range(12)}


def test_good_photos_are_kept_as_they_are(tmp_path: Path):
    result, rejects = run(people(tmp_path, GOOD))
    assert (result["photos"], result["faces"], result["identities"], result["unexplained"]) == (12, 12, 4, 0)
    assert rejects == []
    by_id = {face["face_id"]: face for face in tables.read(Path("table"))}
    assert by_id["lfw/p1/p1_0002"]["image"] == GOOD["p1/p1_0002.jpg"]
    assert by_id["lfw/p1/p1_0002"]["identity"] == "p1"
    assert result["stored_anew_as_png"] == 0


BAD = {
    "p0/p0_1000.jpg": (encoded(photo(50))[:900], "unreadable"),
    "p0/p0_1001.jpg": (b"", "empty"),
    "p0/p0_1002.jpg": (encoded(photo(51, 31)), "too_small"),
    "p0/p0_1003.jpg": (encoded(Image.new("RGB", (1, 1))), "too_small"),
    "p0/p0_1004.jpg": (encoded(Image.new("L", (12000, 12000)), "PNG"), "too_large"),
    "p0/p0_1005.jpg": (GOOD["p0/p0_0000.jpg"], "same_bytes"),
    "p0/p0_1006.jpg": (encoded(photo(0), quality=60), "same_look"),
    "p9/p9_0000.jpg": (GOOD["p0/p0_0001.jpg"], "same_bytes_as_another_person"),
    "p0/other.jpg": (encoded(photo(52)), "bad_name"),
    "loose.jpg": (encoded(photo(53)), "no_person"),
    "p0/p0_1007.jpg": (b"<html>quota exceeded</html>", "unreadable"),
}


def test_every_reason_is_counted_and_listed(tmp_path: Path):
    result, rejects = run(people(tmp_path, GOOD | {name: data for name, (data, _) in BAD.items()}))
    assert {reject["file"]: reject["reason"] for reject in rejects} == {
        name: reason for name, (_, reason) in BAD.items()
    }
    assert (result["photos"], result["faces"], result["unexplained"]) == (23, 12, 0)
    assert sum(result["rejected"].values()) == 11
    assert result["rejected"]["too_small"] == 2
    details = {reject["file"]: reject["detail"] for reject in rejects}
    assert details["p0/p0_1004.jpg"] == "12000x12000 pixels"
    assert details["p0/p0_1006.jpg"] == "as lfw/p0/p0_0000"
    (of_two_people,) = [reject for reject in rejects if reject["file"] == "p9/p9_0000.jpg"]
    assert (of_two_people["face_id"], of_two_people["detail"]) == ("lfw/p9/p9_0000", "as lfw/p0/p0_0001")


def test_of_a_photo_under_three_names_each_line_names_the_one_that_is_kept(tmp_path: Path):
    anew = encoded(photo(0), quality=60)
    result, rejects = run(people(tmp_path, {**GOOD, "p4/p4_0000.jpg": anew, "p5/p5_0000.jpg": anew}))
    assert [(reject["face_id"], reject["reason"], reject["detail"]) for reject in rejects] == [
        ("lfw/p4/p4_0000", "same_look_as_another_person", "as lfw/p0/p0_0000"),
        ("lfw/p5/p5_0000", "same_bytes_as_another_person", "as lfw/p0/p0_0000"),
    ]
    assert (result["faces"], result["unexplained"]) == (12, 0)


def test_a_photo_under_two_names_is_kept_under_the_other_once_one_is_left_out(tmp_path: Path):
    raw = people(tmp_path, {**GOOD, "p9/p9_0000.jpg": GOOD["p0/p0_0001.jpg"]})
    _, rejects = run(raw, "lfw/p0/p0_0001,the same photo as lfw/p9/p9_0000\n")
    assert [(reject["face_id"], reject["reason"]) for reject in rejects] == [("lfw/p0/p0_0001", "curated")]
    assert "lfw/p9/p9_0000" in {face["face_id"] for face in tables.read(Path("table"))}


def test_photos_of_every_kind_are_stored_as_png(tmp_path: Path):
    base = Image.fromarray(photo(7))
    kinds = {
        "p0/p0_0001.jpg": encoded(base, "WEBP", lossless=True),
        "p1/p1_0001.jpg": encoded(base.convert("CMYK").rotate(90)),
        "p2/p2_0001.png": encoded(base.convert("P").rotate(180), "PNG"),
        "p3/p3_0001.png": encoded(base.convert("RGBA").transpose(Image.Transpose.FLIP_LEFT_RIGHT), "PNG"),
        "p4/p4_0001.pgm": encoded(base.convert("L").rotate(270), "PPM"),
    }
    result, rejects = run(people(tmp_path, kinds))
    assert rejects == []
    assert result["stored_anew_as_png"] == 5
    assert result["identities_with_one_photo"] == 5
    for face in tables.read(Path("table")):
        stored = Image.open(io.BytesIO(face["image"]))
        assert stored.format == "PNG"
        assert stored.mode == ("L" if face["identity"] == "p4" else "RGB")


def test_names_that_cannot_be_used(tmp_path: Path):
    raw = write(tmp_path / "celebamask_hq", {"CelebA-HQ-to-CelebA-mapping.txt": MAPPING.encode()})
    write(raw, {"identity_CelebA.txt": b"119614.jpg a\\b\n", "CelebA-HQ-img/0.jpg": encoded(photo(0))})
    write(raw, {"CelebA-HQ-img/1.jpg": encoded(photo(1)), "CelebA-HQ-img/extra/2.jpg": encoded(photo(2))})
    _, rejects = run(raw)
    assert [(reject["file"], reject["reason"]) for reject in rejects] == [
        ("CelebA-HQ-img/0.jpg", "bad_name"),
        ("CelebA-HQ-img/extra/2.jpg", "not_in_layout"),
    ]


def test_two_files_of_one_name(tmp_path: Path):
    _, rejects = run(people(tmp_path, {**GOOD, "again/p0/p0_0000.jpg": encoded(photo(80))}))
    assert [(reject["file"], reject["reason"]) for reject in rejects] == [("p0/p0_0000.jpg", "same_name")]
    assert rejects[0]["detail"] == "again/p0/p0_0000.jpg has this face_id, too"


def test_where_no_photo_can_be_kept_the_list_says_why(tmp_path: Path):
    with pytest.raises(
        UnmaskError, match=r"not one of 1 photos could be kept \(empty 1\).*; rejected\.csv lists them all"
    ):
        run(people(tmp_path, {"p0/p0_0000.jpg": b"", "notes.txt": b"mine"}))
    assert not Path("table").exists()
    with Path("rejected.csv").open(newline="") as file:
        assert [(row["file"], row["reason"]) for row in csv.DictReader(file)] == [
            ("notes.txt", "not_a_photo"),
            ("p0/p0_0000.jpg", "empty"),
        ]
    said = json.loads(Results(Path("sheet")).metrics.read_text())
    assert (said["photos"], said["faces"], said["rejected"], said["unexplained"]) == (1, 0, {"empty": 1}, 0)
    assert said["files"] == {"all": 2, "kept": 0, "rejected": 1, "used": 0, "others": {".txt": 1}, "hidden": 0}


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
# What lies about in folders, the reason, and what is said of it. `used` is in no list of rejects.
ODD = {
    "sexes.csv": (b"identity,sex\np0,female\n", "used", ""),
    "p0/p0_1000.dat": (encoded(photo(60)), "other_suffix", "it is JPEG"),
    "p0/p0_1001": (encoded(photo(61), "PNG"), "other_suffix", "it is PNG"),
    "p0/p0_1002.jpg.part": (encoded(photo(62), "WEBP"), "other_suffix", "it is WebP"),
    "p0/IMG_7.photo": (HEIC, "other_suffix", "it is HEIC"),
    "p0/p0_1003.txt": (encoded(photo(63), "TIFF"), "other_suffix", "it is TIFF"),
    "p0/clip.mp4": (HEIC.replace(b"heic", b"mp42").replace(b"mif1", b"isom"), "not_a_photo", "a video"),
    "readme": (b"read me", "not_a_photo", "text"),
    "bez\u0301.txt": ("bez\u0301".encode("cp1250", "ignore"), "not_a_photo", "text"),
    "terms.pdf": (b"%PDF-1.7", "not_a_photo", "PDF"),
    "model.bin": (b"\0\1\2\3", "not_a_photo", "unknown"),
    "nothing.md": (b"", "not_a_photo", "empty"),
}


@pytest.mark.parametrize("packing", ["loose", "zip", "tar"])
def test_every_file_is_accounted_for_by_what_it_is(tmp_path: Path, packing: str):
    content = GOOD | {name: data for name, (data, _) in BAD.items()} | {name: of[0] for name, of in ODD.items()}
    content |= {".DS_Store": b"\0\0\0\1Bud1", "p0/._p0_0001.jpg": b"\0\5\x16\7", "__MACOSX/p0/p0_0001.jpg": b"x"}
    if packing != "loose":
        content = {f"raw.{packing}": (zip_of if packing == "zip" else tar_of)(content)}
    result, rejects = run(people(tmp_path, content))
    said = {reject["file"]: (reject["reason"], reject["detail"]) for reject in rejects}
    for stored, (_, reason, detail) in ODD.items():
        name = unicodedata.normalize("NFC", stored)
        if reason == "used":
            assert name not in said
        else:
            assert said[name][0] == reason
            assert said[name][1].startswith(detail)
    files = result["files"]
    assert files["others"] == {".mp4": 1, "none": 1, ".txt": 1, ".pdf": 1, ".bin": 1, ".md": 1}
    assert (files["kept"], files["rejected"], files["used"], files["hidden"]) == (12, 11 + 5, 1, 3)
    assert files["all"] == 12 + 11 + len(ODD) == 12 + 16 + 1 + sum(files["others"].values())
    assert result["photos"] == 12 + 16
    assert result["unexplained"] == 0


def test_a_listed_photo_that_is_not_there_counts_as_no_file(tmp_path: Path):
    """It is rejected, as the list says that there is one; the file of another name is rejected, too, and each once."""
    image, points = drawn_face()
    table = landmark_csv(("\\ann", "1.jpg", "1_0", points), ("\\ann", "2.jpg", "1_0", points))
    raw = write(tmp_path / "face_mask_generator", {"test.csv": table, "ann/1.jpg": encoded(image)})
    write(raw, {"bob/2.jpg": encoded(photo(1))})
    result, rejects = run(raw)
    assert [(reject["file"], reject["reason"]) for reject in rejects] == [
        ("ann/2.jpg", "file_missing"),
        ("bob/2.jpg", "not_in_layout"),
    ]
    assert result["files"] == {"all": 3, "kept": 1, "rejected": 1, "used": 1, "others": {}, "hidden": 0}
    assert result["unexplained"] == 0


def test_names_in_two_forms_of_unicode_are_one(tmp_path: Path):
    jose = {form: unicodedata.normalize(form, "José") for form in ("NFC", "NFD")}
    content = {f"{jose['NFD']}/{jose['NFC']}_0001.jpg": encoded(photo(1))}
    content |= {f"{jose['NFC']}/{jose['NFD']}_0002.jpg": encoded(photo(2)), "Bo/Bo_0001.jpg": encoded(photo(3))}
    lists = {"sexes.csv": f"identity,sex\n{jose['NFD']},male\n".encode()}
    result, rejects = run(people(tmp_path, content | lists), f"lfw/{jose['NFD']}/{jose['NFC']}_0001,not sharp\n")
    assert {face["face_id"] for face in tables.read(Path("table"), ["face_id"])} == {
        "lfw/Bo/Bo_0001",
        f"lfw/{jose['NFC']}/{jose['NFC']}_0002",
    }
    assert [reject["face_id"] for reject in rejects] == [f"lfw/{jose['NFC']}/{jose['NFC']}_0001"]
    assert result["sexes"] == {"male": 1, "unknown": 1}
    write(tmp_path / "raw/lfw", {f"{jose['NFC']}/{jose['NFC']}_0001.jpg": encoded(photo(4))})
    with pytest.raises(UnmaskError, match=r"'José/José_0001\.jpg' occurs twice in .*, in two spellings of Unicode"):
        run(tmp_path / "raw/lfw")


@pytest.mark.parametrize("packing", ["loose", "zip", "tar"])
def test_a_name_that_is_no_utf_8_is_read_and_shown_escaped(tmp_path: Path, packing: str):
    name = b"Ren\xe9/Ren\xe9_0001.jpg".decode(errors="surrogateescape")
    content = {**GOOD, name: encoded(photo(20)), b"\xff.txt".decode(errors="surrogateescape"): b"x"}
    if packing == "tar":
        content = {"raw.tar": tar_of(content)}
    elif packing == "zip":  # zipfile writes no such names: put in place of others of the same length
        packed = zip_of(
            {
                file.encode(errors="surrogateescape").decode("ascii", "replace").replace("\ufffd", "?"): data
                for file, data in content.items()
            }
        )
        content = {"raw.zip": packed.replace(b"Ren?", b"Ren\xe9").replace(b"?.txt", b"\xff.txt")}
    result, rejects = run(people(tmp_path, content))
    assert "lfw/Ren%E9/Ren%E9_0001" in {face["face_id"] for face in tables.read(Path("table"), ["face_id"])}
    assert [(reject["file"], reject["reason"]) for reject in rejects] == [("%FF.txt", "not_a_photo")]
    assert (result["faces"], result["unexplained"]) == (13, 0)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030", "cp1252", "cp1251", "cp932", "cp949"])
@pytest.mark.parametrize("way", ["{0},{1}\r\n{2},{3}\r\n", "{1};{0}\n{3};{2}\n", '"{0}"\t"{1}"\r"{2} "\t{3}'])
def test_a_curation_list_is_read_however_it_was_saved(tmp_path: Path, encoding: str, way: str):
    names = {"gb18030": "王伟", "cp1252": "Jürgen", "cp1251": "Иван", "cp932": "山田", "cp949": "김철수"}
    name = names.get(encoding, "José")
    path = tmp_path / "lfw.csv"
    path.write_bytes(way.format("face_id", "Reason", f"lfw\\{name}/1", "dark").encode(encoding))
    assert curation.read(path, {f"lfw/{name}/1": None, "lfw/Bo/1": None}) == {f"lfw/{name}/1": "dark"}
    with pytest.raises(UnmaskError, match=r"lfw\.csv.*(line 2|encoding)"):
        curation.read(path, {"lfw/Bo/1": None})


def test_landmarks_and_face_types_come_along(tmp_path: Path):
    image, points = drawn_face()
    table = landmark_csv(("\\ann", "1.jpg", "1_0", points), ("\\bob", "2.jpg", "0_0", np.full((68, 2), np.nan)))
    raw = write(tmp_path / "face_mask_generator", {"test.csv": table, "ann/1.jpg": encoded(image)})
    write(raw, {"bob/2.jpg": encoded(photo(1))})
    result, rejects = run(raw)
    (face,) = tables.read(Path("table"))
    np.testing.assert_allclose(face["landmarks"], points, atol=1e-3)
    assert face["face_type"] == "1_0"
    assert [reject["reason"] for reject in rejects] == ["bad_landmarks"]
    assert result["unexplained"] == 0


def test_label_maps_are_painted_in_the_publishers_order(tmp_path: Path):
    skin, nose = np.zeros((48, 48), np.uint8), np.zeros((48, 48), np.uint8)
    skin[10:40], nose[20:30, 20:30] = 255, 255
    content = {
        "CelebA-HQ-to-CelebA-mapping.txt": MAPPING.encode(),
        "CelebA-HQ-img/0.jpg": encoded(photo(0, 96)),
        "CelebA-HQ-img/1.jpg": encoded(photo(1, 96)),
        "CelebAMask-HQ-mask-anno/0/00000_skin.png": images.encode_png(skin),
        "CelebAMask-HQ-mask-anno/0/00000_nose.png": images.encode_png(nose),
        "CelebAMask-HQ-mask-anno/0/00001_skin.png": b"no image",
    }
    result, rejects = run(write(tmp_path / "celebamask_hq", {"CelebAMask-HQ.zip": zip_of(content)}))
    assert [(reject["reason"], reject["file"]) for reject in rejects] == [("bad_labels", "CelebA-HQ-img/1.jpg")]
    (face,) = tables.read(Path("table"))
    labels = images.decode_gray(face["labels"])
    assert labels.shape == (96, 96)  # that of the photo; the masks are half as large
    assert labels[50, 50] == 2
    assert labels[50, 5] == 1
    assert result["label_pixels"] == {0: 96 * 36, 1: 96 * 60 - 400, 2: 400}


# ---------------------------------------------------------------- curation, limit, split


def test_a_reviewed_exclusion_is_honoured(tmp_path: Path):
    result, rejects = run(people(tmp_path, GOOD), "lfw/p0/p0_0001,wrong person\n")
    assert result["faces"] == 11
    assert rejects == [
        {"file": "p0/p0_0001.jpg", "face_id": "lfw/p0/p0_0001", "reason": "curated", "detail": "wrong person"}
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("lfw/p0/p0_0001,wrong\nlfw/p0/p0_7777,gone\n", r"faces that are not in the dataset: line 3: lfw/p0/p0_7777"),
        ("lfw/p0/p0_0001,a\nlfw/p0/p0_0001,b\n", r"curation\.csv, line 3: lfw/p0/p0_0001 stands there twice"),
    ],
)
def test_an_exclusion_list_must_match(tmp_path: Path, lines: str, message: str):
    with pytest.raises(UnmaskError, match=message):
        run(people(tmp_path, GOOD), lines)
    assert not Path("table").exists()


def test_an_exclusion_list_without_header(tmp_path: Path):
    Path("curation.csv").write_text("lfw/p0/p0_0001,wrong\n")
    with pytest.raises(UnmaskError, match="the first line must be face_id,reason"):
        clean.clean(
            people(tmp_path, GOOD),
            Path("curation.csv"),
            Path("table"),
            Path("r.csv"),
            Results(Path("s")),
            clean.Params.model_validate(DEFAULTS),
        )


def test_a_limit_leaves_out_and_says_so(tmp_path: Path):
    result, rejects = run(people(tmp_path, GOOD), limit={"identities": 2, "photos": 2})
    assert [face["face_id"] for face in sorted(tables.read(Path("table")), key=lambda face: face["face_id"])] == [
        "lfw/p0/p0_0000",
        "lfw/p0/p0_0001",
        "lfw/p1/p1_0000",
        "lfw/p1/p1_0001",
    ]
    assert result["rejected"] == {"beyond_limit": 8}
    assert len(rejects) == 8


SPLIT = clean.Split.model_validate(DEFAULTS["split"])


def made_up(n: int, sex: str | None) -> dict[str, str | None]:
    """Return so many people of a sex."""
    return {f"{sex}-{index}": sex for index in range(n)}


def counts(splits: dict[str, str], people: Iterable[str]) -> tuple[int, ...]:
    """Return how many of the people are in train, val and test."""
    return tuple(Counter(splits[name] for name in people)[split] for split in tables.SPLITS)


@pytest.mark.parametrize(
    ("n", "sex", "expected"),
    [
        (4, "female", (2, 0, 2)),  # cut at 2 and 2.4
        (36, "male", (18, 4, 14)),  # at 18 and 21.6
        (40, None, (20, 4, 16)),
        (5, "female", (3, 0, 2)),  # at 2.5, which is rounded up, and 3
        (5, "male", (2, 1, 2)),  # at 2.5, which is rounded down, and 3
        (1, "female", (1, 0, 0)),
        (0, None, (0, 0, 0)),
    ],
)
def test_the_people_of_a_sex_are_cut_at_the_shares(n: int, sex: str | None, expected: tuple[int, ...]):
    people = made_up(n, sex)
    assert counts(SPLIT.draw("orl", people), people) == expected


def test_orls_women_and_men_are_drawn_apart():
    women = {f"s{number}": "female" for number in (8, 10, 32, 35)}
    men = {f"s{number}": "male" for number in range(1, 41) if f"s{number}" not in women}
    splits = SPLIT.draw("orl", women | men)
    assert {name: splits[name] for name in women} == {"s8": "train", "s10": "test", "s32": "train", "s35": "test"}
    assert {name for name in men if splits[name] == "val"} == {"s4", "s7", "s15", "s27"}
    assert counts(splits, men) == (18, 4, 14)
    assert splits == SPLIT.draw("orl", women) | SPLIT.draw("orl", men)


def test_another_salt_or_dataset_draws_others():
    people = made_up(60, None)
    splits = SPLIT.draw("orl", people)
    for other in (SPLIT.draw("lfw", people), SPLIT.model_copy(update={"salt": 1}).draw("orl", people)):
        assert counts(other, people) == counts(splits, people)
        assert other != splits


def test_a_share_of_nothing_gets_nobody():
    people = made_up(7, "female") | made_up(7, "male")
    for shares, expected in (((1, 0, 0), (14, 0, 0)), ((0, 1, 0), (0, 14, 0)), ((0, 0, 1), (0, 0, 14))):
        split = clean.Split(**dict(zip(tables.SPLITS, shares, strict=True)), salt=0)
        assert counts(split.draw("orl", people), people) == expected


@settings(max_examples=100, deadline=None)
@given(
    sexes=st.lists(st.sampled_from(["female", "male", None]), min_size=1, max_size=60),
    shares=st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any),
    salt=st.integers(0, 1000),
    rng=st.randoms(use_true_random=False),
)
def test_a_person_who_is_added_moves_at_most_one_of_the_same_sex_over_each_border(
    sexes: list[str | None], shares: list[int], salt: int, rng: Random
):
    train, val, test = (share / sum(shares) for share in shares)
    split = clean.Split(train=train, val=val, test=test, salt=salt)
    people: dict[str, str | None] = {}
    before: dict[str, str] = {}
    for index, sex in enumerate(sexes):
        people[f"p{index}"] = sex
        shuffled = rng.sample(list(people.items()), len(people))
        after = split.draw("lfw", dict(shuffled))
        assert after == split.draw("lfw", people)  # whatever the order
        moved = [name for name in before if after[name] != before[name]]
        assert all(people[name] == sex for name in moved)
        for one_side in ({"train"}, {"train", "val"}):  # what is before each border
            assert sum((before[name] in one_side) != (after[name] in one_side) for name in moved) <= 1
        same = [name for name, of in people.items() if of == sex]
        in_train, in_val, _ = counts(after, same)
        assert abs(in_train - train * len(same)) <= 0.5 + 1e-9
        assert abs(in_train + in_val - (train + val) * len(same)) <= 0.5 + 1e-9
        before = after


def splits_of_table() -> dict[str, str]:
    """Return each person's split in ./table; all photos of a person are in one."""
    found: dict[str, set[str]] = {}
    for face in tables.read(Path("table")):
        found.setdefault(face["identity"], set()).add(face["split"])
    assert all(len(names) == 1 for names in found.values())
    return {identity: next(iter(names)) for identity, names in found.items()}


def test_a_table_has_the_split_by_sex_and_the_metrics_count_it(tmp_path: Path):
    names = [f"p{index}" for index in range(14)]
    content = {
        f"{name}/{name}_{n:04d}.jpg": encoded(photo(2 * i + n, 48)) for i, name in enumerate(names) for n in (0, 1)
    }
    sexes: dict[str, str | None] = dict(zip(names, ["female"] * 4 + ["male"] * 5 + [None] * 5, strict=True))
    lines = [f"{name},{sex}" for name, sex in sexes.items() if sex]
    raw = people(tmp_path, content | {"sexes.csv": "\n".join(["identity,sex", *lines]).encode()})
    result, _ = run(raw)
    assert splits_of_table() == SPLIT.draw("lfw", sexes)
    assert result["splits"] == {
        "train": {"faces": 12, "identities": 6, "sexes": {"female": 2, "male": 2, "unknown": 2}},
        "val": {"faces": 4, "identities": 2, "sexes": {"female": 0, "male": 1, "unknown": 1}},
        "test": {"faces": 12, "identities": 6, "sexes": {"female": 2, "male": 2, "unknown": 2}},
    }
    (raw / "sexes.csv").unlink()
    result, _ = run(raw)
    assert splits_of_table() == SPLIT.draw("lfw", dict.fromkeys(names))
    assert result["splits"]["train"] == {"faces": 14, "identities": 7}


def celeba(folder: Path, identities: str, sexes: str, splits: str) -> Path:
    """Return CelebA's raw files: a letter a photo for the person, f, m or - for the sex, a digit or - for the split."""
    files = [f"{number:06d}.jpg" for number in range(1, len(identities) + 1)]
    males = [f"{file} {1 if sex == 'm' else -1}" for file, sex in zip(files, sexes, strict=True) if sex != "-"]
    lists = {
        "identity_CelebA.txt": [f"{file} {one}" for file, one in zip(files, identities, strict=True)],
        "list_attr_celeba.txt": [str(len(males)), "Male", *males],
        "list_eval_partition.txt": [f"{file} {one}" for file, one in zip(files, splits, strict=True) if one != "-"],
    }
    content = {f"img_align_celeba/{file}": encoded(photo(index)) for index, file in enumerate(files)}
    return write(folder / "celeba", content | {name: "\n".join(lines).encode() for name, lines in lists.items()})


def test_the_publishers_split_stays_and_does_not_count_among_the_others(tmp_path: Path):
    # a and b have the publisher's, one of a's photos without; of the women c to f are left to be drawn.
    result, _ = run(celeba(tmp_path, "aabcdef", "fffffff", "2-0----"))
    assert splits_of_table() == {"a": "test", "b": "train"} | SPLIT.draw("celeba", dict.fromkeys("cdef", "female"))
    assert [result["splits"][split]["identities"] for split in tables.SPLITS] == [3, 0, 3]


def test_the_first_sex_that_is_known_is_a_persons(tmp_path: Path):
    run(celeba(tmp_path, "aabbcd", "-ff-ff", "------"))
    assert splits_of_table() == SPLIT.draw("celeba", dict.fromkeys("abcd", "female"))


def test_a_person_of_two_sexes_has_no_place_in_a_split_to_draw(tmp_path: Path):
    with pytest.raises(
        UnmaskError, match=r"a is female in one photo and male in celeba/a/000003.*curation/celeba\.csv"
    ):
        run(celeba(tmp_path / "drawn", "aaab", "-fmf", "----"))
    assert not Path("table").exists()
    run(celeba(tmp_path / "publishers", "aaab", "-fmf", "2222"))
    assert splits_of_table() == {"a": "test", "b": "test"}


def test_a_publisher_who_splits_a_person_is_refused(tmp_path: Path):
    content = {
        "CelebA-HQ-to-CelebA-mapping.txt": MAPPING.encode(),
        "identity_CelebA.txt": b"119614.jpg 5\n162772.jpg 5\n",
        "CelebA-HQ-img/0.jpg": encoded(photo(0)),
        "CelebA-HQ-img/1.jpg": encoded(photo(1)),
    }
    with pytest.raises(UnmaskError, match="the publisher has 5 in both train and val"):
        run(write(tmp_path / "celebamask_hq", content))


def test_a_face_can_be_required(tmp_path: Path, orl_photo: Any):
    content = {"p0/p0_0000.png": images.encode_png(orl_photo("s1/1")), "p1/p1_0000.png": encoded(photo(3), "PNG")}
    result, rejects = run(people(tmp_path, content), require_face=True)
    assert result["rejected"] == {"no_face": 1}
    assert rejects[0]["file"] == "p1/p1_0000.png"


def test_a_dataset_without_adapter(tmp_path: Path):
    with pytest.raises(UnmaskError, match=r"no adapter reads 'nobody': stages/data/adapters/nobody\.py"):
        run(write(tmp_path / "nobody", GOOD))
    with pytest.raises(UnmaskError, match="no adapter reads 'files'"):
        run(write(tmp_path / "files", GOOD))


def test_workers_change_nothing(tmp_path: Path):
    raw = people(tmp_path, GOOD | {name: data for name, (data, _) in BAD.items()})
    results = []
    for where in (workers(1), workers(2), two_dask_workers()):
        with where:
            metrics, rejects = run(raw)
        results.append((metrics, rejects, {path.name: path.read_bytes() for path in tables.parts(Path("table"))}))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_photos_and_their_landmarks_lie_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: str):
    monkeypatch.setenv("UNMASK_WORKERS", workers)
    monkeypatch.setattr(clean, "PHOTOS_A_TASK", 1)
    images, points = zip(*(drawn_face(seed) for seed in range(4)), strict=True)
    table = landmark_csv(*(("\\ann", f"{seed}.jpg", "0_0", one) for seed, one in enumerate(points)))
    photos = {f"ann/{seed}.jpg": encoded(image) for seed, image in enumerate(images)}
    with open_files(write(tmp_path / "face_mask_generator", {"test.csv": table, **photos})) as files:
        photos = clean._listed("face_mask_generator", files).photos
        names = sorted(photos)
        looked = clean._looked_at(photos, names, files, clean.Params.model_validate(DEFAULTS), "table")
        assert all(isinstance(one, Kept) for one in photos.values())
        assert isinstance(looked.seen, Pages)
        assert [one.face_id for one in looked.seen] == names
        assert [row.tobytes() for row in looked.sha256] == [one.sha256 for one in looked.seen]
        assert [row.tobytes() for row in looked.looks] == [one.look for one in looked.seen]
        for one, found in zip(looked.seen, points, strict=True):
            assert (one.photo.file, one.photo.identity) == (photos[one.face_id].read().file, "ann")
            assert isinstance(one.photo.landmarks, Kept)
            np.testing.assert_allclose(one.photo.points, found, atol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(not (SHARED / "data").is_dir(), reason="the photos are not beside the checkout")
def test_the_celebamask_hq_sample(tmp_path: Path):
    (tmp_path / "celebamask_hq").mkdir()
    (tmp_path / "celebamask_hq" / "CelebAMask-HQ.zip").symlink_to(SHARED / "data" / "CelebAMask-HQ.zip")
    result, rejects = run(tmp_path / "celebamask_hq")
    assert rejects == []
    assert {name: split["faces"] for name, split in result["splits"].items()} == {"train": 800, "val": 100, "test": 100}
    assert sum(result["label_pixels"].values()) == 1000 * 512 * 512
