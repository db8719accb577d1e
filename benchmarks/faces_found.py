"""How many faces `landmarks.search.all_faces` finds, how many finds are none, and whether it sees who wears a mask.

python -m benchmarks.faces_found data/landmarks/orl [--half val|test|all] [--n N] [--masked] [--crops] [--sheet F]
python -m benchmarks.faces_found FaceMaskDetection.zip [--spoiled tilted|dark|blurred|compressed]

The photos are a face table with landmarks, or an archive (zip, tar) of photos that show one face each, where dlib's are
the truth. `--masked` draws a mask on each face, `--crops` aligns it first. Of FaceMaskDetection, in Pascal VOC's
layout, the boxes are the truth; a mask that is worn incorrectly is worn. Halves are drawn by a hash of the person's
name, or of the photo's where nobody knows that; `train_worn` learned from FaceMaskDetection's and LFW's halves val.

A face is found if the mean of the landmarks lies within half the face's size of its middle, and every find is of one
face at most. `--sheet` draws the finds that are of none.

python -m benchmarks.faces_found FaceMaskDetection.zip --half val --table data/landmarks/worn

writes the labeled faces that are found as a face table instead, from which `train_worn` learns.
"""

import argparse
import math
import statistics
import tarfile
import time
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from stages.core import images, params, tables
from stages.core.images import Pixels
from stages.core.outputs import whole_folder
from stages.core.seeding import fraction, generator
from stages.faces import alignment
from stages.faces.landmarks import Points
from stages.figures import sheets
from stages.landmarks import centerface, second_look
from stages.landmarks.landmarker import Square
from stages.landmarks.search import Search, all_faces, main_face
from stages.masks.looks import Looks
from stages.photos import reading

SIDE = 112  # of an aligned crop
LARGE = 40  # pixels: smaller faces may be missed
TILT, BLUR, QUALITY = 30, 2.5, 12  # of spoiled photos: degrees, pixels of a standard deviation, and JPEG's quality
DARK, NOISE = 0.5, 5  # of dark ones: share of the brightness squared, and levels of the noise on it
SPOILED = ("tilted", "dark", "blurred", "compressed")


@dataclass(frozen=True)
class Label:
    """A face that is known: its middle and size, pixels, and whether it wears a mask."""

    x: float
    y: float
    side: float
    worn: bool

    @classmethod
    def of(cls, points: Points, worn: bool) -> "Label":
        """Return the label of a face with landmarks (68, 2)."""
        return cls(*map(float, points.mean(0)), float(np.ptp(points, axis=0).max()), worn)


Photo = tuple[str, Pixels, list[Label]]  # the name is that of the person and the photo, or of the photo alone


def labeled(path: Path) -> Iterator[Photo]:
    """Yield the photos of an archive in Pascal VOC's layout, and their boxes."""
    with zipfile.ZipFile(path) as archive:
        for name in sorted(name for name in archive.namelist() if name.endswith(".xml")):
            root = ET.fromstring(archive.read(name))
            faces = []
            for one in root.iter("object"):
                left, top, right, bottom = (
                    float(one.findtext(f"bndbox/{side}", "")) for side in ("xmin", "ymin", "xmax", "ymax")
                )
                side = max(right - left, bottom - top)
                faces.append(
                    Label((left + right) / 2, (top + bottom) / 2, side, one.findtext("name") != "without_mask")
                )
            image = archive.read(f"images/{Path(name).stem}.png")
            yield Path(name).stem, reading.open_photo(image, 10**8)[0], faces


def single(path: Path, n: int | None, search: Search) -> Iterator[tuple[str, Pixels, Points]]:
    """Yield photos of one face each, with its landmarks."""
    if path.is_dir():
        rows = [face for face in tables.read(path, ["face_id", "image", "landmarks"]) if face["landmarks"] is not None]
        for face in tables.evenly(rows, n or len(rows)):
            yield face["face_id"].split("/", 1)[1], images.decode(face["image"]), face["landmarks"]
        return
    for path_inside, data in archived(path, n):
        name = "/".join(path_inside.split("/")[-2:] if path.suffix == ".tar" else path_inside.split("/")[-1:])
        image = reading.open_photo(data, 10**8)[0]
        found, _ = main_face(image, {"wears_mask": False}, search.model_copy(update={"whole_crop": False}))
        if found is None:
            print(f"{name}: dlib sees nobody, so it is left out")
        else:
            yield name, image, found.points


def archived(path: Path, n: int | None) -> Iterator[tuple[str, bytes]]:
    """Yield evenly chosen JPEGs of an archive."""
    if path.suffix == ".tar":
        with tarfile.open(path) as tar:
            members = [member for member in sorted(tar, key=lambda one: one.name) if member.name.endswith(".jpg")]
            for member in tables.evenly(members, n or len(members)):
                yield member.name, tar.extractfile(member).read()
    else:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
            for name in tables.evenly(names, n or len(names)):
                yield name, archive.read(name)


def prepared(name: str, image: Pixels, points: Points, masked: bool, crops: bool, looks: Looks) -> Photo:
    """Return a photo of one face, aligned or not, with or without a mask drawn on it."""
    if crops:
        matrix = alignment.arcface_transform(points, SIDE)
        image, points = alignment.warp(image, matrix, SIDE), alignment.apply(matrix, points)
    if masked:
        image = looks.draw(image, points, None, generator("faces_found", name), {})[1]
    return name, image, [Label.of(points, masked)]


def spoiled(photo: Photo, how: str) -> Photo:
    """Return a photo that is tilted to the left, dark, blurred or badly compressed, and its labels."""
    name, image, labels = photo
    if how == "tilted":
        height, width = image.shape[:2]
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), TILT, 1)
        sides = (np.abs(matrix[:, :2]) @ (width, height)).astype(int)  # so that nothing is cut off
        matrix[:, 2] += (sides - (width, height)) / 2
        moved = [matrix @ (label.x, label.y, 1) for label in labels]
        labels = [replace(label, x=x, y=y) for label, (x, y) in zip(labels, moved, strict=True)]
        return name, np.asarray(cv2.warpAffine(image, matrix, sides.tolist()), np.uint8), labels
    if how == "dark":
        noise = generator("faces_found", name).normal(0, NOISE, image.shape)
        return name, np.clip(DARK * 255 * (image / 255) ** 2 + noise, 0, 255).astype(np.uint8), labels
    if how == "blurred":
        return name, np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR), np.uint8), labels
    coded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return name, np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1], np.uint8), labels


def half_of(name: str) -> str:
    """Return the half to which a photo belongs, by the person's name or else its own."""
    return "val" if fraction("faces_found", name.split("/", maxsplit=1)[0]) < 0.5 else "test"


def matched(labels: list[Label], middles: list[tuple[float, float]]) -> dict[int, int]:
    """Return the find of each label that is found, by indices; the nearest pairs first."""
    pairs = sorted(
        (distance, label, find)
        for label, one in enumerate(labels)
        for find, (x, y) in enumerate(middles)
        if (distance := math.hypot(x - one.x, y - one.y)) < one.side / 2
    )
    found: dict[int, int] = {}
    for _, label, find in pairs:
        if label not in found and find not in found.values():
            found[label] = find
    return found


def write_table(folder: Path, photos: Iterator[Photo]) -> None:
    """Write the labeled faces that are found, each cut out with its landmarks, as a face table."""
    rows: list[tables.Face] = []
    for name, image, labels in photos:
        seen = [points for points, _ in second_look.believed(image, centerface.find(image))]
        for label, find in sorted(matched(labels, [tuple(points.mean(0)) for points in seen]).items()):
            down, across = window(seen[find])
            rows.append(
                {
                    "face_id": f"worn/{Path(name).stem}/{label}",
                    "identity": Path(name).stem,
                    "wears_mask": labels[label].worn,
                    "image": images.encode_png(image[down, across]),
                    "landmarks": seen[find] - np.array([across.start, down.start], np.float32),
                }
            )
    write_faces(folder, rows)


def window(points: Points, sides: float = 1.0) -> tuple[slice, slice]:
    """Return the rows and columns of a photo that are cut out with a face.

    Args:
        points: its landmarks, (68, 2).
        sides: how far the window reaches from the middle of the face's square, in sides of this.
    """
    square = Square.around(points)
    reach = sides * square.side
    down, across = (slice(max(0, int(middle - reach)), int(middle + reach) + 1) for middle in (square.y, square.x))
    return down, across


def write_faces(folder: Path, rows: list[tables.Face]) -> None:
    """Write a face table of one part, whole or not at all."""
    rows.sort(key=lambda face: face["face_id"])
    with whole_folder(folder) as staging:
        tables.write_part(staging / tables.part_name(0), rows, list(rows[0]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--half", choices=["val", "test", "all"], default="all")
    parser.add_argument("--n", type=int)
    parser.add_argument("--masked", action="store_true")
    parser.add_argument("--crops", action="store_true")
    parser.add_argument("--spoiled", choices=SPOILED)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    search, looks = params.load(Search, "find_landmarks.search"), params.load(Looks, "render_masks")
    is_voc = options.photos.suffix == ".zip" and any(
        name.endswith(".xml") for name in zipfile.ZipFile(options.photos).namelist()
    )
    photos = (
        labeled(options.photos)
        if is_voc
        else (prepared(*one, options.masked, options.crops, looks) for one in single(options.photos, options.n, search))
    )
    photos = (photo for photo in photos if options.half in {"all", half_of(photo[0])})
    photos = (spoiled(photo, options.spoiled) for photo in photos) if options.spoiled else photos
    if options.table:
        write_table(options.table, photos)
        return
    large, found, finds, on_one, several = 0, 0, 0, 0, 0
    about, about_found = 0, 0  # photos with such a face, and those of which the largest is found
    said: dict[tuple[bool, bool], int] = {}
    seconds, strangers, n = [], [], 0
    for name, image, labels in photos:
        start = time.perf_counter()
        seen = all_faces(image, search)
        seconds.append(time.perf_counter() - start)
        n += 1
        of = matched(labels, [tuple(one.points.mean(0)) for one in seen])
        finds, on_one, several = finds + len(seen), on_one + len(of), several + (len(seen) != len(labels))
        largest = max(range(len(labels)), key=lambda index: labels[index].side, default=None)
        if largest is not None and labels[largest].side >= LARGE:
            about, about_found = about + 1, about_found + (largest in of)
        for index, label in enumerate(labels):
            large += label.side >= LARGE
            found += label.side >= LARGE and index in of
            if index in of and label.side >= LARGE:
                pair = label.worn, seen[of[index]].masked
                said[pair] = said.get(pair, 0) + 1
        for index, one in enumerate(seen):
            if index not in of.values():
                strangers.append((name, image, one.points))
    right = sum(count for (worn, told), count in said.items() if worn == told)
    print(f"{options.photos.name}, half {options.half}: {n} photos, {statistics.median(seconds):.2f} s each (median)")
    print(f"faces of {LARGE} pixels and more that are found: {found} of {large} = {found / large:.4f}")
    print(f"photos of which the largest face is found: {about_found} of {about} = {about_found / about:.4f}")
    print(
        f"finds on no known face: {finds - on_one} of {finds} = {1 - on_one / finds:.4f}; "
        f"precision {on_one / finds:.4f}"
    )
    print(f"photos with as many finds as known faces: {n - several} of {n}")
    counts = "; ".join(
        f"{'worn' if worn else 'bare'}, said {'worn' if told else 'bare'}: {count}"
        for (worn, told), count in sorted(said.items())
    )
    print(
        f"worn or not is said rightly of {right} of {sum(said.values())} = {right / sum(said.values()):.4f} ({counts})"
    )
    if options.sheet and strangers:
        pictures = [
            alignment.warp(image, alignment.arcface_transform(points, SIDE), SIDE) for _, image, points in strangers
        ]
        captions = [Path(name).stem for name, *_ in strangers]
        sheets.write(
            options.sheet,
            sheets.contact_sheet(pictures, captions, columns=8, side=SIDE, title="Finds on no known face"),
        )


if __name__ == "__main__":
    main()
