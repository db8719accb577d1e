"""Faces that nobody has: drawn, with their landmarks, parts and sex, to train on where time and memory alone count."""

import shutil
from pathlib import Path

import cv2
import numpy as np

from stages.core import tables
from stages.core.images import Pixels, encode_png
from stages.faces import parts
from stages.faces.landmarks import Points

PICTURES = 16  # different ones; the faces of a table share them


def _arc(center: tuple[float, float], radii: tuple[float, float], start: float, end: float, n: int) -> Points:
    angle = np.radians(np.linspace(start, end, n))
    return np.stack([center[0] + radii[0] * np.cos(angle), center[1] + radii[1] * np.sin(angle)], 1).astype(np.float32)


def landmarks(size: int = 112) -> Points:
    """Return the 68 landmarks of a frontal face in a square image of `size` pixels, float32 (68, 2)."""
    jaw = _arc((56, 52), (36, 50), 180, 0, 17)
    brows = np.concatenate([_arc((38, 44), (13, 6), 200, 340, 5), _arc((74, 44), (13, 6), 200, 340, 5)])
    nose = np.array([(56, y) for y in (50, 57, 64, 71)] + [(x, 76) for x in (48, 52, 56, 60, 64)], np.float32)
    # An eye starts at its left corner, goes over the upper lid, and back over the lower one.
    eyes = np.concatenate([_arc((x, 52), (7, 3), 180, 480, 6) for x in (39, 73)])
    lips = np.concatenate([_arc((56, 88), (15, 6), 180, 510, 12), _arc((56, 88), (11, 2), 180, 495, 8)])
    return np.concatenate([jaw, brows, nose, eyes, lips]) * np.float32(size / 112)


def face(seed: int = 0, size: int = 112, *, gray: bool = False) -> tuple[Pixels, Points]:
    """Return a drawn face, RGB uint8 (size, size, 3), and its landmarks."""
    rng = np.random.default_rng(seed)
    points = landmarks(size)
    image = np.full((size, size, 3), rng.integers(40, 90, 3), np.uint8)
    skin = tuple(int(value) for value in rng.integers(120, 220, 3))
    outline = np.concatenate([points[:17], points[[26, 24, 19, 17]] - [0, size / 4]])
    cv2.fillPoly(image, [outline.astype(np.int32)], skin, cv2.LINE_AA)
    for part in (points[36:42], points[42:48], points[48:60]):
        cv2.fillPoly(image, [part.astype(np.int32)], tuple(value // 3 for value in skin), cv2.LINE_AA)
    cv2.polylines(image, [points[27:36].astype(np.int32)], False, tuple(value // 2 for value in skin), 1, cv2.LINE_AA)
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    if gray:
        image = np.asarray(cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), np.uint8)
    return image, points


def table(folder: Path, people: int, side: int) -> None:
    """Write a face table of so many people to train on, a bare photo of each; one that lies there is replaced.

    Half of the people are women. Each face has landmarks, and the label map that these give.

    Args:
        folder: the table.
        people: how many.
        side: of the images, pixels.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pictures = []
    for seed in range(min(PICTURES, people)):
        image, points = face(seed, side)
        labels = encode_png(parts.from_landmarks(points, side, side))
        pictures.append({"image": encode_png(image), "landmarks": points, "labels": labels})
    n_parts = tables.n_parts({f"p{number:06d}": 1 for number in range(people)})
    rows: dict[int, list[tables.Face]] = {}
    for number in range(people):
        identity = f"p{number:06d}"
        row: tables.Face = {"face_id": f"made_up/{identity}/0", "identity": identity, "sex": tables.SEXES[number % 2]}
        row |= {"split": "train", "wears_mask": False, "face_type": "0_0", "labels_by": "landmarks"}
        rows.setdefault(tables.part_of(identity, n_parts), []).append({**row, **pictures[number % len(pictures)]})
    for part, some in rows.items():
        tables.write_part(folder / tables.part_name(part), some, list(some[0]))
