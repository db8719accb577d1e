"""How often do intervals hold the truth? Scores are drawn of which the truth is known.

python -m benchmarks.intervals [runs] [people]

Scores are normal: of two photos of one person, and of two people. Each person has one more or less of either, and so
has each photo. In each run 19 people with 10 photos, or 90 with 3, are drawn, and their AUC, TAR at FAR 1 %, rank-1 and
FNIR at FPIR 10 % get an interval in several ways. It prints in how many of the runs each holds the truth, in percent,
and how wide it is on average.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from stages.core import intervals
from stages.recognition import identification, verification

PHOTOS = {19: 10, 90: 3}  # of each person, by the number of people
MEANS = {"usual": 3.0, "easy": 4.4, "hard": 1.5}  # of genuine scores; impostor scores have 0, and both a variance of 1
OWN = {"person": 0.4, "photo": 0.2}  # shares of that variance, of genuine scores
OTHERS = {"person": 0.2, "photo": 0.1}  # likewise, of impostor scores
FAR, FPIR, STRANGERS, DRAWS = 0.01, 0.1, 0.5, 20
RESAMPLES = 300


class Statistic(NamedTuple):
    """A statistic of one run, what it is without each person, and of people drawn anew: as many, or one fewer."""

    estimate: float
    without: NDArray[np.float64]
    resampled: NDArray[np.float64]
    fewer: NDArray[np.float64]


def draw(rng: np.random.Generator, people: int, photos: int, mean: float) -> NDArray[np.float32]:
    """Return scores of all photos with all, person by person, float32 (n, n)."""
    who = np.repeat(np.arange(people), photos)
    upper = np.triu(rng.normal(size=(len(who), len(who))), 1)
    noise = upper + upper.T
    own, others = (
        np.sqrt(1 - parts["person"] - parts["photo"]) * noise + _sums(rng, who, people, parts, both)
        for parts, both in ((OWN, False), (OTHERS, True))
    )
    return np.where(who[:, None] == who, mean + own, others).astype(np.float32)


def _sums(
    rng: np.random.Generator, who: NDArray[np.intp], people: int, parts: dict[str, float], both: bool
) -> NDArray[np.float64]:
    """Return what two people (or the one) and two photos add to their score."""
    person = rng.normal(size=people)[who] * np.sqrt(parts["person"] / (2 if both else 4))
    each = person + rng.normal(size=len(who)) * np.sqrt(parts["photo"] / 2)
    return each[:, None] + each


def truths(people: int, mean: float, rng: np.random.Generator) -> dict[str, float]:
    """Return what is true of the people from whom a run draws its own."""
    at_far = special.ndtri(1 - FAR)
    n = 200_000
    noise, person, photo = np.sqrt((1 - sum(OTHERS.values()), OTHERS["person"] / 2, OTHERS["photo"] / 2))
    highest = np.full(n, -np.inf)
    common = person * rng.normal(size=n) + photo * rng.normal(size=n)
    for _ in range(people - 1):
        each = noise * rng.normal(size=n) + person * rng.normal(size=n) + photo * rng.normal(size=n)
        highest = np.maximum(highest, common + each)
    return {
        "AUC": float(special.ndtr(mean / np.sqrt(2))),
        "TAR": float(special.ndtr(mean - at_far)),
        "rank-1": float(np.mean(rng.normal(mean, 1, n) > highest)),
        "FNIR": _true_fnir(people - round(STRANGERS * people), mean, rng),
    }


def _true_fnir(enrolled: int, mean: float, rng: np.random.Generator) -> float:
    """Return FNIR of galleries of so many people, with each the threshold that is true of it."""
    noise, person, photo = np.sqrt((1 - sum(OTHERS.values()), OTHERS["person"] / 2, OTHERS["photo"] / 2))
    missed = []
    for _ in range(1000):
        gallery = person * rng.normal(size=enrolled) + photo * rng.normal(size=enrolled)
        asking = rng.normal(size=(1000, 1)) * np.hypot(person, photo)
        threshold = np.quantile((asking + gallery + noise * rng.normal(size=(1000, enrolled))).max(1), 1 - FPIR)
        own = np.repeat(np.arange(enrolled), 8)
        asking = person * rng.normal(size=enrolled)[own] + photo * rng.normal(size=len(own))
        others = asking[:, None] + gallery + noise * rng.normal(size=(len(own), enrolled))
        others[np.arange(len(own)), own] = -np.inf
        of_own = (
            mean
            + np.sqrt(OWN["person"]) * rng.normal(size=enrolled)[own]
            + np.sqrt(OWN["photo"] / 2) * (rng.normal(size=enrolled)[own] + rng.normal(size=len(own)))
            + np.sqrt(1 - sum(OWN.values())) * rng.normal(size=len(own))
        )
        missed.append(np.mean((of_own <= others.max(1)) | (of_own <= threshold)))
    return float(np.mean(missed))


def statistics(rng: np.random.Generator, people: int, photos: int, mean: float) -> dict[str, Statistic]:
    """Draw scores once and return each statistic."""
    scores = draw(rng, people, photos, mean)
    who = np.repeat(np.arange(people), photos)
    as_many = rng.multinomial(people, np.full(people, 1 / people), size=RESAMPLES)
    fewer = intervals.drawn(people, RESAMPLES, rng)
    counts = np.concatenate([np.ones((1, people), np.int64), 1 - np.eye(people, dtype=np.int64), as_many, fewer])
    rows, columns = np.triu_indices(len(who), 1)
    pairs = np.stack([who[rows], who[columns]], 1)
    auc, tar = verification.resampled(scores[rows, columns], pairs[:, 0] == pairs[:, 1], pairs, counts, [FAR])
    gallery = np.arange(0, len(who), photos)
    probes = np.delete(np.arange(len(who)), gallery)
    asked, owner = scores[np.ix_(probes, gallery)], who[probes]
    first = search(asked, owner, np.arange(people)).rank == 1
    right = np.bincount(owner, weights=first, minlength=people)
    of_draws = []
    for _ in range(DRAWS):
        kept = np.sort(rng.permutation(people)[round(STRANGERS * people) :])
        of_draws.append(search(asked, owner, kept))
    fnir = np.mean([identification.fnir_resampled(found, owner, counts, FPIR) for found in of_draws], 0)
    every = {"AUC": auc, "TAR": tar[:, 0], "rank-1": counts @ right / counts.sum(1) / (photos - 1), "FNIR": fnir}
    cuts = np.cumsum([1, people, RESAMPLES])
    return {name: Statistic(float(of[0]), *np.split(of, cuts)[1:]) for name, of in every.items()}


def search(asked: NDArray[np.float32], owner: NDArray[np.intp], kept: NDArray[np.intp]) -> identification.Search:
    """Return what probes (rows) find among those people of the gallery (columns) who are kept."""
    place = np.full(asked.shape[1], -1)
    place[kept] = np.arange(len(kept))
    some, wanted = asked[:, kept], place[owner]
    own = some[np.arange(len(owner)), wanted]
    rank = np.where(wanted >= 0, (some >= own[:, None]).sum(1), 0)
    return identification.Search(rank, some.max(1))


# ---------------------------------------------------------------- ways to make an interval


def percentile(one: Statistic, _people: int) -> tuple[float, float]:
    """B. Efron, 1979."""
    return tuple(np.nanquantile(one.resampled, [0.025, 0.975]))


def expanded(one: Statistic, people: int) -> tuple[float, float]:
    """T. C. Hesterberg, 2015."""
    return intervals.bounds(one.fewer, people)


def bca(one: Statistic, _people: int) -> tuple[float, float]:
    """B. Efron, "Better bootstrap confidence intervals" (1987): bias corrected and accelerated."""
    below = np.mean(one.resampled < one.estimate) + np.mean(one.resampled == one.estimate) / 2
    bias = special.ndtri(np.clip(below, 1 / RESAMPLES, 1 - 1 / RESAMPLES))
    away = one.without.mean() - one.without
    spread = (away**2).sum() ** 1.5
    acceleration = (away**3).sum() / (6 * spread) if spread else 0.0
    ends = bias + special.ndtri([0.025, 0.975])
    return tuple(np.nanquantile(one.resampled, special.ndtr(bias + ends / (1 - acceleration * ends))))


def student(one: Statistic, people: int) -> tuple[float, float]:
    """Student's t, with the jackknife's variance."""
    half = special.stdtrit(people - 1, 0.975) * np.sqrt(_jackknife(one))
    return one.estimate - half, one.estimate + half


def _jackknife(one: Statistic) -> float:
    n = len(one.without)
    return float((n - 1) * np.var(one.without))


def _freedom(one: Statistic) -> float:
    """Return fewer degrees of freedom where the variance rests on few people, by the kurtosis (F. Satterthwaite)."""
    away = (one.without - one.without.mean()) ** 2
    n = len(away)
    if not away.any():
        return n - 1
    return float(min(n - 1, 2 / max((away**2).sum() / away.sum() ** 2 - 1 / n, 1e-9)))


def wilson(estimate: float, trials: float) -> tuple[float, float]:
    """Return the score interval of a share of some trials, which need not be a whole number.

    From E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22 (1927).

    Args:
        estimate: the share, 0 to 1.
        trials: above 0.
    """
    z = special.ndtri((1 + intervals.LEVEL) / 2)
    middle = (estimate + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(estimate * (1 - estimate) / trials + z**2 / (4 * trials**2))
    return (max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def of_trials(
    exact: Callable[[float, float], tuple[float, float]], *, jackknife: bool = False, few: bool = False
) -> Callable[[Statistic, int], tuple[float, float]]:
    """Return an interval of the share of as many trials as the variance is worth."""

    def found(one: Statistic, people: int) -> tuple[float, float]:
        variance = _jackknife(one) if jackknife else float(np.nanvar(one.fewer))
        freedom = _freedom(one) if few else people - 1
        if not 0 < one.estimate < 1 or variance < intervals.NO_VARIANCE:
            return exact(one.estimate, people)
        wider = special.stdtrit(freedom, 0.975) / special.ndtri(0.975)
        return exact(one.estimate, one.estimate * (1 - one.estimate) / variance / wider**2)

    return found


WAYS: dict[str, Callable[[Statistic, int], tuple[float, float]]] = {
    "percentile": percentile,
    "expanded": expanded,
    "BCa": bca,
    "Student": student,
    "Wilson": of_trials(wilson),
    "Wilson j": of_trials(wilson, jackknife=True),
    "Wilson j few": of_trials(wilson, jackknife=True, few=True),
    "C-P": of_trials(intervals.clopper_pearson),
    "C-P j": of_trials(intervals.clopper_pearson, jackknife=True),
    "C-P j few": of_trials(intervals.clopper_pearson, jackknife=True, few=True),
}


def coverage(people: int, mean: float, runs: int) -> Iterator[str]:
    """Yield lines of a Markdown table: by statistic and way the share that holds the truth, and the mean width."""
    rng = np.random.default_rng([people, round(10 * mean)])
    true = truths(people, mean, rng)
    held: dict[tuple[str, str], list[tuple[bool, float]]] = defaultdict(list)
    mean_estimate: dict[str, list[float]] = defaultdict(list)
    for _ in range(runs):
        for name, one in statistics(rng, people, PHOTOS[people], mean).items():
            mean_estimate[name].append(one.estimate)
            for way, interval in WAYS.items():
                low, high = interval(one, people)
                held[name, way].append((low <= true[name] <= high, min(high, 1) - max(low, 0)))
    for name, value in true.items():
        cells = [
            f"{100 * shares:.1f} ({widths:.3f})" for shares, widths in (np.mean(held[name, way], 0) for way in WAYS)
        ]
        yield f"| {people} | {name} | {value:.4f} | {np.mean(mean_estimate[name]):.4f} | {' | '.join(cells)} |"


if __name__ == "__main__":
    n_runs = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print("| people | of | truth | mean | " + " | ".join(WAYS) + " |")
    print("|" + "---|" * (4 + len(WAYS)))
    for n_people in [int(sys.argv[2])] if len(sys.argv) > 2 else PHOTOS:
        for n_mean in MEANS.values():
            for line in coverage(n_people, n_mean, n_runs):
                print(line, flush=True)
