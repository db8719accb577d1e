"""Are these two the same person? Scores of pairs, and what they say of a recognizer.

A score is a cosine, -1 to 1, in whole steps of 2^-20 (`stages.recognition.similarity`). Pairs are counted by step, so a
thousand million pairs take no more memory than a thousand. A pair of which a face was not found cannot be compared: it
has the lowest score, `LOST`, so that every threshold above rejects it (ISO/IEC 19795-1).

Where impostor pairs are too many, some are drawn. References and probes are shuffled, and each probe is compared with
as many references, one after the other in that order, from a place on that moves with the probe. So each pair has the
same chance and none comes twice; each photo is in as many pairs as any other, and what a photo does to a rate is in it
as it would be in that of all pairs. Such a draw varies less than one of independent pairs: G. Blom, "Some properties of
incomplete U-statistics", Biometrika 63 (1976). Also, neighbors are compared as blocks, in a thirtieth of
the time or less.
"""

import functools
import itertools
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stages.core import intervals, parallel
from stages.core.errors import UnmaskError
from stages.core.intervals import Scatter
from stages.core.seeding import generator
from stages.recognition import similarity
from stages.recognition.embeddings import there
from stages.recognition.similarity import STEPS, Scores

Counts = NDArray[np.int64]
Sides = Mapping[str, NDArray[Any]]
PROBES, REFERENCES = 2**10, 2**11  # of which all pairs are scored at a time
FEWEST = 2**7  # probes; of fewer, rounding the references takes longer than comparing them
SHARED_FROM = 10**9  # pairs; starting workers for fewer takes longer than it saves
SHARES = 16  # of the probes, of which a worker takes one after the other
# Of all pairs: embeddings, people, the order in which they are compared, and of each probe the same photo.
SIDES = ("references", "probes", "of_references", "of_probes", "reference_order", "probe_order", "own")
SCRATCH = Path(".scratch")
RESAMPLED_AT_A_TIME = 50  # of which all pairs are in memory
LOST = -1.0


def count(scores: Scores) -> Counts:
    """Return how many scores there are at each step from -1 to 1, int64 (2^21 + 1).

    Raises:
        UnmaskError: a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise UnmaskError(f"{int((~np.isfinite(scores)).sum())} of {scores.size} scores are not finite")
    return _count_steps(np.rint(np.clip(scores, -1, 1) * np.float64(STEPS)).astype(np.int32))


def _count_steps(steps: NDArray[np.int32]) -> Counts:
    return np.bincount(steps.ravel() + STEPS, minlength=2 * STEPS + 1)


@dataclass(frozen=True)
class Curve:
    """What is accepted at each threshold that there is, from the highest down; the first accepts nothing.

    Attributes:
        thresholds: float64 (n,); a pair is accepted if its score is not below. The first one is infinite.
        accepted_genuine: genuine pairs accepted, int64 (n,).
        accepted_impostor: impostor pairs accepted, int64 (n,).
    """

    thresholds: NDArray[np.float64]
    accepted_genuine: Counts
    accepted_impostor: Counts

    @property
    def tar(self) -> NDArray[np.float64]:
        """True accept rate at each threshold."""
        return self.accepted_genuine / self.accepted_genuine[-1]

    @property
    def far(self) -> NDArray[np.float64]:
        """False accept rate at each threshold."""
        return self.accepted_impostor / self.accepted_impostor[-1]

    def auc(self) -> float:
        """Return the area under TAR over FAR: how often a genuine pair has the higher score; ties count half."""
        return float(np.trapezoid(self.tar, self.far))

    def decidability(self) -> float:
        """Return how many standard deviations lie between the means of genuine and impostor scores (d').

        It still tells two recognizers apart where few people leave both an AUC of 1. From J. Daugman, "Biometric
        decision landscapes" (2000).
        """
        used = self.thresholds[1:]
        means, variances = [], []
        for accepted in (self.accepted_genuine, self.accepted_impostor):
            share = np.diff(accepted) / accepted[-1]
            means.append(float((share * used).sum()))  # not @, whose order of adding up is the processor's
            variances.append(float((share * (used - means[-1]) ** 2).sum()))
        spread = np.sqrt(sum(variances) / 2)
        return float((means[0] - means[1]) / spread) if spread else 0.0

    def eer(self) -> float:
        """Return the rate at which as many genuine pairs are rejected as impostors accepted, on straight lines."""
        ahead = self.far - (1 - self.tar)  # rises from -1 to 1
        index = int(np.argmax(ahead >= 0))
        before, after = ahead[index - 1], ahead[index]
        share = before / (before - after)
        return float(self.far[index - 1] + share * (self.far[index] - self.far[index - 1]))

    def tar_at(self, far: float) -> float | None:
        """Return the largest TAR with a FAR of at most `far`; None if not even one impostor pair may be accepted."""
        return float(self.tar[self._last(far)]) if self.impostors_at(far) else None

    def threshold_at(self, far: float) -> float | None:
        """Return the lowest threshold with a FAR of at most `far`; None where `tar_at` is."""
        return float(self.thresholds[self._last(far)]) if self.impostors_at(far) else None

    def impostors_at(self, far: float) -> int:
        """Return how many impostor pairs may be accepted for a FAR of at most `far`: on so many its threshold rests."""
        return int(far * self.accepted_impostor[-1] + 1e-9)

    def errors_at(self, threshold: float) -> tuple[float, float]:
        """Return the shares of impostor pairs that a threshold accepts, and of genuine pairs that it rejects."""
        index = np.searchsorted(-self.thresholds, -threshold, side="right") - 1
        return float(self.far[index]), float(1 - self.tar[index])

    def rates(self, fars: Sequence[float]) -> "Rates":
        """Return what the curve says, at some FARs for one."""
        return Rates(
            auc=self.auc(),
            eer=self.eer(),
            decidability=self.decidability(),
            genuine=int(self.accepted_genuine[-1]),
            impostor=int(self.accepted_impostor[-1]),
            tar={far: self.tar_at(far) for far in fars},
            threshold={far: self.threshold_at(far) for far in fars},
            impostors={far: self.impostors_at(far) for far in fars},
        )

    def _last(self, far: float) -> int:
        return int(np.searchsorted(self.accepted_impostor, far * self.accepted_impostor[-1] + 1e-9, side="right")) - 1


@dataclass(frozen=True)
class Rates:
    """What a curve says. Of a thousand million pairs a curve takes 50 MB, and this nothing.

    Attributes:
        auc: see `Curve.auc`.
        eer: see `Curve.eer`.
        decidability: see `Curve.decidability`.
        genuine: how many genuine pairs there are.
        impostor: how many impostor pairs.
        tar: by FAR, see `Curve.tar_at`.
        threshold: by FAR, see `Curve.threshold_at`.
        impostors: by FAR, see `Curve.impostors_at`.
    """

    auc: float
    eer: float
    decidability: float
    genuine: int
    impostor: int
    tar: Mapping[float, float | None]
    threshold: Mapping[float, float | None]
    impostors: Mapping[float, int]


def curve(genuine: Counts, impostor: Counts) -> Curve:
    """Return the curve of counted scores.

    Raises:
        UnmaskError: there is no genuine or no impostor pair.
    """
    for name, counts in (("genuine", genuine), ("impostor", impostor)):
        if not counts.any():
            raise UnmaskError(f"there is no {name} pair: a verification needs both kinds")
    used = np.flatnonzero(genuine + impostor)[::-1]
    start = np.zeros(1, np.int64)
    return Curve(
        np.concatenate([[np.inf], used / STEPS - 1]),
        np.concatenate([start, np.cumsum(genuine[used])]),
        np.concatenate([start, np.cumsum(impostor[used])]),
    )


def of_scores(scores: Scores, genuine: NDArray[np.bool_]) -> Curve:
    """Return the curve of pairs.

    Args:
        scores: float32 (n,).
        genuine: whether both photos are of one person, bool (n,).
    """
    return curve(count(scores[genuine]), count(scores[~genuine]))


@dataclass(frozen=True)
class Counted:
    """Pairs, counted by their scores; those that could not be compared are at `LOST`.

    Attributes:
        genuine: how many genuine pairs there are at each step from -1 to 1, int64 (2^21 + 1).
        impostor: likewise.
        lost_genuine: how many of the genuine ones could not be compared.
        lost_impostor: likewise.
        not_drawn: how many more impostor pairs there are.
    """

    genuine: Counts
    impostor: Counts
    lost_genuine: int
    lost_impostor: int
    not_drawn: int = 0

    def __add__(self, other: "Counted") -> "Counted":
        """Return the pairs of both."""
        return Counted(
            self.genuine + other.genuine,
            self.impostor + other.impostor,
            self.lost_genuine + other.lost_genuine,
            self.lost_impostor + other.lost_impostor,
            self.not_drawn + other.not_drawn,
        )

    def attempts(self) -> Curve:
        """Return the curve of all pairs, of which those that could not be compared are rejected.

        Raises:
            UnmaskError: there is no genuine or no impostor pair.
        """
        return curve(self.genuine, self.impostor)

    def compared(self) -> Curve | None:
        """Return the curve of the pairs that could be compared; None if these are not of both kinds."""
        genuine, impostor = self.genuine.copy(), self.impostor.copy()
        genuine[0] -= self.lost_genuine
        impostor[0] -= self.lost_impostor
        return curve(genuine, impostor) if genuine.any() and impostor.any() else None


def of_all_pairs(
    references: NDArray[np.float32],
    probes: NDArray[np.float32],
    people: tuple[Sequence[str], Sequence[str]],
    own: NDArray[np.int64],
    *,
    at_most: int | None = None,
    seed: int = 0,
) -> Counted:
    """Count all pairs of a reference and a probe, in little memory; from `SHARED_FROM` pairs on, by all workers.

    Args:
        references: embeddings of length 1, (n, d); NaN where there is none.
        probes: the same, (m, d). If they are the references, each pair counts once.
        people: of the references, and of the probes.
        own: of each probe the index of the reference that is of the same photo, with which it is not paired, int64
            (m,); -1 if there is none.
        at_most: if there are more impostor pairs, so many pairs are drawn by chance, and those of them that are of one
            person left out; all genuine pairs are counted in any case. None: all pairs.
        seed: of the draw. Of as many references and probes the same are drawn.
    """
    names = {name: number for number, name in enumerate(sorted({*people[0], *people[1]}))}
    numbers = [np.array([names[name] for name in some], np.int32) for some in people]
    alike = references is probes
    orders = [np.arange(len(some)) for some in (references, probes)]
    photos = [np.bincount(of, minlength=len(names)) for of in numbers]
    n_pairs, of_one = len(references) * len(probes), int(photos[0] @ photos[1])
    if alike:
        n_pairs, of_one = (n_pairs - len(probes)) // 2, (of_one - len(probes)) // 2
    impostors = n_pairs - of_one
    if at_most is not None and at_most < impostors:
        n_pairs = at_most
        rng = generator(seed, "impostor pairs")
        orders = [rng.permutation(order) for order in orders]
        orders[1] = orders[0] if alike else orders[1]
    sides: Sides = dict(zip(SIDES, (references, probes, *numbers, *orders, own), strict=True))
    work = functools.partial(_counted, n_pairs=n_pairs, alike=alike)
    counted = work(sides, range(len(probes))) if n_pairs < SHARED_FROM else _shared(work, sides)
    return replace(counted, not_drawn=impostors - int(counted.impostor.sum()))


def _shared(work: Callable[[Sides, range], Counted], sides: Sides) -> Counted:
    SCRATCH.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=SCRATCH) as folder:
        chosen = parallel.settings()
        alone = chosen.workers == 1 and chosen.scheduler is None  # who has all of it in memory already
        for name, values in () if alone else sides.items():
            np.save(Path(folder) / f"{name}.npy", values)
        ends = np.linspace(0, len(sides["probes"]), SHARES + 1).astype(int).tolist()
        shares = [range(*share) for share in itertools.pairwise(ends)]
        known = sides if alone else None
        on_disk = functools.partial(_counted_on_disk, folder=Path(folder).absolute(), work=work, sides=known)
        found = parallel.run(on_disk, shares, sizes=[len(share) for share in shares], label="pairs", unit="probes")
        return functools.reduce(Counted.__add__, (Counted(*np.load(path), *lost) for path, *lost in found))


def _counted_on_disk(
    share: range, folder: Path, work: Callable[[Sides, range], Counted], sides: Sides | None
) -> tuple[Path, int, int]:
    """Write the counts of a share, as those of all shares would take 0.5 GB; return where, and how many were lost.

    `sides`: what is in memory already; None: it is read from the folder.
    """
    counted = work(sides or {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in SIDES}, share)
    path = folder / f"counted-{share.start}-{share.stop}.npy"
    np.save(path, np.stack([counted.genuine, counted.impostor]))
    return path, counted.lost_genuine, counted.lost_impostor


def _counted(sides: Sides, share: range, *, n_pairs: int, alike: bool) -> Counted:
    """Count the pairs of a share of the probes; `alike`: the probes are the references."""
    genuine, lost_genuine = _genuine(sides, share, alike=alike)
    impostor, lost_impostor = _impostor(sides, share, n_pairs=n_pairs, alike=alike)
    return Counted(genuine, impostor, lost_genuine, lost_impostor)


def _genuine(sides: Sides, share: range, *, alike: bool) -> tuple[Counts, int]:
    """Count the genuine pairs of some probes, and those that could not be compared, at `LOST`."""
    references, probes, of_references, of_probes, _, _, own = (sides[name] for name in SIDES)
    counts, lost = np.zeros(2 * STEPS + 1, np.int64), 0
    for places, columns in of_each_person(of_references, of_probes[share.start : share.stop]):
        rows = share.start + places
        asked, known = probes[rows], references[columns]
        wanted = columns > rows[:, None] if alike else columns != own[rows, None]
        found = wanted & there(asked)[:, None] & there(known)
        np.add.at(counts, similarity.against(filled(known))(filled(asked))[found] + STEPS, 1)
        lost += int(wanted.sum() - found.sum())
    counts[0] += lost
    return counts, lost


def _impostor(sides: Sides, share: range, *, n_pairs: int, alike: bool) -> tuple[Counts, int]:
    """Count the impostor pairs among the first `n_pairs`, as `_genuine` does.

    Each probe is compared with the references at as many places from its first one on; behind the last reference comes
    the first one again. If probes are the references, the first one is next to it, so that no pair comes twice.
    """
    references, probes, of_references, of_probes, reference_order, probe_order, _ = (sides[name] for name in SIDES)
    n, m = len(references), len(probes)
    counts, lost = np.zeros(2 * STEPS + 1, np.int64), 0
    at_once = int(np.clip(n_pairs // max(n, 1) // 4, FEWEST, PROBES))  # few, where each has a few references of its own
    for start in share[::at_once]:
        places = np.arange(start, min(start + at_once, share.stop))
        first = places * n // m + 1 if alike else places * n // m * (n_pairs < n * m)
        end = first + n_pairs // m + (places < n_pairs % m)
        rows = probe_order[places]
        asked = probes[rows]
        for left in range(first[0], end.max(), REFERENCES):
            behind = np.arange(left, min(left + REFERENCES, end.max()))
            columns = reference_order[behind % n]
            known = references[columns]
            steps = similarity.against(filled(known))(filled(asked))
            gone = ~(there(asked)[:, None] & there(known))
            steps[gone] = -STEPS
            wanted = (behind >= first[:, None]) & (behind < end[:, None])
            wanted &= of_probes[rows, None] != of_references[columns]
            counts += _count_steps(steps[wanted])
            lost += int((gone & wanted).sum())
    return counts, lost


def of_each_person(
    of_references: NDArray[np.integer], of_probes: NDArray[np.integer]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield indices of probes and of all references of the same person, both ascending, person by person.

    Of a person of whom there are too many pairs at a time, the probes come in several parts.

    Args:
        of_references: number of the person of each, int (n,).
        of_probes: likewise, int (m,).
    """
    sides = of_probes, of_references
    orders = [np.argsort(of, kind="stable") for of in sides]
    people = np.intersect1d(*sides)
    edges = [
        np.stack([np.searchsorted(of[order], people, side=side) for side in ("left", "right")], 1).tolist()
        for of, order in zip(sides, orders, strict=True)
    ]
    for (first, end), columns in zip(edges[0], (orders[1][slice(*edge)] for edge in edges[1]), strict=True):
        at_once = max(1, PROBES * REFERENCES // len(columns))
        for start in range(first, end, at_once):
            yield orders[0][start : min(start + at_once, end)], columns


def of_pairs(scores: Scores, genuine: NDArray[np.bool_], lost: NDArray[np.bool_]) -> Counted:
    """Count pairs.

    Args:
        scores: float32 (n,); `LOST` where a pair could not be compared.
        genuine: whether both photos are of one person, bool (n,).
        lost: whether it could not be compared, bool (n,).
    """
    return Counted(
        count(scores[genuine]), count(scores[~genuine]), int((lost & genuine).sum()), int((lost & ~genuine).sum())
    )


def filled(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return embeddings (n, d) with zeros in place of those that are not there."""
    return np.where(there(embeddings)[:, None], embeddings, np.float32(0))


def resampled(
    scores: Scores,
    genuine: NDArray[np.bool_],
    people: NDArray[np.int64],
    counts: NDArray[np.integer],
    fars: Sequence[float],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return AUC, and TAR at some FARs, of pairs of which each counts as often as its people were drawn.

    A pair of one person counts as often as that one, a pair of two as often as the product.

    Args:
        scores: float32 (n,).
        genuine: bool (n,).
        people: numbers of the two people of each pair, int64 (n, 2).
        counts: how often each person was drawn, int (resamples, people).
        fars: false accept rates.

    Returns:
        AUC, float64 (resamples,), and TAR, float64 (resamples, fars); NaN where pairs of one kind do not count at all.
    """
    falling = np.argsort(-scores[genuine], kind="stable")
    of_genuine, own = scores[genuine][falling], people[genuine][falling, 0]
    n = counts.shape[1]
    pairs, kind = np.unique(people[~genuine] @ [n, 1], return_inverse=True)  # of people, one number each
    shape = (len(of_genuine) + 1, len(pairs))
    places = [np.searchsorted(-of_genuine, -scores[~genuine], side=side) for side in ("left", "right")]
    # How many impostor pairs of which people come between two genuine pairs: ties before it, and after it.
    as_high, higher = (sparse.csr_array((np.ones(len(place)), (place, kind)), shape) for place in places)
    auc, tar = np.empty(len(counts)), np.empty((len(counts), len(fars)))
    for start in range(0, len(counts), RESAMPLED_AT_A_TIME):
        block = slice(start, start + RESAMPLED_AT_A_TIME)
        of_people = counts[block].T.astype(float)
        weights, others = of_people[own], of_people[pairs // n] * of_people[pairs % n]
        n_own, n_others = weights.sum(0), as_high.sum(0) @ others
        above, above_or_equal = (np.cumsum(steps @ others, axis=0)[:-1] for steps in (higher, as_high))
        with np.errstate(invalid="ignore", divide="ignore"):
            auc[block] = 1 - (weights * (above + above_or_equal)).sum(0) / (2 * n_own * n_others)
            for index, far in enumerate(fars):
                accepted = (weights * (above_or_equal <= far * n_others + 1e-9)).sum(0)
                tar[block, index] = np.where(n_others > 0, accepted / n_own, np.nan)
    return auc, tar


def auc_variance(auc: float, genuine: Scatter, impostor: Scatter) -> float:
    """Return the variance of an AUC, as if genuine and impostor scores were normal.

    An AUC is the share of genuine scores that beat an impostor one. Of the variance of their difference, each kind has
    its part. J. A. Hanley and B. J. McNeil, "The meaning and use of the area under a receiver operating characteristic
    (ROC) curve", Radiology 143 (1982), have the like of independent exponential scores, and R. G. Newcombe,
    "Confidence intervals for an effect size measure based on the Mann-Whitney statistic", Statistics in Medicine 25
    (2006), takes it at each value of the AUC, as `intervals.score` does.
    """
    whole = max(genuine.variance + impostor.variance, intervals.NO_VARIANCE)
    return sum(intervals.variance(auc, kind, min(kind.variance / whole, 1.0)) for kind in (genuine, impostor))


def tar_variance(tar: float, far: float, genuine: Scatter, impostor: Scatter) -> float:
    """Return the variance of a TAR at a FAR, as if genuine and impostor scores were normal.

    The variance of the FAR moves the threshold; how much that moves TAR is the slope of the ROC curve. From S. W.
    Greenhouse and N. Mantel, "The evaluation of diagnostic tests", Biometrics 6 (1950).
    """
    spread = max(genuine.variance, intervals.NO_VARIANCE)
    slope = intervals.moved(tar) / intervals.moved(far) * np.sqrt(impostor.variance / spread)
    return intervals.variance(tar, genuine) + float(slope) ** 2 * intervals.variance(far, impostor)


def folds_accuracy(scores: Scores, genuine: NDArray[np.bool_], fold: NDArray[np.int64]) -> tuple[float, float]:
    """Return mean and standard deviation over folds of the share of pairs called right (the LFW protocol).

    In each fold the threshold is the one that is best on all other folds, above `LOST`: a pair that could not be
    compared is rejected.
    """
    results = []
    for number in np.unique(fold):
        here = fold == number
        found = of_scores(scores[~here], genuine[~here])
        right = found.accepted_genuine + (found.accepted_impostor[-1] - found.accepted_impostor)
        threshold = found.thresholds[int(np.argmax(np.where(found.thresholds > LOST, right, -1)))]
        results.append(float(np.mean((scores[here] >= threshold - 0.5 / STEPS) == genuine[here])))
    return float(np.mean(results)), float(np.std(results))
