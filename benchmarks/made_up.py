"""Photos of any number of made-up people, who are ORL's people changed, in Face_Mask_Generator's layout.

A person of ORL becomes many by smooth waves that move the parts of a face: the same ones in all photos of a made-up
person, others for each person, half of them mirrored. Each photo is turned, scaled, shifted, moved a little more and
lit anew, so that no two are near copies. Landmarks are found in ORL's photos, and move with them.

One photo in a hundred is there twice, the second time saved anew: near copies that `clean` must find.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.orl import photos
from stages.core import images, params
from stages.core.images import Pixels
from stages.core.seeding import generator
from stages.data.adapters.face_mask_generator import KEYS, POINTS
from stages.faces.landmarks import Points, flip
from stages.landmarks.search import FaceTypes, Search, main_face

PHOTOS = 10  # of a person
PEOPLE_A_LIST = 100
COPIED = 100  # one photo in so many
QUALITY, OF_COPIES = 95, 80  # of JPEG
AGAIN = "-again"  # at the end of a copy's name
PARAMS = Path(__file__).parents[1] / "params.yaml"
Rng = np.random.Generator


@dataclass(frozen=True)
class Original:
    """A photo of ORL: gray (H, W), its landmarks and face type."""

    image: Pixels
    points: Points
    face_type: str


@dataclass(frozen=True)
class Waves:
    """Smooth motions of the plane, each along its own direction: a sum of cosines.

    Attributes:
        ahead: radians a pixel, (n, 2).
        phase: radians, (n,).
        reach: pixels, (n, 2).
    """

    ahead: NDArray[np.float64]
    phase: NDArray[np.float64]
    reach: NDArray[np.float64]

    @classmethod
    def drawn(cls, rng: Rng, n: int, reach: float) -> "Waves":
        """Return `n` waves of 60 to 160 pixels that move a point by about `reach` pixels each."""
        angle, length = rng.uniform(0, 2 * np.pi, n), rng.uniform(60, 160, n)
        ahead = 2 * np.pi / length[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        return cls(ahead, rng.uniform(0, 2 * np.pi, n), rng.normal(0, reach, (n, 2)))

    def __call__(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return by how much points (..., 2) move, pixels."""
        return np.cos(points @ self.ahead.T + self.phase) @ self.reach


@dataclass(frozen=True)
class Change:
    """Where each point of a changed photo comes from: turned and scaled about a center, shifted, moved by waves."""

    matrix: NDArray[np.float64]
    center: NDArray[np.float64]
    shift: NDArray[np.float64]
    waves: tuple[Waves, ...]

    def source(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the places in the original of points (..., 2) of the changed photo."""
        turned = (points - self.center) @ self.matrix.T + self.center + self.shift
        return turned + sum(wave(points) for wave in self.waves)

    def target(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the places in the changed photo of points (n, 2) of the original; the inverse, by iteration."""
        back = np.linalg.inv(self.matrix)
        found = points
        for _ in range(30):
            found = found + (points - self.source(found)) @ back.T
        return found


def originals() -> dict[str, list[Original]]:
    """Return the photos of each person of ORL in which a face was found."""
    search = params.load(Search, "find_landmarks.search", PARAMS)
    types = params.load(FaceTypes, "find_landmarks.face_types", PARAMS)
    people: dict[str, list[Original]] = {}
    for name, data in photos().items():
        image = images.decode(data)
        found, _ = main_face(image, {"wears_mask": False}, search)
        if found is not None:
            one = Original(image[..., 0], found.points, types.of(image, found.points))
            people.setdefault(name.split("/")[0], []).append(one)
    return people


def changed(one: Original, person: Waves, mirrored: bool, rng: Rng) -> tuple[Pixels, Points]:
    """Return a photo of a made-up person, gray (H, W), and its landmarks, float32 (68, 2)."""
    height, width = one.image.shape
    image, points = (one.image[:, ::-1], flip(one.points, width)) if mirrored else (one.image, one.points)
    angle, scale = np.radians(rng.uniform(-15, 15)), rng.uniform(0.85, 1.2)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    center = np.array([width - 1, height - 1]) / 2
    change = Change(matrix, center, rng.uniform(-6, 6, 2), (person, Waves.drawn(rng, 3, 0.8)))
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float64)
    places = change.source(grid).astype(np.float32)
    moved = cv2.remap(np.ascontiguousarray(image), places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    light = (grid - center) @ rng.normal(0, 0.5, 2)
    lit = (moved / 255) ** rng.uniform(0.7, 1.4) * 255 * rng.uniform(0.7, 1.1) + light
    noisy = lit + rng.normal(0, 2, lit.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8), change.target(points.astype(np.float64)).astype(np.float32)


def person(number: int, n: int, people: list[list[Original]]) -> Iterator[tuple[str, Pixels, Points, str]]:
    """Yield name, image (H, W), landmarks and face type of the first `n` photos of a made-up person."""
    rng = generator("made up", number)
    waves, known = Waves.drawn(rng, 4, 1.5), people[number % len(people)]
    for place in range(n):
        one = known[place % len(known)]
        image, points = changed(one, waves, number // len(people) % 2 == 1, rng)
        yield f"p{number:06d}-{place:02d}", image, points, one.face_type


def write(folder: Path, n: int) -> int:
    """Write `n` photos and the copies of some into a tar, beside lists of their landmarks; return how many copies."""
    people = list(originals().values())
    folder.mkdir(parents=True)
    copies = 0
    lines: list[str] = []
    with tarfile.open(folder / "faces.tar", "w") as archive:

        def put(name: str, data: bytes) -> None:
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))

        for number in range(-(-n // PHOTOS)):
            identity = f"p{number:06d}"
            for place, (name, image, points, face_type) in enumerate(
                person(number, min(PHOTOS, n - PHOTOS * number), people), PHOTOS * number
            ):
                again = place % COPIED == COPIED - 1
                copies += again
                for file, quality in ((f"{name}.jpg", QUALITY), (f"{name}{AGAIN}.jpg", OF_COPIES))[: 1 + again]:
                    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
                    put(f"{identity}/{file}", data)
                    numbers = ",".join(f"{value:.2f}" for value in points.ravel())
                    lines.append(f"\\{identity},{file},{face_type},{numbers}\n")
            if number % PEOPLE_A_LIST == PEOPLE_A_LIST - 1 or PHOTOS * (number + 1) >= n:
                header = ",".join([*KEYS, *POINTS])
                put(f"people-{number // PEOPLE_A_LIST:05d}.csv", f"{header}\n{''.join(lines)}".encode())
                lines.clear()
    return copies
