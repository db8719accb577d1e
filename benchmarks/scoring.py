"""Time and memory of scoring embeddings of 512 numbers: all metrics of verification and identification.

python -m benchmarks.scoring [c-RMFRD | large | among]

First c-RMFRD's size: 831 photos enrolled, 3,627 probes, 248 people, in one process. Then 10,000 against 100,000, in a
process of its own, whose peak memory is told. Then 200,000 photos among themselves, of whose 2 x 10^10 pairs 10^9 are
drawn, as `verify` does: the same metrics of verification, by as many workers as UNMASK_WORKERS says.
"""

import resource
import subprocess
import sys
import time

import numpy as np

from stages.recognition import identification, verification

NUMBERS = 512
SIZES = {"c-RMFRD": (831, 3627, 248), "large": (10_000, 100_000, 5_000)}
AMONG, THEIR_PEOPLE, AT_MOST = 200_000, 20_000, 10**9


def drawn(n: int, identities: int, seed: int) -> tuple[np.ndarray, list[str]]:
    """Return n embeddings of length 1, noise around a center of each person, and whom they show."""
    centers = np.random.default_rng(0).normal(size=(identities, NUMBERS)).astype(np.float32)
    rng = np.random.default_rng(seed)
    owner = rng.integers(identities, size=n)
    found = centers[owner] + 2 * rng.normal(size=(n, NUMBERS)).astype(np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found, [f"p{person}" for person in owner]


def measure(size: str) -> None:
    """Score once and print."""
    n_gallery, n_probes, identities = SIZES[size]
    gallery, enrolled = drawn(n_gallery, identities, 1)
    probes, asked = drawn(n_probes, identities, 2)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    curve = verification.of_all_pairs(gallery, probes, (enrolled, asked), np.full(len(probes), -1)).attempts()
    scores = [curve.auc(), curve.eer(), *(curve.tar_at(far) for far in (0.1, 0.01, 0.001, 0.0001))]
    known = [place for place, name in enumerate(enrolled) if int(name[1:]) % 2]  # half of the people are strangers
    closed = identification.search(gallery, enrolled, probes, asked)
    opened = identification.search(gallery[known], [enrolled[place] for place in known], probes, asked)
    scores += [*closed.cmc([1, 5, 10]).values(), *(opened.fnir_at(fpir) for fpir in (0.01, 0.1))]
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{size}: {n_gallery:,} x {n_probes:,} faces, {len(scores)} metrics: {seconds:.2f} s, "
        f"{peak / 2**10:,.0f} MB at most, {before / 2**10:,.0f} MB of them before"
    )


def measure_drawn() -> None:
    """Score pairs that are drawn among many photos once, and print."""
    faces, people = drawn(AMONG, THEIR_PEOPLE, 1)
    start = time.perf_counter()
    counted = verification.of_all_pairs(faces, faces, (people, people), np.arange(AMONG), at_most=AT_MOST)
    curve = counted.attempts()
    scores = [curve.auc(), curve.eer(), *(curve.tar_at(far) for far in (0.1, 0.01, 0.001, 0.0001, 1e-5, 1e-6))]
    wall = time.perf_counter() - start
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds, peak = sum(one.ru_utime + one.ru_stime for one in usages), max(one.ru_maxrss for one in usages)
    impostors, genuine = int(counted.impostor.sum()), int(counted.genuine.sum())
    print(
        f"{AMONG:,} faces among themselves: {genuine:,} pairs of one person, {impostors:,} of "
        f"{impostors + counted.not_drawn:,} of two, {len(scores)} metrics: {wall:.1f} s, {seconds:.1f} s of processor "
        f"time with what drew the faces, {peak / 2**10:,.0f} MB at most in a process"
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["among"]:
        measure_drawn()
    elif sys.argv[1:]:
        measure(sys.argv[1])
    else:
        for name in (*SIZES, "among"):
            subprocess.run([sys.executable, "-m", "benchmarks.scoring", name], check=True)
