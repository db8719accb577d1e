"""Intervals by drawing people anew: photos of one person are alike, so the person is what chance draws."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.core.seeding import generator

LEVEL = 0.95


def interval(
    statistic: Callable[[NDArray[np.intp]], float],
    people: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    *,
    n: int,
    seed: int,
) -> tuple[float, float]:
    """Return the bounds of a 95 % percentile interval (B. Efron, 1979), resampling people.

    Args:
        statistic: of the photos at some indices; an index may come several times.
        people: whose photo stands at each index.
        strata: of each index, such as the sex: as many people are drawn of each as there are. A person's indices have
            one stratum.
        n: how many times people are drawn.
        seed: of chance.
    """
    indices: dict[Hashable, dict[Hashable, list[int]]] = {}
    for index, person in enumerate(people):
        of = strata[index] if strata is not None else None
        indices.setdefault(of, {}).setdefault(person, []).append(index)
    groups = [[np.array(of) for of in persons.values()] for persons in indices.values()]
    rng = generator(seed, "bootstrap")
    values = []
    for _ in range(n):
        drawn = [group[index] for group in groups for index in rng.integers(len(group), size=len(group))]
        values.append(statistic(np.concatenate(drawn)))
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
