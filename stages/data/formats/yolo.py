"""YOLO's text files, as Ultralytics, Roboflow and LabelImg have them: `class x y width height` of each face, a line.

x and y are those of the center; all four are fractions of the photo's sides. Names of the classes stand in data.yaml
under `names`, or in classes.txt. The text file lies beside its photo, or in labels/ beside images/; `train` and `val`
above or below these, or lists such as train.txt, are the publisher's split. Lines of YOLO-seg, `class x y x y x y …`,
are regions. They are painted into the photo's label map, and the photo stays whole.
"""

from pathlib import PurePosixPath
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.core import text
from stages.core.errors import UnmaskError
from stages.data.files import Files
from stages.data.formats import classes, labeled_faces, layout
from stages.data.formats.labeled_faces import Face, Labeled
from stages.data.labels import FRACTIONS
from stages.data.photo import Photos, Reject, finite, reader
from stages.data.shapes import CocoPolygon
from stages.photos.names import plain

NAMES = ("classes.txt", "predefined_classes.txt", "obj.names", "_darknet.labels")
SLACK = 0.01  # of a side; labels may lie so far outside, as in Ultralytics
BOX, REGION = 5, 7  # words of a line with a box, and the least of one with a region
OF_A_FACE = BOX + 2 * 5  # with eyes, nose and corners of the mouth, as detectors of faces learn them


@reader
def photos(files: Files, *, labels_upright: bool = True, **names: Unpack[classes.Names]) -> Photos:
    """Yield each labeled face, cropped out of its photo (see `stages.data.cropping`); each counts as another person.

    Args:
        files: of the dataset.
        labels_upright: whether the fractions are of the photo as its EXIF tag turns it, as Ultralytics reads them; else
            as it is stored.
        names: what a class means that `classes` does not know, see `classes.Names`; by its name, or by its number where
            it has none.

    Raises:
        UnmaskError: there is no label file, nobody says what a class means, or the files that name them differ.
    """
    of_number, points = _classes(files)
    listed = [path for path in map(PurePosixPath, files.names()) if path.suffix.lower() == ".txt"]
    listed = [path for path in listed if path.name.lower() not in NAMES]
    labeled, used = [], set()
    for pair in layout.pairs(files.images(), listed):
        if isinstance(pair, Reject):
            yield pair
            continue
        photo, source = pair
        used.add(source)
        try:
            found = _faces(files, source.as_posix(), of_number, points)
            labeled.append(Labeled(photo, source.as_posix(), FRACTIONS, found))
        except UnmaskError as error:
            yield Reject(photo.as_posix(), "bad_labels", str(error))
    if not used:
        raise UnmaskError("no label file of YOLO found: expected images/<photo>.jpg and labels/<photo>.txt")
    for source in listed:
        if source not in used and plain(source.parent.name) in layout.LABELS:
            yield Reject(source.as_posix(), "file_missing", "no photo of this name goes with it, or several do")
    splits = layout.listed_splits(files)
    yield from labeled_faces.faces(labeled, "yolo", splits, labels_upright=labels_upright, **names)


def _faces(files: Files, source: str, names: dict[int, str], points: int = 0) -> tuple[Face, ...]:
    """Return what the lines of a label file say.

    Raises:
        UnmaskError: it is no text, or a line has another form.
    """
    found = []
    for number, line in text.lines(files.text(source)):
        words = line.split()
        if not words:
            continue
        if points and len(words) == BOX + points:
            words = words[:BOX]
        number_of_class = finite(words[0])
        is_class = number_of_class is not None and number_of_class >= 0 and number_of_class % 1 == 0  # 0 or 0.0e+00
        if not is_class or (len(words) != BOX and (len(words) < REGION or len(words) % 2 == 0)):
            form = "`class x y width height` or `class x y x y x y …`"
            raise UnmaskError(f"{source}, line {number}: expected {form}, got {line[:80]!r}")
        values = finite(words[1:], len(words) - 1)
        label = names.get(int(number_of_class), f"{number_of_class:.0f}")
        if values is None or values.min() < -SLACK or values.max() > 1 + SLACK:
            found.append(Face(label, f"line {number} (not fractions of the photo's sides)"))
        elif len(words) == OF_A_FACE and _are_landmarks(values):
            raise UnmaskError(
                f"{source}, line {number}: these may be a box and five points of a face, and no region: say so in "
                f"data.yaml, kpt_shape: [5, 2]"
            )
        elif len(words) >= REGION:
            found.append(Face(label, f"line {number}", region=CocoPolygon(tuple(values.tolist()))))
        else:
            x, y, width, height = values.tolist()
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2) if min(width, height) > 0 else None
            found.append(Face(label, f"line {number}", box))
    return tuple(found)


def _are_landmarks(values: NDArray[np.floating]) -> bool:
    """Tell whether 14 numbers are a box, and eyes, nose and corners of the mouth in it, in this order."""
    (x, y, width, height), points = values[:4], values[4:].reshape(5, 2)
    inside = (np.abs(points - [x, y]) <= np.array([width, height]) / 2).all()
    eyes, nose, mouth = points[:2], points[2], points[3:]
    in_order = eyes[0, 0] < eyes[1, 0] and mouth[0, 0] < mouth[1, 0]
    return bool(inside and in_order and eyes[:, 1].max() < nose[1] < mouth[:, 1].min())


def _classes(files: Files) -> tuple[dict[int, str], int]:
    """Return the names of the classes by their numbers, and how many numbers of points stand behind each box.

    There are none, and 0, if no file has any; the latter is `kpt_shape` of data.yaml.

    Raises:
        UnmaskError: two files say something else, or a YAML is none.
    """
    said: dict[str, dict[int, str]] = {}
    points: dict[str, int] = {}
    for file in files.names():
        lower = PurePosixPath(file).name.lower()
        if lower.endswith((".yaml", ".yml")):
            content = _yaml(files, file)
            if content.get("names") is not None:
                said[file] = _names(content["names"], file)
            if (shape := finite(content.get("kpt_shape"), 2)) is not None:
                points[file] = int(shape.prod())
        elif lower in NAMES or lower.endswith(".names"):
            said[file] = {number: name.strip() for number, name in enumerate(files.text(file).rstrip().splitlines())}
    for what, found in (("name the classes", said), ("give kpt_shape", points)):
        first = next(iter(found), "")
        if other := next((file for file in found if found[file] != found[first]), None):
            raise UnmaskError(f"{first} and {other} {what} differently: keep one of them")
    return next(iter(said.values()), {}), next(iter(points.values()), 0)


def _yaml(files: Files, file: str) -> dict[Any, Any]:
    """Return the content of a YAML; nothing if it is no mapping."""
    try:
        content = YAML(typ="safe", pure=True).load(files.text(file))
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UnmaskError(f"{file} has no names of classes by their numbers: {' '.join(str(error).split())}") from None
    return content if isinstance(content, dict) else {}


def _names(names: Any, file: str) -> dict[int, str]:
    """Return the names of the classes that a YAML lists, or has by their numbers."""
    by_number = dict(enumerate(names)) if isinstance(names, list) else names
    try:
        if all(isinstance(name, str | int | float) for name in by_number.values()):
            return {int(number): str(name).strip() for number, name in by_number.items()}
    except (AttributeError, ValueError, TypeError, OverflowError):
        pass
    form = "`names` should be a list of names, or have a name for each number"
    raise UnmaskError(f"{file} has no names of classes by their numbers: {form}")
