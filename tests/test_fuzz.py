"""Nothing that a publisher, a user or a broken disk puts into a file may end in a traceback.

Whole files of every kind are changed by chance (bytes, lines, values of a JSON) and read. Only errors in words are
allowed, and nothing may be passed over in silence. `make test` tries a hundred changes of each, `make fuzz` enough for
20,000 in all. A reader is added by its line in `LAYOUTS` or `READERS`.
"""

import bz2
import contextlib
import csv
import gzip
import io
import json
import lzma
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pillow_heif import register_heif_opener

from stages.core import images, params, text
from stages.core.errors import UnmaskError
from stages.data import accept_review, curation, inspection
from stages.data.adapters import (
    ar_face,
    c_rmfrd,
    celeba,
    celebamask_hq,
    face_mask_detection,
    face_mask_generator,
    faceocc,
    ffhq,
    gender_masked,
    lfw,
    maskedface_net,
    mfr2,
    mlfw,
    orl,
    rmfrd,
)
from stages.data.files import Files, open_files
from stages.data.formats import coco, image_label_pairs, labelme, person_folders, photo_folder, pts, wflw, yolo
from stages.data.photo import Kept, Photo, Reject
from stages.data.sources import catalogue
from stages.faces.parts import MASK
from stages.photos import folders, reading
from stages.photos.reading import UnreadableImageError
from stages.recognition import lists
from stages.removal import remove_masks
from tests.conftest import drawn_face, drawn_landmarks
from tests.test_adapters import matlab_file
from tests.test_datasets import tar_of, zip_of
from tests.test_formats import of_98, text_of_pts, wflw_line

CASES = int(os.environ.get("UNMASK_FUZZ", "100"))
fuzz = settings(
    max_examples=CASES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)

FACE = drawn_face(0, 48)[0]
JPEG = cv2.imencode(".jpg", FACE)[1].tobytes()
PNG = images.encode_png(FACE)
PART = images.encode_png(np.where(FACE[..., 0] > 100, np.uint8(255), np.uint8(0)))
SQUARE = [[2, 3], [30, 3], [30, 32], [2, 32]]


@dataclass(frozen=True)
class Remembered(Kept):
    """A value that lies in memory."""

    value: Any

    def read(self) -> Any:
        """Return it."""
        return self.value


class Memory(Files):
    """Files that lie in memory."""

    def __init__(self, content: dict[str, bytes]) -> None:
        super().__init__(dict.fromkeys(content))  # type: ignore[arg-type] -- no place is looked at
        self.content = content

    def read(self, name: str) -> bytes:
        """Return a file's bytes."""
        return self.content[name]

    def keep(self, value: Any) -> Kept:
        """Return a value as if it were kept on the disk."""
        return Remembered("", 0, value)


def _csv() -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*face_mask_generator.KEYS, *face_mask_generator.POINTS])
    writer.writerow(["\\p", "1.jpg", "0_0", *drawn_landmarks(48).ravel().tolist()])
    return text.getvalue().encode()


def _json(content: Any) -> bytes:
    return json.dumps(content).encode()


LABELME = {
    "imagePath": "a.jpg",
    "shapes": [{"label": "mask", "points": SQUARE, "shape_type": "polygon"}],
    "version": "5",
}
COCO = {
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
    "categories": [{"id": 1, "name": "face mask"}],
    "annotations": [{"image_id": 1, "category_id": 1, "segmentation": [np.ravel(SQUARE).tolist()]}],
}
FFHQ = {"7": {"category": "training", "image": {"face_landmarks": (drawn_landmarks() * 9).tolist()}}}
HQ = "CelebAMask-HQ/"
LAYOUTS: dict[str, tuple[Callable[[Files], Any], dict[str, bytes]]] = {
    "ar_face": (ar_face.photos, {"M-001-01.bmp": PNG, "W-002-11.bmp": JPEG}),
    "c_rmfrd": (c_rmfrd.photos, {"a/axin/0_0_0.jpg": JPEG, "b/axin/1_0_axin_0013.jpg": JPEG}),
    "celeba": (
        celeba.photos,
        {
            "img_align_celeba/000001.jpg": JPEG,
            "identity_CelebA.txt": b"000001.jpg 2880\n",
            "list_eval_partition.txt": b"000001.jpg 0\n",
            "list_attr_celeba.txt": b"1\nBald Male\n000001.jpg -1  1\n",
        },
    ),
    "celebamask_hq": (
        celebamask_hq.photos,
        {
            f"{HQ}CelebA-HQ-img/0.jpg": JPEG,
            f"{HQ}CelebAMask-HQ-mask-anno/0/00000_skin.png": PART,
            f"{HQ}CelebAMask-HQ-mask-anno/0/00000_l_eye.png": PART,
            f"{HQ}CelebA-HQ-to-CelebA-mapping.txt": b"idx orig_idx orig_file\n0 119613 119614.jpg\n",
            f"{HQ}CelebAMask-HQ-attribute-anno.txt": b"1\nYoung Male\n0.jpg  1 -1\n",
            "identity_CelebA.txt": b"119614.jpg 77\n",
        },
    ),
    "coco": (coco.photos, {"a.jpg": JPEG, "b.jpg": PNG, "labels.json": _json(COCO)}),
    "face_mask_detection": (
        face_mask_detection.photos,
        {
            "images/a.png": PNG,
            "annotations/a.xml": (
                b'<?xml version="1.0"?>\n<annotation>\n<size>\n<width>48</width>\n<height>48</height>\n'
                b"</size>\n<object>\n<name>with_mask</name>\n<bndbox>\n<xmin>3</xmin>\n<ymin>2</ymin>\n<xmax>30</xmax>"
                b"\n<ymax>40</ymax>\n</bndbox>\n</object>\n</annotation>\n"
            ),
        },
    ),
    "face_mask_generator": (face_mask_generator.photos, {"p/1.jpg": JPEG, "test.csv": _csv()}),
    "faceocc": (faceocc.photos, {"FaceOcc/COFW_test/img/1.jpg": JPEG, "FaceOcc/COFW_test/mask/1.png": PART}),
    "ffhq": (ffhq.photos, {"thumbnails128x128/00000/00007.png": PNG, "ffhq-dataset-v2.json": _json(FFHQ)}),
    "gender_masked": (gender_masked.photos, {"G/Training/female/a.jpg": JPEG, "G/Validation/male/b.jpg": JPEG}),
    "image_label_pairs": (
        lambda files: image_label_pairs.photos(files, MASK),
        {"images/a.jpg": JPEG, "labels/a.png": PART},
    ),
    "labelme": (labelme.photos, {"a.jpg": JPEG, "a.json": _json(LABELME)}),
    "lfw": (
        lfw.photos,
        {"lfw/Bo_Li/Bo_Li_0001.jpg": JPEG, "sexes.csv": b"identity,sex\nBo_Li,female\nMo_Li,male\n"},
    ),
    "maskedface_net": (maskedface_net.photos, {"CMFD/00000/00007_Mask.jpg": JPEG}),
    "mfr2": (mfr2.photos, {"mfr2/A/A_0001.png": PNG, "mfr2/mfr2_labels.txt": b"A, 1, surgical_blue\nB, 2, no-mask\n"}),
    "mlfw": (mlfw.photos, {"MLFW/aligned/Abel_Pacheco_0001_0000.jpg": JPEG}),
    "orl": (orl.photos, {"s1/1.pgm": cv2.imencode(".pgm", FACE[..., 0])[1].tobytes()}),
    "person_folders": (
        person_folders.photos,
        {"train/anna/masked/1.jpg": JPEG, "train/anna/unmasked/1.jpg": PNG, "test/ben/1.jpg": JPEG},
    ),
    "photo_folder": (photo_folder.photos, {"0001/a.jpg": JPEG, "b.webp": cv2.imencode(".webp", FACE)[1].tobytes()}),
    "pts": (pts.photos, {"a.jpg": JPEG, "a.pts": text_of_pts(drawn_landmarks(48))}),
    "rmfrd": (
        rmfrd.photos,
        {"AFDB_face_dataset/anhu/1_0_anhu_7.jpg": JPEG, "AFDB_masked_face_dataset/anhu/0_1_2.jpg": JPEG},
    ),
    "wflw": (
        wflw.photos,
        {
            "WFLW_images/a.jpg": JPEG,
            "list_98pt_rect_attr_train.txt": wflw_line(of_98(drawn_landmarks(48)), (0, 0, 48, 48), "a.jpg").encode(),
        },
    ),
    "yolo": (
        yolo.photos,
        {
            "train/images/a.jpg": JPEG,
            "train/labels/a.txt": b"0 0.5 0.5 0.5 0.5\n1 0.5 0.4 0.6 0.6\n",
            "valid/images/b.png": PNG,
            "valid/labels/b.txt": b"0 0.2 0.2 0.8 0.2 0.8 0.8\n",
            "data.yaml": b"names:\n- with_mask\n- without_mask\n",
        },
    ),
}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from([10**400, -1, "mask"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def changed_json(draw: st.DrawFn, data: bytes) -> bytes:
    """Put another value somewhere into a JSON, or take one away."""
    try:
        content = json.loads(data)
    except ValueError:  # it was broken before
        content = None
    if not isinstance(content, dict | list):
        return changed_bytes(draw, data)
    place: Any = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return _json(draw(VALUES))
        key = draw(st.sampled_from(keys))
        if isinstance(place[key], dict | list) and draw(st.booleans()):
            place = place[key]
            continue
        if draw(st.integers(0, 3)) == 0:
            del place[key]
        else:
            place[key] = draw(VALUES)
        return _json(content)


def changed_lines(draw: st.DrawFn, data: bytes) -> bytes:
    """Leave a line out, write one twice, or put other words or other marks into it."""
    lines = data.decode("utf-8", "replace").splitlines() or [""]
    place = draw(st.integers(0, len(lines) - 1))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, lines[place])
    elif kind == 2:
        lines[place] = draw(st.text(max_size=40))
    else:
        words = lines[place].replace("\t", " ").replace(",", " ").split(" ")
        words[draw(st.integers(0, len(words) - 1))] = draw(st.text(max_size=12))
        lines[place] = draw(st.sampled_from([" ", ",", "\t", ", "])).join(words)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def changed_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut bytes off, put others in, or turn some over."""
    place = draw(st.integers(0, max(0, len(data) - 1)))
    kind = draw(st.integers(0, 3))
    if kind == 0:
        return data[:place]
    if kind == 1:
        return data[:place] + draw(st.binary(max_size=24)) + data[place:]
    if kind == 2:
        return data[:place] + draw(st.binary(min_size=1, max_size=24)) + data[place + 8 :]
    return draw(st.binary(max_size=64))


def changed(draw: st.DrawFn, name: str, data: bytes) -> bytes:
    """Change a file by its kind, or any file by its bytes."""
    by_kind = {".json": changed_json, **dict.fromkeys((".csv", ".pts", ".txt", ".xml", ".yaml"), changed_lines)}
    change = by_kind.get(Path(name).suffix, changed_bytes)
    return (change if draw(st.integers(0, 4)) else changed_bytes)(draw, data)


broken_bytes = st.composite(changed_bytes)
broken_file = st.composite(changed)


@st.composite
def broken(draw: st.DrawFn, content: dict[str, bytes]) -> dict[str, bytes]:
    """Change one to three of some files, rename one, or lose one."""
    found = dict(content)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(found)))
        kind = draw(st.integers(0, 9))
        if kind == 0 and len(found) > 1:
            del found[name]
        elif kind == 1:
            before = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
            found[draw(before) + name] = found.pop(name)
        else:
            found[name] = changed(draw, name, found[name])
    return found


@pytest.mark.parametrize("adapter", LAYOUTS)
def test_adapters(adapter: str):
    photos, content = LAYOUTS[adapter]
    look = inspection.Inspector(min_side=16, max_pixels=10**6, has_face=None)
    as_published = [item for item in photos(Memory(content)) if isinstance(item, Photo)]
    assert as_published
    assert all(isinstance(look(Memory(content), "d/p/n", one), inspection.Seen) for one in as_published)

    @fuzz
    @given(broken(content))
    def read(files: dict[str, bytes]) -> None:
        memory = Memory(files)
        try:
            items = list(photos(memory))
        except UnmaskError:
            return
        for item in items:
            assert isinstance(item, Photo | Reject)
            if isinstance(item, Photo):
                assert isinstance(look(memory, "d/p/n", item), inspection.Seen | Reject)

    read()


def states_a_mask(reader: str, content: dict[str, bytes]) -> bool:
    """Return whether files still say somewhere, in the form of their tool, that a mask is worn."""
    try:
        if reader == "image_label_pairs":
            return bool(np.asarray(Image.open(io.BytesIO(content["labels/a.png"]))).any())
        entry = json.loads(content["a.json"])
        if reader == "labelme":
            return any(shape["label"] == "mask" for shape in entry["shapes"])
        masks = [category["id"] for category in entry["categories"] if category["name"] == "face mask"]
        return any(annotation["category_id"] in masks for annotation in entry["annotations"])
    except (KeyError, TypeError, ValueError, OSError, SyntaxError, EOFError):  # no longer in that form
        return False


@pytest.mark.parametrize("reader", ["coco", "image_label_pairs", "labelme"])
def test_a_mask_that_was_stated_is_painted_or_counted(reader: str):
    photos = LAYOUTS[reader][0]
    content = {
        "coco": {"a.jpg": JPEG, "a.json": LAYOUTS["coco"][1]["labels.json"], "b.jpg": PNG},
        "image_label_pairs": {"images/a.jpg": JPEG, "labels/a.png": PART},
        "labelme": {"a.jpg": JPEG, "a.json": _json(LABELME)},
    }[reader]
    look = inspection.Inspector(min_side=16, max_pixels=10**6, has_face=None)
    label = "labels/a.png" if reader == "image_label_pairs" else "a.json"

    @fuzz
    @given(broken_file(label, content[label]))
    def read(data: bytes) -> None:
        memory = Memory({**content, label: data})
        if not states_a_mask(reader, memory.content):
            return
        try:
            items = list(photos(memory))
        except UnmaskError:
            return
        found = [look(memory, "d/p/n", item) if isinstance(item, Photo) else item for item in items]
        masks = [one for one in found if isinstance(one, inspection.Seen) and one.photo.wears_mask is not False]
        assert any(isinstance(one, Reject) for one in found) or any(
            one.label_pixels[MASK] or "box" in one.photo.ignored for one in masks
        )

    read()


ARCHIVES = {
    "a.zip": zip_of({"p/1.jpg": JPEG, "p/2.png": PNG}),
    "a.tar": tar_of({"p/1.jpg": JPEG, "p/2.png": PNG}),
    "a.tgz": gzip.compress(tar_of({"p/1.jpg": JPEG})),
    "a.tar.bz2": bz2.compress(tar_of({"p/1.jpg": JPEG})),
    "a.tar.xz": lzma.compress(tar_of({"p/1.jpg": JPEG})),
    "COFW_test_color.mat": matlab_file(IsT=[FACE, FACE[..., 0]]),
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives(name: str, tmp_path: Path):
    raw = tmp_path / "raw"
    raw.mkdir()

    @fuzz
    @given(st.data())
    def read(data: st.DataObject) -> None:
        (raw / name).write_bytes(data.draw(broken_bytes(ARCHIVES[name])))
        try:
            with open_files(raw) as files:
                for file in files.names():
                    with contextlib.suppress(UnreadableImageError):
                        files.read(file)
        except UnmaskError:
            pass

    read()
    assert not list((tmp_path / ".scratch").glob("*"))


def written_by_pillow(kind: str) -> bytes:
    register_heif_opener()
    buffer = io.BytesIO()
    Image.fromarray(FACE).save(buffer, kind)
    return buffer.getvalue()


PHOTOS = {
    "jpeg": JPEG,
    "png": PNG,
    "webp": cv2.imencode(".webp", FACE)[1].tobytes(),
    "bmp": cv2.imencode(".bmp", FACE)[1].tobytes(),
    "pgm": cv2.imencode(".pgm", FACE[..., 0])[1].tobytes(),
    "tiff": cv2.imencode(".tiff", FACE)[1].tobytes(),
    "float tiff": cv2.imencode(".tiff", np.float32(FACE) / 255)[1].tobytes(),
    "16-bit png": cv2.imencode(".png", FACE * np.uint16(257))[1].tobytes(),
    "16-bit pgm": cv2.imencode(".pgm", FACE[..., 0] * np.uint16(257))[1].tobytes(),
    "gif": written_by_pillow("GIF"),
    "avif": written_by_pillow("AVIF"),
    "heic": written_by_pillow("HEIF"),
}


@pytest.mark.parametrize("kind", PHOTOS)
def test_photos(kind: str):
    @fuzz
    @given(st.data())
    def read(data: st.DataObject) -> None:
        photo = data.draw(broken_bytes(PHOTOS[kind]))
        try:
            pixels, _ = reading.open_photo(photo, 10**6)
        except UnreadableImageError:
            return
        assert pixels.dtype == np.uint8
        assert pixels.shape[2] == 3

    read()


# ---------------------------------------------------------------- lists

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030", "cp1252", "cp1251", "cp932", "big5"]
CODECS = {codec for codec, _ in text.LEGACY.values()} | set(text.LEGACY)
PAIRS = {
    "c-RMFRD": "Input,Target,Label\na/0_0_1.jpg,b/1_0_b_1.jpg,0\na/0_0_1.jpg,a/1_0_a_1.jpg,1\n",
    "LFW": "10\t300\nBo_Li\t1\t2\nBo_Li\t1\tMo_Li\t3\n",
    "MFR2": "Bo_Li 1 2\nBo_Li 1 Mo_Li 3\n",
    "MLFW": "Bo_Li_0001_0000.jpg\tBo_Li_0002_0000.jpg\t1\nBo_Li_0001_0000.jpg\tMo_Li_0002_0000.jpg\t0\n",
    "Kaggle": "name,imagenum1,imagenum2,\nBo_Li,1,4,\nBo_Li,1,Mo Li,2\n",
    "own": "label;one;other\nTrue;José/1.jpg;José/2.jpg\nFalse;José/1.jpg;王伟/1.png\n",
}
FACES = {f"d/{person}/{number}" for person in ("José", "王伟", "Иван", "Bo_Li") for number in (1, 2)}


def _pairs(file: Path) -> int:
    return len({pair.line for pair in lists.read_pairs(file, {face[2:] for face in FACES})})


def _curated(file: Path) -> int:
    found = curation.read(file)
    assert all(found)
    return len(found)


def _reviewed(file: Path) -> int:
    kept = file.with_name("curation.csv")
    kept.write_text("face_id,reason\n")
    said = accept_review.accept_review(file, kept, accept_review.Params())
    assert len(curation.read(kept)) == said["accepted"]
    return said["accepted"] + said["rejected"] + said["open"]


def _sexes(file: Path) -> int:
    memory = Memory({"José/José_0001.jpg": JPEG, "sexes.csv": file.read_bytes()})
    assert list(lfw.photos(memory))
    return len(text.table(memory.text("sexes.csv"), "sexes.csv", ["identity", "sex"]))


def _two_faces(file: Path) -> int:
    return len(remove_masks.read_pairs(file, {face: face for face in FACES}))


# A reader of lists: what reads one and says how many lines it has understood, as published, and how many of its first
# lines may be none of these (names of columns, folds). A reader is added by its line.
READERS: dict[str, tuple[Callable[[Path], int], str, int]] = {
    **{f"pairs of {name}": (_pairs, content, 1) for name, content in PAIRS.items()},
    "photos": (lambda file: len(lists.read_list(file)), "image\nBo_Li/1.jpg\nJosé/2.jpg\n王伟/1.png\n", 1),
    "curation": (_curated, "face_id,reason\nd/José/1,not sharp\nd/王伟/2,模糊\nd/Иван/1,\n", 1),
    "review": (_reviewed, "accept,face_id,reason,own\nyes,d/José/1,near,0.1\n,d/王伟/2,far,0.2\nno,d/b/1,x,1\n", 1),
    "sexes": (_sexes, "identity,sex\nJosé,male\nBo_Li,female\n", 1),
    "pairs of faces": (_two_faces, "file1,file2\nd/José/1,d/José/2\nd/王伟/1,d/Bo_Li/2\n", 1),
}


def encoded(draw: st.DrawFn, content: str) -> bytes:
    """Save a list as programs do: in some encoding, with some line ends, separators, blanks and quotes."""
    content = unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), content)
    content = content.replace(",", draw(st.sampled_from([",", ",", ";", "\t", ", "])))
    content = content.replace("\n", draw(st.sampled_from(["\n", "\r\n", "\r", "\n\n", " \n"])))
    return content.encode(draw(st.sampled_from(ENCODINGS)), draw(st.sampled_from(["replace", "ignore"])))


saved_list = st.composite(encoded)


@pytest.mark.parametrize("name", READERS)
def test_lists(name: str, tmp_path: Path):
    """No line is passed over in silence: each but the first ones is understood, or the list is refused."""
    read_one, content, heads = READERS[name]
    file = tmp_path / "list.txt"
    file.write_text(content, encoding="utf-8")
    assert read_one(file) >= content.count("\n") - heads

    @fuzz
    @given(st.data())
    def read(data: st.DataObject) -> None:
        saved = data.draw(saved_list(content))
        file.write_bytes(data.draw(broken_file("x.txt", saved)) if data.draw(st.booleans()) else saved)
        said = ""
        try:
            found = read_one(file)
            lines = list(text.lines(text.read(file, FACES)))
        except UnmaskError as error:
            said = str(error)
        assert "\n" not in said
        if said:
            return
        if not any('"' in line for _, line in lines):  # a cell in quotes may have several lines
            words = [line for _, line in lines if re.search(r"[^\s,;|]", line)]
            assert found >= len(words) - heads - words[0].lower().startswith("sep=")

    read()


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "Nd", "Zs", "Po"]), max_size=12)


def test_encodings():
    """A text that is not Unicode's is what its encoding says, or refused; by known names it is never another one."""

    @fuzz
    @given(st.lists(WORDS, min_size=1, max_size=4), st.sampled_from(sorted(CODECS)), st.booleans())
    def read(words: list[str], codec: str, known: bool) -> None:
        content = text.same_name("\n".join(words))
        try:
            data = content.encode(codec)
            found = text.decode(data, "x", words if known else ())
        except (UnicodeEncodeError, UnmaskError):
            return
        with contextlib.suppress(UnicodeDecodeError):  # what is UTF-8 by chance is taken for it
            data.decode("utf-8")
            return
        assert found in {text.same_name(data.decode(one, "replace")) for one in CODECS}
        if known and re.search(r"[^\W\d_]", "".join(letter for letter in content if not letter.isascii())):
            assert found == content

    read()


NAMES = st.binary(min_size=1, max_size=12).filter(
    lambda name: not set(name) & set(b"/\0") and name not in {b".", b".."}
)


def test_names_of_files(tmp_path: Path):
    """Whatever bytes a name has, its file is accounted for, or all are refused in words."""

    @fuzz
    @given(st.lists(st.tuples(NAMES, st.sampled_from([b".jpg", b".txt", b""])), min_size=1, max_size=4, unique=True))
    def read(names: list[tuple[bytes, bytes]]) -> None:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
            for name, suffix in names:
                (Path(folder) / os.fsdecode(name + suffix)).write_bytes(JPEG)
            stored = list(Path(folder).iterdir())
            try:
                with open_files(Path(folder)) as files:
                    assert len(files.names()) + files.hidden == len(stored)
                    assert all(files.read(name) == JPEG and name.encode() for name in files.names())
                    photos_of_folder, hidden = folders.names_below(Path(folder))
            except UnmaskError:
                return
            assert len(photos_of_folder) + hidden == len(stored)
            assert all(path.read_bytes() == JPEG and name.encode() for name, path in photos_of_folder.items())

    read()


def test_the_catalogue_and_other_yaml(tmp_path: Path):
    file = tmp_path / "catalogue.yaml"
    text = "faces:\n  title: Faces\n  homepage: https://example.org\n  license: free\n  terms: null\n"
    text += "  expected: {photos: 3}\n  layout: x\n  files:\n"
    text += "    - name: data.bin\n      url: https://example.org/data.bin\n      bytes: 12\n"

    @fuzz
    @given(st.data())
    def read(data: st.DataObject) -> None:
        file.write_bytes(data.draw(broken_file("x.yaml", text.encode())))
        with contextlib.suppress(UnmaskError):
            catalogue.load(file)
        with contextlib.suppress(UnmaskError):
            params.load(params.Section, "faces", file)

    read()
