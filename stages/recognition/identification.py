"""Who is it? Embeddings are float32 (n, d), of length 1; scores are those of `stages.recognition.similarity`."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import UnmaskError
from stages.recognition import similarity
from stages.recognition.similarity import Embeddings

BLOCK = 512  # probes that are compared at a time
NEVER = np.iinfo(np.int32).max  # rank of who cannot be found, as there is no face to look for
NEAREST = 100  # photos of the gallery that an index finds of each probe


@dataclass(frozen=True)
class Search:
    """What a search in a gallery found for each probe.

    Attributes:
        rank: of the probe's own person among the people of the gallery, from 1; 0 if it is not in the gallery. Others
            that are just as similar come before it.
        best: highest similarity of anybody, float32 (n,).
    """

    rank: NDArray[np.int64]
    best: NDArray[np.float32]

    def cmc(self, ranks: Sequence[int]) -> dict[str, float]:
        """Return the share of mated probes whose person is among the first k, by k.

        Raises:
            UnmaskError: no probe's person is in the gallery.
        """
        mated = self.rank[self.rank > 0]
        if not mated.size:
            raise UnmaskError("no probe shows a person of the gallery: there is nobody to identify")
        return {str(k): float(np.mean(mated <= k)) for k in ranks}

    def fnir_at(self, fpir: float) -> float | None:
        """Return the share of mated probes that are missed if at most so many of the others may raise an alarm.

        ISO/IEC 19795-1: an alarm is a candidate whose score reaches the threshold; a mated probe is missed if its
        person is not the first candidate, or its score is below. None if not even one non-mated probe may raise an
        alarm: then the rate is not measurable.
        """
        strangers = np.sort(self.best[self.rank == 0])[::-1]
        allowed = int(fpir * len(strangers) + 1e-9)
        mated = self.rank > 0
        if allowed < 1 or not mated.any():
            return None
        # Above the first score that must raise no alarm, ties included.
        threshold = strangers[allowed] if allowed < len(strangers) else -np.inf
        hit = (self.rank == 1) & (self.best > threshold)
        return float(1 - hit[mated].mean())


def fnir_resampled(
    found: Search, people: NDArray[np.int64], counts: NDArray[np.int64], fpir: float
) -> NDArray[np.float64]:
    """Return FNIR of probes of which each counts as often as its person was drawn; see `Search.fnir_at`.

    The gallery stays as it is.

    Args:
        found: of the probes.
        people: number of the person of each probe, int64 (n,).
        counts: how often each person was drawn, int64 (resamples, people).
        fpir: false positive identification rate.

    Returns:
        FNIR, float64 (resamples,); NaN where no mated probe counts.
    """
    strangers, mated = np.flatnonzero(found.rank == 0), np.flatnonzero(found.rank > 0)
    strangers = strangers[np.argsort(-found.best[strangers], kind="stable")]
    alarms = np.cumsum(counts[:, people[strangers]], axis=1)
    # The first score, from the highest down, with which there are more alarms than allowed; the threshold is above it.
    over = alarms > fpir * alarms[:, -1:] + 1e-9
    threshold = np.where(over.any(1), found.best[strangers][over.argmax(1)], -np.inf)
    hit = (found.rank[mated] == 1) & (found.best[mated] > threshold[:, None])
    weights = counts[:, people[mated]]
    with np.errstate(invalid="ignore"):
        return np.asarray(1 - (weights * hit).sum(1) / weights.sum(1))


def search(gallery: Embeddings, enrolled: Sequence[str], probes: Embeddings, people: Sequence[str]) -> Search:
    """Compare each probe with the whole gallery, exactly, a block of probes at a time.

    Args:
        gallery: of the photos enrolled, any number a person; a person is as similar as the most similar photo.
        enrolled: whom they show.
        probes: of the photos asked about.
        people: whom they show.

    Raises:
        UnmaskError: the gallery is empty.
    """
    if not len(gallery):
        raise UnmaskError("the gallery is empty: there is nobody to look for")
    names = sorted(set(enrolled))
    number = {name: index for index, name in enumerate(names)}
    owner = np.array([number[name] for name in enrolled])
    order = np.argsort(owner, kind="stable")
    starts = np.searchsorted(owner[order], np.arange(len(names)))
    compared = similarity.against(gallery[order])
    wanted = np.array([number.get(name, -1) for name in people], np.int64)
    rank, best = np.zeros(len(probes), np.int64), np.zeros(len(probes), np.int32)
    for start in range(0, len(probes), BLOCK):
        block = slice(start, start + BLOCK)
        of_people = np.maximum.reduceat(compared(probes[block]), starts, axis=1)
        best[block] = of_people.max(1)
        mated = np.flatnonzero(wanted[block] >= 0)
        own = of_people[mated, wanted[block][mated]]
        rank[start + mated] = (of_people[mated] >= own[:, None]).sum(1)
    return Search(rank, similarity.as_cosines(best))


def search_index(
    gallery: Embeddings, enrolled: Sequence[str], probes: Embeddings, people: Sequence[str], *, index: str
) -> Search:
    """Look each probe up in a faiss index of the gallery; for millions of photos.

    Only the `NEAREST` photos that the index finds of a probe count. If its person is not among them, its rank is the
    number of people found plus one; who is further behind, nobody knows. Which are found is up to faiss; how similar
    they are is computed as in an exact search.

    Args:
        gallery: of the photos enrolled.
        enrolled: whom they show.
        probes: of the photos asked about.
        people: whom they show.
        index: as faiss' index_factory has it: `Flat` is exact, `IVF1024,Flat` looks at a part of the gallery.

    Raises:
        UnmaskError: the gallery is empty, faiss is not installed or does not know such an index.
    """
    if not len(gallery):
        raise UnmaskError("the gallery is empty: there is nobody to look for")
    try:
        import faiss  # noqa: PLC0415 -- an extra
    except ImportError:
        raise UnmaskError("identify.index: only `exact` goes without faiss: pip install '.[faiss]'") from None
    try:
        found = faiss.index_factory(gallery.shape[1], index, faiss.METRIC_INNER_PRODUCT)
        found.train(gallery)
        found.add(gallery)
    except RuntimeError as error:
        raise UnmaskError(f"identify.index: {index!r} cannot be made of {len(gallery)} photos: {error}") from None
    _, indices = found.search(probes, min(NEAREST, len(gallery)))
    there = indices >= 0  # an index may find fewer than it was asked for
    scores = np.full(indices.shape, -2, np.float32)
    scores[there] = similarity.of_pairs(probes, gallery, (np.nonzero(there)[0], indices[there]))
    in_gallery = set(enrolled)
    rank = np.zeros(len(probes), np.int64)
    for probe, person in enumerate(people):
        if person not in in_gallery:
            continue
        found_ones = zip(indices[probe][there[probe]], scores[probe][there[probe]], strict=True)
        candidates = [(enrolled[photo], score) for photo, score in found_ones]
        own = max((score for name, score in candidates if name == person), default=-2)
        ahead = {name for name, score in candidates if score >= own} - {person}
        rank[probe] = len(ahead) + 1
    return Search(rank, scores.max(1))


def first_of_each(identities: Sequence[str]) -> list[int]:
    """Return the index of each person's first photo."""
    first: dict[str, int] = {}
    for index, identity in enumerate(identities):
        first.setdefault(identity, index)
    return list(first.values())


def rank_1_of_first(gallery: Embeddings, probes: Embeddings, identities: Sequence[str]) -> float | None:
    """Return how often the most similar of all people's first photos is that of the same person.

    Args:
        gallery: of photos, of which each person's first is enrolled.
        probes: of the same photos under another condition; those of the photos enrolled are left out.
        identities: of the photos.

    Returns:
        A share of the probes; None if everybody has one photo only.
    """
    enrolled = first_of_each(identities)
    asked = sorted(set(range(len(identities))) - set(enrolled))
    if not asked:
        return None
    found = search(
        gallery[enrolled], [identities[index] for index in enrolled], probes[asked], [identities[i] for i in asked]
    )
    return found.cmc([1])["1"]
