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


@pytest.mark.parametrize(
    ("hits", "trials", "expected"),
    [
        # As above, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (19, 19, (1 / (1 + stats.norm.ppf(0.975) ** 2 / 19), 1.0)),  # by hand
    ],
)
def test_the_score_interval_of_independent_trials_is_wilsons(hits: int, trials: int, expected: tuple[float, float]):
    found = intervals.score(hits / trials, lambda share: share * (1 - share) / trials)
    assert found == pytest.approx(expected, abs=6e-5)
    assert found == pytest.approx(stats.binomtest(hits, trials).proportion_ci(method="wilson"))


def test_what_does_not_vary_has_an_interval_of_one_value():
    assert intervals.score(0.25, lambda _: 0.0) == pytest.approx((0.25, 0.25))


def test_likeness_is_the_intraclass_correlation():
    """Of as many scores of each person, it is that of the analysis of variance (R. A. Fisher, 1925)."""
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(12, 1)) + rng.normal(size=(12, 5))
    found = intervals.scatter(scores.ravel(), np.repeat(np.arange(12), 5))
    between, within = 5 * scores.mean(1).var(ddof=1), scores.var(1, ddof=1).mean()
    assert found.likeness == pytest.approx((between - within) / (between + 4 * within))
    assert found.variance == pytest.approx(within + (between - within) / 5)
    assert (found.n, found.partners) == (60, 4)


def test_pairs_of_two_people_share_either():
    people = np.array([(a, b) for a in range(30) for b in range(a)])
    rng = np.random.default_rng(0)
    found = [
        intervals.scatter(rng.normal(size=30)[people].sum(1) + rng.normal(size=len(people)), people) for _ in range(60)
    ]
    assert {one.partners for one in found} == {2 * 28}
    assert np.mean([one.likeness for one in found]) == pytest.approx(1 / 3, abs=0.03)
    assert np.mean([one.variance for one in found]) == pytest.approx(3, rel=0.05)


def test_one_person_is_alike_and_people_with_one_score_are_not():
    scores = np.array([0.5, 0.25, 1.0])
    assert intervals.scatter(scores, np.zeros(3, int)).likeness == 1
    assert intervals.scatter(scores, np.arange(3))[2:] == (0.0, 0.0)


@pytest.mark.parametrize("share", [0.001, 0.2, 0.9])
def test_the_variance_of_a_share_lies_between_that_of_scores_and_that_of_people(share: float):
    alone, alike, between = (intervals.Scatter(200, 1.0, 9.0, likeness) for likeness in (0.0, 1.0, 0.5))
    of_scores, of_people = share * (1 - share) / 200, share * (1 - share) / 20
    assert intervals.variance(share, alone) == pytest.approx(of_scores)
    assert intervals.variance(share, alike) == pytest.approx(of_people)
    assert of_scores < intervals.variance(share, between) < of_people


def test_two_normal_scores_are_both_below_the_middle_as_sheppard_says():
    """W. F. Sheppard, 1899: a quarter, and the arc sine of the correlation over a whole turn."""
    for likeness in (0.1, 0.5, 0.8):
        covariance = np.arcsin(likeness) / (2 * np.pi)
        assert intervals.variance(0.5, intervals.Scatter(1, 1.0, 1.0, likeness)) == pytest.approx(0.25 + covariance)


def test_a_jackknife_of_a_mean_is_its_variance():
    scores = np.array([1.0, 2.0, 4.0, 9.0])
    without = np.array([np.delete(scores, person).mean() for person in range(4)])
    assert intervals.jackknife(without) == pytest.approx(scores.var(ddof=1) / 4)
    counts = np.array([[3, 0, 0, 0], [1, 1, 1, 0], [0, 0, 1, 2]])
    assert intervals.linear(4.0, without, counts) == pytest.approx(counts @ scores / 3)  # a mean over those drawn


def test_many_people_are_left_out_in_even_groups():
    assert intervals.groups(7).tolist() == list(range(7))
    sizes = np.bincount(intervals.groups(1234))
    assert len(sizes) == intervals.GROUPS
    assert set(sizes.tolist()) == {12, 13}


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
