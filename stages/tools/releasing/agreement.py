"""How far a model in half precision is from what it was: both look at the same faces behind masks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.compute import weights
from stages.core import images
from stages.core.tables import Face
from stages.detection import detector
from stages.inpainting import inpainter
from stages.parsing import parser
from stages.recognition import embedders, recognizer

SCORE = 0.5  # from which on what the detector found counts

Said = Sequence[NDArray[Any]]


@dataclass(frozen=True)
class Difference:
    """By how much two models differ, in words; `value` may be `most`."""

    value: float
    most: float
    words: str

    def __str__(self) -> str:
        """Return it in words, with what it may be at most."""
        return f"{self.words.format(self.value)} (at most {self.words.format(self.most)})"


def _pixels(one: Said, other: Said) -> float:
    return float(np.mean([(a != b).mean() for a, b in zip(one, other, strict=True)]))


def _levels(one: Said, other: Said) -> float:
    pairs = zip(one, other, strict=True)
    return float(np.mean([np.abs(a.astype(np.int16) - b)[a.any(2) | b.any(2)].mean() for a, b in pairs]))


def _angles(one: Said, other: Said) -> float:
    return float(max(1 - float(a @ b) for a, b in zip(one, other, strict=True)))


Compare = Callable[[Said, Said], float]
# By kind of weights: how two outputs are compared, by how much they may differ, and that in words.
MEASURES: dict[str, tuple[Compare, float, str]] = {
    parser.KIND: (_pixels, 2e-3, "{:.2%} of the pixels"),
    detector.KIND: (_pixels, 2e-3, "{:.2%} of the pixels"),
    inpainter.KIND: (_levels, 0.5, "{:.2f} of 255 levels"),
    recognizer.KIND: (_angles, 1e-4, "1 - cosine {:.0e}"),
}


def difference(one: Path, other: Path, faces: Sequence[Face]) -> Difference:
    """Return by how much two files of weights of one kind differ on rows of a table with drawn masks.

    Labels and regions are compared by the share of pixels that differ, what is filled in by the mean difference in the
    hole, embeddings by the largest 1 - cosine.
    """
    kind = weights.kind_of(one)
    compare, most, words = MEASURES[kind]
    return Difference(compare(said(one, faces), said(other, faces)), most, words)


def said(path: Path, faces: Sequence[Face]) -> Said:
    """Return what a model says of faces: labels, the region of masks, what is filled in and 0 around it, embeddings."""
    kind = weights.kind_of(path)
    pictures = [images.decode(face["image"]) for face in faces]
    if kind == parser.KIND:
        about, _ = weights.load(path, kind)
        return parser.load(path, about["name"])(pictures)
    if kind == detector.KIND:
        return [found.regions[found.scores >= SCORE].any(0) for found in detector.load(path)(pictures)]
    if kind == inpainter.KIND:
        holes = [images.decode_gray(face["mask"]) for face in faces]
        filled = inpainter.load(path)(pictures, holes)
        return [np.where((hole > 0)[..., None], face, 0) for face, hole in zip(filled, holes, strict=True)]
    return list(embedders.load(path)(pictures, [face.get("landmarks") for face in faces]))
