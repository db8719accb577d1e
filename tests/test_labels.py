"""Labels as people and their tools write them: read right, or refused in words, and none is lost."""

import base64
import functools
import importlib.machinery
import io
import itertools
import json
import math
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.data import labels
from stages.data.files import open_files
from stages.data.formats import classes, coco, image_label_pairs, labelme
from stages.data.photo import Photo
from stages.faces.parts import MASK
from tests.test_clean import encoded, photo, run
from tests.test_datasets import listed, write

WIDTH, HEIGHT = 46, 56
CORNERS = [[12, 32], [33, 32], [35, 47], [23, 53], [11, 47]]  # of a mask
REGION = np.zeros((HEIGHT, WIDTH), bool)
REGION[32:48, 12:34] = True
Read = Callable[..., tuple[dict[str, Any], dict[str, tables.Face], dict[str, str]]]


def face(seed: int = 0, orientation: int = 1, size: tuple[int, int] = (WIDTH, HEIGHT)) -> bytes:
    """Return a JPEG of a size as it is stored, with an EXIF tag."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(Image.fromarray(photo(seed)).resize(size), exif=exif)


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return a function that cleans a dataset by one reader: metrics, faces by name, and reasons of rejects by file."""

    calls = itertools.count()

    def cleaned(reader: Callable, content: dict[str, bytes], **arguments: Any):
        name = "stages.data.adapters.mine"
        module = types.ModuleType(name)
        module.photos = functools.partial(reader, **arguments)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
        numbers, rejects = run(write(tmp_path / str(next(calls)) / "mine", content), near_duplicates=None)
        faces = {face["face_id"].rsplit("/", 1)[1]: face for face in tables.read(Path("table"))}
        assert numbers["unexplained"] == 0
        return numbers, faces, {reject["file"]: reject["reason"] for reject in rejects}

    return cleaned


def region(face: tables.Face) -> np.ndarray:
    return images.decode_gray(face["labels"]) == MASK


def box(found: np.ndarray) -> tuple[int, ...]:
    """Return left, top, right and bottom, the latter two beyond the last pixel."""
    y, x = np.nonzero(found)
    return int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1


def painted(reader: Any, folder: Path) -> dict[str, np.ndarray]:
    """Return where each photo of a folder, all of one size and none rejected, has a mask, by name."""
    photos, rejects = listed(reader, folder)
    assert not rejects
    with open_files(folder) as files:
        frame = labels.Frame(WIDTH, HEIGHT)
        return {one.name: labels.paint(files, one, frame, 10**6).labels == MASK for one in photos}


def shape(label: str = "mask", kind: str | None = "polygon", points: Any = CORNERS, **more: Any) -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, **more}


def labelme_json(*shapes: dict[str, Any], size: tuple[int, int] | None = (WIDTH, HEIGHT), **more: Any) -> bytes:
    width, height = size or (None, None)
    entry = {"imagePath": "a.jpg", "imageData": None, "imageWidth": width, "imageHeight": height, "shapes": shapes}
    return json.dumps({**entry, **more}, ensure_ascii=False).encode()


def coco_json(*annotations: dict[str, Any], **more: Any) -> bytes:
    """Return COCO's JSON with one image, a.jpg, and three categories."""
    content = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "with_mask"}, {"id": 2, "name": "without_mask"}, {"id": 3, "name": "hat"}],
        "annotations": [
            {"id": number, "image_id": 1, "category_id": 1, **one} for number, one in enumerate(annotations)
        ],
    }
    return json.dumps(content | more).encode()


def lengths(region: np.ndarray) -> list[int]:
    """Return the run lengths of a region, down its columns, the first one outside."""
    runs = [(bool(inside), len(list(run))) for inside, run in itertools.groupby(region.T.ravel())]
    return [0] * runs[0][0] + [length for _, length in runs]


FLAT = np.ravel(CORNERS).tolist()
POLYGON = coco_mask.decode(coco_mask.frPyObjects([FLAT], HEIGHT, WIDTH))[..., 0].astype(bool)


# ---------------------------------------------------------------- 200 shapes of each kind, to the pixel


def drawn(number: int) -> tuple[np.random.Generator, list[list[float]]]:
    """Return the corners of a shape around a place of its own, a pixel to a photo large, some of them outside."""
    rng = np.random.default_rng(number)
    size = (1, 3, 10, 40)[number % 4]
    corners = rng.uniform(0, [WIDTH, HEIGHT]) + rng.normal(0, size, (rng.integers(3, 9), 2))
    return rng, (np.round(corners) if number % 3 == 0 else corners).tolist()


@pytest.mark.parametrize("kind", ["polygons", "packed", "run lengths"])
def test_200_shapes_of_coco_are_painted_as_pycocotools_paints_them(kind: str, tmp_path: Path):
    content: dict[str, Any] = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "mask"}]}
    for number in range(200):
        rng, corners = drawn(number)
        segmentation: Any = [np.ravel(corners).tolist(), np.ravel(drawn(number + 200)[1]).tolist()]
        if kind != "polygons":
            blobs = rng.random((HEIGHT, WIDTH)) < rng.choice([0.02, 0.5, 0.98])
            blobs |= coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(segmentation, HEIGHT, WIDTH))).astype(bool)
            segmentation = coco_mask.encode(np.asfortranarray(blobs, np.uint8))
            segmentation["counts"] = segmentation["counts"].decode()
            if kind == "run lengths":
                segmentation["counts"] = lengths(blobs)
        content["images"].append({"id": number, "file_name": f"{number}.jpg", "width": WIDTH, "height": HEIGHT})
        content["annotations"].append(
            {"id": number, "image_id": number, "category_id": 1, "iscrowd": int(kind != "polygons")}
            | {"segmentation": segmentation}
        )
    folder = write(tmp_path, {f"{number}.jpg": b"" for number in range(200)})
    write(folder, {"x.json": json.dumps(content).encode()})
    reference = COCO()
    reference.dataset = content
    reference.createIndex()
    found = painted(coco, folder)
    for number in range(200):
        (annotation,) = reference.imgToAnns[number]
        assert np.array_equal(found[str(number)], reference.annToMask(annotation).astype(bool)), number


def by_pillow(kind: str, points: list[list[float]]) -> np.ndarray:
    """Paint a shape by labelme's rule (labelme/utils/shape.py, shape_to_mask)."""
    picture = Image.new("L", (WIDTH, HEIGHT))
    draw = ImageDraw.Draw(picture)
    if kind == "circle":
        (x, y), rim = points
        radius = math.hypot(x - rim[0], y - rim[1])
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=1, fill=1)
    elif kind == "rectangle":
        (x, y), (x1, y1) = points
        draw.rectangle([min(x, x1), min(y, y1), max(x, x1), max(y, y1)], outline=1, fill=1)
    else:
        draw.polygon([tuple(point) for point in points], outline=1, fill=1)
    return np.asarray(picture, bool)


@pytest.mark.parametrize("kind", ["polygon", "rectangle", "circle", "rotation", "oriented_rectangle"])
def test_200_shapes_of_labelme_are_painted_as_labelme_paints_them(kind: str, tmp_path: Path):
    folder = write(tmp_path, {f"{number}.jpg": b"" for number in range(200)})
    expected = {}
    for number in range(200):
        points = drawn(number)[1]
        if kind in {"rectangle", "circle"}:
            points = points[:2]
        elif kind != "polygon":  # a turned rectangle
            (x, y), (x1, y1), (x2, _) = points[:3]
            across, along = np.array([x1 - x, y1 - y]), np.array([y - y1, x1 - x]) * (x2 % 3)
            points = [*map(list, ([x, y] + step for step in (0 * across, across, across + along, along)))]
        expected[str(number)] = by_pillow(kind, points)
        write(folder, {f"{number}.json": labelme_json(shape(kind=kind, points=points), imagePath=f"{number}.jpg")})
    found = painted(labelme, folder)
    assert [name for name in expected if not np.array_equal(found[name], expected[name])] == []


def test_200_masks_of_labelmes_ai_lie_where_their_corners_say(tmp_path: Path):
    folder = write(tmp_path, {f"{number}.jpg": b"" for number in range(200)})
    expected = {}
    for number in range(200):
        rng = np.random.default_rng(number)
        width, height = rng.integers(1, (2, 9, 30, 60)[number % 4], 2)
        left, top = int(rng.integers(-5, WIDTH)), int(rng.integers(-5, HEIGHT))
        patch = rng.random((height, width)) < 0.6
        whole = np.zeros((HEIGHT + 200, WIDTH + 200), bool)
        whole[top + 100 :, left + 100 :][:height, :width] = patch
        expected[str(number)] = whole[100:-100, 100:-100]
        off = 0.3 if number % 5 == 0 else 0
        mask = shape(
            kind="mask",
            points=[[left + off, top], [left + int(width) - 1, top + int(height) - 1]],
            mask=base64.b64encode(encoded(Image.fromarray(patch), "PNG")).decode(),
        )
        write(folder, {f"{number}.json": labelme_json(mask, imagePath=f"{number}.jpg")})
    found = painted(labelme, folder)
    assert [name for name in expected if not np.array_equal(found[name], expected[name])] == []


# ---------------------------------------------------------------- what labels mean


KAGGLE = {
    "with_mask": True,
    " Face Mask ": True,
    "mask_weared_incorrect": True,
    "口罩 mask": True,
    "without_mask": False,
    "no-mask": False,
    "Unmasked_Face": False,
    "face": False,
}


def test_labels_mean_what_their_exact_names_say(read: Read):
    content = {f"{number}.jpg": face(number) for number in range(len(KAGGLE))}
    for number, label in enumerate(KAGGLE):
        content[f"{number}.json"] = labelme_json(shape(label), imagePath=f"{number}.jpg")
    numbers, faces, rejects = read(labelme.photos, content)
    assert [faces[str(number)]["wears_mask"] for number in range(len(KAGGLE))] == list(KAGGLE.values())
    assert [bool(faces[str(number)]["labels"]) for number in range(len(KAGGLE))] == list(KAGGLE.values())
    assert numbers["labels"]["mask"] == dict.fromkeys(list(KAGGLE)[:4], 1)
    assert numbers["labels"]["bare"] == dict.fromkeys(list(KAGGLE)[4:-1], 1)
    assert numbers["labels"]["face"] == {"face": 1}
    assert not rejects


@pytest.mark.parametrize("label", ["FFP2", "masking tape", "not a mask", "mask?", "", "mascarilla", "1"])
def test_a_label_that_nobody_explained_is_an_error_that_says_how_to(label: str, read: Read):
    content = {"a.jpg": face(), "a.json": labelme_json(shape(label), shape(label), shape("face"))}
    with pytest.raises(UnmaskError, match=r" 2; known are 'face' 1 \(face\).*labelme\.photos, mask_labels=") as error:
        read(labelme.photos, content)
    assert repr(label) in str(error.value)
    assert len(str(error.value).splitlines()) == 1
    _, faces, _ = read(labelme.photos, content, mask_labels=[label.upper()])
    assert faces["a"]["wears_mask"] is True
    _, faces, _ = read(labelme.photos, content, bare_labels=(label,))
    assert faces["a"]["wears_mask"] is False


def test_an_adapters_lists_come_before_those_of_the_reader(read: Read):
    content = {"a.jpg": face(), "a.json": labelme_json(shape("face"))}
    _, faces, _ = read(labelme.photos, content, mask_labels="face")
    assert faces["a"]["wears_mask"] is True
    _, faces, _ = read(labelme.photos, content, bare_labels=["face"])
    assert faces["a"]["wears_mask"] is False  # and not None: the adapter knows it
    with pytest.raises(UnmaskError, match="the label 'Face' in two lists"):
        read(labelme.photos, content, mask_labels=["face"], other_labels=["Face"])


def test_categories_of_coco_are_counted_where_they_are_used(read: Read):
    segmentation = {"segmentation": [FLAT]}
    content = {"a.jpg": face(), "x.json": coco_json(segmentation, {**segmentation, "category_id": 3})}
    with pytest.raises(UnmaskError, match=r"'hat' 1; known are 'with_mask' 1 \(mask\).*coco\.photos"):
        read(coco.photos, content)
    numbers, faces, _ = read(coco.photos, content, other_labels=["hat"])
    assert (faces["a"]["wears_mask"], numbers["labels"]) == (True, {"mask": {"with_mask": 1}, "other": {"hat": 1}})
    with pytest.raises(UnmaskError, match="'category 9' 1"):
        read(coco.photos, content | {"x.json": coco_json({**segmentation, "category_id": 9})})
    with pytest.raises(UnmaskError, match="'hat' 0"):
        read(coco.photos, content | {"x.json": coco_json(categories=[{"id": 1, "name": "hat"}])})


@pytest.mark.parametrize(
    ("found", "others", "expected"),
    [
        ([], ["mask"], False),  # only masks have labels
        ([], ["mask", "no_mask"], None),  # a bare face would have one
        ([], ["mask", "face"], None),  # so would any face
        (["face"], ["mask"], False),
        (["face"], ["mask", "no_mask"], False),
        (["face"], [], None),
        (["mask", "face"], [], True),  # the face around it
        (["mask", "mask", "face", "face"], [], True),
        (["mask", "face", "face"], [], None),  # two people, one behind a mask
        (["mask", "no_mask"], [], None),  # two people
        (["hat"], ["mask"], False),
    ],
)
def test_what_a_photo_without_a_mask_or_with_both_wears(found: list[str], others: list[str], expected: bool | None):
    meanings = classes.read(dict.fromkeys([*found, *others], 1), "coco", {"other_labels": ["hat"]})
    assert classes.wears_mask(found, meanings) is expected


@pytest.mark.parametrize(
    ("declared", "of_a", "of_b", "expected"),
    [
        (["mask", "no_mask"], ["mask"], [], (True, None)),
        (["mask", "face", "no_mask"], ["mask"], ["face"], (True, None)),
        (["mask", "face"], ["mask"], [], (True, None)),
        (["mask", "face"], ["mask"], ["face"], (True, False)),
        (["mask", "face"], ["face"], ["face"], (None, None)),
        (["mask", "no_mask", "face"], ["face"], [], (None, None)),
        (["mask", "no_mask"], ["mask"], ["no_mask"], (True, False)),
        (["mask"], [], [], (None, None)),  # nobody labeled anything
        (["mask", "dog"], ["mask"], [], (True, False)),  # `dog` is no error where nobody used it
    ],
)
def test_a_category_that_nobody_used_says_nothing(
    declared: list[str], of_a: list[str], of_b: list[str], expected: tuple[bool | None, ...], tmp_path: Path
):
    content = {
        "images": [{"id": number, "file_name": name} for number, name in enumerate(("a.jpg", "b.jpg"))],
        "categories": [{"id": number, "name": name} for number, name in enumerate(declared)],
        "annotations": [
            {"image_id": number, "category_id": declared.index(label), "segmentation": [FLAT]}
            for number, labels in enumerate((of_a, of_b))
            for label in labels
        ],
    }
    write(tmp_path, {"a.jpg": b"", "b.jpg": b"", "x.json": json.dumps(content).encode()})
    with open_files(tmp_path) as files:
        assert tuple(photo.wears_mask for photo in coco.photos(files)) == expected


# ---------------------------------------------------------------- label maps


def indexed(background: int, value: int, ignored: int | None = None, dtype: type = np.uint8) -> np.ndarray:
    array = np.where(REGION, value, background).astype(dtype)
    if ignored is not None:
        array[:6] = ignored
    return array


def with_palette(array: np.ndarray, *colors: tuple[int, int, int]) -> Image.Image:
    picture = Image.fromarray(array).convert("P")
    picture.putdata(array.ravel().tolist())
    picture.putpalette(np.ravel(colors).tolist())
    return picture


def voc_palette() -> list[tuple[int, int, int]]:
    """Return PASCAL VOC's colors by the loop of its own development kit."""
    colors = []
    for index in range(256):
        color, rest = [0, 0, 0], index
        for shift in range(7, -1, -1):
            for channel in range(3):
                color[channel] |= (rest >> channel & 1) << shift
            rest >>= 3
        colors.append((color[0], color[1], color[2]))
    return colors


PALETTE = voc_palette()
GRAYS = [(index, index, index) for index in range(256)]


def rgb(array: np.ndarray, palette: list[tuple[int, int, int]] = PALETTE) -> Image.Image:
    return Image.fromarray(np.array(palette, np.uint8)[array])


def with_alpha(colors: np.ndarray | Image.Image, alpha: np.ndarray) -> Image.Image:
    picture = (colors if isinstance(colors, Image.Image) else Image.fromarray(colors)).convert("RGBA")
    picture.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return picture


SOFT = Image.fromarray(indexed(0, 255)).resize((4 * WIDTH, 4 * HEIGHT), Image.Resampling.BICUBIC)
CONTENT = Image.fromarray(photo(9)).resize((WIDTH, HEIGHT))
BLANK = Image.new("RGB", (WIDTH, HEIGHT), (200, 30, 30))
KNOWN: dict[str, tuple[Image.Image, str]] = {
    "gray 0/1": (Image.fromarray(indexed(0, 1)), "PNG"),
    "gray 0/255": (Image.fromarray(indexed(0, 255)), "PNG"),
    "gray 0/128": (Image.fromarray(indexed(0, 128)), "PNG"),
    "index 2": (Image.fromarray(indexed(0, 2)), "PNG"),
    "index 1, 255 ignored": (Image.fromarray(indexed(0, 1, 255)), "PNG"),
    "index 2, 255 ignored": (Image.fromarray(indexed(0, 2, 255)), "PNG"),
    "VOC 1": (with_palette(indexed(0, 1), *PALETTE), "PNG"),
    "VOC 2": (with_palette(indexed(0, 2), *PALETTE), "PNG"),
    "VOC 1, 255 ignored": (with_palette(indexed(0, 1, 255), *PALETTE), "PNG"),
    "VOC 15, as GIF": (with_palette(indexed(0, 15), *PALETTE), "GIF"),
    "black and dark": (with_palette(indexed(0, 1), (0, 0, 0), (1, 1, 1)), "PNG"),
    "bright background": (with_palette(indexed(0, 1), (250, 250, 100), (10, 0, 0)), "PNG"),
    "palette of grays": (with_palette(indexed(0, 255), *GRAYS), "PNG"),
    "1 bit": (Image.fromarray(REGION), "PNG"),
    "16 bits, 65535": (Image.fromarray(indexed(0, 65535, dtype=np.uint16)), "PNG"),
    "16 bits, 1": (Image.fromarray(indexed(0, 1, dtype=np.uint16)), "PNG"),
    "16 bits, 1, 65535 ignored": (Image.fromarray(indexed(0, 1, 65535, dtype=np.uint16)), "PNG"),
    "TIFF, 0/1": (Image.fromarray(indexed(0, 1)), "TIFF"),
    "TIFF, 16 bits": (Image.fromarray(indexed(0, 65535, dtype=np.uint16)), "TIFF"),
    "TIFF, 32 bits": (Image.fromarray(indexed(0, 1, dtype=np.int32)), "TIFF"),
    "TIFF, float": (Image.fromarray(indexed(0, 1, dtype=np.float32)), "TIFF"),
    "WEBP without loss": (Image.fromarray(indexed(0, 255)), "WEBP"),
    "BMP": (Image.fromarray(indexed(0, 255)), "BMP"),
    "RGB, white": (rgb(indexed(0, 255), GRAYS), "PNG"),
    "RGB, 1 of 255": (rgb(indexed(0, 1), GRAYS), "PNG"),
    "RGB, VOC's red": (rgb(indexed(0, 1)), "PNG"),
    "RGB, VOC's green, rest ignored": (rgb(indexed(0, 2, 255)), "PNG"),
    "RGB, one color": (rgb(indexed(0, 1), [(0, 0, 0), (255, 0, 90)]), "PNG"),
    "alpha over a color": (with_alpha(BLANK, 255 * REGION), "PNG"),
    "alpha, half of it": (with_alpha(BLANK, 100 * REGION), "PNG"),
    "alpha over black": (with_alpha(Image.new("RGB", BLANK.size), 255 * REGION), "PNG"),
    "a photo cut out": (with_alpha(CONTENT, 255 * REGION), "PNG"),
    "a gray photo cut out": (with_alpha(CONTENT.convert("L"), 255 * REGION), "PNG"),
    "alpha says nothing": (with_alpha(rgb(indexed(0, 255), GRAYS), np.full_like(REGION, 255, np.uint8)), "PNG"),
    "black, white and transparent": (with_alpha(rgb(indexed(0, 255), GRAYS), indexed(255, 255, 0)), "PNG"),
    "JPEG": (Image.fromarray(indexed(0, 255)), "JPEG"),
    "twice the size": (Image.fromarray(np.kron(indexed(0, 1), np.ones((2, 2), np.uint8))), "PNG"),
}


@pytest.mark.parametrize("kind", KNOWN)
def test_a_label_map_is_read_by_its_indices(kind: str, read: Read):
    picture, suffix = KNOWN[kind]
    options = {"GIF": {"optimize": False}, "WEBP": {"lossless": True}}.get(suffix, {})
    content = {"images/a.jpg": face(), f"labels/a.{suffix.lower()}": encoded(picture, suffix, **options)}
    _, faces, rejects = read(image_label_pairs.photos, content, class_id=MASK)
    assert not rejects
    found = region(faces["a"])
    if suffix == "JPEG":
        assert (found ^ REGION).sum() <= 4  # blurred corners
    else:
        assert np.array_equal(found, REGION)
    assert faces["a"]["wears_mask"] is True


def test_a_lossy_webp_is_no_map_of_indices(read: Read):
    content = {"images/a.jpg": face(), "labels/a.webp": encoded(Image.fromarray(indexed(0, 255)), "WEBP", quality=60)}
    _, faces, _ = read(image_label_pairs.photos, content, class_id=MASK)
    assert (region(faces["a"]) ^ REGION).sum() <= 8


def test_blurred_edges_are_no_indices(read: Read):
    content = {"images/a.jpg": face(0, 1, (4 * WIDTH, 4 * HEIGHT)), "labels/a.png": encoded(SOFT, "PNG")}
    _, faces, _ = read(image_label_pairs.photos, content, class_id=MASK)
    assert np.array_equal(region(faces["a"]), np.asarray(SOFT) > 127)


TWO = np.where(REGION, 1, 0).astype(np.uint8)
TWO[6:12] = 2
NOISE = indexed(0, 255)
NOISE[40, 20] = 1
UNKNOWN: dict[str, tuple[Image.Image, str]] = {
    "two indices": (Image.fromarray(TWO), "unclear_labels"),
    "two indices of VOC": (with_palette(TWO, *PALETTE), "unclear_labels"),
    "two indices, 255 ignored": (Image.fromarray(np.where(TWO + indexed(0, 0, 9) > 8, 255, TWO)), "unclear_labels"),
    "black, gray and white": (Image.fromarray(indexed(0, 255, 128)), "unclear_labels"),
    "no background": (Image.fromarray(indexed(1, 2)), "unclear_labels"),
    "a black mask on white": (Image.fromarray(indexed(255, 0)), "unclear_labels"),
    "a red mask is index 0": (with_palette(1 - indexed(0, 1), (255, 0, 0), (0, 0, 0)), "unclear_labels"),
    "white with noise": (Image.fromarray(NOISE), "unclear_labels"),
    "one index everywhere": (Image.fromarray(indexed(1, 1)), "unclear_labels"),
    "white is index 0": (with_palette(1 - indexed(0, 1), (255, 255, 255), (0, 0, 0)), "unclear_labels"),
    "colors of nobody": (rgb(TWO, [(0, 0, 0), (9, 8, 7), (200, 1, 2)]), "unclear_labels"),
    "a photo": (CONTENT, "unclear_labels"),
    "a gray photo": (CONTENT.convert("L"), "unclear_labels"),
    "shares": (Image.fromarray(REGION * np.float32(0.7)), "unclear_labels"),
    "no numbers": (Image.fromarray(np.where(REGION, np.float32(np.nan), np.float32(0))), "unclear_labels"),
    "nothing": (Image.fromarray(indexed(0, 0)), "no_region"),
    "only 255 of VOC's palette": (with_palette(indexed(0, 255), *PALETTE), "no_region"),
    "only VOC's color of 255": (rgb(indexed(0, 255)), "no_region"),
    "another shape": (Image.fromarray(indexed(0, 1)[:50]), "size_differs"),
    "sideways": (Image.fromarray(indexed(0, 1).T), "size_differs"),
    "a single pixel": (Image.fromarray(indexed(0, 1)[40:41, 20:21]), "unclear_labels"),
}


@pytest.mark.parametrize("kind", UNKNOWN)
def test_what_a_label_map_does_not_say_is_refused_by_name(kind: str, read: Read):
    picture, reason = UNKNOWN[kind]
    suffix = "TIFF" if picture.mode == "F" else "PNG"
    content = {"images/a.jpg": face(), f"labels/a.{suffix.lower()}": encoded(picture, suffix)}
    with pytest.raises(UnmaskError, match=rf"{reason} 1\); images/a\.jpg: labels/a\.{suffix.lower()} "):
        read(image_label_pairs.photos, content, class_id=MASK)


def test_which_index_is_meant_can_be_said(read: Read):
    content = {"images/a.jpg": face(), "labels/a.png": encoded(with_palette(TWO, *PALETTE), "PNG")}
    for index, expected in ((1, TWO == 1), (2, TWO == 2), ([1, 2], TWO > 0), (0, TWO == 0), ([PALETTE[2]], TWO == 2)):
        _, faces, _ = read(image_label_pairs.photos, content, class_id=MASK, index=index)
        assert np.array_equal(region(faces["a"]), expected)
    with pytest.raises(UnmaskError, match=r"no_region 1\); images/a\.jpg: labels/a\.png holds 0, 1, 2"):
        read(image_label_pairs.photos, content, class_id=MASK, index=3)


def test_an_index_that_stands_beside_another_one_elsewhere_is_not_guessed(read: Read):
    maps = {"both": TWO, "one": indexed(0, 1), "other": indexed(0, 2), "third": indexed(0, 3)}
    content = {f"labels/{name}.png": encoded(Image.fromarray(array), "PNG") for name, array in maps.items()}
    content |= {f"images/{name}.jpg": face(number) for number, name in enumerate(maps)}
    numbers, faces, rejects = read(image_label_pairs.photos, content, class_id=MASK)
    assert set(faces) == {"third"}
    assert rejects == dict.fromkeys([f"images/{name}.jpg" for name in ("both", "one", "other")], "unclear_labels")
    assert numbers["label_indices"] == {3: 1}
    assert len(read(image_label_pairs.photos, content, class_id=MASK, index=2)[1]) == 2


def test_maps_of_one_index_each_are_read_and_told_if_it_is_not_the_same(read: Read, capsys: pytest.CaptureFixture):
    content = {f"images/{name}.jpg": face(number) for number, name in enumerate("abc")}
    content |= {f"labels/{name}.png": images.encode_png(indexed(0, 1 + (name == "b"))) for name in "abc"}
    assert len(read(image_label_pairs.photos, content, class_id=MASK)[1]) == 3
    assert "one index each, 1 in 2, 2 in 1: if these are several classes, say" in capsys.readouterr().err


def test_an_empty_label_map_is_a_bare_face_only_if_somebody_says_so(read: Read):
    content = {f"images/{name}.jpg": face(number) for number, name in enumerate("ab")}
    content |= {"labels/a.png": images.encode_png(indexed(0, 1)), "labels/b.png": images.encode_png(indexed(0, 0))}
    _, faces, rejects = read(image_label_pairs.photos, content, class_id=MASK)
    assert (set(faces), rejects) == ({"a"}, {"images/b.jpg": "no_region"})
    _, faces, rejects = read(image_label_pairs.photos, content, class_id=MASK, empty_is_bare=True)
    assert ({name: face["wears_mask"] for name, face in faces.items()}, rejects) == ({"a": True, "b": False}, {})


def test_ignored_pixels_are_counted_and_in_no_region(read: Read):
    content = {"images/a.jpg": face(), "labels/a.png": images.encode_png(indexed(0, 1, 255))}
    numbers, _, _ = read(image_label_pairs.photos, content, class_id=MASK)
    assert numbers["ignored_pixels"] == 6 * WIDTH
    assert numbers["label_pixels"] == {0: WIDTH * HEIGHT - REGION.sum(), MASK: REGION.sum()}


@pytest.mark.parametrize(
    ("image", "label", "name", "split"),
    [
        ("images/train/a.jpg", "labels/train/a.png", "train-a", "train"),
        ("train/images/a.jpg", "train/labels/a.png", "a", "train"),
        ("img_dir/val/a.jpg", "ann_dir/val/a.png", "val-a", "val"),
        ("JPEGImages/a.jpg", "SegmentationClass/a.png", "a", None),
        ("masks/Images/a.jpg", "masks/Masks/a.png", "a", None),
    ],
)
def test_folders_of_photos_and_label_maps(image: str, label: str, name: str, split: str | None, tmp_path: Path):
    photos, rejects = pairs(tmp_path, [image, label])
    assert [(one.file, one.name, one.split, one.label_files) for one in photos] == [
        (image, name, split, ((MASK, label),))
    ]
    assert not rejects


def pairs(folder: Path, names: list[str], **arguments: Any) -> tuple[list[Photo], dict[str, str]]:
    class Adapter:
        photos = staticmethod(functools.partial(image_label_pairs.photos, class_id=MASK, **arguments))

    photos, rejects = listed(Adapter, write(folder, dict.fromkeys(names, b"")))
    return photos, {reject.file: reject.reason for reject in rejects}


def test_equal_names_in_two_splits_are_two_photos(tmp_path: Path):
    names = [f"{split}/{folder}/a.png" for split in ("train", "valid") for folder in ("images", "labels")]
    assert {(one.name, one.split) for one in pairs(tmp_path, names)[0]} == {("train-a", "train"), ("valid-a", "val")}


@pytest.mark.parametrize("suffix", ["_mask", "-seg", ".jpg"])
def test_label_maps_with_a_suffix(suffix: str, tmp_path: Path):
    photos, _ = pairs(tmp_path / "two", ["images/a.jpg", f"masks/a{suffix}.png"], label_suffix=suffix)
    assert [one.label_files for one in photos] == [((MASK, f"masks/a{suffix}.png"),)]
    photos, rejects = pairs(tmp_path / "one", ["x/a.jpg", f"x/a{suffix}.png", "x/b.jpg"], label_suffix=suffix)
    assert [(one.file, one.label_files) for one in photos] == [("x/a.jpg", ((MASK, f"x/a{suffix}.png"),))]
    assert rejects == {"x/b.jpg": "no_label"}


# ---------------------------------------------------------------- turned and scaled


def upright(array: np.ndarray, orientation: int) -> np.ndarray:
    """Turn an array as Pillow turns a photo with this EXIF tag."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return np.asarray(
        ImageOps.exif_transpose(Image.open(io.BytesIO(encoded(Image.fromarray(array), "PNG", exif=exif))))
    )


def stored(array: np.ndarray, orientation: int) -> np.ndarray:
    """Return what lies in a file that this EXIF tag turns into an upright array."""
    turned = [np.ascontiguousarray(np.rot90(one, quarter)) for one in (array, array.T) for quarter in range(4)]
    return next(one for one in turned if np.array_equal(upright(one, orientation), array))


def packed(array: np.ndarray) -> dict[str, Any]:
    code = coco_mask.encode(np.asfortranarray(array, np.uint8))
    return {"size": code["size"], "counts": code["counts"].decode()}


def png_pair(size: tuple[int, int], orientation: int, array: np.ndarray) -> dict[str, bytes]:
    return {"images/a.jpg": face(0, orientation, size), "labels/a.png": images.encode_png(array)}


def coco_pair(size: tuple[int, int], orientation: int, array: np.ndarray) -> dict[str, bytes]:
    image = {"id": 1, "file_name": "a.jpg", "width": array.shape[1], "height": array.shape[0]}
    made = coco_json({"segmentation": packed(array)}, images=[image])
    return {"a.jpg": face(0, orientation, size), "x.json": made}


def labelme_pair(size: tuple[int, int], orientation: int, array: np.ndarray) -> dict[str, bytes]:
    height, width = array.shape
    png = base64.b64encode(encoded(Image.fromarray(array.astype(bool)), "PNG")).decode()
    made = labelme_json(shape(kind="mask", points=[[0, 0], [width - 1, height - 1]], mask=png), size=(width, height))
    return {"a.jpg": face(0, orientation, size), "a.json": made}


READERS = {
    "png": (functools.partial(image_label_pairs.photos, class_id=MASK), png_pair),
    "coco": (coco.photos, coco_pair),
    "labelme": (labelme.photos, labelme_pair),
}
TRUTH = indexed(0, 1)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_labels_are_turned_with_their_photo(reader: str, orientation: int, read: Read):
    photos, made = READERS[reader]
    size = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    for lying, is_upright in ((stored(TRUTH, orientation), False), (TRUTH, True)):
        content = made(size, orientation, lying)
        said = {}
        if orientation in {2, 3, 4}:  # the size is the same, turned or not
            with pytest.raises(UnmaskError, match=r"unclear_turn 1\).*46x56.*labels_upright=True or False"):
                read(photos, content)
            said = {"labels_upright": is_upright}
        _, faces, _ = read(photos, content, **said)
        assert np.array_equal(region(faces["a"]), TRUTH.astype(bool))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("orientation", [1, 6, 8])
@pytest.mark.parametrize("scale", [0.5, 2, 3])
def test_labels_made_on_a_larger_or_smaller_copy_are_scaled(reader: str, orientation: int, scale: float, read: Read):
    photos, made = READERS[reader]
    truth = np.kron(TRUTH[::2, ::2], np.ones((2, 2), np.uint8))
    copy = np.asarray(
        Image.fromarray(truth).resize((int(WIDTH * scale), int(HEIGHT * scale)), Image.Resampling.NEAREST)
    )
    size = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    for lying in (copy, stored(copy, orientation)):
        _, faces, _ = read(photos, made(size, orientation, lying))
        assert np.array_equal(region(faces["a"]), truth.astype(bool))


@pytest.mark.parametrize("reader", READERS)
def test_labels_of_another_size_are_refused_with_both_sizes(reader: str, read: Read):
    photos, made = READERS[reader]
    for orientation, size, lying, message in (
        (1, (WIDTH, HEIGHT), TRUTH.T, "56x46, the photo 46x56;?"),
        (1, (WIDTH, HEIGHT), TRUTH[:, :-6], "40x56, the photo 46x56"),
        (6, (HEIGHT, WIDTH), TRUTH[:, :-6], "40x56, the photo 46x56 upright and 56x46 as it is stored"),
        (6, (HEIGHT, HEIGHT), np.pad(TRUTH, ((0, 0), (0, 10))), "56x56, the photo 56x56 upright and 56x56"),
    ):
        with pytest.raises(UnmaskError, match=message):
            read(photos, made(size, orientation, lying))
    square = np.pad(TRUTH, ((0, 0), (0, 10)))
    _, faces, _ = read(photos, made((HEIGHT, HEIGHT), 6, stored(square, 6)), labels_upright=False)
    assert np.array_equal(region(faces["a"]), square.astype(bool))


def test_corners_are_scaled_before_they_are_painted(read: Read):
    larger = shape(points=[[3 * x, 3 * y] for x, y in CORNERS])
    content = {"a.jpg": face(), "a.json": labelme_json(larger, size=(3 * WIDTH, 3 * HEIGHT))}
    assert np.array_equal(region(read(labelme.photos, content)[1]["a"]), by_pillow("polygon", CORNERS))
    image = {"id": 1, "file_name": "a.jpg", "width": 2 * WIDTH, "height": 2 * HEIGHT}
    content = {"a.jpg": face(), "x.json": coco_json({"segmentation": [[2 * xy for xy in FLAT]]}, images=[image])}
    assert np.array_equal(region(read(coco.photos, content)[1]["a"]), POLYGON)


def test_shapes_without_a_declared_size_are_of_the_photo_unless_it_is_turned(read: Read):
    made = labelme_json(shape(), size=None)
    assert region(read(labelme.photos, {"a.jpg": face(), "a.json": made})[1]["a"]).any()
    turned = {"a.jpg": face(0, 6, (HEIGHT, WIDTH)), "a.json": made}
    with pytest.raises(UnmaskError, match="unclear_turn 1"):
        read(labelme.photos, turned)
    _, faces, _ = read(labelme.photos, turned, labels_upright=True)
    assert np.array_equal(region(faces["a"]), by_pillow("polygon", CORNERS))


@pytest.mark.parametrize("suffix", ["PNG", "TIFF"])
def test_a_label_map_with_an_exif_tag_of_its_own_is_upright(suffix: str, read: Read):
    exif = Image.Exif()
    exif[0x0112] = 6
    own = encoded(Image.fromarray(stored(TRUTH, 6)), suffix, exif=exif)
    for orientation, size in ((6, (HEIGHT, WIDTH)), (3, (WIDTH, HEIGHT))):
        content = {"images/a.jpg": face(0, orientation, size), f"labels/a.{suffix.lower()}": own}
        _, faces, _ = read(image_label_pairs.photos, content, class_id=MASK)
        assert np.array_equal(region(faces["a"]), TRUTH.astype(bool))


# ---------------------------------------------------------------- labelme


def test_shapes_of_labelme(read: Read):
    square = [[12, 30], [34, 30], [34, 50], [12, 50]]
    made = {
        "two": (shape(kind="rectangle", points=[square[2], square[0]]), (12, 30, 35, 51)),
        "four": (shape(kind="rectangle", points=square), (12, 30, 35, 51)),
        "old": (shape(kind=None, points=square), (12, 30, 35, 51)),
        "turned": (
            shape(kind="rotation", points=[[23, 29], [34, 40], [23, 51], [12, 40]], direction=0.78),
            (12, 29, 35, 52),
        ),
        "circle": (shape(kind="circle", points=[[23, 40], [23, 50]]), (13, 30, 34, 51)),
    }
    content = {f"{name}.jpg": face(number) for number, name in enumerate(made)}
    content |= {f"{name}.json": labelme_json(one, imagePath=f"{name}.jpg") for name, (one, _) in made.items()}
    _, faces, rejects = read(labelme.photos, content)
    assert not rejects
    assert {name: box(region(faces[name])) for name in made} == {name: expected for name, (_, expected) in made.items()}
    assert region(faces["four"]).sum() == 23 * 21
    assert region(faces["turned"]).sum() < 23 * 23 * 0.6


STRAY = {
    "linestrip": shape(kind="linestrip", points=CORNERS[:3]),
    "point": shape(kind="point", points=CORNERS[:1]),
    "line": shape(kind="line", points=CORNERS[:2]),
    "polygon of 2 points": shape(points=CORNERS[:2]),
    "polygon of 0 points": shape(points=[]),
    "rectangle of 1 points": shape(kind="rectangle", points=CORNERS[:1]),
}


@pytest.mark.parametrize("stray", STRAY)
def test_a_shape_without_area_is_counted_and_no_mask_alone(stray: str, read: Read):
    content = {"a.jpg": face(), "a.json": labelme_json(shape(), STRAY[stray])}
    numbers, faces, _ = read(labelme.photos, content)
    assert numbers["shapes_without_area"] == {stray: 1}
    assert np.array_equal(region(faces["a"]), by_pillow("polygon", CORNERS))
    with pytest.raises(UnmaskError, match=rf"no_region 1\).*no area: {stray}"):
        read(labelme.photos, content | {"a.json": labelme_json(STRAY[stray])})
    content |= {"b.jpg": face(1), "b.json": labelme_json(shape(), imagePath="b.jpg")}
    _, faces, _ = read(labelme.photos, content | {"a.json": labelme_json({**STRAY[stray], "label": "face"})})
    assert faces["a"]["wears_mask"] is False


@pytest.mark.parametrize(("label", "worn"), [("face", None), ("without_mask", False)])
def test_where_nobody_labels_masks_a_face_alone_says_nothing_of_them(label: str, worn: bool | None, read: Read):
    _, faces, _ = read(labelme.photos, {"a.jpg": face(), "a.json": labelme_json(shape(label))})
    assert faces["a"]["wears_mask"] is worn


def test_a_color_is_meant_by_its_three_numbers(read: Read):
    colors = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    colors[10:20, 10:30], colors[30:40, 10:20] = (128, 0, 0), (7, 90, 200)
    content = {"images/a.jpg": face(), "labels/a.png": encoded(Image.fromarray(colors), "PNG")}
    for index in ((7, 90, 200), [(7, 90, 200)]):
        _, faces, _ = read(image_label_pairs.photos, content, index=index)
        assert box(region(faces["a"])) == (10, 30, 20, 40)
    lossy = content | {"labels/a.jpg": encoded(Image.fromarray(colors))}
    del lossy["labels/a.png"]
    with pytest.raises(UnmaskError, match=r"labels/a.jpg is lossy, its colors are not exact: save it as PNG"):
        read(image_label_pairs.photos, lossy, index=(7, 90, 200))
    with pytest.raises(UnmaskError, match=r"index is \(128, 0\.5\): write 2, \[1, 2\] or \[\(128, 0, 0\)\]"):
        read(image_label_pairs.photos, content, index=(128, 0.5))


def test_categories_with_one_id_and_two_names_are_told(read: Read):
    twice = coco_json({"segmentation": [FLAT]}, categories=[{"id": 1, "name": "mask"}, {"id": 1, "name": "no_mask"}])
    with pytest.raises(UnmaskError, match="categories of different names have the same id"):
        read(coco.photos, {"a.jpg": face(), "a.json": twice})


PNG = base64.b64encode(encoded(Image.new("1", (4, 3), 1), "PNG")).decode()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (shape(kind="cuboid"), "a mask is a 'cuboid', which is not read"),
        (shape(points=[[1, 2], [3, float("nan")], [4, 5]]), "no pairs of finite numbers"),
        (shape(points=[[1, 2], [3, 1e9], [4, 5]]), "no pairs of finite numbers"),
        (shape(points=[1, 2, 3, 4, 5, 6]), "no pairs of finite numbers"),
        (shape(kind="rectangle", points=CORNERS), "a rectangle has 5 points"),
        (shape(kind="mask", points=[[1, 1], [4, 4]], mask=PNG), "4x3 pixels has corners for 4x4"),
        (shape(kind="mask", points=[[1, 1], [4, 3]], mask="%%%"), "is no PNG"),
        (shape(kind="mask", points=[[1, 1], [4, 3]]), "is no PNG"),
        (shape(points=[[60, 70], [80, 70], [80, 90]]), "its shapes lie on no pixel"),
        (shape(points="CORNERS"), "which is not read"),
    ],
)
def test_a_mask_that_cannot_be_painted_is_no_bare_face(broken: dict[str, Any], message: str, read: Read):
    with pytest.raises(UnmaskError, match=message):
        read(labelme.photos, {"a.jpg": face(), "a.json": labelme_json(broken)})


def test_a_photo_that_is_only_in_its_json_is_read(read: Read):
    text = base64.b64encode(face()).decode()
    made = {
        "lm/a.json": labelme_json(shape(), imagePath="..\\gone\\a.jpg", imageData=text),
        "lm/b.json": labelme_json(
            shape("face"), imageData=f"data:image/jpeg;base64,{base64.b64encode(face(1)).decode()}"
        ),
        "lm/c.json": labelme_json(shape(), imageData="no photo"),
        "lm/d.json": labelme_json(shape()),
    }
    numbers, faces, rejects = read(labelme.photos, made)
    assert faces["lm-a"]["image"] == face()
    assert np.array_equal(region(faces["lm-a"]), by_pillow("polygon", CORNERS))
    assert faces["lm-b"]["wears_mask"] is False
    assert rejects == {"lm/c.json": "unreadable", "lm/d.json": "file_missing"}
    assert numbers["photos"] == 4


def test_the_photo_of_a_json_is_where_it_says_or_beside_it(read: Read):
    content = {
        "set/images/a.jpg": face(0),
        "set/labels/a.json": labelme_json(shape(), imagePath="../images/a.jpg"),
        "set/b.jpg": face(1),
        "set/b.json": labelme_json(shape(), imagePath="C:\\people\\b.jpg"),
        "train/c.jpg": face(2),
        "train/c.json": labelme_json(shape(), imagePath="c.jpg"),
        "val/c.jpg": face(3),
        "val/c.json": labelme_json(imagePath="c.jpg"),
        "d.json": b"[1",
        "e.json": b'{"shapes": 3}',
        "F.JPG": face(4),
        "f.json": labelme_json(shape(), imagePath="f.jpg"),  # of Windows
        "001.png": encoded(photo(5), "PNG"),
        "001.json": labelme_json(shape(), imagePath="IMG_7.jpg", size=(96, 96)),  # renamed
        "g.jpg": face(6),
        "g.json": labelme_json(imagePath="g.jpg"),
        "g-2.json": labelme_json(shape(), imagePath="g.jpg"),
    }
    _, faces, rejects = read(labelme.photos, content)
    found = {name: (face["split"], face["wears_mask"]) for name, face in faces.items()}
    assert {name: worn for name, (_, worn) in found.items()} == {
        "set-images-a": True,
        "set-b": True,
        "train-c": True,
        "val-c": False,
        "F": True,
        "001": True,
    }
    assert (found["train-c"][0], found["val-c"][0]) == ("train", "val")
    assert rejects == {"d.json": "bad_json", "e.json": "bad_json", "g.jpg": "several_labels"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gbk"])
def test_labelmes_json_in_other_encodings_is_read(encoding: str, read: Read):
    made = labelme_json(shape("口罩"), imagePath="b.jpg").decode().encode(encoding)
    content = {"a.jpg": face(0), "a.json": labelme_json(shape()), "b.jpg": face(1), "b.json": made}
    _, faces, rejects = read(labelme.photos, content)
    assert not rejects
    assert np.array_equal(region(faces["b"]), by_pillow("polygon", CORNERS))


# ---------------------------------------------------------------- COCO

GOOD = {"segmentation": [FLAT]}
SEGMENTATIONS: dict[str, Any] = {
    "list of polygons": [FLAT],
    "flat list": FLAT,
    "list of points": CORNERS,
    "list of lists of points": [CORNERS],
    "an empty polygon beside it": [[], FLAT],
    "a polygon of two corners beside it": [FLAT, [1, 1, 2, 2]],
    "packed": packed(POLYGON),
    "packed in a list": [packed(POLYGON)],
    "run lengths": {"size": [HEIGHT, WIDTH], "counts": lengths(POLYGON)},
}


@pytest.mark.parametrize("kind", SEGMENTATIONS)
def test_segmentations_of_coco(kind: str, read: Read):
    made = coco_json({"segmentation": SEGMENTATIONS[kind], "iscrowd": int("run" in kind)})
    _, faces, rejects = read(coco.photos, {"a.jpg": face(), "x.json": made})
    assert not rejects
    assert np.array_equal(region(faces["a"]), POLYGON)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"size": [HEIGHT, WIDTH], "counts": [3, 4]}, "its lengths do not fill 46x56 pixels"),
        ({"size": [HEIGHT, WIDTH], "counts": [-3, 3 + HEIGHT * WIDTH]}, "its lengths do not fill"),
        ({"size": [HEIGHT, WIDTH], "counts": "ooo"}, "its lengths do not fill"),
        ({"size": [HEIGHT, WIDTH], "counts": ""}, "its lengths do not fill"),
        ({"size": [0, WIDTH], "counts": []}, r"is of size \[0, 46\]"),
        (packed(np.ones((HEIGHT, 20))), "is of 20x56 pixels, its image of another size"),
        (packed(np.zeros((HEIGHT, WIDTH))), "its shapes lie on no pixel"),
        ([[1, 2, 3, 4, 5, 6, 7]], "no list of pairs of finite numbers"),
        ([[1, 2, 3, 4, 5, "x"]], "no list of pairs of finite numbers"),
        ([[-90, -90, -80, -90, -80, -80]], "its shapes lie on no pixel"),
        ([[0, 0, 1e5, 0, 0, 9] * 200], "an outline without end"),
        ("polygon", "neither polygons nor a run-length code"),
        ([], "no area: no segmentation"),
        ([[1, 1, 2, 2]], "no area: polygon of 2 corners"),
        (None, "no area: no segmentation"),
    ],
)
def test_a_segmentation_that_cannot_be_painted_is_no_bare_face(segmentation: Any, message: str, read: Read):
    with pytest.raises(UnmaskError, match=message):
        read(coco.photos, {"a.jpg": face(), "x.json": coco_json({"segmentation": segmentation})})


def test_a_box_alone_says_that_a_mask_is_worn_and_not_where(read: Read):
    for segmentation in ({}, {"segmentation": []}, {"segmentation": None}):
        made = coco_json({"bbox": [12, 30, 20, 20], **segmentation})
        numbers, faces, _ = read(coco.photos, {"a.jpg": face(), "x.json": made})
        assert faces["a"]["wears_mask"] is True
        assert "labels" not in faces["a"]
        assert numbers["shapes_without_area"] == {"box": 1}


def test_ids_names_and_sizes_as_tools_write_them(read: Read):
    content = {f"{name}.jpg": face(number) for number, name in enumerate("abcd")}
    listed_images = [
        {"id": 1, "file_name": ".\\a.jpg", "width": WIDTH, "height": HEIGHT},
        {"id": 2, "file_name": "/data/upload/7/b.jpg", "width": str(WIDTH), "height": float(HEIGHT)},
        {"id": "3", "file_name": "c.jpg"},
        {"id": 4, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT},  # once more
        {"id": 5, "file_name": "gone.jpg"},
        {"id": 6, "file_name": "d.jpg", "width": 0, "height": 0},
    ]
    made = coco_json(
        {"image_id": 1.0, "category_id": 1.0, **GOOD},
        {"image_id": 2, **GOOD},
        {"image_id": 3, **GOOD},
        {"image_id": 4, "segmentation": [], "bbox": [1, 1, 9, 9]},
        {"image_id": 5, **GOOD},
        {"image_id": 77, **GOOD},
        images=listed_images,
    )
    numbers, faces, rejects = read(coco.photos, content | {"x.json": made})
    assert set(faces) == {"a", "b", "c"}
    assert all(np.array_equal(region(face), POLYGON) for face in faces.values())
    assert rejects == {"gone.jpg": "file_missing", "x.json": "no_image", "d.jpg": "size_differs"}
    assert numbers["shapes_without_area"] == {"box": 1}


def test_an_id_of_two_photos_says_nothing_of_either(read: Read):
    image = {"id": 1, "file_name": "a.jpg"}
    made = coco_json(GOOD, images=[image, {**image, "file_name": "b.jpg"}, {"id": 2, "file_name": "c.jpg"}])
    content = {f"{name}.jpg": face(number) for number, name in enumerate("abc")}
    _, faces, rejects = read(coco.photos, content | {"x.json": made})
    assert set(faces) == {"c"}
    assert rejects == {"a.jpg": "unclear_labels", "b.jpg": "unclear_labels", "x.json": "no_image"}


def test_a_file_name_is_relative_to_its_json_and_the_split_is_the_publishers(read: Read):
    content = {"train/a.jpg": face(0), "valid/a.jpg": face(1), "test/b.jpg": face(2)}
    image = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    for split, annotations in (("train", [GOOD]), ("valid", [{**GOOD, "category_id": 2}])):
        content[f"{split}/_annotations.coco.json"] = coco_json(*annotations, images=[image])
    content["test/_annotations.coco.json"] = coco_json(GOOD, images=[image])  # its photo is lost, and not another's
    _, faces, rejects = read(coco.photos, content)
    assert {name: (face["split"], face["wears_mask"]) for name, face in faces.items()} == {
        "train-a": ("train", True),
        "valid-a": ("val", False),
    }
    assert rejects == {"a.jpg": "file_missing", "test/b.jpg": "not_in_layout"}


def test_cocos_own_layout(read: Read):
    content = {"train2017/a.jpg": face(0), "val2017/a.jpg": face(1)}
    image = {"id": 1, "file_name": "a.jpg"}
    content["annotations/instances_train2017.json"] = coco_json(
        GOOD, images=[{**image, "file_name": "train2017/a.jpg"}]
    )
    content["annotations/instances_val2017.json"] = coco_json(images=[{**image, "file_name": "val2017/a.jpg"}])
    _, faces, _ = read(coco.photos, content)
    assert {name: (face["split"], face["wears_mask"]) for name, face in faces.items()} == {
        "train2017-a": ("train", True),
        "val2017-a": ("val", None),  # a bare face would be labeled `without_mask`
    }


def test_a_broken_json_beside_good_ones_is_counted(read: Read):
    content = {"a.jpg": face(), "x.json": coco_json(GOOD), "y.json": coco_json(GOOD)[:-9], "z.json": b'{"a": 1}'}
    content["w.json"] = json.dumps({"images": [], "annotations": [3], "categories": []}).encode()
    _, faces, rejects = read(coco.photos, content)
    assert set(faces) == {"a"}
    assert rejects == {"y.json": "bad_json", "w.json": "bad_json"}
    with pytest.raises(UnmaskError, match=r"no JSON in COCO's form found.*y\.json is no whole JSON"):
        read(coco.photos, {"y.json": content["y.json"]})
