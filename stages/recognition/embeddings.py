"""Tables of embeddings: one Parquet file, a row for each face and condition."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file

CONDITIONS = ("bare", "masked", "zeroed", "inpainted", "upper")
BARE_UPPER = "bare_upper"  # the upper half of the bare face, to compare the upper half with


@dataclass(frozen=True)
class Faces:
    """Faces under one condition.

    Attributes:
        face_ids: of the faces.
        identities: whom they show.
        splits: train, val or test.
        embeddings: float32 (n, d), of length 1.
    """

    face_ids: list[str]
    identities: list[str]
    splits: list[str]
    embeddings: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.face_ids)

    def at(self, indices: Sequence[int]) -> "Faces":
        """Return the faces at some indices."""
        columns = ([column[index] for index in indices] for column in (self.face_ids, self.identities, self.splits))
        return Faces(*columns, self.embeddings[list(indices)])

    def with_embeddings(self, embeddings: NDArray[np.float32]) -> "Faces":
        """Return the same faces with other embeddings."""
        return replace(self, embeddings=embeddings)

    def of(self, split: str) -> "Faces":
        """Return the faces of a split."""
        return self.at([index for index, name in enumerate(self.splits) if name == split])


def both(one: Faces, other: Faces) -> tuple[Faces, Faces]:
    """Return the faces that are in both, in the first one's order."""
    index = {face_id: number for number, face_id in enumerate(other.face_ids)}
    kept = [number for number, face_id in enumerate(one.face_ids) if face_id in index]
    return one.at(kept), other.at([index[one.face_ids[number]] for number in kept])


def together(one: Faces, other: Faces) -> Faces:
    """Return the faces that are in either; what is in both is taken from the first."""
    mine = set(one.face_ids)
    more = other.at([number for number, face_id in enumerate(other.face_ids) if face_id not in mine])
    return Faces(
        one.face_ids + more.face_ids,
        one.identities + more.identities,
        one.splits + more.splits,
        np.concatenate([one.embeddings, more.embeddings]),
    )


def write(path: Path, batches: Iterable[tuple[str, Faces]], size: int) -> int:
    """Write a table, whole or not at all; return how many embeddings it has.

    Args:
        path: the Parquet file.
        batches: a condition, and faces under it.
        size: numbers in an embedding.

    Raises:
        UnmaskError: an embedding holds something that is not finite; the message names the face.
    """
    schema = pa.schema(
        [("face_id", pa.string()), ("identity", pa.string()), ("split", pa.string()), ("condition", pa.string())]
        + [("embedding", pa.list_(pa.float32(), size))]
    )
    n = 0
    with whole_file(path) as staging, pq.ParquetWriter(staging, schema, compression="zstd") as writer:
        for condition, faces in batches:
            bad = ~np.isfinite(faces.embeddings).all(1)
            if bad.any():
                raise UnmaskError(f"the embedding of {faces.face_ids[int(np.argmax(bad))]}, {condition}, is not finite")
            columns = [faces.face_ids, faces.identities, faces.splits, [condition] * len(faces)]
            values = pa.FixedSizeListArray.from_arrays(pa.array(faces.embeddings.ravel()), size)
            writer.write_table(pa.table([*map(pa.array, columns), values], schema=schema))
            n += len(faces)
    return n


def read(path: Path) -> Mapping[str, Faces]:
    """Return the faces of a table by condition.

    Raises:
        UnmaskError: no such file.
    """
    if not path.is_file():
        raise UnmaskError(f"{path}: no such file; `dvc repro` writes it, `dvc pull` gets it")
    table = pq.read_table(path)
    conditions = np.array(table["condition"].to_pylist())
    size = table.schema.field("embedding").type.list_size
    values = table["embedding"].combine_chunks().flatten().to_numpy().reshape(-1, size)
    found = {}
    for condition in dict.fromkeys(conditions.tolist()):
        indices = np.flatnonzero(conditions == condition)
        some = table.take(indices)
        columns = (some[name].to_pylist() for name in ("face_id", "identity", "split"))
        found[condition] = Faces(*columns, np.ascontiguousarray(values[indices]))
    return found
