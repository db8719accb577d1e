"""Formats that people label faces in: whose face is where, what is worn, and what is refused by name."""

import functools
import importlib.machinery
import io
import re
import sys
import tempfile
import types
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps, features

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.data import cropping, inspection, labels
from stages.data.files import open_files
from stages.data.formats import (
    coco,
    image_label_pairs,
    labelme,
    pascal_voc,
    person_folders,
    photo_folder,
    pts,
    wflw,
    yolo,
)
from stages.data.labels import Frame
from stages.data.photo import Photo, Photos, Reject
from stages.faces.landmarks import flip
from stages.faces.parts import MASK
from stages.photos.reading import UnreadableImageError
from tests.conftest import drawn_landmarks
from tests.test_clean import encoded, photo
from tests.test_clean import run as run_clean
from tests.test_datasets import listed, write, zip_of


def adapter(photos: Callable[..., Photos]) -> Any:
    """Return a module like an adapter's."""
    module = types.ModuleType("stages.data.adapters.own")
    module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
    module.photos = photos
    return module


@pytest.fixture
def cleaned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that cleans files with a reader: the metrics, the rows by name, and the rejects."""

    def run(photos: Callable[..., Photos], content: dict[str, bytes], **changes: Any) -> Any:
        monkeypatch.setitem(sys.modules, "stages.data.adapters.own", adapter(photos))
        metrics, rejects = run_clean(write(tmp_path / "own", content), **changes)
        assert metrics["unexplained"] == 0
        return metrics, {row["face_id"].removeprefix("own/"): row for row in tables.read(Path("table"))}, rejects

    return run


def brief(photos: list[Photo]) -> list[tuple[str, str, bool | None, str | None]]:
    return [(one.identity, one.name, one.wears_mask, one.split) for one in photos]


# ---------------------------------------------------------------- folders of people


def people(folder: Path, *names: str, **settings: Any) -> list[tuple[str, str, bool | None, str | None]]:
    return brief(
        listed(adapter(functools.partial(person_folders.photos, **settings)), write(folder, dict.fromkeys(names, b"")))[
            0
        ]
    )


def test_conditions_below_a_person(tmp_path: Path):
    names = ["anna/masked/1.jpg", "anna/Un-masked/1.jpg", "anna/unmasked/1.jpg", "anna/2.jpg", "ben/With Mask/1.jpg"]
    assert people(tmp_path / "a", names[0], *names[2:]) == [
        ("anna", "2", None, None),
        ("anna", "masked-1", True, None),
        ("anna", "unmasked-1", False, None),
        ("ben", "with_mask-1", True, None),
    ]
    with pytest.raises(UnmaskError, match="anna/masked is a person, or a condition as not all folders beside it are"):
        people(tmp_path / "b", *names)  # nobody knows what `Un-masked` is


def test_conditions_and_splits_above_people(tmp_path: Path):
    names = ["set/masked/anna/1.jpg", "set/no mask/anna/1.jpg", "set/masked/ben/1.jpg"]
    assert people(tmp_path / "a", *names) == [
        ("anna", "masked-1", True, None),
        ("ben", "masked-1", True, None),
        ("anna", "no_mask-1", False, None),
    ]
    names = ["train/anna/1.jpg", "valid/ben/masked/1.jpg", "TEST/cleo/1.jpg"]
    assert people(tmp_path / "b", *names) == [
        ("cleo", "test-1", None, "test"),
        ("anna", "train-1", None, "train"),
        ("ben", "valid-masked-1", True, "val"),
    ]


def test_a_person_may_be_called_like_a_split(tmp_path: Path):
    assert people(tmp_path, "anna/1.jpg", "test/1.jpg", "test/masked/2.jpg", "val/1.jpg") == [
        ("anna", "1", None, None),
        ("test", "1", None, None),
        ("test", "masked-2", True, None),
        ("val", "1", None, None),
    ]


def test_names_of_conditions_are_an_argument(tmp_path: Path):
    names = ["anna/visible/1.jpg", "anna/cropped/1.jpg", "ben/visible/1.jpg", "ben/cropped/1.jpg"]
    message = r"anna or cropped is the person in anna/cropped.*CONDITIONS \| \{'cropped': None, 'visible': None\}"
    with pytest.raises(UnmaskError, match=message):
        people(tmp_path, *names)
    conditions = person_folders.CONDITIONS | {"visible": False, "cropped": None}
    assert people(tmp_path, *names, conditions=conditions) == [
        ("anna", "cropped-1", None, None),
        ("anna", "visible-1", False, None),
        ("ben", "cropped-1", None, None),
        ("ben", "visible-1", False, None),
    ]
    assert {one[0] for one in people(tmp_path, *names, conditions={})} == {"cropped", "visible"}
    sessions = [f"session{number}/{name}/{number}.jpg" for number in (1, 2) for name in ("anna", "ben", "cleo")]
    assert {one[0] for one in people(tmp_path / "sessions", *sessions)} == {"anna", "ben", "cleo"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["masked/1.jpg", "unmasked/1.jpg"], "no photo lies in a person's folder"),
        (["masked/anna/1.jpg", "ben/1.jpg"], "people lie in masked and beside it"),
        (["test/anna/1.jpg", "ben/1.jpg"], "people lie in test and beside it"),
        (["anna/masked/unmasked/1.jpg"], r"anna/masked/unmasked/1\.jpg: its folders say both True and False"),
        (["train/anna/test/1.jpg"], r"train/anna/test/1\.jpg: its folders say both train and test"),
    ],
)
def test_folders_that_say_two_things(tmp_path: Path, names: list[str], message: str):
    with pytest.raises(UnmaskError, match=message):
        people(tmp_path, *names)


def test_a_person_with_a_mask_and_without_is_one(cleaned: Any):
    names = [f"{name}/{how}/{n}.jpg" for name in ("anna", "ben") for how in ("masked", "unmasked") for n in (0, 1)]
    content = {name: encoded(photo(seed)) for seed, name in enumerate(names)}
    metrics, rows, rejects = cleaned(person_folders.photos, content)
    assert (metrics["faces"], metrics["identities"], rejects) == (8, 2, [])
    assert {row["wears_mask"] for name, row in rows.items() if "/masked-" in name} == {True}
    assert {row["wears_mask"] for name, row in rows.items() if "/unmasked-" in name} == {False}


def test_a_person_in_two_splits_is_told_what_to_do(cleaned: Any):
    names = [f"{place}/{n}.jpg" for place in ("train/anna", "train/ben", "test/anna", "test/cleo") for n in (0, 1)]
    content = {name: encoded(photo(seed)) for seed, name in enumerate(names)}
    with pytest.raises(UnmaskError, match=r"has anna in both test and train: leave some out by data/curation/own\.csv"):
        cleaned(person_folders.photos, content)
    metrics, rows, _ = cleaned(
        person_folders.photos, content, curation="".join(f"own/anna/train-{n},on both sides\n" for n in (0, 1))
    )
    assert {(row["identity"], row["split"]) for row in rows.values()} == {
        ("anna", "test"),
        ("ben", "train"),
        ("cleo", "test"),
    }
    assert metrics["rejected"] == {"curated": 2}


# ---------------------------------------------------------------- Pascal VOC


def voc(*objects: str, size: tuple[object, object] | None = (200, 160), before: str = "", after: str = "") -> bytes:
    sides = "" if size is None else f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>"
    return f"{before}<annotation><folder>x</folder>{sides}{''.join(objects)}</annotation>{after}".encode()


def thing(name: str, *edges: object) -> str:
    box = "".join(f"<{edge}>{value}</{edge}>" for edge, value in zip(pascal_voc.EDGES, edges, strict=True))
    return f"<object><name>{name}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"


PICTURE = np.asarray(Image.fromarray(photo(5, 200)).crop((0, 0, 200, 160)))
PICTURE_PNG = encoded(PICTURE, "PNG")
TWO = voc(thing("with_mask", 41, 51, 80, 90), thing("without_mask", 121, 51, 160, 90))


def test_each_labeled_face_is_a_row_of_its_own(cleaned: Any):
    content = {"images/a.png": PICTURE_PNG, "annotations/a.xml": TWO}
    metrics, rows, rejects = cleaned(pascal_voc.photos, {"set.zip": zip_of(content)})
    assert (metrics["faces"], metrics["identities"], rejects) == (2, 2, [])
    assert {name: row["wears_mask"] for name, row in rows.items()} == {"photo-a-1/a-1": True, "photo-a-2/a-2": False}
    # VOC's pixels 41 to 80 are 40 to 79 from zero; half of that is left around them.
    assert np.array_equal(images.decode(rows["photo-a-1/a-1"]["image"]), PICTURE[30:110, 20:100])
    assert np.array_equal(images.decode(rows["photo-a-2/a-2"]["image"]), PICTURE[30:110, 100:180])


@pytest.mark.parametrize(
    ("image", "label", "split", "name"),
    [
        ("images/a.png", "annotations/a.xml", None, "a-1"),
        ("a.png", "a.xml", None, "a-1"),
        ("VOC2007/JPEGImages/a.png", "VOC2007/Annotations/a.xml", None, "VOC2007-a-1"),
        ("images/train/a.png", "labels/train/a.xml", "train", "train-a-1"),
        ("valid/images/a.png", "valid/labels/a.xml", "val", "valid-a-1"),
        ("set/test/a.PNG", "set/test/a.XML", "test", "set-test-a-1"),
    ],
)
def test_where_annotations_lie(tmp_path: Path, image: str, label: str, split: str | None, name: str):
    photos, rejects = listed(pascal_voc, write(tmp_path, {image: b"", label: voc(thing("mask", 1, 1, 40, 40))}))
    assert rejects == []
    assert brief(photos) == [(f"photo-{name}", name, True, split)]
    assert (photos[0].box, photos[0].shapes_size) == ((0, 0, 40, 40), (200, 160))


def test_what_is_worn_is_said_by_the_exact_name(tmp_path: Path):
    names = ["with_mask", "without_mask", "mask_weared_incorrect", "no-mask", "Unmasked Face", "face"]
    content = {"a.png": b"", "a.xml": voc(*(thing(name, 1, 1, 40, 40) for name in names))}
    photos, _ = listed(pascal_voc, write(tmp_path, content))
    assert [one.wears_mask for one in photos] == [True, False, True, False, False, None]
    write(
        tmp_path, {"a.xml": voc(thing("respirator", 1, 1, 40, 40), thing("dog", 1, 1, 9, 9), thing("mask", 1, 1, 9, 9))}
    )
    with pytest.raises(UnmaskError, match=r"'dog' 1, 'respirator' 1.*pascal_voc\.photos, mask_labels"):
        listed(pascal_voc, tmp_path)
    named = functools.partial(pascal_voc.photos, mask_labels=["respirator"], other_labels=["dog"])
    photos, rejects = listed(adapter(named), tmp_path)
    assert [one.name for one in photos] == ["a-1", "a-3"]
    assert [(one.reason, one.detail) for one in rejects] == [("other_label", "a.xml, object 2: 'dog' is no face")]


FACE_BOX = thing("face", 41, 51, 80, 90)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([FACE_BOX, thing("mask", 45, 71, 76, 90)], {"a-1": True}),
        ([thing("mask", 45, 71, 76, 90), FACE_BOX], {"a-2": True}),
        ([FACE_BOX, thing("mask", 45, 81, 76, 92)], {"a-1": True}),  # a chin's width below it: 10 of 12 rows are in it
        ([FACE_BOX, thing("mask", 45, 81, 76, 100)], {"a-1": None, "a-2": True}),  # half of it lies outside
        ([FACE_BOX, thing("mask", 121, 71, 150, 90)], {"a-1": None, "a-2": True}),
        ([thing("head", 35, 31, 86, 90), thing("mask_weared_incorrect", 45, 71, 76, 90)], {"a-1": True}),
        ([thing("head", 35, 31, 86, 90), FACE_BOX, thing("mask", 45, 71, 76, 90)], {"a-1": True}),
        ([FACE_BOX, thing("no_mask", 41, 51, 80, 90)], {"a-1": False}),
        ([FACE_BOX, thing("no_mask", 41, 51, 80, 90), thing("mask", 45, 71, 76, 90)], {"a-1": None}),
        ([FACE_BOX, thing("mask", 45, 71, 76, 80), thing("mask", 45, 81, 76, 90)], {"a-1": True}),
        ([thing("masked face", 41, 51, 80, 90), thing("mask", 45, 71, 76, 90)], {"a-1": True}),
        ([FACE_BOX, thing("face", 45, 71, 76, 90)], {"a-1": None, "a-2": None}),  # two people, one before the other
        ([thing("face", 1, 1, 150, 150), FACE_BOX, thing("mask", 45, 71, 76, 90)], {"a-1": None, "a-2": True}),
        ([thing("no_mask", 41, 51, 80, 90), thing("mask", 45, 71, 76, 90)], {"a-1": False, "a-2": True}),
        (
            [thing("head", 1, 1, 190, 150), FACE_BOX, thing("face", 91, 51, 130, 90)],
            dict.fromkeys(["a-1", "a-2", "a-3"]),
        ),
        ([thing("Gesicht", 41, 51, 80, 90), thing("Maske", 45, 71, 76, 90)], {"a-1": True}),
    ],
)
@pytest.mark.parametrize("as_yolo", [False, True])
def test_a_mask_within_a_face_is_that_faces(
    objects: list[str], expected: dict[str, bool | None], as_yolo: bool, tmp_path: Path
):
    content = {"a.png": b"", "a.xml": voc(*objects)}
    if as_yolo:
        found = [re.findall(r">([^<]+)<", one) for one in objects]
        lines = [line(place, *map(float, edges[-4:])) for place, edges in enumerate(found)]
        names = "\n".join(name for name, *_ in found)
        content = {"a.png": b"", "a.txt": "\n".join(lines).encode(), "classes.txt": names.encode()}
    said = {"mask_labels": ["Maske"], "face_labels": ["Gesicht"]}
    reader = functools.partial((yolo if as_yolo else pascal_voc).photos, **said)
    photos, rejects = listed(adapter(reader), write(tmp_path, content))
    assert {one.name: one.wears_mask for one in photos} == expected
    assert rejects == []
    assert sum(len(one.classes) for one in photos) == len(objects)  # each label counts once


READERS = [coco, image_label_pairs, labelme, pascal_voc, person_folders, photo_folder, pts, wflw, yolo]


@pytest.mark.parametrize("reader", READERS)
def test_an_argument_that_no_reader_knows_is_named(reader: types.ModuleType, cleaned: Any):
    name = reader.__name__.rpartition(".")[2]
    says = rf"^stages/data/adapters/own\.py: {name}\.photos knows no argument 'mask_label'; it (knows \w+|takes none)"
    for photos in (
        functools.partial(reader.photos, mask_label=["x"]),
        lambda files: reader.photos(files, mask_label=1),
    ):
        with pytest.raises(UnmaskError, match=says) as error:
            cleaned(photos, {"a.png": PICTURE_PNG})
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("photos", "message"),
    [
        (functools.partial(pascal_voc.photos, mask_labels=None), "mask_labels is None, it must be a list of names"),
        (
            functools.partial(pascal_voc.photos, bare_labels=["Mask"], face_labels="mask"),
            "the label 'mask' in two lists",
        ),
        (functools.partial(photo_folder.photos, split="train"), "knows no argument 'split'; it takes none"),
        (
            lambda _: iter([Photo("a.png", "a", "a", split="training")]),
            "a.png: split is 'training', it must be train",
        ),
        (lambda _: iter([Photo("a.png", "a", "a", sex="w")]), "a.png: sex is 'w', it must be female, male or None"),
    ],
)
def test_what_an_adapter_says_is_checked(photos: Any, message: str, cleaned: Any):
    with pytest.raises(UnmaskError, match=rf"^stages/data/adapters/own\.py: .*{message}"):
        cleaned(photos, {"a.png": PICTURE_PNG, "a.xml": TWO})


BOMB = '<!DOCTYPE a [<!ENTITY b "bbbbbbbbbb"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
STRANGE = {
    "broken": (b"<annotation><object>", "bad_xml", "is no whole XML"),
    "bomb": (voc(thing("&c;", 1, 1, 40, 40), before=BOMB), "bad_xml", "DTDForbidden"),
    "file": (voc(before='<!DOCTYPE a SYSTEM "file:///etc/passwd">'), "bad_xml", "DTDForbidden"),
    "dlib": (b"<dataset/>", "bad_xml", "<dataset> stands where <annotation> should"),
    "empty": (b"", "bad_xml", "no element found"),
    "bytes": (b"\xff\xfe\x00", "bad_xml", "b.xml"),
    "nobody": (voc(), "no_face_labeled", "names no face"),
    "nan": (voc(thing("mask", "nan", 1, 40, 40)), "bad_box", "object 1"),
    "infinite": (voc(thing("mask", 1, 1, "1e999", 40)), "bad_box", "object 1"),
    "text": (voc(thing("mask", 1, 1, "forty", 40)), "bad_box", "object 1"),
    "swapped": (voc(thing("mask", 40, 1, 1, 40)), "bad_box", "object 1"),
    "flat": (voc(thing("mask", 1, 40, 40, 40)), "bad_box", "object 1"),
    "no box": (voc("<object><name>mask</name></object>"), "bad_box", "object 1"),
    "outside": (voc(thing("mask", 300, 300, 400, 400)), "bad_box", "has no area in the photo"),
    "small": (voc(thing("mask", 1, 1, 31, 60)), "too_small", "a face of 31x60 pixels"),
    "clipped small": (voc(thing("mask", -40, 1, 20, 60)), "too_small", "a face of 20x60 pixels"),
    "other size": (
        voc(thing("mask", 1, 1, 40, 40), size=(640, 640)),
        "size_differs",
        "what its box is of is 640x640, the photo 200x160",
    ),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_what_cannot_be_used_is_counted(kind: str, cleaned: Any):
    data, reason, detail = STRANGE[kind]
    picture = encoded(PICTURE, "PNG")
    content = {"a.png": picture, "a.xml": TWO, "b.png": picture, "b.xml": data}
    metrics, rows, rejects = cleaned(pascal_voc.photos, content)
    assert sorted(rows) == ["photo-a-1/a-1", "photo-a-2/a-2"]
    assert [(one["file"], one["reason"]) for one in rejects] == [("b.png", reason)]
    assert detail in rejects[0]["detail"]
    assert metrics["rejected"] == {reason: 1}


def test_photos_and_annotations_that_do_not_go_together(tmp_path: Path):
    content = {
        "images/alone.png": b"",
        "images/twice.png": b"",
        "images/twice.jpg": b"",
        "annotations/twice.xml": TWO,
        "annotations/nowhere.xml": TWO,
        "images/c.png": b"",
        "images/c.xml": TWO,
        "annotations/c.xml": TWO,
    }
    photos, rejects = listed(pascal_voc, write(tmp_path, content))
    assert photos == []
    assert sorted((one.file, one.reason) for one in rejects) == [
        ("annotations/c.xml", "file_missing"),
        ("annotations/nowhere.xml", "file_missing"),
        ("annotations/twice.xml", "file_missing"),
        ("images/alone.png", "no_label"),
        ("images/c.png", "several_labels"),
        ("images/c.xml", "file_missing"),
        ("images/twice.jpg", "same_name"),
        ("images/twice.png", "same_name"),
    ]
    for reader, what in (
        (pascal_voc, "no Pascal VOC XML"),
        (yolo, "no label file of YOLO"),
        (pts, "no landmarks found"),
    ):
        with pytest.raises(UnmaskError, match=what):
            listed(reader, write(tmp_path / reader.__name__, {"a.png": b"", "readme.md": b""}))


@pytest.mark.parametrize(
    ("encoding", "before"), [("gbk", True), ("utf-16", True), ("latin-1", True), ("utf-8-sig", False)]
)
def test_an_annotation_in_another_encoding(tmp_path: Path, encoding: str, before: bool):
    name = "fée" if encoding == "latin-1" else "口罩"
    text = voc(thing(name, 1, 1, 40, 40)).decode()
    head = f'<?xml version="1.0" encoding="{encoding}"?>\n' if before else ""
    write(tmp_path, {"a.png": b"", "a.xml": (head + text).encode(encoding)})
    photos, _ = listed(adapter(functools.partial(pascal_voc.photos, mask_labels=[name])), tmp_path)
    assert [one.wears_mask for one in photos] == [True]


def test_boxes_that_leave_the_photo_are_clipped(cleaned: Any):
    content = {"a.png": PICTURE_PNG, "a.xml": voc(thing("mask", -9, 101, 40, 999))}
    _, rows, _ = cleaned(pascal_voc.photos, content)
    assert np.array_equal(
        images.decode(rows["photo-a-1/a-1"]["image"]), PICTURE[70:160, 0:70]
    )  # 60 pixels high, 30 around


def test_a_face_that_is_labeled_twice_is_kept_once(cleaned: Any):
    box = (41, 51, 80, 90)
    content = {"a.png": PICTURE_PNG, "a.xml": voc(thing("mask", *box), thing("mask", *box))}
    content |= {"b.png": PICTURE_PNG, "b.xml": TWO}  # the same photo again
    _, rows, rejects = cleaned(pascal_voc.photos, content, near_duplicates=None)
    assert sorted(rows) == ["photo-a-1/a-1", "photo-b-2/b-2"]
    reason = "same_bytes_as_another_person"
    assert {one["face_id"]: one["reason"] for one in rejects} == dict.fromkeys(
        ["own/photo-a-2/a-2", "own/photo-b-1/b-1"], reason
    )


EDGES = st.one_of(st.integers(-50, 250), st.floats(-1e6, 1e6), st.sampled_from(["nan", "inf", "", "1,5", "x", "-0"]))
CLASSES = st.sampled_from(["with_mask", "Without Mask", "mask_weared_incorrect", "face"])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(CLASSES, EDGES, EDGES, EDGES, EDGES), max_size=6), st.data())
def test_every_object_is_a_face_or_counted(objects: list[tuple[Any, ...]], data: st.DataObject):
    as_yolo = data.draw(st.booleans())
    names = ["with_mask", "Without Mask", "mask_weared_incorrect", "face"]
    lines = [f"{names.index(name)} {' '.join(str(edge) or '?' for edge in edges)}" for name, *edges in objects]
    content = {"a.png": PICTURE_PNG, "a.xml": voc(*(thing(*one) for one in objects))}
    if as_yolo:
        content = {"a.png": PICTURE_PNG, "a.txt": "\n".join(lines).encode(), "classes.txt": "\n".join(names).encode()}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), content)
        found, rejects = listed(yolo if as_yolo else pascal_voc, Path(folder))
        assert sum(len(one.classes) for one in found) + len(rejects) == max(1, len(objects))
        look = inspection.Inspector(min_side=1, max_pixels=10**6, has_face=None)
        with open_files(Path(folder)) as files:
            for one in found:
                seen = look(files, "own/a/a", one)
                if isinstance(seen, Reject):
                    assert seen.reason in {"bad_box", "too_small"}
                    continue
                left, top, right, bottom = seen.crop
                assert 0 <= left < right <= 200
                assert 0 <= top < bottom <= 160
                assert images.decode(inspection.row(seen, files, 10**6, "train")["image"]).shape[:2] == (
                    bottom - top,
                    right - left,
                )


# ---------------------------------------------------------------- where a box is in the upright photo


def turned(orientation: int) -> tuple[bytes, np.ndarray, tuple[int, int, int, int]]:
    """Return a photo with an EXIF tag, its upright pixels, and where a white patch at 20, 30, 60, 50 has gone to."""
    stored = np.zeros((160, 200, 3), np.uint8)
    stored[30:50, 20:60] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(stored, "PNG", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    ys, xs = np.nonzero(upright[..., 0])
    return data, upright, (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("scale", [1, 0.5, 3])
def test_a_box_is_turned_and_scaled_with_its_photo(orientation: int, scale: float):
    data, upright, there = turned(orientation)
    frame = labels.frame(data, upright)
    stored, size = (20, 30, 60, 50), (int(200 * scale), int(160 * scale))  # as it is stored

    def find(box: Any, size: tuple[int, int] | None, is_upright: bool | None = None) -> np.ndarray:
        photo = Photo("a", "b", "c", shapes_size=size, labels_upright=is_upright)
        return np.round(cropping.upright_box(photo, tuple(box), frame), 6)

    if orientation in {2, 3, 4}:  # both ways it has these sides
        with pytest.raises(UnreadableImageError, match="say in the adapter"):
            find(np.multiply(stored, scale), size)
        assert np.array_equal(find(np.multiply(there, scale), size, True), there)
    else:
        assert np.array_equal(find(np.multiply(stored, scale), size), there)
        other = size[::-1] if orientation > 4 else size
        assert np.array_equal(find(np.multiply(there, scale), other), there)
    assert np.array_equal(find(np.multiply(stored, scale), size, False), there)
    assert np.array_equal(find(np.divide(there, [frame.width, frame.height] * 2), (1, 1), True), there)
    assert np.array_equal(find(np.divide(stored, [200, 160] * 2), (1, 1), False), there)
    assert np.array_equal(find(there, None, True), there)
    if orientation > 1:
        with pytest.raises(UnreadableImageError, match="say in the adapter"):
            find(there, None)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF"])
def test_photos_of_phones_are_labeled_too(kind: str, cleaned: Any):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    elif not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    name = f"a.{'heic' if kind == 'HEIF' else 'avif'}"
    _, rows, _ = cleaned(pascal_voc.photos, {name: encoded(PICTURE, kind), "a.xml": voc(thing("mask", 11, 21, 70, 80))})
    shown = images.decode(rows["photo-a-1/a-1"]["image"]).astype(int)
    assert np.abs(shown - PICTURE[:110, :100]).mean() < 12  # lossy


@pytest.mark.parametrize("orientation", range(1, 9))
def test_landmarks_are_turned_with_their_photo(orientation: int):
    data, upright, (left, top, right, bottom) = turned(orientation)
    frame = labels.frame(data, upright)
    stored = Photo("a", "b", "c", landmarks=drawn_landmarks(40) + np.float32([20, 25]), labels_upright=False)
    points = cropping.with_upright_landmarks(stored, frame).landmarks
    inside = (stored.landmarks >= [20, 30]) & (stored.landmarks < [60, 50])
    there = (points >= [left, top]) & (points < [right, bottom])
    assert 0 < inside.all(1).sum() == there.all(1).sum() < 68
    if orientation in {1, 2}:  # a mirrored face has its left points at the left, too
        expected = stored.landmarks if orientation == 1 else flip(stored.landmarks, 200)
        np.testing.assert_allclose(points, expected, atol=1e-4)
    assert cropping.with_upright_landmarks(replace(stored, labels_upright=True), frame).landmarks is stored.landmarks
    if orientation > 1:
        with pytest.raises(UnreadableImageError, match="say in the adapter"):
            cropping.with_upright_landmarks(replace(stored, labels_upright=None), frame)


def test_a_phone_photo_is_cropped_where_its_annotation_says(cleaned: Any):
    stored = np.asarray(Image.fromarray(photo(5, 300)).crop((0, 0, 300, 240)))
    exif = Image.Exif()
    exif[0x0112] = 6
    content = {
        "a.jpg": encoded(stored, exif=exif, quality=95),
        "a.xml": voc(thing("mask", 41, 101, 80, 140), size=(300, 240)),
    }
    _, rows, _ = cleaned(pascal_voc.photos, content)
    expected = np.rot90(stored[80:160, 20:100], -1).astype(int)
    assert np.abs(images.decode(rows["photo-a-1/a-1"]["image"]).astype(int) - expected).mean() < 6  # JPEG


# ---------------------------------------------------------------- YOLO

NAMES = b"names: [with_mask, without_mask, mask_weared_incorrect]\nnc: 3\n"


def line(number: int, *box: float, width: int = 200, height: int = 160) -> str:
    """Return a label's line for left, top, right, bottom in pixels."""
    left, top, right, bottom = np.divide(box, [width, height] * 2)
    return f"{number} {(left + right) / 2} {(top + bottom) / 2} {right - left} {bottom - top}\n"


@pytest.mark.parametrize(
    ("names", "content"),
    [
        ("data.yaml", NAMES),
        ("set/dataset.yml", b"names:\n  0: with_mask\n  1: without_mask\n  2: mask_weared_incorrect\n"),
        ("labels/train/classes.txt", b"\xef\xbb\xbfwith_mask\r\nwithout_mask\r\nmask_weared_incorrect\r\n"),
        ("obj.names", b"with_mask\nwithout_mask\nmask_weared_incorrect\n\n"),
    ],
)
def test_yolos_faces_are_those_of_voc(cleaned: Any, names: str, content: bytes):
    boxes = [(40, 50, 80, 90), (120, 50, 160, 90), (0, 0, 32.4, 40)]
    files = {
        "images/train/a.png": PICTURE_PNG,
        "labels/train/a.txt": "".join(line(number, *box) for number, box in enumerate(boxes)).encode(),
        names: content,
    }
    metrics, rows, rejects = cleaned(yolo.photos, files)
    assert rejects == []
    assert {name: (row["wears_mask"], row["split"]) for name, row in rows.items()} == {
        "photo-train-a-1/train-a-1": (True, "train"),
        "photo-train-a-2/train-a-2": (False, "train"),
        "photo-train-a-3/train-a-3": (True, "train"),
    }
    for (left, top, right, bottom), row in zip(boxes, [rows[name] for name in sorted(rows)], strict=True):
        expected = PICTURE[max(0, top - 20) : bottom + 20, max(0, left - 20) : round(right + 20)]
        assert np.array_equal(images.decode(row["image"]), expected)
    assert metrics["files"]["used"] == 2


@pytest.mark.parametrize(
    ("image", "label", "split"),
    [
        ("train/images/a.jpg", "train/labels/a.txt", "train"),
        ("set/valid/images/a.jpg", "set/valid/labels/a.txt", "val"),
        ("images/test/a.jpg", "labels/test/a.txt", "test"),
        ("a.jpg", "a.txt", "train"),  # by train.txt
        ("obj_train_data/a.jpg", "obj_train_data/a.txt", "train"),
    ],
)
def test_where_yolos_labels_lie(tmp_path: Path, image: str, label: str, split: str | None):
    folder = write(tmp_path, {image: b"", label: b"2 0.5 0.5 0.2 0.2", "data.yaml": NAMES, "train.txt": b"a.jpg\n"})
    photos, rejects = listed(yolo, folder)
    assert rejects == []
    assert [(one.file, one.split, one.wears_mask) for one in photos] == [(image, split, True)]
    np.testing.assert_allclose(photos[0].box, (0.4, 0.4, 0.6, 0.6))


def test_numbers_without_names_are_refused(tmp_path: Path):
    folder = write(tmp_path, {"a.jpg": b"", "a.txt": b"0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.2 0.2\n"})
    with pytest.raises(UnmaskError, match=r"'0' 1, '7' 1.*yolo\.photos, mask_labels=\['0'\]"):
        listed(yolo, folder)
    photos, _ = listed(adapter(functools.partial(yolo.photos, mask_labels=["0"], bare_labels=["7"])), folder)
    assert [one.wears_mask for one in photos] == [True, False]
    write(folder, {"data.yaml": NAMES})
    with pytest.raises(UnmaskError, match="'7' 1; known are 'with_mask' 1"):
        listed(yolo, folder)
    for text, message in (
        (b"names: 3", "`names` should be a list"),
        (b"names: {a: b}", "has no names of classes by their numbers: `names` should be a list"),
        (b"names: {[0]: b}", "has no names of classes"),
        (b"names: [[a]]", "`names` should be a list"),
        (b"names: [", "has no names of classes by their numbers: while parsing"),
    ):
        with pytest.raises(UnmaskError, match=message):
            listed(yolo, write(folder, {"data.yaml": text}))
    write(folder, {"data.yaml": NAMES, "classes.txt": b"mask\n"})
    with pytest.raises(UnmaskError, match=r"classes\.txt and data\.yaml name the classes differently"):
        listed(yolo, folder)


YOLO_STRANGE = {
    "nobody": ("", "no_face_labeled"),
    "blank": (" \n\n", "no_face_labeled"),
    "words": ("0 a b c d", "bad_box"),
    "nan": ("0 nan 0.5 0.2 0.2", "bad_box"),
    "pixels": ("0 100 80 40 40", "bad_box"),
    "flat": ("0 0.5 0.5 0 0.2", "bad_box"),
    "negative": ("0 0.5 0.5 -0.2 0.2", "bad_box"),
    "short": ("0 0.5 0.5 0.2", "bad_labels"),
    "sure": ("0 0.5 0.5 0.2 0.2 0.93", "bad_labels"),
    "name": ("mask 0.5 0.5 0.2 0.2", "bad_labels"),
    "class": (f"{'9' * 5000} 0.5 0.5 0.2 0.2", "bad_labels"),
    "less": ("-1 0.5 0.5 0.2 0.2", "bad_labels"),
    "fraction": ("0.5 0.5 0.5 0.2 0.2", "bad_labels"),
    "mixed": ("0 0.5 0.5 0.2 0.2\n0 0.1 0.1 0.2 0.1 0.2 0.2", "mixed_labels"),
    "small": (line(0, 10, 10, 40, 60), "too_small"),
}


@pytest.mark.parametrize("kind", YOLO_STRANGE)
def test_lines_that_cannot_be_used_are_counted(kind: str, cleaned: Any):
    text, reason = YOLO_STRANGE[kind]
    picture = encoded(PICTURE, "PNG")
    content = {"a.png": picture, "a.txt": line(0, 40, 50, 80, 90).encode(), "b.png": picture, "b.txt": text.encode()}
    _, rows, rejects = cleaned(yolo.photos, content | {"data.yaml": NAMES})
    assert sorted(rows) == ["photo-a-1/a-1"]
    assert [(one["file"], one["reason"]) for one in rejects] == [("b.png", reason)]
    assert "b.txt" in rejects[0]["detail"] or reason == "too_small"


def test_lines_as_numpy_saves_them(tmp_path: Path):
    folder = write(
        tmp_path, {"a.jpg": b"", "a.txt": b"1.00e+00 5.0e-01 5.0e-01 2.0e-01 2.0e-01\r\n", "data.yaml": NAMES}
    )
    assert brief(listed(yolo, folder)[0]) == [("photo-a-1", "a-1", False, None)]


def test_photos_without_labels_are_counted(tmp_path: Path):
    names = ["images/a.jpg", "images/b.jpg", "labels/a.txt", "labels/c.txt", "labels/classes.txt", "readme.txt"]
    folder = write(tmp_path, dict.fromkeys(names, b"") | {"labels/a.txt": b"0 0.5 0.5 1.005 1", "classes.txt": b"mask"})
    folder = write(folder, {"labels/classes.txt": b"mask\n"})
    photos, rejects = listed(yolo, folder)
    assert [one.name for one in photos] == ["a-1"]
    assert [(one.file, one.reason) for one in rejects] == [
        ("images/b.jpg", "no_label"),
        ("labels/c.txt", "file_missing"),
    ]


def test_regions_of_yolo_are_painted(cleaned: Any):
    square = np.divide([(50, 40), (100, 40), (100, 120), (50, 120)], (200, 160)).ravel()
    text = f"0 {' '.join(map(str, square))}\n1 0.1 0.1 0.2 0.1 0.2 0.2\n"
    files = {"a.png": PICTURE_PNG, "a.txt": text.encode(), "data.yaml": b"names: [mask, hat]"}
    _, rows, _ = cleaned(functools.partial(yolo.photos, other_labels=["hat"]), files)
    row = rows["photo-a/a"]
    assert (row["wears_mask"], images.decode(row["image"]).shape) == (True, PICTURE.shape)
    region = images.decode_gray(row["labels"]) == MASK
    expected = np.zeros((160, 200), bool)
    expected[40:120, 50:100] = True
    assert (region & expected).sum() / (region | expected).sum() == 1


@pytest.mark.parametrize("lists", ["ImageSets/Main", "."])
def test_lists_of_a_split(tmp_path: Path, lists: str):
    content = {f"JPEGImages/{name}.jpg": b"" for name in ("a", "b c", "d.e", "f")}
    content |= {f"Annotations/{name}.xml": TWO for name in ("a", "b c", "d.e", "f")}
    content |= {f"{lists}/train.txt": b"a\n", f"{lists}/val.txt": b"b c -1\r\nb c\r\n", f"{lists}/trainval.txt": b"f\n"}
    folder = write(tmp_path, content | {f"{lists}/test.txt": b"data/JPEGImages/d.e.jpg\nnobody\n0 0.5 0.5 0.2 0.2\n"})
    photos, _ = listed(pascal_voc, folder)
    assert {one.name: one.split for one in photos if one.name.endswith("1")} == {
        "a-1": "train",
        "b c-1": "val",
        "d.e-1": "test",
        "f-1": None,
    }
    write(folder, {f"{lists}/val.txt": b"a\n"})
    with pytest.raises(UnmaskError, match=r"a\.jpg stands in both .*train\.txt and .*val\.txt"):
        listed(pascal_voc, folder)


# ---------------------------------------------------------------- landmark files


def text_of_pts(points: np.ndarray, n: int | None = None) -> bytes:
    """Return a .pts file with points of pixels from 0."""
    lines = [f"{x + 1:.4f} {y + 1:.4f}" for x, y in points]
    return "\n".join(["version: 1", f"n_points:  {n or len(points)}", "{", *lines, "}", ""]).encode()


def test_points_of_300w_count_pixels_from_1(cleaned: Any):
    points = drawn_landmarks(96)
    content = {"300w/trainset/a.png": encoded(photo(1), "PNG"), "300w/trainset/a.pts": text_of_pts(points)}
    content |= {
        "images/b.png": encoded(photo(2), "PNG"),
        "landmarks/b.pts": text_of_pts(points).replace(b"\n", b"\r\n"),
    }
    metrics, rows, _ = cleaned(functools.partial(pts.photos, wears_mask=False), content)
    assert {name: (row["split"], row["wears_mask"]) for name, row in rows.items()} == {
        "photo-300w-trainset-a/300w-trainset-a": ("train", False),
        "photo-b/b": (rows["photo-b/b"]["split"], False),
    }
    for row in rows.values():
        np.testing.assert_allclose(row["landmarks"], points, atol=1e-3)
    assert metrics["files"]["used"] == 2


POINTS = drawn_landmarks(96)


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"", "between one { and, at the end, one }"),
        (text_of_pts(POINTS)[:-3], "between one { and, at the end, one }"),
        (text_of_pts(POINTS[:67]), "it has 67 points, neither 68"),
        (text_of_pts(POINTS, 69), "it has 68 points, and n_points says 69"),
        (text_of_pts(POINTS).replace(b"{\n", b"{\nnan 1\n"), "a.pts, line 4: expected x and y of a point, got 'nan 1'"),
        (text_of_pts(POINTS).replace(b"{\n", b"{\n1 2 3\n"), "a.pts, line 4: expected x and y"),
        (b"\xff\xfe\xfa", "a.pts"),
    ],
)
def test_points_that_cannot_be_read_are_counted(tmp_path: Path, data: bytes, detail: str):
    photos, rejects = listed(pts, write(tmp_path, {"a.jpg": b"", "a.pts": data}))
    assert photos == []
    assert [(one.file, one.reason) for one in rejects] == [("a.jpg", "bad_landmarks")]
    assert detail in rejects[0].detail


def test_98_points_hold_the_68():
    """Known places of WFLW: chin 16, nose tip 54, corners of the eyes 60, 64, 68, 72, of the mouth 76, 82, 88, 92."""
    assert len(set(wflw.TO_68.tolist())) == 68
    known = {0: 0, 8: 16, 16: 32, 30: 54, 33: 57, 36: 60, 39: 64, 42: 68, 45: 72, 48: 76, 54: 82, 60: 88, 64: 92}
    assert {place: int(wflw.TO_68[place]) for place in known} == known


def of_98(points: np.ndarray) -> np.ndarray:
    """Return 98 points of which the 68 are some, and the others nonsense."""
    found = np.full((98, 2), 7.5, np.float32)
    found[wflw.TO_68] = points
    return found


def wflw_line(points: np.ndarray, box: tuple[int, ...], name: str) -> str:
    return " ".join([*(f"{value:.6f}" for value in points.ravel()), *map(str, box), "0 0 0 0 1 0", name]) + "\n"


LISTS = "WFLW_annotations/list_98pt_rect_attr_train_test/list_98pt_rect_attr"


def test_faces_of_wflw_come_with_their_landmarks(cleaned: Any):
    picture = photo(3, 240)
    one, other = drawn_landmarks(40) + np.float32([30, 20]), drawn_landmarks(60) + np.float32([130, 120])
    boxes = [(30, 20, 70, 60), (130, 120, 190, 180)]
    lines = [
        wflw_line(of_98(points), box, "0--Parade/a b.png") for points, box in zip((one, other), boxes, strict=True)
    ]
    content = {
        "WFLW_images/0--Parade/a b.png": encoded(picture, "PNG"),
        "WFLW_images/0--Parade/c.png": encoded(photo(4, 240), "PNG"),
        f"{LISTS}_train.txt": "".join(lines).encode(),
        f"{LISTS}_test.txt": (lines[0].replace("a b", "c") + lines[1].replace("a b", "d")).encode(),
        "WFLW_annotations/list_98pt_test/list_98pt_test.txt": b"of no use here",
    }
    _, rows, rejects = cleaned(wflw.photos, content)
    assert [(reject["file"], reject["reason"]) for reject in rejects if reject["reason"] != "not_a_photo"] == [
        ("0--Parade/d.png", "file_missing")
    ]
    names = {"WFLW_images-0--Parade-a b-1": one, "WFLW_images-0--Parade-a b-2": other, "WFLW_images-0--Parade-c-1": one}
    assert {name.split("/")[1]: row["split"] for name, row in rows.items()} == dict(
        zip(names, ["train", "train", "test"], strict=True)
    )
    for name, points in names.items():
        row = rows[f"photo-{name}/{name}"]
        crop = cropping.around(boxes[points is other], Frame(240, 240))
        np.testing.assert_allclose(row["landmarks"], points - np.float32(crop[:2]), atol=1e-3)
        if " b-" in name:
            assert np.array_equal(images.decode(row["image"]), cropping.cut(picture, crop))


def test_lists_of_wflw_that_cannot_be_read(tmp_path: Path):
    good = wflw_line(of_98(POINTS), (0, 0, 96, 96), "a.jpg")
    folder = write(tmp_path, {"a.jpg": b"", "list_98pt_train.txt": b"", "list_98pt_rect_attr_train.txt": good.encode()})
    assert len(listed(wflw, folder)[0]) == 1
    write(folder, {"list_98pt_rect_attr_train.txt": (good + "1 2 3 a.jpg\n").encode()})
    with pytest.raises(UnmaskError, match=r"list_98pt_rect_attr_train\.txt, line 2: expected 206 numbers and the name"):
        listed(wflw, folder)
    write(folder, {"list_98pt_rect_attr_train.txt": good.replace("7.500000", "nan", 1).encode()})
    assert [(one.file, one.reason) for one in listed(wflw, folder)[1]] == [("a.jpg", "bad_landmarks")]
    (folder / "list_98pt_rect_attr_train.txt").unlink()
    write(folder, {"list_98pt_train.txt": " ".join([*good.split()[:196], "a.jpg"]).encode()})
    (face,) = listed(wflw, folder)[0]
    np.testing.assert_allclose(face.landmarks, POINTS, atol=1e-3)
    np.testing.assert_allclose(face.box, [*of_98(POINTS).min(0), *of_98(POINTS).max(0)], atol=1e-3)
    (folder / "list_98pt_train.txt").unlink()
    with pytest.raises(UnmaskError, match="no list of WFLW found"):
        listed(wflw, folder)


# ---------------------------------------------------------------- what lies where


@pytest.mark.parametrize(
    "names",
    [
        ("anna/2024-01-01/1.jpg", "ben/2024-04-01/1.jpg"),
        ("anna/surgical/1.jpg", "ben/n95/1.jpg"),
        ("anna/1.jpg", "anna/2024/2.jpg", "ben/1.jpg"),
    ],
)
def test_folders_within_a_persons_folder_are_no_people(tmp_path: Path, names: tuple[str, ...]):
    with pytest.raises(UnmaskError, match=r"say by `conditions` \(of splits: `splits`\) in the adapter"):
        people(tmp_path, *names)
    inner = {Path(name).parent.name.lower(): None for name in names if len(Path(name).parts) == 3}
    found = people(tmp_path, *names, conditions=person_folders.CONDITIONS | inner)
    assert {one[0] for one in found} == {"anna", "ben"}


def test_people_in_groups_of_two_sessions_stay_people(tmp_path: Path):
    assert {one[0] for one in people(tmp_path, "session1/anna/1.jpg", "session2/ben/1.jpg")} == {"anna", "ben"}


def test_a_folder_of_photos_has_splits_and_conditions(tmp_path: Path):
    names = ["Train/WithMask/1.jpg", "Train/WithoutMask/2.jpg", "Test/WithMask/3.jpg", "Test/WithoutMask/4.jpg"]
    found = brief(listed(adapter(photo_folder.photos), write(tmp_path, dict.fromkeys(names, b"")))[0])
    assert [(split, worn) for _, _, worn, split in found] == [
        ("test", True),
        ("test", False),
        ("train", True),
        ("train", False),
    ]


def test_faces_of_one_photo_are_in_one_split(cleaned: Any):
    lines = b"".join(b"0 %.2f 0.5 0.3 0.5\n" % x for x in (0.2, 0.5, 0.8))
    content = {f"{n}.txt": lines for n in range(6)} | {"data.yaml": b"names: [mask]"}
    content |= {f"{n}.png": encoded(np.kron(photo(n), np.ones((2, 2, 1), np.uint8)), "PNG") for n in range(6)}
    _, rows, _ = cleaned(yolo.photos, content)
    of_photo: dict[str, set[str]] = {}
    for name, row in rows.items():
        of_photo.setdefault(name.rsplit("/", 1)[1].rsplit("-", 1)[0], set()).add(row["split"])
    assert len(of_photo) == 6
    assert all(len(splits) == 1 for splits in of_photo.values())
    assert set.union(*of_photo.values()) >= {"train", "test"}


def test_points_of_a_pose_are_no_region(tmp_path: Path):
    text = b"0 0.5 0.5 0.4 0.4" + b" 0.5 0.5" * 5
    folder = write(tmp_path, {"a.jpg": b"", "a.txt": text, "data.yaml": b"names: [mask]\nkpt_shape: [5, 2]"})
    (one,), _ = listed(adapter(yolo.photos), folder)
    assert (one.box is not None, one.shapes) == (True, ())


def test_a_box_with_five_points_of_a_face_is_no_region(tmp_path: Path):
    points = "0.4 0.4 0.6 0.41 0.5 0.5 0.42 0.6 0.58 0.61"
    content = {"a.png": b"", "a.txt": f"0 0.5 0.5 0.4 0.5 {points}\n".encode(), "classes.txt": b"mask"}
    _, rejects = listed(yolo, write(tmp_path / "a", content))
    assert [(one.reason, one.detail) for one in rejects] == [
        (
            "bad_labels",
            "a.txt, line 1: these may be a box and five points of a face, and no region: say so in data.yaml, "
            "kpt_shape: [5, 2]",
        )
    ]
    photos, _ = listed(yolo, write(tmp_path / "b", content | {"data.yaml": b"names: [mask]\nkpt_shape: [5, 2]\n"}))
    assert [one.name for one in photos] == ["a-1"]
    region = b"0 0.2 0.2 0.4 0.15 0.6 0.2 0.65 0.4 0.6 0.6 0.4 0.65 0.2 0.6\n"  # seven corners
    photos, _ = listed(yolo, write(tmp_path / "c", content | {"a.txt": region}))
    assert [len(one.shapes) for one in photos] == [1]


def test_files_that_give_points_differently_are_refused(tmp_path: Path):
    content = {"a.png": b"", "a.txt": b"0 0.5 0.5 0.4 0.5\n", "data.yaml": b"names: [mask]\nkpt_shape: [5, 2]\n"}
    with pytest.raises(UnmaskError, match=r"data\.yaml and old/data\.yaml give kpt_shape differently"):
        listed(yolo, write(tmp_path, content | {"old/data.yaml": b"kpt_shape: [17, 3]\n"}))


def test_an_annotation_that_names_another_photo_is_refused(tmp_path: Path):
    of = functools.partial("<filename>{}</filename>".format)
    content = {
        "a.png": b"",
        "a.xml": voc(of("b.png"), FACE_BOX),
        "b.png": b"",
        "b.xml": voc(of("old name.jpg"), FACE_BOX),  # which is not here: both were renamed
        "c.png": b"",
        "c.xml": voc(of("C:\\photos\\c.jpg"), FACE_BOX),
    }
    photos, rejects = listed(pascal_voc, write(tmp_path, content))
    assert [one.name for one in photos] == ["b-1", "c-1"]
    says = "a.xml says that it is of b.png, which is another photo"
    assert [(one.file, one.reason, one.detail) for one in rejects] == [("a.png", "bad_xml", says)]
