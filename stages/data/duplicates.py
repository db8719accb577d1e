"""Photos that are the same photo: equal bytes, or a perceptual hash that is nearly equal."""

import itertools
import math

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.core.images import Pixels

# A side of 8 (64 bits) takes different photos of one sitting for copies; at 16 (256 bits) all pairs of LFW up to a
# distance of 26 are copies (looked at), and no two photos of ORL come below 14.
HASH_SIDE = 16
BITS = HASH_SIDE * HASH_SIDE
Hashes = NDArray[np.uint8]
AT_ONCE = 10_000  # hashes of which the bits are spread out at a time


def perceptual_hash(image: Pixels) -> bytes:
    """Return the 256-bit pHash (a median-thresholded DCT) of an RGB image (H, W, 3), as 32 bytes."""
    bits = imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE).hash
    return np.packbits(bits.ravel()).tobytes()


def first_of_same(hashes: Hashes) -> NDArray[np.int64]:
    """Return of each hash (n, bytes) the index of the first that is equal to it, int64 (n,)."""
    if not len(hashes):
        return np.zeros(0, np.int64)
    whole = np.ascontiguousarray(hashes).view(f"V{hashes.shape[1]}").ravel()
    _, first, which = np.unique(whole, return_index=True, return_inverse=True)
    return first[which]


def near(hashes: Hashes, distance: int) -> list[tuple[int, int]]:
    """Return the pairs (i, j), i < j, of hashes (n, 32) that differ in at most `distance` bits, sorted.

    Cut into `distance + k` bands, two such hashes agree in `k` of them at least: multi-index hashing (Norouzi, Punjani
    and Fleet, CVPR 2012) for pairs. So for each choice of `k` bands the hashes are sorted by these, and neighbors that
    agree are compared. `k` grows with the hashes, so that few agree by chance, and time grows with their number.
    Memory is 100 bytes a hash.
    """
    n = len(hashes)
    if n < 2:
        return []
    agree = _agreeing(n, distance)
    bands = _sums(hashes, distance + agree)
    words = np.ascontiguousarray(hashes).view(np.uint64)
    found = np.empty(0, np.int64)  # i * n + j of each pair
    for some in itertools.combinations(bands, agree):
        key = np.sum(some, 0, dtype=np.uint32)
        order = np.argsort(key)
        key, place, apart, pairs = key[order], np.arange(n), 0, []
        while place.size:
            apart += 1
            place = place[: np.searchsorted(place, n - apart)]
            place = place[key[place] == key[place + apart]]
            one, other = order[place], order[place + apart]
            is_near = np.bitwise_count(words[one] ^ words[other]).sum(1, dtype=np.int64) <= distance
            one, other = one[is_near], other[is_near]
            pairs.append(np.minimum(one, other) * n + np.maximum(one, other))
        found = np.union1d(found, np.concatenate(pairs))
    return [divmod(pair, n) for pair in found.tolist()]


def _agreeing(n: int, distance: int) -> int:
    """Return in how many bands hashes are to agree: what sorting them and comparing those that agree costs least."""

    def cost(agree: int) -> float:
        by_chance = n / 2 ** (agree * BITS / (distance + agree))
        return math.comb(distance + agree, agree) * n * (1 + by_chance)

    return min((1, 2, 3), key=cost)


def _sums(hashes: Hashes, n_bands: int) -> NDArray[np.uint32]:
    """Return a number for each band of each hash, (n_bands, n), such that sums are equal where the bands are.

    Each bit has a number drawn by chance that it adds if it is set; where bands differ, sums are as good as never
    equal. Every `n_bands`-th bit is in one band, as neighbors of a perceptual hash are alike.
    """
    drawn = np.random.default_rng(0).integers(2**32, size=BITS, dtype=np.uint32)
    found = np.empty((n_bands, len(hashes)), np.uint32)
    for start in range(0, len(hashes), AT_ONCE):
        bits = np.unpackbits(hashes[start : start + AT_ONCE], axis=1)
        for band in range(n_bands):
            values = bits[:, band::n_bands] * drawn[band::n_bands]
            found[band, start : start + AT_ONCE] = values.sum(1, dtype=np.uint32)
    return found
