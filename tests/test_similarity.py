"""Scores are exact: the same in any order, block and kernel, and ties are ties."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

from stages.core.errors import UnmaskError
from stages.recognition import similarity
from tests.conftest import ROOT


def drawn(n: int, size: int = 128, seed: int = 0) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(n, size))
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


def test_scores_are_those_of_whole_numbers():
    some, others = drawn(5), drawn(4, seed=1)
    found = similarity.against(others)(some)
    for row, one in enumerate(some.tolist()):
        for column, other in enumerate(others.tolist()):
            whole = [[round(Fraction(value) * 2**25) for value in face] for face in (one, other)]
            product = Fraction(sum(a * b for a, b in zip(*whole, strict=True)), 2**50)
            assert found[row, column] == round(product * similarity.STEPS)


def test_scores_are_cosines_to_a_step():
    some, others = drawn(200), drawn(150, seed=1)
    exact = some.astype(np.float64) @ others.T.astype(np.float64)
    assert np.abs(similarity.cosines(some, others) - exact).max() < 0.55 / similarity.STEPS
    assert np.array_equal(similarity.cosines(some, some), similarity.cosines(some, some).T)
    assert similarity.cosines(np.float32([[1, 0]]), np.float32([[1, 0], [-1, 0], [0, 1]])).tolist() == [[1, -1, 0]]


def test_neither_order_nor_block_changes_a_score():
    some, others = drawn(300, 512), drawn(200, 512, seed=1)
    found = similarity.cosines(some, others)
    order = np.random.default_rng(2).permutation(512)
    assert not np.array_equal(some @ others.T, some[:, order] @ others[:, order].T)  # this is what float32 does
    assert np.array_equal(similarity.cosines(some[:, order], others[:, order]), found)
    for block in (1, 7, 64):
        parts = [similarity.cosines(some[start : start + block], others) for start in range(0, len(some), block)]
        assert np.array_equal(np.concatenate(parts), found)
    places = np.divmod(np.arange(found.size), len(others))
    assert np.array_equal(similarity.of_pairs(some, others, places), found.ravel())


def test_no_kernel_changes_a_score():
    """Of OpenBLAS, which chooses its kernels by the processor, when numpy is imported."""
    code = (
        "import hashlib; from tests.test_similarity import *; "
        "found = similarity.cosines(drawn(300, 512), drawn(200, 512, seed=1)); "
        "print(hashlib.sha256(found.tobytes()).hexdigest())"
    )
    kernels = [{}, {"OPENBLAS_CORETYPE": "Haswell"}, {"OPENBLAS_CORETYPE": "Nehalem"}]
    running = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=os.environ | kernel, stdout=subprocess.PIPE)
        for kernel in kernels
    ]
    assert len({one.communicate()[0] for one in running} - {b""}) == 1
    assert all(one.returncode == 0 for one in running)


def test_what_is_not_finite_is_told():
    bad = drawn(3)
    bad[1, 5] = np.nan
    with pytest.raises(UnmaskError, match="1 of 3 embeddings are not finite"):
        similarity.cosines(bad, drawn(2))
    with pytest.raises(UnmaskError, match="1 of 3 embeddings are not finite"):
        similarity.of_pairs(drawn(2), bad, (np.array([0, 1, 0]), np.array([0, 1, 2])))
