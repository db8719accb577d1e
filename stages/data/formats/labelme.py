"""labelme's JSON of each photo, and X-AnyLabeling's: shapes with labels. `formats.classes` says which are masks."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any, Unpack

import numpy as np

from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import classes, listed
from stages.data.formats.layout import split_of
from stages.data.photo import Known, Photo, Photos, Reject, finite, reader
from stages.data.shapes import FARTHEST, Drawn, Patch, Shape
from stages.faces.parts import MASK
from stages.photos.kinds import SUFFIXES
from stages.photos.reading import UnreadableImageError

WITHOUT_AREA = frozenset({"line", "linestrip", "point", "points"})
# How many points each other shape has. A rectangle of X-AnyLabeling has four corners, and so have turned ones.
POINTS = {
    "polygon": range(3, 1_000_000),
    "rectangle": (2, 4),
    "rotation": (4,),
    "oriented_rectangle": (4,),
    "quadrilateral": (4,),
    "circle": (2,),
    "mask": (2, 4),
}


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
    """Yield the photo of each JSON with its masks; each counts as a person of its own.

    The photo lies where the JSON says, or beside it under its own name or the JSON's, or in the JSON. Lines, points and
    polygons of two corners have no area: they are left out and counted.

    Args:
        files: of the dataset.
        mask_labels: labels that are masks, and so on, see `classes.Names`.
        bare_labels: see there.
        face_labels: see there.
        other_labels: see there.
        known: fields of `Photo` that all photos have in common.

    Raises:
        UnmaskError: there is no JSON of labelme, or nobody says what one of its labels means.
    """
    entries: dict[str, dict[str, Any]] = {}
    rejects: list[Reject] = []
    for file in files.names():
        if file.lower().endswith(".json"):
            try:
                entries[file] = _entry(files, file)
            except UnmaskError as error:
                rejects.append(Reject(file, "bad_json", str(error)))
    if not entries:
        why = f"; {rejects[0].detail}" if rejects else ""
        raise UnmaskError(f"no JSON of labelme found: expected <photo>.json with `shapes` beside each photo{why}")
    found = Counter(itertools.chain.from_iterable(map(_labels, entries.values())))
    names = classes.Names(
        mask_labels=mask_labels, bare_labels=bare_labels, face_labels=face_labels, other_labels=other_labels
    )
    meanings = classes.read(found, "labelme", names)
    yield from rejects
    of_photo: dict[str, list[str]] = defaultdict(list)
    items = [_photo(files, file, entry, meanings, known) for file, entry in entries.items()]
    for file, item in zip(entries, items, strict=True):
        of_photo[item.file].append(file)
    for item in items:
        if len(several := of_photo[item.file]) > 1:
            yield Reject(item.file, "several_labels", f"{' and '.join(several)} are of it: keep one of them")
        else:
            yield item


def _entry(files: Files, file: str) -> dict[str, Any]:
    """Return the content of labelme's JSON, without a photo in it.

    Raises:
        UnmaskError: it is none.
    """
    entry = files.json(file)
    shapes = entry.get("shapes") if isinstance(entry, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        raise UnmaskError(f"{file} is no JSON of labelme: expected `shapes` and `imagePath`")
    embedded = bool(entry.get("imageData")) and isinstance(entry["imageData"], str)
    if not isinstance(entry.get("imagePath"), str) and not embedded:
        raise UnmaskError(f"{file} is no JSON of labelme: expected `shapes` and `imagePath`")
    return {**entry, "imageData": embedded}


def _labels(entry: dict[str, Any]) -> list[str]:
    return [str(shape.get("label")) for shape in entry["shapes"]]


def _photo(files: Files, file: str, entry: dict[str, Any], meanings: dict[str, str], known: Known) -> Photo | Reject:
    image = entry.get("imagePath")
    candidates = listed.find(files, file, image) if isinstance(image, str) and image else []
    embedded = len(candidates) != 1 and entry["imageData"]
    if embedded:
        candidates = [file]
    elif not candidates:  # both were renamed, and the JSON still has the old name
        stem = PurePosixPath(file).with_suffix("").as_posix()
        candidates = [name for suffix in sorted(SUFFIXES) if (name := stem + suffix) in files]
    if len(candidates) != 1:
        return Reject(file, "file_missing", f"{len(candidates)} files may be its photo, {image}")
    photo = PurePosixPath(candidates[0])
    labels = _labels(entry)
    shapes: list[Shape] = []
    ignored: list[str] = []
    for label, shape in zip(labels, entry["shapes"], strict=True):
        if meanings[label] == classes.MASK:
            try:
                drawn = _shape(shape)
            except (ValueError, UnreadableImageError) as error:
                return Reject(photo.as_posix(), "bad_shape", f"{file}: {error}")
            if isinstance(drawn, str):
                ignored.append(drawn)
            else:
                shapes.append(drawn)
    if ignored and not shapes:
        return Reject(photo.as_posix(), "no_region", f"{file}: a mask is labeled and has no area: {', '.join(ignored)}")
    sides = [entry.get("imageWidth"), entry.get("imageHeight")]
    size = finite(sides, 2)
    if sides != [None, None] and (size is None or size.min() < 1):
        return Reject(photo.as_posix(), "size_differs", f"{file}: imageWidth and imageHeight are {sides}")
    name = photo.with_suffix("").as_posix().replace("/", "-")
    said: dict[str, Any] = {
        "wears_mask": classes.wears_mask(labels, meanings),
        "split": split_of(photo),
        "shapes": tuple((MASK, shape) for shape in shapes),
        "shapes_size": None if size is None else (int(size[0]), int(size[1])),
        "classes": classes.counted(labels, meanings),
        "ignored": tuple(ignored),
        "embedded": embedded,
    }
    return Photo(photo.as_posix(), f"photo-{name}", name, **{**said, **known})


def _shape(shape: dict[str, Any]) -> Shape | str:
    """Return what can be painted, or in words what has no area.

    Raises:
        ValueError: nobody knows what is meant.
        UnreadableImageError: its mask is no PNG.
    """
    kind = str(shape.get("shape_type") or "polygon")  # old files have no type
    if kind in WITHOUT_AREA:
        return kind
    points = shape.get("points")
    if kind not in POINTS or not isinstance(points, list):
        raise ValueError(f"a mask is a {kind!r}, which is not read")
    if len(points) < POINTS[kind][0]:
        return f"{kind} of {len(points)} points"
    corners = finite(points, -1, 2)
    if corners is None or np.abs(corners).max() > FARTHEST or len(corners) not in POINTS[kind]:
        raise ValueError(f"a {kind} has {len(points)} points, or such as are no pairs of finite numbers")
    if kind == "mask":
        return _patch(shape.get("mask"), corners)
    kind = "polygon" if len(corners) > 2 else kind
    return Drawn(kind, tuple((x, y) for x, y in corners.tolist()))


def _patch(png: Any, corners: np.ndarray) -> Shape:
    """Return an AI mask; its corners are its first and last pixel, or else lie between pixels and tell no size."""
    (left, top), (right, bottom) = np.round([corners.min(0), corners.max(0)]).astype(int).tolist()
    patch = Patch(left, top, png if isinstance(png, str) else "")
    height, width = patch.pixels().shape
    if (corners % 1 == 0).all() and (width, height) != (right - left + 1, bottom - top + 1):
        raise ValueError(f"a mask of {width}x{height} pixels has corners for {right - left + 1}x{bottom - top + 1}")
    return patch
