"""Random numbers that depend on names, never on the order in which things are processed."""

import hashlib

import numpy as np


def _digest(*names: str | int) -> bytes:
    # The separator cannot occur in a name, so ("ab", "c") and ("a", "bc") differ.
    text = "\0".join(str(name) for name in names)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


def generator(*names: str | int) -> np.random.Generator:
    """Return a generator whose stream is fixed by `names`, e.g. `generator(seed, "render_masks", face_id)`."""
    return np.random.Generator(np.random.PCG64(int.from_bytes(_digest(*names), "big")))


def fraction(*names: str | int) -> float:
    """Return a number in [0, 1) that is fixed by `names` and uniform over them."""
    return int.from_bytes(_digest(*names)[:6], "big") / 2**48


def derived(*names: str | int) -> int:
    """Return a seed from 0 to 2**31 - 1 that is fixed by `names`, for what has chance of its own, such as a training.

    Two trainings from one seed would see faces in one order, changed in one way: what the first has learned by heart,
    the second would not see otherwise.
    """
    return int(fraction(*names) * 2**31)
