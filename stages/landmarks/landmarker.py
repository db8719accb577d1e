"""Landmarks of faces behind masks, by a small network of ours: dlib's predictor never saw a mask and guesses badly.

It looks at a square crop and says where the 68 landmarks are, whether there is a face, and whether a mask hides part of
it. Its own landmarks give a better crop, in which it looks again. Its released weights come from
`python -m stages.landmarks.train_landmarker`: bare photos of LFW, dlib's landmarks on them, masks drawn.
"""

import functools
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.compute import device, weights
from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.landmarks.shipped import SHIPPED

KIND = "landmarker"
WEIGHTS = SHIPPED / "landmarker.safetensors"
SIZE = 96  # pixels of a crop
CONTEXT = 1.6  # side of a crop over the larger side of the landmarks' box
CHANNELS = (24, 40, 80, 128)
LOOKS = 3  # at a face: the last two tell how much the network wavers
CERTAIN_FACE, CERTAIN_MASK = 0.5, 0.8  # probabilities
UNSURE_ABOVE = 0.06  # mean move of the landmarks between the last two looks, of the face's size
CANDIDATES = 12  # squares of a photo that are looked at more than once


@dataclass(frozen=True)
class Square:
    """A square of a photo: center and side, in pixels, and by how many degrees it is turned to the right."""

    x: float
    y: float
    side: float
    turn: float = 0.0

    @classmethod
    def around(cls, points: Points, turn: float = 0.0) -> "Square":
        """Return the square that is cropped for a face with these landmarks, (n, 2)."""
        cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
        axes = np.array([[cos, sin], [-sin, cos]], np.float32)  # to the right and down in the square
        inside = points @ axes.T
        low, high = inside.min(0), inside.max(0)
        x, y = axes.T @ ((low + high) / 2)
        return cls(float(x), float(y), max(float((high - low).max()) * CONTEXT, 1.0), turn)

    def matrix(self, degrees: float = 0.0, size: int = SIZE) -> NDArray[np.float64]:
        """Return the map (2, 3) from the photo to the crop of `size` pixels, which may be turned further."""
        turn = self.turn + degrees
        matrix = np.asarray(cv2.getRotationMatrix2D((self.x, self.y), turn, size / self.side), np.float64)
        matrix[:, 2] += (size - 1) / 2 - np.array([self.x, self.y])
        return matrix


def crop(photo: Pixels, matrix: NDArray[np.float64], size: int = SIZE) -> Pixels:
    """Return the crop (size, size, 3) of an RGB photo (H, W, 3) by a map (2, 3) to it; at its edges, pixels go on."""
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 0.5:  # interpolation looks at 2 pixels only
        small = np.asarray(cv2.resize(photo, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA), np.uint8)
        factors = np.array([photo.shape[1] / small.shape[1], photo.shape[0] / small.shape[0]])
        matrix = np.column_stack([matrix[:, :2] * factors, matrix[:, 2] + matrix[:, :2] @ (factors - 1) / 2])
        photo = small
    return np.asarray(
        cv2.warpAffine(photo, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8
    )


class Network(nn.Module):
    """A residual network: landmarks, and logits of "here is a face" and "it wears a mask"."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [_convolution(3, CHANNELS[0], 2), nn.ReLU()]
        for before, channels in itertools.pairwise(CHANNELS):
            layers += [_Block(before, channels, 2), _Block(channels, channels, 1)]
        self.features = nn.Sequential(*layers, _convolution(CHANNELS[-1], 64, 1, 1), nn.ReLU(), nn.Flatten())
        self.last = nn.Linear(64 * (SIZE // 16) ** 2, 68 * 2 + 2)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Return landmarks (n, 68, 2), -1 to 1 from edge to edge, and logits (n, 2), of crops (n, 3, SIZE, SIZE).

        Crops are RGB, 0 to 255.
        """
        found = self.last(self.features(crops / 127.5 - 1)).float()
        return found[:, :-2].reshape(-1, 68, 2), found[:, -2:]


class _Block(nn.Module):
    def __init__(self, before: int, channels: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            _convolution(before, channels, stride), nn.ReLU(), _convolution(channels, channels, 1)
        )
        same = stride == 1 and before == channels
        self.shortcut = nn.Identity() if same else _convolution(before, channels, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.path(x) + self.shortcut(x))


def _convolution(before: int, channels: int, stride: int, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(before, channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))


@functools.cache
def network() -> Network:
    """Return the trained network.

    Raises:
        UnmaskError: its weights are missing or of another version.
    """
    _, state = weights.load(WEIGHTS, KIND)
    net = Network()
    state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
    weights.fill(net, state, WEIGHTS)
    return device.placed(net)


@dataclass(frozen=True)
class Seen:
    """What the network says of a square: landmarks, float32 (68, 2), in pixels of the photo, and how sure it is."""

    points: Points
    face: float  # probability that there is one
    masked: float  # probability that it wears a mask
    moved: float  # how far the landmarks went between the last two looks, of the face's size

    @property
    def sure(self) -> bool:
        """Tell whether the landmarks can be used."""
        return self.face >= CERTAIN_FACE and self.moved <= UNSURE_ABOVE

    @property
    def wears_mask(self) -> bool:
        """Tell whether a mask is seen."""
        return self.masked >= CERTAIN_MASK


def look(photo: Pixels, squares: Sequence[Square], looks: int = LOOKS) -> list[Seen]:
    """Return what the network says of squares of an RGB photo (H, W, 3), after it has looked several times."""
    if not squares:
        return []
    now = list(squares)
    points: list[Points] = []
    moved = np.zeros(len(now))
    logits = np.zeros((len(now), 2))
    for number in range(looks):
        before = points
        points, logits = _once(photo, now)
        now = [Square.around(some, was.turn) for some, was in zip(points, now, strict=True)]
        if number:
            moves = zip(points, before, now, strict=True)
            moved = np.array([np.hypot(*(new - old).T).mean() / max(at.side / CONTEXT, 1) for new, old, at in moves])
    faces, masked = 1 / (1 + np.exp(-logits.T))
    return [
        Seen(some, float(face), float(mask), float(move))
        for some, face, mask, move in zip(points, faces, masked, moved, strict=True)
    ]


def _once(photo: Pixels, squares: Sequence[Square]) -> tuple[list[Points], NDArray[np.float64]]:
    """Return landmarks in the photo, and logits, of one look at each square."""
    matrices = [square.matrix() for square in squares]
    crops = [crop(photo, matrix) for matrix in matrices]
    places, says = outputs(crops)
    return [_back(matrix, in_pixels(place)) for matrix, place in zip(matrices, places, strict=True)], says


def outputs(crops: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return landmarks (n, 68, 2), -1 to 1 from edge to edge, and logits (n, 2), of RGB crops (SIZE, SIZE, 3)."""
    places, says = zip(*device.apply(lambda some: network()(some.float()), device.of(network()), crops), strict=True)
    return np.stack(places), np.stack(says)


def in_pixels(found: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return landmarks (…, 68, 2) in pixels of the crop."""
    return (found + 1) * (SIZE / 2) - 0.5


def _back(matrix: NDArray[np.float64], points: Points) -> Points:
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
    return np.asarray(points @ inverse[:, :2].T + inverse[:, 2], np.float32)


def everywhere(photo: Pixels) -> Iterator[Square]:
    """Yield squares that together see every face whose crop takes a third of the photo's shorter side at least."""
    height, width = photo.shape[:2]
    for share in (1.3, 0.9, 0.62, 0.43, 0.3):
        side = share * min(height, width)
        columns, rows = (max(1, 1 + int(np.ceil((length - side) / (0.35 * side)))) for length in (width, height))
        for x, y in itertools.product(_middles(width, side, columns), _middles(height, side, rows)):
            yield Square(x, y, side)


def find(photo: Pixels) -> list[Seen]:
    """Return the faces that the network is sure of in an RGB photo (H, W, 3), wherever they are, the largest first."""
    squares = list(everywhere(photo))
    first = look(photo, squares, looks=1)
    best = sorted((seen for seen in first if seen.face >= CERTAIN_FACE), key=lambda seen: -seen.face)[:CANDIDATES]
    found: list[tuple[Square, Seen]] = []
    for seen in sorted(look(photo, [Square.around(seen.points) for seen in best]), key=lambda seen: -seen.face):
        square = Square.around(seen.points)
        apart = all(
            np.hypot(square.x - other.x, square.y - other.y) > max(square.side, other.side) / (2 * CONTEXT)
            for other, _ in found
        )
        if seen.sure and apart:
            found.append((square, seen))
    return [seen for _, seen in sorted(found, key=lambda one: -one[0].side)]


def _middles(length: int, side: float, n: int) -> list[float]:
    return [length / 2] if n == 1 else np.linspace(side / 2, length - side / 2, n).tolist()
