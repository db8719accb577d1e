"""Photos that are the same photo: equal bytes, or a perceptual hash that is nearly equal."""

from collections.abc import Sequence

import imagehash
import numpy as np
from PIL import Image

from stages.core.images import Pixels

# A side of 8 (64 bits) takes different photos of one sitting for copies; at 16 (256 bits) all pairs of LFW up to a
# distance of 26 are copies (looked at), and no two photos of ORL come below 14.
HASH_SIDE = 16
BITS = HASH_SIDE * HASH_SIDE


def perceptual_hash(image: Pixels) -> bytes:
    """Return the 256-bit pHash (a median-thresholded DCT) of an RGB image (H, W, 3), as 32 bytes."""
    bits = imagehash.phash(Image.fromarray(image), hash_size=HASH_SIDE).hash
    return np.packbits(bits.ravel()).tobytes()


def near(hashes: Sequence[bytes], distance: int) -> list[tuple[int, int]]:
    """Return the pairs (i, j), i < j, of hashes that differ in at most `distance` bits, sorted.

    Cut into `distance + 1` bands, two such hashes agree in at least one band; only those are compared, so the time
    grows with the number of near pairs and not with the square of the number of photos.
    """
    if not hashes:
        return []
    packed = np.frombuffer(b"".join(hashes), np.uint8).reshape(len(hashes), -1)
    bits = np.unpackbits(packed, axis=1)
    pairs = set()
    for band in np.array_split(np.arange(BITS), distance + 1):
        rows = np.packbits(bits[:, band], axis=1)
        _, group_of, sizes = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
        order = np.argsort(group_of.ravel(), kind="stable")
        for group in np.split(order, np.cumsum(sizes)[:-1]):  # the indices of equal rows, ascending
            for place, index in enumerate(group[:-1]):
                rest = group[place + 1 :]
                differing = (bits[rest] != bits[index]).sum(1)
                pairs.update((int(index), int(other)) for other in rest[differing <= distance])
    return sorted(pairs)
