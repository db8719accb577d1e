"""How often do intervals hold the truth? Scores are drawn of which the truth is known.

python -m benchmarks.intervals [runs] [people] [seed] [kind]

Scores are normal: of two photos of one person, and of two people. Each person has one more or less of either, and so
has each photo. In each run 19 people with 10 photos, 40 with 5 or 90 with 3 are drawn, and their AUC, TAR at FAR 1 %,
rank-1 and FNIR at FPIR 10 % get an interval in several ways. It prints in how many of the runs each holds the truth, in
percent, and how wide it is on average.

Of another kind (`KINDS`) scores are not normal, or people have more or fewer photos. Then only AUC and TAR are shown,
whose truth is that of four million scores.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

from stages.core import intervals
from stages.core.intervals import Bounds
from stages.recognition import identification, verification

PHOTOS = {19: 10, 90: 3, 40: 5}  # of each person, by the number of people
MEANS = {"usual": 3.0, "easy": 4.4, "hard": 1.5}  # of genuine scores; impostor scores have 0, and both a variance of 1
OWN = {"person": 0.4, "photo": 0.2}  # shares of that variance, of genuine scores
OTHERS = {"person": 0.2, "photo": 0.1}  # likewise, of impostor scores
FAR, FPIR, STRANGERS, DRAWS = 0.01, 0.1, 0.5, 20
RESAMPLES = 200
SCALE = 16.0  # so that scores are from -1 to 1, as cosines are
LOST_SHARE = 0.01
KINDS = {
    "normal": "",
    "tails": "scores of two photos have the heavy tails of Student's t with 5 degrees of freedom",
    "skew": "a few people are much harder than most: what a person adds to genuine scores is skewed, as gamma(2) is",
    "linked": "who is hard is taken for others more often, a correlation of 0.7",
    "lost": "one photo in a hundred has no face",
    "uneven": "people have one photo and more, a Poisson number",
}
TRUTH_OF = 4_000_000


class Statistic(NamedTuple):
    """A statistic of one run, what it is of people drawn anew, and its variance where the truth is some value."""

    estimate: float
    drawn: NDArray[np.float64]
    variance: Callable[[float], float]


def draw(
    rng: np.random.Generator, photos: NDArray[np.int64], mean: float, kind: str = "normal"
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return scores of all photos with all, person by person, float32 (n, n), and the person of each, int64 (n,)."""
    who = np.repeat(np.arange(len(photos)), photos)
    upper = np.triu(_noise(rng, (len(who), len(who)), kind), 1)
    noise = upper + upper.T
    own_of, other_of = _of_people(rng, len(photos), kind)
    own, others = (
        np.sqrt(1 - sum(parts.values())) * noise + _sums(rng, who, of * np.sqrt(parts["person"]), parts["photo"])
        for parts, of in ((OWN, own_of / 2), (OTHERS, other_of / np.sqrt(2)))
    )
    scores = np.where(who[:, None] == who, mean + own, others) / SCALE
    if kind == "lost":
        lost = rng.random(len(who)) < LOST_SHARE
        scores = np.where(lost[:, None] | lost, verification.LOST, scores)
    return scores.astype(np.float32), who


def _noise(rng: np.random.Generator, shape: int | tuple[int, int], kind: str) -> NDArray[np.float64]:
    return rng.standard_t(5, size=shape) / np.sqrt(5 / 3) if kind == "tails" else rng.normal(size=shape)


def _of_people(rng: np.random.Generator, n: int, kind: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what people add to genuine and to impostor scores, float64 (n,) each, of a variance of 1."""
    own = (2 - rng.gamma(2, size=n)) / np.sqrt(2) if kind == "skew" else rng.normal(size=n)
    other = rng.normal(size=n)
    return own, -0.7 * own + np.sqrt(0.51) * other if kind == "linked" else other


def _sums(
    rng: np.random.Generator, who: NDArray[np.int64], person: NDArray[np.float64], photo: float
) -> NDArray[np.float64]:
    """Return what two people (or twice the one) and two photos add to their score."""
    each = person[who] + rng.normal(size=len(who)) * np.sqrt(photo / 2)
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
        "1 - FNIR": 1 - _true_fnir(people - round(STRANGERS * people), mean, rng),
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


def truths_of_kind(mean: float, kind: str, rng: np.random.Generator) -> dict[str, float]:
    """Return what is true of AUC and TAR, measured on many scores."""
    one, other = (_of_people(rng, TRUTH_OF, kind) for _ in range(2))
    own, others = (
        np.sqrt(1 - sum(parts.values())) * _noise(rng, TRUTH_OF, kind)
        + np.sqrt(parts["person"]) * of
        + np.sqrt(parts["photo"]) * rng.normal(size=TRUTH_OF)
        for parts, of in ((OWN, one[0]), (OTHERS, (one[1] + other[1]) / np.sqrt(2)))
    )
    if kind == "lost":
        for scores in (own, others):
            scores[rng.random(TRUTH_OF) < 1 - (1 - LOST_SHARE) ** 2] = -SCALE - mean
    own += mean
    others.sort()
    ahead = sum(np.searchsorted(others, own, side=side).mean() for side in ("left", "right")) / 2
    return {
        "AUC": float(ahead / TRUTH_OF),
        "TAR": float(np.mean(own > others[int((1 - FAR) * TRUTH_OF)])),
    }


def statistics(
    rng: np.random.Generator, people: int, photos: int, mean: float, kind: str = "normal"
) -> dict[str, Statistic]:
    """Draw scores once and return each statistic."""
    of_each = 1 + rng.poisson(photos - 1, people) if kind == "uneven" else np.full(people, photos)
    scores, who = draw(rng, of_each, mean, kind)
    counts = intervals.drawn(people, RESAMPLES, np.random.default_rng(people))
    every = np.concatenate([np.ones((1, people), np.int64), counts])
    rows, columns = np.triu_indices(len(who), 1)
    pairs = np.stack([who[rows], who[columns]], 1)
    own, of_pairs = pairs[:, 0] == pairs[:, 1], scores[rows, columns]
    auc, tar = verification.resampled(of_pairs, own, pairs, every, [FAR])
    kinds = intervals.scatter(of_pairs[own], pairs[own, 0]), intervals.scatter(of_pairs[~own], pairs[~own])
    found = {
        "AUC": Statistic(float(auc[0]), auc[1:], lambda value: verification.auc_variance(value, *kinds)),
        "TAR": Statistic(float(tar[0, 0]), tar[1:, 0], lambda value: verification.tar_variance(value, FAR, *kinds)),
    }
    if kind != "normal":
        return found
    gallery = np.arange(0, len(who), photos)
    probes = np.delete(np.arange(len(who)), gallery)
    asked, owner = scores[np.ix_(probes, gallery)], who[probes]
    whole = identification.margins(search(asked, owner, np.arange(people)), owner)
    opened = []
    for _ in range(DRAWS):
        kept = np.sort(rng.permutation(people)[round(STRANGERS * people) :])
        opened.append(identification.margins(search(asked, owner, kept), owner, FPIR))
    for name, draws in (("rank-1", [whole]), ("1 - FNIR", opened)):
        one = identification.rate(draws, owner, owner)
        found[name] = Statistic(one.share, intervals.linear(one.share, one.without, counts), one.variance)
    return found


def search(asked: NDArray[np.float32], owner: NDArray[np.int64], kept: NDArray[np.int64]) -> identification.Search:
    """Return what probes (rows) find among those people of the gallery (columns) who are kept."""
    place = np.full(asked.shape[1], -1)
    place[kept] = np.arange(len(kept))
    return identification.among(asked[:, kept], place[owner], kept, asked.shape[1])


WAYS: dict[str, Callable[[Statistic, int], Bounds]] = {
    "percentiles": lambda one, people: intervals.bounds(one.drawn, people),
    "share": lambda one, people: intervals.share(one.estimate, one.drawn, people),
    "score": lambda one, _: intervals.score(one.estimate, one.variance),
}


def coverage(people: int, mean: float, runs: int, seed: int, kind: str) -> Iterator[str]:
    """Yield lines of a Markdown table: by statistic and way the share that holds the truth, and the mean width."""
    rng = np.random.default_rng([seed, people, round(10 * mean), list(KINDS).index(kind)])
    true = truths(people, mean, rng) if kind == "normal" else truths_of_kind(mean, kind, rng)
    held: dict[tuple[str, str], list[tuple[bool, float]]] = defaultdict(list)
    estimates: dict[str, list[float]] = defaultdict(list)
    for _ in range(runs):
        for name, one in statistics(rng, people, PHOTOS[people], mean, kind).items():
            estimates[name].append(one.estimate)
            for way, interval in WAYS.items():
                low, high = interval(one, people)
                held[name, way].append((low <= true[name] <= high, min(high, 1) - max(low, 0)))
    for name, value in true.items():
        cells = [
            f"{100 * shares:.1f} ({widths:.3f})" for shares, widths in (np.mean(held[name, way], 0) for way in WAYS)
        ]
        yield f"| {people} | {name} | {value:.4f} | {np.mean(estimates[name]):.4f} | {' | '.join(cells)} |"


def main(runs: str = "1000", people: str = "", seed: str = "0", kind: str = "normal") -> None:
    """Print the table."""
    print("| people | of | truth | mean | " + " | ".join(WAYS) + " |")
    print("|" + "---|" * (4 + len(WAYS)))
    for number in [int(people)] if people else PHOTOS:
        for mean in MEANS.values():
            for line in coverage(number, mean, int(runs), int(seed), kind):
                print(line, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
