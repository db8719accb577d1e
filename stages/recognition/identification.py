"""Who is it? Embeddings are float32 (n, d), of length 1."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def rank_1_of_first(
    gallery: NDArray[np.float32], probes: NDArray[np.float32], identities: Sequence[str]
) -> float | None:
    """Return how often the most similar of all people's first photos is that of the same person.

    Args:
        gallery: of photos, of which each person's first is enrolled.
        probes: of the same photos under another condition; those of the photos enrolled are left out.
        identities: of the photos.

    Returns:
        A share of the probes; None if everybody has one photo only.
    """
    first: dict[str, int] = {}
    for place, identity in enumerate(identities):
        first.setdefault(identity, place)
    enrolled = list(first.values())
    asked = [place for place in range(len(identities)) if place not in set(enrolled)]
    if not asked:
        return None
    nearest = np.argmax(probes[asked] @ gallery[enrolled].T, axis=1)
    right = [identities[enrolled[found]] == identities[place] for found, place in zip(nearest, asked, strict=True)]
    return float(np.mean(right))
