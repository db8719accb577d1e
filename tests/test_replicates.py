"""Replicates: what a file keeps of metrics with people drawn anew, and when two of them can be paired."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stages.core import replicates
from stages.core.errors import UnmaskError
from stages.core.results import Results

PEOPLE = ["s1", "s2", "s3", "s4", "s5", "s6"]
VALUES = {"val.s.auc": np.array([0.25, np.nan, 0.75]), "s.tar_at_far.0.01": np.array([0.1, 0.2, 0.3])}


def written(path: Path, values: dict = VALUES, people: object = PEOPLE, seed: int = 0) -> bytes:
    replicates.write(path / "a.parquet", values, people, seed)
    return (path / "a.parquet").read_bytes()


def test_what_was_written_is_read(tmp_path: Path):
    data = written(tmp_path, people={"val.s.auc": PEOPLE[:2], "s.tar_at_far.0.01": PEOPLE}, seed=7)
    for found in (replicates.read(data), replicates.read(tmp_path / "a.parquet")):
        assert set(found) == set(VALUES)
        for key, values in VALUES.items():
            np.testing.assert_allclose(found[key].values, values, atol=1e-7)
            assert found[key].values.dtype == np.float64
        assert [found[key].drawing.people for key in VALUES] == [2, 6]
        assert (found["val.s.auc"].drawing.seed, found["val.s.auc"].drawing.resamples) == (7, 3)
    assert replicates.read(written(tmp_path, {})) == {}  # of a stage that found nobody


def test_the_same_replicates_are_the_same_bytes_and_nothing_else_is_left(tmp_path: Path):
    first = written(tmp_path)
    assert written(tmp_path, dict(reversed(VALUES.items())), PEOPLE[::-1]) == first
    assert written(tmp_path, seed=1) != first
    with pytest.raises(ValueError, match="could not convert"):
        written(tmp_path, {"key": np.array(["word"])})
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]


def test_what_is_no_file_of_replicates_is_refused(tmp_path: Path):
    whole = written(tmp_path)
    pq.write_table(pa.table({"s.auc": [0.5]}), tmp_path / "other.parquet")
    for data in (b"", b"nonsense", whole[: len(whole) // 2], (tmp_path / "other.parquet").read_bytes()):
        (tmp_path / "broken.parquet").write_bytes(data)
        with pytest.raises(UnmaskError, match=r"broken\.parquet: these are no replicates"):
            replicates.read(tmp_path / "broken.parquet")


def of(values: list[float], people: list[str] = PEOPLE, seed: int = 0) -> replicates.Replicates:
    array = np.array(values)
    return replicates.Replicates(array, replicates._drawing(people, seed, len(array)))


def test_the_interval_of_a_difference_that_is_always_the_same_is_that_difference():
    rng = np.random.default_rng(0)
    old = rng.uniform(size=1000)
    found = replicates.difference(of(old), of(old + 0.125, PEOPLE[::-1]))  # the order of the people is no matter
    assert found == pytest.approx((0.125, 0.125))
    assert replicates.difference(of([0.5, np.nan, 0.25]), of([np.nan, 0.5, 0.5])) == (0.25, 0.25)


@pytest.mark.parametrize(
    "other",
    [
        of([1.0, 2.0, 3.0], [*PEOPLE[:-1], "s7"]),
        of([1.0, 2.0, 3.0], [*PEOPLE, "s7"]),
        of([1.0, 2.0, 3.0], seed=1),
        of([1.0, 2.0]),
        of([np.nan, np.nan, np.nan]),
    ],
)
def test_others_are_not_paired(other: replicates.Replicates):
    assert replicates.difference(of([1.0, 2.0, 3.0]), other) is None
    assert replicates.difference(other, of([1.0, 2.0, 3.0])) is None


def test_few_people_are_not_paired():
    """By chance, differences of five people have one sign once in 16 times, those of six once in 32."""
    for n, expected in ((5, None), (6, (1.0, 1.0))):
        few = [of([value, value], PEOPLE[:n]) for value in (1.0, 2.0)]
        assert replicates.difference(*few) == expected


def test_they_lie_beside_the_numbers():
    assert Results(Path("metrics/verify-dlib")).replicates == Path("metrics/replicates/verify-dlib.parquet")
