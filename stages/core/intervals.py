"""Intervals of 95 % over people: photos of one person are alike, so the person is what chance draws, not the photo.

A share of scores, as of pairs that are accepted, or of probes whose person is found, has the interval of `score`. What
people have to do with it is seen in all scores (`scatter`), not in the errors alone: where one pair in a thousand is
ranked wrong, the few that are say next to nothing of how their share varies.

For other statistics people are drawn anew many times (`drawn`, `resampled`), with replacement and one fewer than there
are: so the variance of a mean over those drawn is that of the mean over all, without a bias (P. J. McCarthy and C. B.
Snowden, "The bootstrap and finite population sampling", 1985). A share of which only that variance is known gets the
interval of `share`, any other statistic, such as a difference, that of `bounds`. None closes at 0 or 1.
benchmarks/intervals.py measures how often they hold the truth.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

LEVEL = 0.95
NO_VARIANCE = 1e-12  # what is below comes from rounding
NEAR = 1e-9  # to the ends of where a bound is looked for
GROUPS = 100  # at most so many are left out in turn: groups of people, where there are more people


class Bounds(NamedTuple):
    """The ends of an interval."""

    low: float
    high: float


def drawn(people: int, n: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return how often each of some people is drawn, int64 (n, people)."""
    return rng.multinomial(max(people - 1, 1), np.full(people, 1 / people), size=n)


def resampled(
    statistic: Callable[[NDArray[np.intp]], float],
    people: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    *,
    n: int,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Return a statistic of the photos of people drawn anew, float64 (n,).

    Args:
        statistic: of the photos at some indices; an index may come several times.
        people: whose photo stands at each index.
        strata: of each index, such as the sex: of each, people are drawn on their own. A person's indices have one
            stratum.
        n: how many times people are drawn.
        rng: chance.
    """
    indices: dict[Hashable, dict[Hashable, list[int]]] = {}
    for index, person in enumerate(people):
        of = strata[index] if strata is not None else None
        indices.setdefault(of, {}).setdefault(person, []).append(index)
    photos = [np.array(of) for persons in indices.values() for of in persons.values()]
    counts = np.concatenate([drawn(len(persons), n, rng) for persons in indices.values()], axis=1)
    values = [statistic(np.concatenate([photos[who] for who in np.repeat(np.arange(len(row)), row)])) for row in counts]
    return np.array(values)


def groups(people: int) -> NDArray[np.int64]:
    """Return the number of the group of each of some people, int64 (people,): each alone, if there are few enough."""
    return np.arange(people) % min(people, GROUPS)


def jackknife(without: NDArray[np.float64]) -> float:
    """Return the variance of a statistic by what it is without each group of people, float64 (groups,).

    From J. W. Tukey, "Bias and confidence in not quite large samples" (1958).
    """
    return float((len(without) - 1) * without.var())


def linear(estimate: float, without: NDArray[np.float64], counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return a statistic of groups of people drawn anew, float64 (n,), as if it were a mean over them.

    Each group stands for its pseudo-value (Tukey, see `jackknife`), so the values have the jackknife's variance.

    Args:
        estimate: the statistic of all.
        without: of all but each group, float64 (groups,); NaN, where that is not known, makes all values NaN.
        counts: how often each is drawn, int64 (n, groups).
    """
    pseudo = (len(without) - 1) * (without.mean() - without)
    return np.asarray(estimate + counts @ pseudo / np.maximum(counts.sum(1), 1))


class Scatter(NamedTuple):
    """How scores scatter, and how alike those of one person are.

    Attributes:
        n: how many scores there are.
        variance: of one.
        partners: with how many others a score shares a person, on average; with whom it shares two, counts twice.
        likeness: correlation of two scores that share a person, 0 to 1.
    """

    n: int
    variance: float
    partners: float
    likeness: float


def scatter(scores: NDArray[np.floating], people: NDArray[np.integer]) -> Scatter:
    """Return how scores scatter.

    The likeness is the intraclass correlation, from the products of all two scores that share a person. That the mean
    was taken off, which varies with them, is made up for.

    Args:
        scores: float (n,).
        people: number of the person of each, or of both, int (n,) or (n, 2).
    """
    n, away = len(scores), scores - scores.mean(dtype=np.float64)
    raw = float(np.square(away).mean())
    of = people.reshape(n, -1)
    each = np.repeat(away, of.shape[1])
    sums, squares, times = (np.bincount(of.ravel(), some) for some in (each, np.square(each), np.ones(each.size)))
    shared = float((times * (times - 1)).sum())
    partners = shared / n
    if not shared:
        return Scatter(n, raw, 0.0, 0.0)
    if raw < NO_VARIANCE or np.count_nonzero(times) <= of.shape[1]:  # of one person, or of two, nobody can tell
        return Scatter(n, raw, partners, 1.0)
    # Expected are raw = variance - of_mean and product = covariance - of_mean, the variance of the mean being
    # (variance + partners * covariance) / n.
    product = float((np.square(sums) - squares).sum()) / shared
    of_mean = max(0.0, raw + partners * product) / max(n - 1 - partners, n / 4)  # of pairs of four, nothing is left
    return Scatter(n, raw + of_mean, partners, float(np.clip((product + of_mean) / (raw + of_mean), 0, 1)))


def variance(share: float, of: Scatter, part: float = 1.0) -> float:
    """Return the variance of a share of scores that come out on one side.

    Whether two scores that share a person both do is as it is of normal ones of their likeness, so less alike than the
    scores are (D. B. Owen, "Tables for computing bivariate normal probabilities", 1956). It is exact for 0, and for a
    likeness of 1.

    Args:
        share: 0 to 1.
        of: the scores.
        part: of the variance, what comes from these scores, if each is compared with something that varies, too.
    """
    covariance = (_both(share, of.likeness * part) - share**2) * of.partners
    return (_both(share, part) - share**2 + covariance) / of.n


def moved(share: float) -> float:
    """Return by how much a share changes as all scores move by one standard deviation: the normal density there."""
    return float(np.exp(-(special.ndtri(share) ** 2) / 2) / np.sqrt(2 * np.pi))


def _both(share: float, likeness: float) -> float:
    """Return how often two normal scores of some likeness both lie in the lowest share of them."""
    edge = special.ndtri(share)
    return float(share - 2 * special.owens_t(edge, np.sqrt((1 - likeness) / (1 + likeness))))


def score(estimate: float, variance: Callable[[float], float]) -> Bounds:
    """Return the bounds of the score interval of a share: of all values at which the estimate would be no surprise.

    The variance is that at each value and not at the estimate, where it is too small whenever chance spared the rare
    errors. From E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), whose variance is that of independent trials.

    Args:
        estimate: 0 to 1.
        variance: of the estimate, at a value between 0 and 1.
    """
    z = special.ndtri((1 + LEVEL) / 2)

    def ahead(value: float) -> float:
        return abs(estimate - value) - float(z * np.sqrt(max(variance(value), 0.0)))

    def end(outside: float) -> float:
        far, near = (outside + (estimate - outside) * part for part in (NEAR, 1 - NEAR))
        if ahead(near) >= 0:
            return estimate
        return float(optimize.brentq(ahead, far, near)) if ahead(far) > 0 else outside

    return Bounds(end(0.0) if estimate > 0 else 0.0, end(1.0) if estimate < 1 else 1.0)


def share(estimate: float, values: NDArray[np.float64], people: float) -> Bounds:
    """Return the bounds of an interval of a share.

    As many independent trials as would give the share this variance are its effective number of trials; fewer, as
    Student's t is wider than the normal distribution, where the variance is of few people. Where the share is 0 or 1,
    or nothing varies, each person is a trial. The interval is the exact one of so many trials: E. L. Korn and B. I.
    Graubard, "Confidence intervals for proportions with small expected number of positive counts estimated from survey
    data", Survey Methodology 24 (1998).

    Args:
        estimate: the share, 0 to 1.
        values: of the share, with people drawn anew, float64 (n,); NaN, where there was none, does not count.
        people: how many there are; 1 / sum(weight^2 / people) for a mean, with these weights, over groups of people.
    """
    found = values[np.isfinite(values)]
    variance = float(found.var()) if len(found) else 0.0
    if not 0 < estimate < 1 or variance < NO_VARIANCE:
        return clopper_pearson(estimate, people)
    return clopper_pearson(estimate, estimate * (1 - estimate) / variance / wider(people) ** 2)


def wider(people: float) -> float:
    """Return how much wider than the normal distribution Student's t is, as the variance is of so few people."""
    return float(special.stdtrit(max(people - 1, 1), (1 + LEVEL) / 2) / special.ndtri((1 + LEVEL) / 2))


def clopper_pearson(estimate: float, trials: float) -> Bounds:
    """Return the exact interval of a share of some trials, which need not be a whole number.

    From C. J. Clopper and E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26 (1934).

    Args:
        estimate: the share, 0 to 1.
        trials: above 0.
    """
    hits, tail = estimate * trials, (1 - LEVEL) / 2
    low = special.betaincinv(hits, trials - hits + 1, tail) if estimate > 0 else 0.0
    high = special.betaincinv(hits + 1, trials - hits, 1 - tail) if estimate < 1 else 1.0
    return Bounds(float(low), float(high))


def bounds(values: NDArray[np.float64], people: int) -> Bounds:
    """Return the bounds of an interval between quantiles of what was found as people were drawn anew.

    Of few people plain quantiles are too narrow, as Student's t is wider than the normal distribution. So they are
    taken further outside: T. C. Hesterberg, "What teachers should know about the bootstrap", The American Statistician
    69 (2015), the expanded percentile interval.

    Args:
        values: of the statistic, float64 (n,); NaN, where there was none, does not count.
        people: how many there are.
    """
    outside = special.ndtr(special.stdtrit(max(people - 1, 1), (1 - LEVEL) / 2))
    low, high = np.nanquantile(values, [outside, 1 - outside])
    return Bounds(float(low), float(high))
