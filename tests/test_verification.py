"""Verification and identification against scikit-learn and cases done by hand, ties among them."""

import dataclasses
import functools
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special
from sklearn.metrics import roc_auc_score, roc_curve

from stages.core import intervals
from stages.core.errors import UnmaskError
from stages.recognition import identification, similarity, verification
from tests.conftest import two_dask_workers, workers


def drawn(n: int = 4000, seed: int = 0, step: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return scores, in steps if wanted so that there are ties, and which are genuine."""
    rng = np.random.default_rng(seed)
    genuine = rng.random(n) < 0.2
    scores = np.clip(rng.normal(0.2, 0.2, n) + 0.3 * genuine, -1, 1)
    if step:
        scores = np.round(scores / step) * step
    return scores.astype(np.float32), genuine


@pytest.mark.parametrize("step", [0.0, 0.05, 0.5])
def test_the_curve_is_scikit_learns(step: float):
    scores, genuine = drawn(step=step)
    found = verification.of_scores(scores, genuine)
    far, tar, thresholds = roc_curve(genuine, scores, drop_intermediate=False)
    assert found.auc() == pytest.approx(roc_auc_score(genuine, scores), abs=1e-6)
    # Scores closer than a millionth are one step, so ours may have a few thresholds less.
    assert np.allclose(np.interp(far, found.far, found.tar), np.interp(far, far, tar), atol=0.003)
    for target in (0.5, 0.1, 0.02):
        expected = tar[far <= target].max()
        assert found.tar_at(target) == pytest.approx(expected, abs=1e-9)
        assert found.threshold_at(target) == pytest.approx(thresholds[far <= target][-1], abs=1e-5)
    assert len(thresholds) * 0.99 <= len(found.thresholds) <= len(thresholds)


def test_a_case_by_hand_with_ties():
    scores = np.float32([0.9, 0.8, 0.8, 0.5, 0.5, 0.1])
    genuine = np.array([True, True, False, True, False, False])
    found = verification.of_scores(scores, genuine)
    assert found.thresholds[1:].tolist() == pytest.approx([0.9, 0.8, 0.5, 0.1], abs=1e-6)
    assert found.accepted_genuine.tolist() == [0, 1, 2, 3, 3]
    assert found.accepted_impostor.tolist() == [0, 0, 1, 2, 3]
    # 9 comparisons: 0.9 beats all three; 0.8 ties with one, beats two; 0.5 ties with one, beats one.
    assert found.auc() == pytest.approx((3 + 2.5 + 1.5) / 9)
    assert found.eer() == pytest.approx(1 / 3)
    assert found.errors_at(0.8) == pytest.approx((1 / 3, 1 / 3))
    assert found.errors_at(0.95) == (0.0, 1.0)
    assert found.errors_at(-1.0) == (1.0, 0.0)


def test_perfect_and_equal_scores():
    genuine = np.repeat([True, False], 50)
    perfect = verification.of_scores(np.repeat(np.float32([0.9, 0.1]), 50), genuine)
    assert (perfect.auc(), perfect.eer(), perfect.tar_at(0.9)) == (1.0, 0.0, 1.0)
    equal = verification.of_scores(np.full(100, 0.3, np.float32), genuine)
    assert (equal.auc(), equal.eer(), equal.tar_at(0.7)) == (0.5, 0.5, 0.0)


def test_a_rate_says_on_how_many_impostors_it_rests():
    scores, genuine = drawn(2000)
    found = verification.of_scores(scores, genuine)
    impostors = int((~genuine).sum())
    for allowed in (1, 4, 29, 30):
        assert found.impostors_at(allowed / impostors) == allowed
        threshold = np.sort(scores[~genuine])[::-1][allowed]  # the first impostor that must be rejected
        assert found.tar_at(allowed / impostors) == pytest.approx(np.mean(scores[genuine] > threshold))
    assert found.impostors_at(0.9 / impostors) == 0
    assert found.tar_at(0.9 / impostors) is None
    assert found.threshold_at(0.9 / impostors) is None


def by_numpy(scores: np.ndarray, genuine: np.ndarray, far: float) -> tuple[float, float, float]:
    """Return AUC, EER and the TAR at a FAR, by comparing each pair with each and each threshold with all."""
    own, others = scores[genuine].astype(float), scores[~genuine].astype(float)
    auc = np.mean((own[:, None] > others) + 0.5 * (own[:, None] == others))
    thresholds = np.append(np.unique(scores)[::-1], -np.inf)  # of which each accepts what is not below
    accepted = [np.append(0, [np.mean(some >= threshold) for threshold in thresholds]) for some in (others, own)]
    false, true = accepted
    place = np.argmax(false >= 1 - true)
    steps = [np.diff(of)[place - 1] for of in accepted]
    share = (1 - true[place - 1] - false[place - 1]) / sum(steps)
    return float(auc), float(false[place - 1] + share * steps[0]), float(true[false <= far + 1e-12].max())


@given(
    st.lists(st.tuples(st.integers(-8, 8), st.booleans()), min_size=2, max_size=60).filter(
        lambda pairs: len({genuine for _, genuine in pairs}) == 2
    ),
    st.sampled_from([0.5, 0.25, 0.1]),
)
def test_any_scores_have_the_auc_eer_and_tar_that_their_definitions_say(pairs: list[tuple[int, bool]], far: float):
    """Sixteenths, so that there are ties and no rounding; each impostor counts 300 times, so that FAR is measurable."""
    scores = np.float32([score / 16 for score, _ in pairs])
    genuine = np.array([own for _, own in pairs])
    repeats = np.where(genuine, 1, 300)
    found = verification.of_scores(np.repeat(scores, repeats), np.repeat(genuine, repeats))
    assert (found.auc(), found.eer(), found.tar_at(far)) == pytest.approx(by_numpy(scores, genuine, far), abs=1e-9)
    assert found.auc() == pytest.approx(roc_auc_score(genuine, scores), abs=1e-9)
    false, true, _ = roc_curve(genuine, scores, drop_intermediate=False)
    assert np.allclose(found.far, false)
    assert np.allclose(found.tar, true)


def test_scores_that_are_shifted_up_are_rejected_less_and_accepted_more():
    """By the threshold of others: of the two errors, either alone would hide the other."""
    scores, genuine = drawn()
    bare = verification.of_scores(scores, genuine)
    shifted = verification.of_scores(scores + np.float32(0.25), genuine)
    threshold = bare.threshold_at(0.02)
    assert shifted.tar_at(0.02) == pytest.approx(bare.tar_at(0.02), abs=0.01)
    false_matches, false_non_matches = bare.errors_at(threshold)
    assert false_matches <= 0.02
    assert false_non_matches == pytest.approx(1 - bare.tar_at(0.02))
    false_matches, false_non_matches = shifted.errors_at(threshold)
    assert false_matches > 0.2
    assert false_non_matches < (1 - bare.tar_at(0.02)) / 2


def test_one_kind_of_pairs_or_nan_is_an_error():
    with pytest.raises(UnmaskError, match="there is no impostor pair"):
        verification.of_scores(np.float32([0.1, 0.2]), np.array([True, True]))
    with pytest.raises(UnmaskError, match="1 of 1 scores are not finite"):
        verification.of_scores(np.float32([np.nan, 0.2]), np.array([True, False]))


def faces(people: int, photos: int, seed: int = 0, size: int = 16) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(people, size))
    found = np.repeat(centers, photos, 0) + rng.normal(size=(people * photos, size))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32), [f"p{person:02d}" for person in range(people) for _ in range(photos)]


def test_all_pairs_in_blocks_are_all_pairs(monkeypatch: pytest.MonkeyPatch):
    embeddings, names = faces(7, 4)
    monkeypatch.setattr(verification, "PROBES", 3)
    monkeypatch.setattr(verification, "REFERENCES", 5)
    rows, columns = np.triu_indices(len(names), 1)
    same = np.array([names[a] == names[b] for a, b in zip(rows, columns, strict=True)])
    expected = verification.of_scores(similarity.of_pairs(embeddings, embeddings, (rows, columns)), same)
    found = verification.of_all_pairs(embeddings, embeddings, (names, names), np.arange(len(names))).attempts()
    assert found.accepted_genuine[-1] == 7 * 6
    assert found.auc() == expected.auc()
    for name in ("thresholds", "accepted_genuine", "accepted_impostor"):
        assert np.array_equal(getattr(found, name), getattr(expected, name))


def test_two_sets_of_photos_are_paired_each_with_each():
    embeddings, names = faces(7, 4)
    references, probes = slice(0, None, 2), slice(1, None, 2)
    found = verification.of_all_pairs(
        embeddings[references], embeddings[probes], (names[references], names[probes]), np.full(14, -1)
    ).attempts()
    assert (found.accepted_genuine[-1], found.accepted_impostor[-1]) == (7 * 2 * 2, 14 * 14 - 7 * 2 * 2)


def test_workers_count_what_one_process_counts(monkeypatch: pytest.MonkeyPatch):
    """In shares of the probes, also such as are empty; also workers of a cluster."""
    embeddings, names = faces(7, 4)
    lost = embeddings.copy()
    lost[5] = np.nan
    own = np.where(np.arange(10) < 7, np.arange(10) + 3, -1)
    monkeypatch.setattr(verification, "PROBES", 2)
    cases = [(lost, lost, (names, names), np.arange(28)), (embeddings, lost[3:13], (names, names[3:13]), own)]
    asked = list(itertools.product(cases, [None, 100]))
    alone = [verification.of_all_pairs(*case, at_most=at_most) for case, at_most in asked]
    monkeypatch.setattr(verification, "SHARED_FROM", 1)
    for where in (workers(1), workers(2), two_dask_workers()):
        with where:
            for (case, at_most), one in zip(asked, alone, strict=True):
                assert_same(verification.of_all_pairs(*case, at_most=at_most), one)
    for (_, at_most), one in zip(asked, alone, strict=True):
        assert one.lost_genuine > 0
        assert one.lost_impostor > 0
        assert (one.not_drawn > 0) == (at_most is not None)


def assert_same(one: verification.Counted, other: verification.Counted) -> None:
    for field in dataclasses.fields(verification.Counted):
        assert np.array_equal(getattr(one, field.name), getattr(other, field.name)), field.name


# ---------------------------------------------------------------- impostor pairs, drawn


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make scores coarse, which are quick to count."""
    for module in (similarity, verification):
        monkeypatch.setattr(module, "STEPS", 2**10)


def two_sets(*, alike: bool) -> tuple[np.ndarray, np.ndarray, tuple[list[str], list[str]], np.ndarray]:
    """Return 200 photos of 40 people, or 100 of them as references and 90 as probes, some of which are both."""
    embeddings, names = faces(40, 5)
    if alike:
        return embeddings, embeddings, (names, names), np.arange(200)
    own = np.where(np.arange(90) < 10, np.arange(90) + 90, -1)
    return embeddings[:100], embeddings[90:180], (names[:100], names[90:180]), own


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("alike", [True, False])
def test_a_draw_estimates_the_rates_of_all_pairs(alike: bool):
    """Within the binomial interval of as many pairs out of all, 19 times in 20 or more often."""
    case = two_sets(alike=alike)
    every = verification.of_all_pairs(*case)
    whole = every.attempts()
    n = int(every.impostor.sum())
    assert every.not_drawn == 0
    misses = []
    for seed in range(100):
        drawn = verification.of_all_pairs(*case, at_most=n // 5, seed=seed)
        of_draw = int(drawn.impostor.sum())
        assert np.array_equal(drawn.genuine, every.genuine)
        assert of_draw + drawn.not_drawn == n
        assert 0.9 * (n // 5) < of_draw <= n // 5  # but for pairs of one person
        for far in (0.2, 0.02):
            at = whole.threshold_at(far)
            true, found = whole.errors_at(at)[0], drawn.attempts().errors_at(at)[0]
            misses.append((found - true) / np.sqrt(true * (1 - true) / of_draw * drawn.not_drawn / n))
    assert abs(np.mean(misses)) < 0.3
    assert np.mean(np.abs(misses) < 1.96) > 0.93
    assert 0.3 < np.std(misses) < 1.1


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize(("alike", "n", "m"), [(True, 8, 8), (True, 7, 7), (False, 6, 9), (False, 9, 5)])
def test_each_pair_has_the_same_chance_and_none_comes_twice(alike: bool, n: int, m: int):
    """Of people with one photo each, whose scores tell the pairs apart."""
    if alike:
        m, cells = n, n * (n - 1) // 2
        cosines = np.eye(n)
        cosines[np.triu_indices(n, 1)] = np.arange(1, cells + 1) / 256
        references = probes = np.linalg.cholesky(np.maximum(cosines, cosines.T)).astype(np.float32)
    else:
        cells = n * m
        probes, references = np.eye(m, dtype=np.float32), np.float32(np.arange(1, cells + 1).reshape(n, m) / 256)
    names = [f"p{index}" for index in range(n + m)]
    people = (names[:n], names[:m] if alike else names[n:])
    wanted, draws = cells // 3 + 1, 400
    times = np.zeros(cells, np.int64)
    for seed in range(draws):
        counted = verification.of_all_pairs(references, probes, people, np.full(m, -1), at_most=wanted, seed=seed)
        places = np.rint((np.flatnonzero(counted.impostor) / similarity.STEPS - 1) * 256).astype(int) - 1
        assert counted.impostor.max() == 1
        assert len(places) == wanted
        times[places] += 1
    share = wanted / cells
    assert (np.abs(times - draws * share) < 4.5 * np.sqrt(draws * share * (1 - share))).all()


@pytest.mark.parametrize("alike", [True, False])
def test_a_draw_of_more_than_there_are_is_all_pairs(alike: bool):
    case = two_sets(alike=alike)
    every = verification.of_all_pairs(*case)
    n = int(every.impostor.sum())
    for at_most in (n, n + 1, 10**12):
        assert_same(verification.of_all_pairs(*case, at_most=at_most), every)
    assert verification.of_all_pairs(*case, at_most=n - 1).not_drawn > 0


def test_series_of_the_same_photos_draw_the_same_pairs(monkeypatch: pytest.MonkeyPatch):
    """Whatever is at once in memory; another seed draws others."""
    case = two_sets(alike=False)
    one = verification.of_all_pairs(*case, at_most=500, seed=1)
    assert not np.array_equal(one.impostor, verification.of_all_pairs(*case, at_most=500, seed=2).impostor)
    monkeypatch.setattr(verification, "PROBES", 7)
    monkeypatch.setattr(verification, "REFERENCES", 5)
    assert_same(verification.of_all_pairs(*case, at_most=500, seed=1), one)


def test_no_photo_is_paired_with_itself_wherever_it_stands():
    embeddings, names = faces(5, 3)
    order = np.random.default_rng(0).permutation(15)[:10]
    own = np.where(np.arange(10) < 7, order, -1)  # of three probes the photo is not among the references
    found = verification.of_all_pairs(embeddings, embeddings[order], (names, [names[n] for n in order]), own)
    assert found.genuine.sum() == 10 * 3 - 7
    assert found.impostor.sum() == 10 * 12


def test_a_face_that_was_not_found_is_rejected_by_everybody():
    """ISO/IEC 19795-1: a false non-match for its own person; of what could be compared nothing changes."""
    embeddings, names = faces(6, 4)
    references, probes = embeddings[0::2].copy(), embeddings[1::2].copy()
    people = names[0::2], names[1::2]
    gone = [0, 5, 6]
    left = [n for n in range(12) if n not in gone]
    nobody = np.full(12, -1)
    expected = verification.of_all_pairs(
        references, probes[left], (people[0], [people[1][n] for n in left]), nobody[left]
    ).attempts()
    probes[gone] = np.nan
    found = verification.of_all_pairs(references, probes, people, nobody)
    assert (found.lost_genuine, found.lost_impostor) == (3 * 2, 3 * 10)
    compared, attempts = found.compared(), found.attempts()
    assert (compared.auc(), compared.eer(), compared.tar_at(0.1)) == (
        expected.auc(),
        expected.eer(),
        expected.tar_at(0.1),
    )
    assert attempts.accepted_genuine[-1] == 12 * 2
    for threshold in (-0.9, 0.0, 0.5):
        of_compared, of_attempts = compared.errors_at(threshold), attempts.errors_at(threshold)
        assert of_attempts[0] == pytest.approx(of_compared[0] * 9 / 12)  # FAR = FMR (1 - failure to acquire)
        assert of_attempts[1] == pytest.approx(3 / 12 + of_compared[1] * 9 / 12)  # FRR = FTA + FNMR (1 - FTA)
    pairs = similarity.of_pairs(verification.filled(probes), references, tuple(np.indices((12, 12)).reshape(2, -1)))
    genuine = np.array([people[1][row] == people[0][column] for row in range(12) for column in range(12)])
    lost = np.repeat(np.isnan(probes).any(1), 12)
    listed = verification.of_pairs(np.where(lost, np.float32(verification.LOST), pairs), genuine, lost)
    assert np.array_equal(listed.genuine, found.genuine)
    assert np.array_equal(listed.impostor, found.impostor)
    assert (listed.lost_genuine, listed.lost_impostor) == (found.lost_genuine, found.lost_impostor)


def test_where_nothing_could_be_compared_there_is_no_curve_of_it():
    embeddings, names = faces(3, 2)
    found = verification.of_all_pairs(np.full_like(embeddings, np.nan), embeddings, (names, names), np.arange(6))
    assert found.compared() is None
    assert found.attempts().tar_at(0.9) == 0.0


def test_resampled_people_count_as_if_their_pairs_were_repeated():
    scores, genuine = drawn(300, step=0.02)
    rng = np.random.default_rng(1)
    people = rng.integers(0, 6, (300, 2))
    people[:, 1] = np.where(genuine, people[:, 0], (people[:, 0] + 1 + people[:, 1] % 5) % 6)
    counts = np.stack([np.bincount(rng.integers(6, size=6), minlength=6) for _ in range(20)])
    auc, tar = verification.resampled(scores, genuine, people, counts, [0.3, 0.1])
    for count, one, at in zip(counts, auc, tar, strict=True):
        weights = np.where(genuine, count[people[:, 0]], count[people[:, 0]] * count[people[:, 1]])
        repeated = verification.of_scores(np.repeat(scores, weights), np.repeat(genuine, weights))
        assert one == pytest.approx(repeated.auc(), abs=1e-6)
        best = [repeated.tar[repeated.far <= far + 1e-12].max() for far in (0.3, 0.1)]
        assert at == pytest.approx(best)


def test_resampled_without_a_pair_of_one_kind_is_not_a_number():
    people = np.array([[0, 0], [0, 1]])
    auc, tar = verification.resampled(
        np.float32([0.5, 0.4]), np.array([True, False]), people, np.array([[2, 0], [1, 1]]), [0.1]
    )
    assert np.isnan(auc[0])
    assert np.isnan(tar[0, 0])
    assert auc[1] == 1
    assert tar[1, 0] == 1


def test_the_variance_of_an_auc_is_that_of_mann_and_whitney_where_scores_are_the_same():
    """Of independent scores: (1 / m + 1 / n) / 12, as for ranks, but for the term of (1 / mn)."""
    own, others = (intervals.Scatter(n, 0.5, 0.0, 0.0) for n in (40, 60))
    assert verification.auc_variance(0.5, own, others) == pytest.approx((1 / 40 + 1 / 60) / 12)


def test_the_variance_of_an_auc_is_that_of_many_draws():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(1500):
        people = rng.normal(size=20)
        own = 2 + np.sqrt(0.5) * (np.repeat(people, 5) + rng.normal(size=100))
        found.append(np.mean(own[:, None] > rng.normal(size=400)))
    own, others = intervals.Scatter(100, 1.0, 4.0, 0.5), intervals.Scatter(400, 1.0, 0.0, 0.0)
    true = special.ndtr(2 / np.sqrt(2))
    assert verification.auc_variance(true, own, others) == pytest.approx(np.var(found), rel=0.12)


def test_the_variance_of_a_tar_is_of_both_kinds():
    own, others = intervals.Scatter(100, 0.04, 0.0, 0.0), intervals.Scatter(400, 0.04, 0.0, 0.0)
    many = intervals.Scatter(10**12, 0.04, 0.0, 0.0)
    assert verification.tar_variance(0.8, 0.01, own, many) == pytest.approx(0.8 * 0.2 / 100)
    # Where TAR and FAR are equal, the ROC curve of equal spreads has a slope of 1.
    assert verification.tar_variance(0.3, 0.3, own, others) == pytest.approx(0.3 * 0.7 * (1 / 100 + 1 / 400))


@pytest.mark.parametrize("mean", [1.5, 4.4])
def test_intervals_hold_the_truth_in_most_of_100_runs(mean: float):
    """19 in 20 should; 9 in 10 do even by bad luck. benchmarks/intervals.py has more runs."""
    rng = np.random.default_rng([0, round(10 * mean)])
    people = np.repeat(np.arange(19), 10)
    pairs = np.stack([np.repeat(people, 10), (np.repeat(people, 10) + rng.integers(1, 19, 1900)) % 19], 1)
    held = []
    for _ in range(100):
        own = mean + np.sqrt(0.4) * rng.normal(size=19)[people] + np.sqrt(0.6) * rng.normal(size=190)
        others = np.sqrt(0.1) * rng.normal(size=19)[pairs].sum(1) + np.sqrt(0.8) * rng.normal(size=1900)
        found = verification.of_scores(np.float32(np.concatenate([own, others]) / 10), np.arange(2090) < 190)
        kinds = intervals.scatter(own, people), intervals.scatter(others, pairs)
        low, high = intervals.score(found.auc(), functools.partial(in_order, kinds))
        held.append(low <= special.ndtr(mean / np.sqrt(2)) <= high)
    assert np.mean(held) >= 0.9


def in_order(kinds: tuple[intervals.Scatter, intervals.Scatter], auc: float) -> float:
    return verification.auc_variance(auc, *kinds)


def test_folds_take_their_threshold_from_the_others():
    scores = np.float32([0.9, 0.1, 0.8, 0.2, 0.4, 0.35])
    genuine = np.array([True, False, True, False, True, False])
    fold = np.array([0, 0, 1, 1, 2, 2])
    # The first and second fold are called right by any threshold of the others; 0.8 or 0.4 for the third calls 0.4
    # genuine only if the threshold is 0.4 or less, which the other folds do not know: best of theirs is 0.8.
    mean, spread = verification.folds_accuracy(scores, genuine, fold)
    assert mean == pytest.approx((1 + 1 + 0.5) / 3)
    assert spread == pytest.approx(np.std([1, 1, 0.5]))


# ---------------------------------------------------------------- identification


def test_ranks_by_hand_and_ties_count_against_the_person():
    gallery = np.float32([[1, 0], [0, 1], [0.6, 0.8], [1, 0]])
    enrolled = ["a", "b", "c", "d"]
    probes = np.float32([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6], [1, 0]])
    found = identification.search(gallery, enrolled, probes, ["a", "b", "c", "b", "nobody"])
    # a's photo is just as similar to d: rank 2.
    assert found.rank.tolist() == [2, 1, 1, 4, 0]
    assert found.cmc([1, 2, 4]) == {"1": 0.5, "2": 0.75, "4": 1.0}


def test_a_person_is_as_similar_as_the_best_photo():
    gallery = np.float32([[0, 1], [1, 0], [0.9, np.sqrt(1 - 0.81)]])
    found = identification.search(gallery, ["a", "b", "a"], np.float32([[0.9, np.sqrt(1 - 0.81)]]), ["a"])
    assert found.rank.tolist() == [1]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    embeddings, names = faces(9, 5)
    first = identification.first_of_each(names)
    enrolled = [names[place] for place in first]
    whole = identification.search(embeddings[first], enrolled, embeddings, names)
    for name, value in (("BLOCK", 7), ("PAIRS", 20), ("PAIRS", 1)):
        monkeypatch.setattr(identification, name, value)
        blocks = identification.search(embeddings[first], enrolled, embeddings, names)
        assert np.array_equal(whole.rank, blocks.rank)
        assert np.array_equal(whole.other, blocks.other)
    similar = similarity.cosines(embeddings, embeddings[first])
    assert np.array_equal(np.maximum(whole.own, whole.other), similar.max(1))
    assert whole.cmc([1])["1"] == np.mean(
        [enrolled[row.argmax()] == name for row, name in zip(similar, names, strict=True)]
    )
    curve = verification.of_all_pairs(embeddings, embeddings, (names, names), np.arange(len(names))).attempts()
    monkeypatch.setattr(verification, "PROBES", 3)
    monkeypatch.setattr(verification, "REFERENCES", 5)
    found = verification.of_all_pairs(embeddings, embeddings, (names, names), np.arange(len(names))).attempts()
    for name in ("thresholds", "accepted_genuine", "accepted_impostor"):
        assert np.array_equal(getattr(curve, name), getattr(found, name))


def of_hits(rank: list[int], own: list[float], other: list[float]) -> identification.Search:
    return identification.Search(
        np.array(rank), np.float32(own), np.float32(other), np.zeros((0, len(rank)), np.float32)
    )


def test_alarms_for_strangers_by_hand():
    found = of_hits(
        [1, 1, 2, 1, 0, 0, 0, 0], [0.9, 0.5, 0.7, 0.7, *[-1] * 4], [0.1, 0.2, 0.95, 0.3, 0.8, 0.6, 0.4, 0.3]
    )
    # One of four strangers may raise an alarm: the threshold lies above 0.6. The second is too low, the third is
    # another person.
    assert found.fnir_at(0.25) == 0.5
    assert found.fnir_at(1.0) == 0.25
    assert found.fnir_at(0.1) is None


def left_out(embeddings: np.ndarray, names: list[str], group: np.ndarray) -> Iterator[tuple[int, list[int], list[int]]]:
    """Yield each group, and the indices of gallery and probes without it; every third photo is enrolled."""
    for number in range(group.max() + 1):
        kept = np.flatnonzero(group != number)
        yield number, [n for n in kept if n % 3 == 0], [n for n in kept if n % 3]


@pytest.mark.parametrize("index", [None, "Flat"])
@pytest.mark.parametrize("size", [1, 2])
def test_a_group_left_out_is_as_if_it_were_not_there(index: str | None, size: int):
    embeddings, names = faces(8, 6, size=4)
    strangers = {"p06", "p07"}
    group = np.array([int(name[1:]) // size for name in names])
    groups = dict(zip(names, group.tolist(), strict=True))

    def searched(gallery: list[int], probes: list[int], groups: dict[str, int] | None = None) -> identification.Search:
        gallery = [n for n in gallery if index or names[n] not in strangers]
        enrolled, people = ([names[n] for n in some] for some in (gallery, probes))
        if index is None:
            return identification.search(embeddings[gallery], enrolled, embeddings[probes], people, groups)
        nearest = identification.nearest(embeddings[gallery], embeddings[probes], index)
        return identification.search_nearest(nearest, enrolled, people, groups, strangers)

    probes = [n for n in range(len(names)) if n % 3]
    whole = searched([n for n in range(len(names)) if n % 3 == 0], probes, groups)
    found = identification.margins(whole, group[probes], 0.25)
    closed = identification.margins(whole, group[probes])
    assert (found.of <= closed.of)[np.isfinite(closed.of)].all()
    assert np.isnan(closed.of).sum() == 2 * 4
    for number, gallery, asked in left_out(embeddings, names, group):
        alone = searched(gallery, asked)
        kept = [place for place, n in enumerate(probes) if n in set(asked)]
        assert np.array_equal(whole.without[number][kept], alone.other)
        expected = identification.margins(alone, group[asked]).of
        assert np.array_equal(closed.without[number][kept], expected, equal_nan=True)
        gone = [place for place in range(len(probes)) if place not in kept]
        assert np.isnan(closed.without[number][gone]).all()
    assert np.array_equal(closed.of > 0, whole.rank == 1)
    assert 1 - np.mean(found.of[whole.rank > 0] > 0) == whole.fnir_at(0.25)


def test_a_rate_and_its_jackknife_by_hand():
    """Three people: c's photo is mistaken for a, who then stands in the way as one of the gallery."""
    own, other = np.float32([0.5, 0.75, 0.25]), np.float32([0.25, 0.25, 0.5])
    without = np.float32([[0.25, 0.25, 0.125], [0.125, 0.25, 0.5], [0.25, 0.125, 0.5]])
    found = identification.Search(np.array([1, 1, 2]), own, other, without)
    each = np.arange(3)
    one = identification.rate([identification.margins(found, each)], each, each)
    assert one.share == pytest.approx(2 / 3)
    assert one.without == pytest.approx([1.0, 1 / 2, 1.0])
    margins, alone = np.array([0.25, 0.5, -0.25]), intervals.scatter(own - other, each)
    asked = [np.delete(margins, person).mean() for person in each]
    enrolled = [(0.5 + 0.125) / 2, (0.375 - 0.25) / 2, (0.25 + 0.625) / 2]
    # Without a, c gains 0.375 and b nothing: 0.1875 more or less than the mean. Without b, a gains 0.125; without c, b.
    both = 2 * (0.1875**2 + 0.0625**2 + 0.0625**2) / 3**2
    moves = 2 * np.var(enrolled) - 2 * np.var(asked) - both
    assert alone.partners == 0
    expected = 0.2 * 0.8 / 3 + max(moves, 0) / np.var(margins) * intervals.moved(0.2) ** 2
    assert one.variance(0.2) == pytest.approx(intervals.wider(3) ** 2 * expected)
    twice = identification.rate([identification.margins(found, each)] * 2, each, each)
    assert twice.variance(0.2) == pytest.approx(one.variance(0.2))
    assert twice.share == one.share


def test_what_all_gain_alike_is_owed_to_nobody_however_many_their_photos_are():
    """A group that is left out moves the margins of all others by as much: no pair of people stands out."""
    group = np.repeat(np.arange(4), [1, 2, 3, 6])
    of = np.random.default_rng(5).normal(size=len(group))
    without = of + np.float64([0.5, 0.25, 0.125, 1])[:, None]
    without[group == np.arange(4)[:, None]] = np.nan
    rates = identification.Rates(group, group)
    rates.add(identification.Margins(of, without))
    assert np.abs(rates.both[0]).max() < 1e-15
    without[0, group == 3] += 1
    rates.add(identification.Margins(of, without))
    owed, rest = 6 * 1 / 12, 11
    assert rates.both[1][0] == pytest.approx([0, -owed * 2 / rest, -owed * 3 / rest, owed - owed * 6 / rest])


def test_how_many_groups_are_left_out_at_a_time_does_not_matter(monkeypatch: pytest.MonkeyPatch):
    embeddings, names = faces(30, 6, size=4)
    group = np.array([int(name[1:]) for name in names])
    groups = dict(zip(names, group.tolist(), strict=True))
    found = identification.search(embeddings[::3], names[::3], embeddings[1::3], names[1::3], groups)
    at_once = []
    for n in (1, 8, 100):
        monkeypatch.setattr(identification, "LEFT_OUT", n)
        one = identification.rate([identification.margins(found, group[1::3])], group[1::3], group[1::3])
        at_once.append([one.share, *one.without, one.variance(0.9)])
    assert at_once[0] == pytest.approx(at_once[1], rel=1e-12)
    assert at_once[2] == pytest.approx(at_once[1], rel=1e-12)


def test_a_smooth_threshold_is_next_to_the_threshold():
    scores = np.random.default_rng(0).normal(size=4001).astype(np.float32)
    for fpir in (0.01, 0.1, 0.5):
        plain = identification.threshold(scores, fpir)
        assert identification._smooth_threshold(scores, fpir) == pytest.approx(plain, abs=0.03)
    # Of three scores, the median's weights are those of a beta distribution with 2 and 2 (Harrell and Davis, 1982).
    expected = np.array([7, 13, 7]) / 27
    assert identification._smooth_threshold(np.float32([4, 1, 2]), 0.5) == pytest.approx(expected @ [4, 2, 1])


def test_an_empty_gallery_and_strangers_alone_are_named():
    with pytest.raises(UnmaskError, match="the gallery is empty"):
        identification.search(np.zeros((0, 2), np.float32), [], np.float32([[1, 0]]), ["a"])
    with pytest.raises(UnmaskError, match="nobody to identify"):
        identification.search(np.float32([[1, 0]]), ["b"], np.float32([[1, 0]]), ["a"]).cmc([1])


def test_an_index_finds_what_the_exact_search_finds():
    rng = np.random.default_rng(0)
    gallery, probes = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in rng.normal(size=(2, 60, 16)))
    gallery, probes = gallery.astype(np.float32), probes.astype(np.float32)
    enrolled = [f"p{number % 20}" for number in range(60)]
    people = [f"p{number % 25}" for number in range(60)]  # five of them are not in the gallery
    exact = identification.search(gallery, enrolled, probes, people)
    found = identification.search_nearest(identification.nearest(gallery, probes, "Flat"), enrolled, people)
    for name in ("rank", "own", "other"):
        assert np.array_equal(getattr(found, name), getattr(exact, name))
    with pytest.raises(UnmaskError, match="'Nothing7' cannot be made of 60 photos"):
        identification.nearest(gallery, probes, "Nothing7")


def test_the_index_counts_ties_against_the_person():
    gallery = np.float32([[1, 0], [0, 1], [1, 0]])
    nearest = identification.nearest(gallery, np.float32([[1, 0]]), "Flat")
    found = identification.search_nearest(nearest, ["a", "b", "c"], ["a"])
    assert found.rank.tolist() == [2]
