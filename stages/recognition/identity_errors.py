"""Which photos may show somebody else than their label says: by their distance to their own person's other photos.

Embeddings are float32 (n, d), of length 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.recognition import similarity

BLOCK = 4096  # photos that are compared with all people at a time


@dataclass(frozen=True)
class Doubts:
    """How well photos fit their labels.

    Attributes:
        own: median cosine to the person's other photos, float32 (n,); NaN where there are none.
        other: cosine to the mean of the nearest other person, float32 (n,).
        nearest: number of that person, int64 (n,); people are numbered by `np.unique`.
    """

    own: NDArray[np.float32]
    other: NDArray[np.float32]
    nearest: NDArray[np.int64]

    @property
    def doubt(self) -> NDArray[np.float32]:
        """By how much a photo is nearer to another person, float32 (n,); minus infinity for a person's only photo."""
        return np.where(np.isnan(self.own), np.float32(-np.inf), self.other - self.own).astype(np.float32)


def doubts(embeddings: NDArray[np.float32], identities: Sequence[str]) -> Doubts:
    """Compare each photo with its own person's others and with the mean of every other person.

    The median bears that up to half of a person's photos show somebody else.
    """
    people, number = np.unique(np.asarray(identities), return_inverse=True)
    means = np.zeros((len(people), embeddings.shape[1]), np.float32)
    np.add.at(means, number, embeddings)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-9)
    own = np.full(len(embeddings), np.nan, np.float32)
    for person in range(len(people)):
        indices = np.flatnonzero(number == person)
        if len(indices) > 1:
            cosines = similarity.cosines(embeddings[indices], embeddings[indices])
            others = cosines[~np.eye(len(indices), dtype=bool)].reshape(len(indices), -1)
            own[indices] = np.median(others, axis=1)
    compared = similarity.against(means)
    other, nearest = np.zeros(len(embeddings), np.float32), np.zeros(len(embeddings), np.int64)
    for start in range(0, len(embeddings), BLOCK):
        block = slice(start, start + BLOCK)
        cosines = similarity.as_cosines(compared(embeddings[block]))
        rows = np.arange(len(cosines))
        cosines[rows, number[block]] = -np.inf
        nearest[block] = cosines.argmax(1)
        other[block] = cosines[rows, nearest[block]]
    return Doubts(own, other, nearest)
