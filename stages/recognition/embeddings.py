"""Tables of embeddings: one Parquet file, a row for each face and condition."""

import contextlib
import ctypes
import gc
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file

KEYS = ("face_id", "identity", "split", "fold")
ROWS = 10_000  # read at a time
GROUP = 2_000  # rows under one condition from which on they are written: who opens the file reads of every group
Wanted = Callable[[str, int | None], bool]
"""Tells whether faces of a split and fold are wanted."""
pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what it once took, where `_give_back` has no say


@dataclass(frozen=True)
class Faces:
    """Faces under one condition, those that could not be embedded among them.

    Attributes:
        face_ids: of the faces.
        identities: whom they show.
        splits: train, val or test.
        folds: of the people to train on: the embedding is of a network that never saw the people of this fold. None
            where it is of the recognizer itself.
        embeddings: float32 (n, d), of length 1; NaN where there is none, as no face was found in the photo.
    """

    face_ids: list[str]
    identities: list[str]
    splits: list[str]
    folds: list[int | None]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.face_ids)

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whether there is an embedding of a face, bool (n,)."""
        return there(self.embeddings)

    def at(self, indices: Sequence[int] | NDArray[np.intp]) -> "Faces":
        """Return the faces at some indices; if these are all in their order, they themselves, as copies take memory."""
        if np.array_equal(indices, np.arange(len(self))):
            return self
        return Faces(
            [self.face_ids[index] for index in indices],
            [self.identities[index] for index in indices],
            [self.splits[index] for index in indices],
            [self.folds[index] for index in indices],
            self.embeddings[np.asarray(indices, np.intp)],
        )

    def with_embeddings(self, embeddings: NDArray[np.float32]) -> "Faces":
        """Return the same faces with other embeddings."""
        return replace(self, embeddings=embeddings)

    def where(self, wanted: Wanted) -> "Faces":
        """Return the faces whose split and fold are wanted."""
        pairs = zip(self.splits, self.folds, strict=True)
        return self.at([index for index, (split, fold) in enumerate(pairs) if wanted(split, fold)])

    def of(self, split: str) -> "Faces":
        """Return the faces of a split."""
        return self.where(lambda name, _: name == split)

    def there(self) -> "Faces":
        """Return the faces that have an embedding."""
        return self.at(np.flatnonzero(self.found))


def there(embeddings: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Tell of each embedding (n, d) whether it is there, bool (n,)."""
    return ~np.isnan(embeddings).any(1)


def both(one: Faces, other: Faces) -> tuple[Faces, Faces]:
    """Return the faces that have an embedding in both, in the first one's order."""
    index = {other.face_ids[number]: number for number in np.flatnonzero(other.found)}
    kept = [number for number in np.flatnonzero(one.found).tolist() if one.face_ids[number] in index]
    return one.at(kept), other.at([index[one.face_ids[number]] for number in kept])


def together(one: Faces, other: Faces) -> Faces:
    """Return the faces that are in either; what is in both is taken from the first."""
    mine = set(one.face_ids)
    more = other.at([number for number, face_id in enumerate(other.face_ids) if face_id not in mine])
    return Faces(
        one.face_ids + more.face_ids,
        one.identities + more.identities,
        one.splits + more.splits,
        one.folds + more.folds,
        np.concatenate([one.embeddings, more.embeddings]),
    )


def write(path: Path, batches: Iterable[tuple[str, Faces]], size: int) -> int:
    """Write a table, whole or not at all, its rows by condition in groups of about `GROUP`; return how many it has.

    Args:
        path: the Parquet file.
        batches: a condition, and faces under it.
        size: numbers in an embedding.

    Raises:
        UnmaskError: an embedding holds something that is not finite, and is not NaN as a whole; the message names the
            face.
    """
    schema = pa.schema(
        [("face_id", pa.string()), ("identity", pa.string()), ("split", pa.string()), ("fold", pa.int8())]
        + [("condition", pa.string()), ("embedding", pa.list_(pa.float32(), size))]
    )
    waiting: dict[str, list[pa.RecordBatch]] = defaultdict(list)
    n = 0
    # Embeddings are no words that come again.
    options = {"compression": "zstd", "use_dictionary": ["identity", "split", "condition"]}
    with whole_file(path) as staging, pq.ParquetWriter(staging, schema, **options) as writer:
        for condition, faces in batches:
            lost = np.isnan(faces.embeddings).all(1)
            bad = ~np.isfinite(faces.embeddings).all(1) & ~lost
            if bad.any():
                raise UnmaskError(f"the embedding of {faces.face_ids[int(np.argmax(bad))]}, {condition}, is not finite")
            columns = [faces.face_ids, faces.identities, faces.splits, faces.folds, [condition] * len(faces)]
            values = pa.FixedSizeListArray.from_arrays(pa.array(faces.embeddings.ravel()), size, mask=pa.array(lost))
            arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=False)]
            waiting[condition].append(pa.record_batch([*arrays, values], schema=schema))
            n += len(faces)
            if sum(map(len, waiting[condition])) >= GROUP:
                writer.write_table(pa.Table.from_batches(waiting.pop(condition), schema))
        for some in waiting.values():
            writer.write_table(pa.Table.from_batches(some, schema))
    return n


def read(path: Path, wanted: Wanted | None = None, conditions: Collection[str] | None = None) -> Mapping[str, Faces]:
    """Return the faces of a table by condition, without memory for those that are not wanted.

    Args:
        path: what `write` wrote.
        wanted: which faces; None: all. A condition of which no face is wanted is there, and empty.
        conditions: which of them; None: all that the table has.

    Raises:
        UnmaskError: no such file.
    """
    with _opened(path) as file:
        size = file.schema_arrow.field("embedding").type.list_size
        counts = Counter[str]()
        groups = _groups(file, conditions)
        for condition, split, fold in _columns(file, ["condition", "split", "fold"], groups):
            if conditions is None or condition in conditions:
                counts[condition] += wanted is None or wanted(split, fold)
        rows = {condition: _Rows(np.empty((n, size), np.float32)) for condition, n in counts.items()}
        same: dict[str, str] = {}  # names are there under each condition; each is kept once
        for batch in file.iter_batches(ROWS, groups):
            embeddings = _embeddings(batch.column("embedding"), size)
            *names, folds = (batch.column(name).to_pylist() for name in KEYS)
            names = [[same.setdefault(name, name) for name in column] for column in names]
            under = np.array(batch.column("condition").to_pylist())
            kept = np.array([wanted is None or wanted(*of) for of in zip(names[2], folds, strict=True)], bool)
            for condition in rows.keys() & set(under.tolist()):
                rows[condition].add(np.flatnonzero(kept & (under == condition)), [*names, folds], embeddings)
    return {condition: Faces(*some.columns, some.embeddings) for condition, some in rows.items()}


def _give_back() -> None:
    """Give back to the system what a reading took: garbage waits, and glibc keeps what is free, so it adds up."""
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # where there is no glibc
        ctypes.CDLL(None).malloc_trim(0)


class OnDisk(Mapping[str, Faces]):
    """What `read` returns, but each condition is read anew when it is asked for: of many faces, all take much memory.

    Args:
        path: what `write` wrote.
        wanted: which faces; None: all.
        keep: returns those of the faces under a condition that are to be kept; None: all.

    Raises:
        UnmaskError: no such file.
    """

    def __init__(self, path: Path, wanted: Wanted | None = None, keep: Callable[[Faces], Faces] | None = None) -> None:
        self.path, self.wanted, self.keep = path, wanted, keep
        with _opened(path) as file:
            batches = file.iter_batches(columns=["condition"])
            self.conditions = list(
                dict.fromkeys(name for one in batches for name in one.column(0).unique().to_pylist())
            )

    def __getitem__(self, condition: str) -> Faces:
        """Return the faces under a condition."""
        found = read(self.path, self.wanted, [condition])[condition]
        if len(found) > ROWS:  # of fewer it is not worth the time
            _give_back()
        return self.keep(found) if self.keep else found

    def __contains__(self, condition: object) -> bool:
        """Tell whether the table has a condition."""
        return condition in self.conditions

    def __iter__(self) -> Iterator[str]:
        """Yield the conditions."""
        return iter(self.conditions)

    def __len__(self) -> int:
        """Return how many conditions there are."""
        return len(self.conditions)


def read_folds(path: Path) -> list[int]:
    """Return the folds of the people to train on, ascending; none if no network was trained without some of them.

    Raises:
        UnmaskError: no such file.
    """
    with _opened(path) as file:
        return sorted({fold for (fold,) in _columns(file, ["fold"]) if fold is not None})


def _opened(path: Path) -> pq.ParquetFile:
    if not path.is_file():
        raise UnmaskError(f"{path}: no such file; `dvc repro` writes it, `dvc pull` gets it")
    return pq.ParquetFile(path, pre_buffer=False)  # or the whole table would wait in memory


def _groups(file: pq.ParquetFile, conditions: Collection[str] | None) -> list[int]:
    """Return which groups of rows may be of some conditions, by what the file says of them; None: all."""
    column, groups = file.schema.names.index("condition"), range(file.num_row_groups)
    said = [file.metadata.row_group(group).column(column).statistics for group in groups]
    return [
        group
        for group, of in zip(groups, said, strict=True)
        if conditions is None
        or not (of and of.has_min_max)
        or any(of.min <= condition <= of.max for condition in conditions)
    ]


def _columns(file: pq.ParquetFile, names: list[str], groups: list[int] | None = None) -> Iterator[tuple[Any, ...]]:
    """Yield some columns of a table, row by row, of some groups of rows or of all."""
    for batch in file.iter_batches(ROWS, groups, names):
        yield from zip(*(batch.column(name).to_pylist() for name in names), strict=True)


class _Rows:
    """Rows of a condition as they are read: the columns `KEYS`, and room for all embeddings, float32 (n, d)."""

    def __init__(self, embeddings: NDArray[np.float32]) -> None:
        self.embeddings, self.columns = embeddings, [list[Any]() for _ in KEYS]

    def add(self, indices: NDArray[np.intp], columns: Sequence[list[Any]], embeddings: NDArray[np.float32]) -> None:
        """Add the rows at some indices."""
        start = len(self.columns[0])
        self.embeddings[start : start + len(indices)] = embeddings[indices]
        for column, more in zip(self.columns, columns, strict=True):
            column.extend(more[index] for index in indices)


def _embeddings(column: pa.FixedSizeListArray, size: int) -> NDArray[np.float32]:
    """Return the embeddings of a column, float32 (n, d); NaN where there is none."""
    first = column.offset * size
    values = np.array(column.values[first : first + len(column) * size], np.float32).reshape(-1, size)
    values[column.is_null().to_numpy(zero_copy_only=False)] = np.nan
    return values
