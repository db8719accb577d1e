"""How similar faces are, the same on every processor: a score is a cosine in whole steps of 2^-20.

A product of float32 matrices depends on the order in which a processor adds up: two faces get other last digits in
another block, and ties come and go. So embeddings are rounded to multiples of 2^-25 first, which moves a cosine by a
hundredth of a step or so. Products of these, and sums of them below 8, are multiples of 2^-50, which float64 holds
without rounding, whatever the order. The sum is rounded to the nearest step, which is finer than what float32 knows of
a cosine of hundreds of numbers. Two scores in one step are a tie.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import UnmaskError

Embeddings = NDArray[np.float32]
Scores = NDArray[np.float32]
STEPS = 2**20  # in a score of 1
GRID = 2.0**25  # in a number of 1 of an embedding
PAIRS_AT_A_TIME = 2**14


def against(known: Embeddings) -> Callable[[Embeddings], NDArray[np.int32]]:
    """Return a function that compares embeddings with known ones: (n, d) to scores in steps, int32 (n, m).

    Steps go from -2^20 to 2^20.

    Args:
        known: of length 1, (m, d).

    Raises:
        UnmaskError: an embedding is not finite.
    """
    across = _on_grid(known).T
    return lambda asked: _rounded(_on_grid(asked, STEPS) @ across)


def cosines(some: Embeddings, others: Embeddings) -> Scores:
    """Return the scores of each of `some` (n, d) with each of `others` (m, d), float32 (n, m); see `against`."""
    return as_cosines(against(others)(some))


def of_pairs(some: Embeddings, others: Embeddings, pairs: tuple[NDArray[np.int64], NDArray[np.int64]]) -> Scores:
    """Return the scores of pairs, float32 (k,): of `some` (n, d) and `others` (m, d) at indices (k,) of each."""
    found = np.empty(len(pairs[0]), np.float32)
    for start in range(0, len(found), PAIRS_AT_A_TIME):
        block = slice(start, start + PAIRS_AT_A_TIME)
        one, other = _on_grid(some[pairs[0][block]], STEPS), _on_grid(others[pairs[1][block]])
        found[block] = as_cosines(_rounded(np.einsum("nd,nd->n", one, other)))
    return found


def as_cosines(found: NDArray[np.int32]) -> Scores:
    """Return steps as cosines, which float32 holds exactly."""
    return found.astype(np.float32) / np.float32(STEPS)


def _on_grid(embeddings: Embeddings, scale: float = 1.0) -> NDArray[np.float64]:
    """Return embeddings rounded to the grid, times a power of two, which changes no digit."""
    if not np.isfinite(embeddings).all():
        bad = int((~np.isfinite(embeddings).all(-1)).sum())
        raise UnmaskError(f"{bad} of {len(embeddings)} embeddings are not finite: nothing can be compared with them")
    found = np.multiply(embeddings, GRID, dtype=np.float64)
    np.rint(found, out=found)
    found *= scale / GRID
    return found


def _rounded(sums: NDArray[np.float64]) -> NDArray[np.int32]:
    np.rint(sums, out=sums)
    np.clip(sums, -STEPS, STEPS, out=sums)  # an embedding is a little longer than 1
    return sums.astype(np.int32)
