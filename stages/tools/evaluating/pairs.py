"""The pairs at which a recognizer errs most: two photos of one person that are least alike, two people who are most."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.recognition import similarity
from stages.recognition.protocol import Series

SHOWN = 8  # pairs of each kind
BLOCK = 512  # probes that are compared at a time


@dataclass(frozen=True)
class Pair:
    """Two photos whose faces were found.

    Attributes:
        series: in which they are compared.
        genuine: whether they show one person.
        probe: face_id.
        reference: face_id.
        score: cosine.
    """

    series: str
    genuine: bool
    probe: str
    reference: str
    score: float


def worst(one: Series, n: int = SHOWN) -> list[Pair]:
    """Return the `n` genuine pairs of a series with the lowest scores, then the `n` impostors with the highest.

    Pairs of which a face was not found have no score that says anything of the recognizer, and are left out.
    """
    references, probes = one.references.there(), one.probes.there()
    if not (len(references) and len(probes)):
        return []
    numbers = {name: number for number, name in enumerate({*references.identities, *probes.identities})}
    of_references, of_probes = (
        np.array([numbers[name] for name in faces.identities]) for faces in (references, probes)
    )
    place = {face_id: number for number, face_id in enumerate(references.face_ids)}
    own = np.array([place.get(face_id, -1) for face_id in probes.face_ids])
    compared = similarity.against(references.embeddings)
    columns = np.arange(len(references))
    kept: dict[bool, NDArray[np.int64]] = {genuine: np.empty((0, 3), np.int64) for genuine in (True, False)}
    for start in range(0, len(probes), BLOCK):
        part = slice(start, start + BLOCK)
        steps = compared(probes.embeddings[part])
        rows = np.arange(start, start + len(steps))[:, None]
        once = columns > rows if one.references is one.probes else columns != own[part, None]
        same = of_probes[part, None] == of_references
        for genuine, found in kept.items():
            row, column = np.nonzero(once & (same == genuine))
            of = np.column_stack([steps[row, column], rows[row, 0], column])
            kept[genuine] = _first(np.concatenate([found, of]), n, lowest=genuine)
    return [
        Pair(one.name, genuine, probes.face_ids[row], references.face_ids[column], float(step) / similarity.STEPS)
        for genuine, found in kept.items()
        for step, row, column in found.tolist()
    ]


def _first(pairs: NDArray[np.int64], n: int, *, lowest: bool) -> NDArray[np.int64]:
    """Return the `n` pairs, rows of score, probe and reference, with the lowest or highest scores, in this order."""
    scores = pairs[:, 0] if lowest else -pairs[:, 0]
    if len(pairs) > n:
        pairs, scores = (some[np.argpartition(scores, n - 1)[:n]] for some in (pairs, scores))
    return pairs[np.lexsort((pairs[:, 2], pairs[:, 1], scores))]


def how_many(one: Series) -> tuple[int, int]:
    """Return how many genuine pairs and how many impostors a series has, without comparing them."""
    counts = [dict.fromkeys({*one.references.identities, *one.probes.identities}, 0) for _ in range(2)]
    for found, faces in zip(counts, (one.references, one.probes), strict=True):
        for name in faces.identities:
            found[name] += 1
    own = int((one.own >= 0).sum())
    genuine = sum(counts[0][name] * counts[1][name] for name in counts[0]) - own
    every = len(one.references) * len(one.probes) - own
    if one.references is one.probes:
        genuine, every = genuine // 2, every // 2
    return genuine, every - genuine
