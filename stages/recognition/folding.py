"""Folds of people: who is left out of which training."""

from collections.abc import Collection

from stages.core.seeding import fraction


def folds(identities: Collection[str], n: int) -> dict[str, int]:
    """Return the fold of each person, 0 to n - 1, of almost equal sizes, fixed by the names alone."""
    in_order = sorted(identities, key=lambda name: (fraction("folds", name), name))
    return {name: place % n for place, name in enumerate(in_order)}
