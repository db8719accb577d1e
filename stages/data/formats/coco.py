"""COCO's JSON: `images`, `annotations`, `categories`, as CVAT, Label Studio and Roboflow export it.

A mask is a polygon, several, or a run-length code, packed or not; one with a box alone is worn, and nobody knows where.
`formats.classes` says which categories are masks.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Unpack

import numpy as np

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import classes, listed
from stages.data.formats.layout import split_of
from stages.data.photo import Known, Photo, Photos, Reject, finite, reader
from stages.data.shapes import FARTHEST, LONGEST, CocoPolygon, RunLengths, Shape, Size, unpacked
from stages.faces.parts import MASK

KEYS = ("images", "annotations", "categories")


@dataclass
class _Listed:
    """What the JSON files say of a photo."""

    sizes: set[Size] = field(default_factory=set)  # width, height
    splits: set[str] = field(default_factory=set)
    annotations: list[tuple[str, dict[str, Any]]] = field(default_factory=list)  # label, entry
    is_clear: bool = True  # whether all annotations are of no other photo, too


@reader
def photos(
    files: Files,
    *,
    mask_labels: Iterable[str] = (),
    bare_labels: Iterable[str] = (),
    face_labels: Iterable[str] = (),
    other_labels: Iterable[str] = (),
    **known: Unpack[Known],
) -> Photos:
    """Yield the photos that the JSON files list, with their masks; each counts as a person of its own.

    A name is relative to its JSON. The split is that of the folder, or of the JSON: train/_annotations.coco.json,
    instances_train2017.json.

    Args:
        files: of the dataset.
        mask_labels: categories that are masks, and so on, see `classes.Names`.
        bare_labels: see there.
        face_labels: see there.
        other_labels: see there.
        known: fields of `Photo` that all photos have in common.

    Raises:
        UnmaskError: there is no JSON in COCO's form, or nobody says what one of its categories means.
    """
    found: dict[str, _Listed] = defaultdict(_Listed)
    rejects: list[Reject] = []
    declared: set[str] = set()
    some = False
    for file in files.names():
        if file.lower().endswith(".json"):
            try:
                content = _content(files, file)
            except UnmaskError as error:
                rejects.append(Reject(file, "bad_json", str(error)))
                continue
            if content is not None:
                some = True
                rejects += _collect(files, file, content, found)
                declared |= {str(entry.get("name")) for entry in content["categories"]}
    if not some:
        why = f"; {rejects[0].detail}" if rejects else ""
        raise UnmaskError(f"no JSON in COCO's form found: expected `images`, `annotations` and `categories`{why}")
    counts = Counter(label for one in found.values() for label, _ in one.annotations)
    unused = declared - set(counts)
    names = classes.Names(
        mask_labels=mask_labels, bare_labels=bare_labels, face_labels=face_labels, other_labels=other_labels
    )
    meanings = classes.read(dict.fromkeys(unused, 0) | counts, "coco", names)
    yield from rejects
    for file, one in found.items():
        yield _photo(file, one, meanings, unused, known)


def _content(files: Files, file: str) -> dict[str, Any] | None:
    """Return the content of a file in COCO's form, None if it has another one.

    Raises:
        UnmaskError: it is no JSON, or damaged.
    """
    content = files.json(file)
    if not isinstance(content, dict) or sum(key in content for key in KEYS) < 2:
        return None
    for key in KEYS:
        if not isinstance(content.get(key), list) or not all(isinstance(entry, dict) for entry in content[key]):
            raise UnmaskError(f"{file}: `{key}` is no list of objects")
    names = {(_id(entry, "id"), str(entry.get("name"))) for entry in content["categories"]}
    if len({number for number, _ in names}) < len(names):
        raise UnmaskError(f"{file}: categories of different names have the same id")
    return content


def _collect(files: Files, file: str, content: dict[str, Any], found: dict[str, _Listed]) -> list[Reject]:
    """Add what a JSON says to what was `found` of each photo; return what cannot be kept."""
    rejects = []
    names = {_id(entry, "id"): str(entry.get("name")) for entry in content["categories"]}
    photo_of: dict[str, set[str]] = defaultdict(set)
    for image in content["images"]:
        name = str(image.get("file_name"))
        candidates = listed.find(files, file, name)
        if len(candidates) != 1:
            photo_of[_id(image, "id")].add("")  # what is said of it is counted here
            rejects.append(Reject(name, "file_missing", f"{file} names it, {len(candidates)} files may be meant"))
            continue
        photo_of[_id(image, "id")].add(candidates[0])
        one = found[candidates[0]]
        one.splits |= {split} if (split := listed.split_by(file)) else set()
        one.sizes |= {size} if (size := _size(image)) else set()
    for annotation in content["annotations"]:
        where, category = photo_of.get(_id(annotation, "image_id"), set()), _id(annotation, "category_id")
        label = names.get(category, f"category {category}")
        if len(where) != 1:
            told = f"annotation {annotation.get('id')} ({label}) is of image {annotation.get('image_id')}"
            rejects.append(Reject(file, "no_image", f"{told}, of which `images` has {len(where)}"))
        for name in where - {""}:
            found[name].annotations.append((label, annotation))
            found[name].is_clear &= len(where) == 1
    return rejects


def _id(entry: dict[str, Any], key: str) -> str:
    """Return the id under a key by its text; 1.0 is 1."""
    value = entry.get(key)
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _size(image: dict[str, Any]) -> Size | None:
    """Return the declared width and height; None if there is none, and 0, 0 if it is no size."""
    if image.get("width") is None and image.get("height") is None:
        return None
    sides = finite([image.get("width"), image.get("height")], 2)
    return (int(sides[0]), int(sides[1])) if sides is not None and sides.min() >= 1 else (0, 0)


def _photo(file: str, one: _Listed, meanings: dict[str, str], unused: set[str], known: Known) -> Photo | Reject:
    sizes, splits = {*one.sizes}, one.splits
    if len(sizes) > 1 or (0, 0) in sizes:
        return Reject(file, "size_differs", f"its width and height are given as {sorted(sizes)}")
    if len(splits) > 1:
        return Reject(file, "two_splits", f"it is listed in {' and '.join(sorted(splits))}")
    if not one.is_clear:
        return Reject(file, "unclear_labels", "its id is that of another photo, too")
    labels = [label for label, _ in one.annotations]
    shapes: list[Shape] = []
    ignored: list[str] = []
    boxes = 0
    for label, annotation in one.annotations:
        if meanings[label] != classes.MASK:
            continue
        try:
            drawn, empty = _shapes(annotation.get("segmentation"), sizes)
        except ValueError as error:
            return Reject(file, "bad_shape", f"annotation {annotation.get('id')}: {error}")
        box = finite(annotation.get("bbox"), 4)
        if drawn:
            ignored += empty
        elif box is not None and min(box[2:]) > 0:
            boxes += 1
            ignored.append("box")
        else:
            ignored += empty or ["nothing"]
        shapes += drawn
    if classes.MASK in map(meanings.get, labels) and not shapes and not boxes:
        return Reject(file, "no_region", f"a mask is labeled and has no area: {', '.join(ignored)}")
    name = PurePosixPath(file).with_suffix("").as_posix().replace("/", "-")
    said: dict[str, Any] = {
        "wears_mask": classes.wears_mask(labels, meanings, unused),
        "split": next(iter(splits), split_of(PurePosixPath(file))),
        "shapes": tuple((MASK, shape) for shape in shapes),
        "shapes_size": next(iter(sizes), None),
        "classes": classes.counted(labels, meanings),
        "ignored": tuple(ignored),
    }
    return Photo(file, f"photo-{name}", name, **{**said, **known})


def _shapes(segmentation: Any, sizes: set[Size]) -> tuple[list[Shape], list[str]]:
    """Return the shapes of a mask, and what in it has no area; a run-length code adds its size to `sizes`.

    Raises:
        ValueError: it is neither polygons nor a run-length code.
    """
    if isinstance(segmentation, dict) and segmentation:
        return [_run_lengths(segmentation, sizes)], []
    if not segmentation:
        return [], ["no segmentation"]
    if not isinstance(segmentation, list):
        raise ValueError("its segmentation is neither polygons nor a run-length code")
    if not isinstance(segmentation[0], list | dict) or all(_is_point(one) for one in segmentation):
        segmentation = [segmentation]  # one polygon, not in a list of its own
    shapes: list[Shape] = []
    empty = []
    for polygon in segmentation:
        if isinstance(polygon, dict) and polygon:
            shapes.append(_run_lengths(polygon, sizes))
            continue
        if polygon in ([], {}, None):
            empty.append("empty polygon")
            continue
        xy = finite(polygon, -1, 2) if isinstance(polygon, list) and _is_point(polygon[0]) else finite(polygon, -1)
        if xy is None or xy.size % 2 or np.abs(xy).max() > FARTHEST:
            raise ValueError("a polygon is no list of pairs of finite numbers")
        corners = xy.reshape(-1, 2)
        if len(corners) < 3:
            empty.append(f"polygon of {len(corners)} corners")
        elif np.abs(np.diff(corners, axis=0)).max(1).sum() > LONGEST:
            raise ValueError("a polygon has an outline without end")
        else:
            shapes.append(CocoPolygon(tuple(corners.ravel().tolist())))
    return shapes, empty


def _is_point(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(number, int | float) for number in value)


def _run_lengths(code: dict[str, Any], sizes: set[Size]) -> RunLengths:
    size = finite(code.get("size"), 2)
    if size is None or size.min() < 1 or size.max() > FARTHEST or (size % 1).any():
        raise ValueError(f"a run-length code is of size {code.get('size')}")
    height, width = size.astype(int).tolist()
    counts = code.get("counts")
    if isinstance(counts, str):
        counts = unpacked(counts)
    lengths = finite(counts, -1)
    if lengths is None or (lengths % 1).any() or (lengths < 0).any() or lengths.sum() != width * height:
        raise ValueError(f"a run-length code is damaged: its lengths do not fill {width}x{height} pixels")
    sizes.add((width, height))
    if len(sizes) > 1:
        raise ValueError(f"a run-length code is of {width}x{height} pixels, its image of another size: {sorted(sizes)}")
    return RunLengths(tuple(lengths.astype(int).tolist()))
