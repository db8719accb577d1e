"""Near copies among many photos: are all found that were planted, and how does the time grow?

python -m benchmarks.near_copies [photos …]

Hashes are drawn by chance. One in a hundred is a copy of another one in which up to as many bits are flipped as
`clean.near_duplicates` of params.yaml allows. Each number of photos is measured in a process of its own.
"""

import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from stages.core import params
from stages.data import duplicates

PHOTOS = ("25000", "50000", "100000", "200000")


def measure(n: int, distance: int) -> None:
    """Find the copies and print."""
    rng = np.random.default_rng(n)
    bits = rng.integers(2, size=(n, duplicates.BITS), dtype=np.uint8)
    copies, of = rng.permutation(n)[: 2 * (n // 100)].reshape(2, -1)
    for copy, original in zip(copies, of, strict=True):
        flipped = rng.permutation(duplicates.BITS)[: rng.integers(distance + 1)]
        bits[copy] = bits[original]
        bits[copy, flipped] ^= 1
    hashes = np.packbits(bits, axis=1)
    planted = {(min(pair), max(pair)) for pair in zip(copies.tolist(), of.tolist(), strict=True)}
    del bits
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    found = set(duplicates.near(hashes, distance))
    seconds, peak = time.process_time() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{n:>9,} photos: {len(planted & found):,} of {len(planted):,} copies found, {len(found - planted)} other "
        f"pairs; {seconds:.1f} s of processor time, {1e6 * seconds / n:.0f} µs a photo; {peak / 2**10:,.0f} MB at "
        f"most, {before / 2**10:,.0f} MB of them before",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(int(sys.argv[2]), params.read_yaml(Path("params.yaml"))["clean"]["near_duplicates"])
    else:
        for number in sys.argv[1:] or PHOTOS:
            subprocess.run([sys.executable, "-m", "benchmarks.near_copies", "--one", number], check=True)
