"""Intervals of 95 % over people: photos of one person are alike, so the person is what chance draws, not the photo.

People are drawn anew many times (`drawn`, `resampled`), with replacement and one fewer than there are: so the variance
of a mean over those drawn is that of the mean over all, without a bias (P. J. McCarthy and C. B. Snowden, "The
bootstrap and finite population sampling", 1985). A share gets the interval of `share`, which does not close at 0 or 1;
any other statistic, such as a difference, that of `bounds`. benchmarks/intervals.py measures how often they hold the
truth.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

LEVEL = 0.95
NO_VARIANCE = 1e-12  # what is below comes from rounding


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
    wider = special.stdtrit(max(people - 1, 1), (1 + LEVEL) / 2) / special.ndtri((1 + LEVEL) / 2)
    return clopper_pearson(estimate, estimate * (1 - estimate) / variance / wider**2)


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
