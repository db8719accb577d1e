"""Intervals over people, against published values and cases of which the answer is known."""

import numpy as np
import pytest
from scipy import stats

from stages.core import intervals


@pytest.mark.parametrize(
    ("hits", "trials", "expected"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998),
        # table I, method 5.
        (81, 263, (0.2527, 0.3676)),
        (15, 148, (0.0578, 0.1617)),
        (0, 20, (0.0, 0.1684)),
        (1, 29, (0.0009, 0.1776)),
        (19, 19, (0.025 ** (1 / 19), 1.0)),  # by hand
    ],
)
def test_the_exact_interval_is_the_published_one(hits: int, trials: int, expected: tuple[float, float]):
    found = intervals.clopper_pearson(hits / trials, trials)
    assert found == pytest.approx(expected, abs=6e-5)
    assert found == pytest.approx(stats.binomtest(hits, trials).proportion_ci(method="exact"))


def photos(shares: list[float], n: int = 10) -> tuple[np.ndarray, list[int]]:
    """Return which of n photos of each person are right, and whose they are."""
    right = np.concatenate([np.arange(n) < round(share * n) for share in shares])
    return right, np.repeat(np.arange(len(shares)), n).tolist()


def of_share(shares: list[float]) -> intervals.Bounds:
    right, people = photos(shares)
    rng = np.random.default_rng(0)
    values = intervals.resampled(lambda places: float(right[places].mean()), people, n=2000, rng=rng)
    return intervals.share(float(right.mean()), values, len(shares))


def test_an_interval_of_all_right_is_that_of_as_many_trials_as_people():
    assert of_share([1.0] * 19) == pytest.approx((0.8235, 1.0), abs=1e-4)
    assert of_share([0.0] * 19) == pytest.approx((0.0, 1 - 0.8235), abs=1e-4)


def test_a_person_who_is_right_or_wrong_as_a_whole_is_one_trial():
    found = of_share([1.0] * 30 + [0.0] * 10)
    wider = stats.t.ppf(0.975, 39) / stats.norm.ppf(0.975)
    assert found == pytest.approx(intervals.clopper_pearson(0.75, 39 / wider**2), abs=0.01)


def test_photos_that_have_nothing_to_do_with_each_other_are_trials_of_their_own():
    """Of 400 photos, three in four of each person's right by chance, no person's more than another's."""
    rng = np.random.default_rng(0)
    widths = []
    for _ in range(20):
        found = of_share((rng.binomial(10, 0.75, 40) / 10).tolist())
        widths.append(found.high - found.low)
    alone = intervals.clopper_pearson(0.75, 400)
    assert np.mean(widths) == pytest.approx(alone.high - alone.low, rel=0.1)


def test_people_drawn_anew_vary_as_the_mean_does_without_a_bias():
    shares = np.random.default_rng(1).random(8)
    counts = intervals.drawn(8, 20_000, np.random.default_rng(2))
    assert counts.sum(1).tolist() == [7] * 20_000
    assert np.var(counts @ shares / 7) == pytest.approx(np.var(shares, ddof=1) / 8, rel=0.03)


def test_people_are_drawn_within_strata():
    """Of which all agree: then nothing varies, whoever is drawn."""
    right, people = photos([1.0] * 6 + [0.0] * 2)
    rng = np.random.default_rng(0)

    def mean(places: np.ndarray) -> float:
        return float(right[places].mean())

    assert len(set(intervals.resampled(mean, people, right.tolist(), n=50, rng=rng))) == 1
    assert len(set(intervals.resampled(mean, people, n=50, rng=rng))) > 1


def test_what_could_not_be_told_does_not_count():
    values = np.array([0.4, np.nan, 0.6, 0.5, np.nan])
    assert intervals.share(0.5, values, 9) == intervals.share(0.5, values[np.isfinite(values)], 9)
    assert intervals.share(0.5, np.full(3, np.nan), 9) == intervals.clopper_pearson(0.5, 9)


def test_an_interval_of_few_people_is_wider_than_plain_quantiles():
    values = np.random.default_rng(0).normal(size=100_000)
    for people in (5, 19, 1000):
        t = stats.t.ppf(0.975, people - 1)
        assert intervals.bounds(values, people) == pytest.approx((-t, t), rel=0.05)
