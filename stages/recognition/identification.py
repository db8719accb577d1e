"""Who is it? Embeddings are float32 (n, d), of length 1; scores are those of `stages.recognition.similarity`."""

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from stages.core import intervals
from stages.core.errors import UnmaskError
from stages.recognition import similarity
from stages.recognition.similarity import Embeddings

BLOCK = 512  # probes that are compared at a time, or fewer, if the gallery is large
PAIRS = 2**21  # likewise
FEW = 64  # likewise, of each of which an index found `NEAREST` photos
LOWEST = np.float32(-1)  # similarity
NEVER = np.iinfo(np.int32).max  # rank of who cannot be found, as there is no face to look for
LEFT_OUT = 8  # groups that are left out at a time
NEAREST = 100  # photos of the gallery that an index finds of each probe


@dataclass(frozen=True)
class Search:
    """What a search in a gallery found for each probe.

    Attributes:
        rank: of the probe's own person among the people of the gallery, from 1; 0 if it is not in the gallery. Others
            that are just as similar come before it.
        own: similarity of the own person, float32 (n,); `LOWEST` where it is not found.
        other: highest similarity of anybody else, float32 (n,); `LOWEST` if there is nobody else.
        without: the same, had a group of people not been enrolled, float32 (groups, n); of no group if none was asked
            for.
    """

    rank: NDArray[np.int64]
    own: NDArray[np.float32]
    other: NDArray[np.float32]
    without: NDArray[np.float32]

    def spread(self, places: NDArray[np.int64], n: int) -> "Search":
        """Return a search for `n` probes of which these stand at some places; of the others it found nobody."""
        if len(places) == n:
            return self
        found = empty(n, len(self.without))
        found.put(places, self)
        return found

    def put(self, probes: slice | NDArray[np.int64], of: "Search") -> None:
        """Take over what was found for some of the probes."""
        self.rank[probes], self.own[probes], self.other[probes] = of.rank, of.own, of.other
        self.without[:, probes] = of.without

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
        strangers, mated = self.rank == 0, self.rank > 0
        if int(fpir * strangers.sum() + 1e-9) < 1 or not mated.any():
            return None
        hit = self.own > np.maximum(self.other, threshold(self.other[strangers], fpir))
        return float(1 - hit[mated].mean())


def threshold(strangers: NDArray[np.float32], fpir: float) -> float:
    """Return the score above which at most so many strangers raise an alarm: that of the first who must not, ties too.

    Args:
        strangers: highest similarity of anybody to each, float32 (n,), n above 0.
        fpir: false positive identification rate.
    """
    allowed = int(fpir * len(strangers) + 1e-9)
    return float(np.sort(strangers)[::-1][allowed]) if allowed < len(strangers) else -np.inf


class Without:
    """The margins of each probe without some groups of people; of many probes, those of all groups take much memory.

    Args:
        found: with the groups left out.
        groups: number of the group of each probe's person, int64 (n,).
        least: without each group, what must be reached in any case, float64 (groups,).
    """

    def __init__(self, found: Search, groups: NDArray[np.int64], least: NDArray[np.float64]) -> None:
        self.found, self.groups, self.least = found, groups, least

    def __len__(self) -> int:
        """Return how many groups there are."""
        return len(self.least)

    def __getitem__(self, which: int | slice) -> NDArray[np.float64]:
        """Return the margins without a group, float64 (n,), or without each of some, (some, n)."""
        left_out = np.arange(len(self))[which, ..., None]
        margins = np.maximum(self.found.without[which].astype(np.float64), self.least[which, ..., None])
        np.subtract(self.found.own, margins, out=margins)
        margins[(self.groups == left_out) | (self.found.rank == 0)] = np.nan
        return margins


class Margins(NamedTuple):
    """By how much the own person is ahead of all that could be taken for it; above 0 it is found.

    Attributes:
        of: each probe, float64 (n,); NaN for strangers.
        without: the same without each group of people, who are neither asked about nor enrolled, float64 (groups, n);
            NaN for these, too.
    """

    of: NDArray[np.float64]
    without: NDArray[np.float64] | Without


def margins(found: Search, groups: NDArray[np.int64], fpir: float | None = None) -> Margins:
    """Return how far each probe's person is ahead of anybody else and, in an open set, of the threshold.

    Args:
        found: with the groups left out.
        groups: number of the group of each probe's person, int64 (n,).
        fpir: of the open set; None: nobody is a stranger.
    """
    mated, other = found.rank > 0, found.other.astype(np.float64)
    least = np.full(len(found.without), -np.inf)
    if fpir is not None:
        strangers = ~mated
        at = threshold(found.other[strangers], fpir)
        # One photo more or less moves a threshold by leaps. A smooth one tells how far people move it.
        smooth = _smooth_threshold(found.other[strangers], fpir)
        moved = [
            _smooth_threshold(some[strangers & (groups != number)], fpir) for number, some in enumerate(found.without)
        ]
        other = np.maximum(other, at)
        least = at + np.nan_to_num(np.array(moved) - smooth)
    return Margins(np.where(mated, found.own - other, np.nan), Without(found, groups, least))


def _smooth_threshold(strangers: NDArray[np.float32], fpir: float) -> float:
    """Return a weighted mean of the scores next to a threshold; NaN if there are none.

    From F. E. Harrell and C. E. Davis, "A new distribution-free quantile estimator", Biometrika 69 (1982).
    """
    n = len(strangers)
    if not n:
        return np.nan
    return float((_weights(n, fpir) * np.sort(strangers)[::-1]).sum())


@functools.lru_cache(maxsize=200)  # each takes 8 bytes a stranger
def _weights(n: int, share: float) -> NDArray[np.float64]:
    """Return the weights of n scores, from the highest down, in the quantile above which there is a share of them."""
    return np.diff(special.betainc((n + 1) * share, (n + 1) * (1 - share), np.arange(n + 1) / n))


class Rate(NamedTuple):
    """How often the own person is found.

    Attributes:
        share: of the probes, 0 to 1.
        without: the same without each group of people, float64 (groups,); NaN if nobody else is asked about.
        variance: of the share, where the truth is some value.
    """

    share: float
    without: NDArray[np.float64]
    variance: Callable[[float], float]


class Rates:
    """How often the own person is found, the mean over draws of strangers, and what that owes to the people.

    People are asked about, which makes the margins of their probes alike; and they are enrolled, or strangers, which
    moves the margins of others' probes. For the latter each is left out in turn (`intervals.jackknife`). What one
    person's probes owe to another one enrolled, more than others' do, would count for both; once is taken off (A. C.
    Cameron, J. B. Gelbach and D. L. Miller, "Robust inference with multiway clustering", Journal of Business & Economic
    Statistics 29 (2011)). As this rests on no more than the people there are, the variance is widened.

    Args:
        people: number of the person of each probe, int64 (n,).
        groups: number of its group, int64 (n,).
    """

    def __init__(self, people: NDArray[np.int64], groups: NDArray[np.int64]) -> None:
        self.people, self.groups = people, groups
        self.shares: list[float] = []
        self.shares_without, self.means_asked = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
        self.means_without, self.both = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
        self.total, self.times = np.zeros(len(people)), np.zeros(len(people))

    def add(self, one: Margins) -> None:
        """Take in what was found in a draw of strangers, which need not be kept."""
        mated = np.flatnonzero(np.isfinite(one.of))
        of, n_groups = one.of[mated], len(one.without)
        self.total[mated] += of
        self.times[mated] += 1
        self.shares.append(float(np.mean(of > 0)))
        ones = np.ones(len(mated)), (np.arange(len(mated)), self.groups[mated])
        whose = sparse.csr_array(ones, (len(mated), n_groups))
        blocks = (one.without[start : start + LEFT_OUT][:, mated] for start in range(0, n_groups, LEFT_OUT))
        shares, asked, left, both = zip(*(_without(of, without, whose) for without in blocks), strict=True)
        self.shares_without.append(np.concatenate(shares))
        self.means_asked.append(np.concatenate(asked))
        self.means_without.append(np.concatenate(left))
        self.both.append(np.concatenate(both))

    def rate(self) -> Rate:
        """Return the mean over the draws, of which there is at least one."""
        asked = self.times > 0
        margins = intervals.scatter(self.total[asked] / self.times[asked], self.people[asked])
        means_asked, means_without = np.mean(self.means_asked, 0), np.mean(self.means_without, 0)
        known = np.isfinite(means_without)
        as_gallery = 0.0
        if known.any():  # with one group asked about, nobody can be left out
            as_gallery = (
                intervals.jackknife(means_without[known])
                - intervals.jackknife(means_asked[known])
                - float(np.square(np.mean(self.both, 0)).sum())
            )
        wider = intervals.wider(int(known.sum())) ** 2
        moves = max(as_gallery, 0.0) / max(margins.variance, intervals.NO_VARIANCE)
        return Rate(
            float(np.mean(self.shares)),
            np.mean(self.shares_without, 0),
            lambda share: wider * (intervals.variance(share, margins) + intervals.moved(share) ** 2 * moves),
        )


def _without(
    of: NDArray[np.float64], without: NDArray[np.float64], whose: sparse.csr_array
) -> tuple[NDArray[np.float64], ...]:
    """Return what comes of some groups being left out, each float64 (left out,), the last (left out, groups).

    The share found, the mean margins that the rest has with the group and without it, and what in their difference is
    owed to each group asked about.

    Args:
        of: margins of the mated probes, float64 (n,).
        without: the same without each of the groups, float64 (left out, n); NaN for its own people.
        whose: 1 where a probe is of a group, else 0, (n, groups).
    """
    rest = np.isfinite(without)
    n_rest = rest.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (rest & (without > 0)).sum(1) / n_rest
        asked = (rest * of).sum(1) / n_rest
        left = np.where(rest, without, 0).sum(1) / n_rest
    owed = np.where(rest, without - of, 0) @ whose / len(of)
    both = owed - owed.sum(1, keepdims=True) * (rest @ whose / np.maximum(n_rest, 1)[:, None])
    return share, asked, left, both


def rate(draws: Iterable[Margins], people: NDArray[np.int64], groups: NDArray[np.int64]) -> Rate:
    """Return how often the own person is found in some draws of strangers; see `Rates`."""
    rates = Rates(people, groups)
    for one in draws:
        rates.add(one)
    return rates.rate()


def search(
    gallery: Embeddings,
    enrolled: Sequence[str],
    probes: Embeddings,
    people: Sequence[str],
    groups: Mapping[str, int] | None = None,
) -> Search:
    """Compare each probe with the whole gallery, exactly, a block of probes at a time.

    Args:
        gallery: of the photos enrolled, any number a person; a person is as similar as the most similar photo.
        enrolled: whom they show.
        probes: of the photos asked about.
        people: whom they show.
        groups: number of the group of each person enrolled, to be left out in turn.

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
    of_names, n_groups = _groups(names, groups)
    found = empty(len(probes), n_groups)
    at_once = min(BLOCK, max(1, PAIRS // len(gallery)))
    for start in range(0, len(probes), at_once):
        block = slice(start, start + at_once)
        of_people = np.maximum.reduceat(compared(probes[block]), starts, axis=1)
        found.put(block, among(similarity.as_cosines(of_people), wanted[block], of_names, n_groups))
    return found


def among(similar: NDArray[np.float32], wanted: NDArray[np.int64], groups: NDArray[np.int64], n_groups: int) -> Search:
    """Return what is found in a table of how similar probes are to people.

    Args:
        similar: float32 (probes, people).
        wanted: column of the own person of each probe, int64 (probes,); -1 if there is none.
        groups: number of the group of each person, int64 (people,); of no group, if there are none.
        n_groups: how many there are, some of which may have nobody enrolled.
    """
    mated = np.flatnonzero(wanted >= 0)
    own = np.full(len(similar), LOWEST, np.float32)
    own[mated] = similar[mated, wanted[mated]]
    rank = np.zeros(len(similar), np.int64)
    rank[mated] = (similar[mated] >= own[mated, None]).sum(1)
    others = similar.copy()
    others[mated, wanted[mated]] = LOWEST
    other = others.max(1)
    without = np.repeat(other[None], n_groups, 0)
    if n_groups:
        order = np.argsort(groups, kind="stable")
        there, starts = np.unique(groups[order], return_index=True)
        of_groups = np.maximum.reduceat(others[:, order], starts, axis=1)
        rows, first = np.arange(len(similar)), of_groups.argmax(1)
        of_groups[rows, first] = LOWEST
        without[there[first], rows] = of_groups.max(1)
    return Search(rank, own, other, without)


def empty(n: int, groups: int) -> Search:
    """Return a search for `n` probes that found nobody, with and without each of some groups of people."""
    lowest = np.full((2 + groups, n), LOWEST)
    return Search(np.zeros(n, np.int64), lowest[0], lowest[1], lowest[2:])


def joined(searches: Sequence[Search]) -> Search:
    """Return searches for some probes as one for all."""
    if len(searches) == 1:
        return searches[0]
    rank, own, other = (np.concatenate([getattr(one, name) for one in searches]) for name in ("rank", "own", "other"))
    return Search(rank, own, other, np.concatenate([one.without for one in searches], axis=1))


class Nearest(NamedTuple):
    """What an index found in a gallery.

    Attributes:
        photos: index of the photos nearest to each probe, int64 (n, at most `NEAREST`); -1 where it found fewer.
        scores: how similar they are, float32 (n, at most `NEAREST`).
    """

    photos: NDArray[np.int64]
    scores: NDArray[np.float32]


def nearest(gallery: Embeddings, probes: Embeddings, index: str) -> Nearest:
    """Look each probe up in a faiss index of the gallery; for millions of photos.

    Which photos are found is up to faiss; how similar they are is computed as in an exact search.

    Args:
        gallery: of the photos enrolled.
        probes: of the photos asked about.
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
    _, photos = found.search(probes, min(NEAREST, len(gallery)))
    there = photos >= 0
    scores = np.full(photos.shape, LOWEST, np.float32)
    scores[there] = similarity.of_pairs(probes, gallery, (np.nonzero(there)[0], photos[there]))
    return Nearest(photos, scores)


def search_nearest(
    found: Nearest,
    enrolled: Sequence[str],
    people: Sequence[str],
    groups: Mapping[str, int] | None = None,
    strangers: Collection[str] = (),
) -> Search:
    """Return what a search says that knows of each probe only the photos nearest to it.

    If its person is not among them, its rank is the number of people found plus one; who is further behind, nobody
    knows.

    Args:
        found: of each probe.
        enrolled: whom the photos of the gallery show.
        people: whom the probes show.
        groups: see `search`.
        strangers: people of the gallery who are taken for not enrolled.
    """
    names = sorted(set(enrolled) - set(strangers))
    number = {name: index for index, name in enumerate(names)}
    owner = np.array([*(number.get(name, -1) for name in enrolled), -1])  # the last one: no photo
    of_names, n_groups = _groups(names, groups)
    wanted = np.array([number.get(name, -1) for name in people], np.int64)
    missing = LOWEST - 1
    every = empty(len(people), n_groups)
    for start in range(0, len(people), FEW):
        block = slice(start, start + FEW)
        of_photos, own = owner[found.photos[block]], wanted[block]
        columns = np.unique([0, *of_photos.ravel().clip(0)])
        similar = np.full((len(of_photos), len(columns)), missing, np.float32)
        rows, places = np.nonzero(of_photos >= 0)
        at = np.searchsorted(columns, of_photos[rows, places])
        np.maximum.at(similar, (rows, at), found.scores[block][rows, places])
        place = np.searchsorted(columns, own).clip(0, len(columns) - 1)
        seen = (columns[place] == own) & (similar[np.arange(len(own)), place] > missing)
        one = among(similar, np.where(seen, place, -1), of_names[columns] if n_groups else of_names, n_groups)
        behind = (similar > missing).sum(1) + 1
        rank = np.where((own >= 0) & ~seen, behind, one.rank)
        every.put(block, Search(rank, one.own, np.maximum(one.other, LOWEST), np.maximum(one.without, LOWEST)))
    return every


def _groups(names: Sequence[str], groups: Mapping[str, int] | None) -> tuple[NDArray[np.int64], int]:
    """Return the number of the group of each person, int64 (names,), and how many groups there are."""
    if groups is None:
        return np.zeros(0, np.int64), 0
    return np.array([groups[name] for name in names], np.int64), max(groups.values()) + 1


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
