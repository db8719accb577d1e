"""Replicates of metrics: what each would have been of people drawn anew. Kept, so that two runs can be paired.

Which people are drawn is fixed by who they are, by the seed and by how often (`intervals.drawn`). Where two runs agree
in these, the k-th replicates of both are of the same people, and their difference has an interval of its own. It is
mostly narrower than those of the two sides, as who is easy or hard is so for both: the paired bootstrap (B. Efron and
R. J. Tibshirani, "An Introduction to the Bootstrap", 1993).
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.core import intervals
from stages.core.errors import UnmaskError
from stages.core.intervals import Bounds
from stages.core.outputs import whole_file

FEWEST = 6  # of fewer people even one sign in all is chance too often: 2 / 2^5 > 5 %, by the sign test
DRAWING = b"drawing"  # what is known of a column, as JSON in its metadata


@dataclass(frozen=True)
class Drawing:
    """By what it is fixed which people are drawn.

    Attributes:
        people: how many there are.
        digest: of their names, in whatever order.
        seed: of the run.
        resamples: how many times people are drawn.
        level: of the intervals.
    """

    people: int
    digest: str
    seed: int
    resamples: int
    level: float


@dataclass(frozen=True)
class Replicates:
    """A metric, each time that people were drawn anew.

    Attributes:
        values: float64 (resamples,); NaN where the people drawn did not give one.
        drawing: of whom, and how.
    """

    values: NDArray[np.float64]
    drawing: Drawing


def write(
    path: Path,
    values: Mapping[str, NDArray[np.float64]],
    people: Sequence[str] | Mapping[str, Sequence[str]],
    seed: int,
) -> None:
    """Write replicates, whole or not at all; the same ones give the same bytes.

    Args:
        path: a Parquet file, a float32 column a metric.
        values: float64 (resamples,) by the metric's dotted key in the JSON, such as `val.series.none.masked-bare.auc`.
        people: among whom is drawn; or by key, where they are not the same for all, such as those of val and test.
        seed: by which they are drawn.
    """
    keys = sorted(values)
    columns = {key: np.asarray(values[key], np.float32) for key in keys}
    of = {key: people[key] if isinstance(people, Mapping) else people for key in keys}
    drawings = {key: _drawing(of[key], seed, len(column)) for key, column in columns.items()}
    schema = pa.schema(
        [pa.field(key, pa.float32(), metadata={DRAWING: json.dumps(asdict(drawings[key]))}) for key in keys]
    )
    with whole_file(path) as staging:
        pq.write_table(pa.table(list(columns.values()), schema=schema), staging, compression="zstd")


def read(source: Path | bytes) -> dict[str, Replicates]:
    """Return the replicates of a file, or of its bytes, by dotted key.

    Raises:
        UnmaskError: `write` did not write this.
    """
    try:
        table = pq.ParquetFile(source if isinstance(source, Path) else pa.BufferReader(source)).read()
        return {
            field.name: Replicates(
                table[field.name].to_numpy().astype(np.float64), Drawing(**json.loads(field.metadata[DRAWING]))
            )
            for field in table.schema
        }
    except (pa.ArrowException, ValueError, TypeError, KeyError) as error:
        name = f"{source}: " if isinstance(source, Path) else ""
        raise UnmaskError(f"{name}these are no replicates of a metric ({error}): run its stage again") from None


def difference(old: Replicates, new: Replicates) -> Bounds | None:
    """Return the interval of `new` less `old`; None if they are not of the same people drawn, or of fewer than six."""
    if old.drawing != new.drawing or new.drawing.people < FEWEST:
        return None
    values = new.values - old.values
    return intervals.bounds(values, new.drawing.people) if np.isfinite(values).any() else None


def _drawing(people: Sequence[str], seed: int, resamples: int) -> Drawing:
    names = sorted(set(people))
    digest = hashlib.blake2b("\0".join(names).encode(), digest_size=16).hexdigest()
    return Drawing(len(names), digest, seed, resamples, intervals.LEVEL)
