"""Faces to train on, read by their number from a file on this machine's disk: memory does not grow with their images.

Parquet holds faces by the hundred, and whoever wants one must read them all. So the rows that a training learns from
are copied once, one behind the other. The order is then free: it is that of a training whose faces are all in memory.
"""

import os
import pickle
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, overload

import numpy as np
from numpy.typing import NDArray

from stages.core.tables import Face
from stages.training import launch

SCRATCH = Path(".scratch")


class Rows(Sequence[Face]):
    """Faces in a file, of which none is kept in memory; a slice is in the same file.

    Args:
        file: rows, pickled, one behind the other. It may be read from several processes at once.
        ends: int64 (n,), where in it each row ends.
        chosen: numbers of the rows that are these faces, int64 (m,).
    """

    def __init__(self, file: BinaryIO, ends: NDArray[np.int64], chosen: NDArray[np.int64]) -> None:
        self.file, self.ends, self.chosen = file, ends, chosen

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.chosen)

    @overload
    def __getitem__(self, index: int) -> Face: ...
    @overload
    def __getitem__(self, index: slice) -> "Rows": ...
    def __getitem__(self, index: int | slice) -> "Face | Rows":
        """Return a face, or some of them."""
        if isinstance(index, slice):
            return Rows(self.file, self.ends, self.chosen[index])
        row = int(self.chosen[index])
        start = int(self.ends[row - 1]) if row else 0
        data = os.pread(self.file.fileno(), int(self.ends[row]) - start, start)
        face: Face = pickle.loads(data)  # noqa: S301 -- written below, into a file that nobody else can open
        return face

    def where(self, wanted: Callable[[Face], bool]) -> "Rows":
        """Return the faces that are wanted."""
        return Rows(self.file, self.ends, self.chosen[np.array([wanted(face) for face in self], bool)])

    def outside(self, fold: int, fold_of: Mapping[str, int]) -> "Rows":
        """Return the faces of the people that are in another fold."""
        return self.where(lambda face: fold_of[face["identity"]] != fold)


def on_disk(faces: Iterable[Face]) -> Rows:
    """Return faces that lie on the disk; of a training's processes on one machine the first one puts them there.

    The file has no name, so it is gone when the last process that reads it ends, however that ends.

    Raises:
        UnmaskError: what reading the faces raises, in each process.
    """
    path = launch.first_here(_new_file)
    file = path.open("r+b", buffering=0)
    launch.first_here(lambda: None)  # all have opened it
    path.unlink(missing_ok=True)
    ends = launch.first_here(lambda: _write(file, faces))
    return Rows(file, ends, np.arange(len(ends)))


def _new_file() -> Path:
    SCRATCH.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(prefix="rows-", dir=SCRATCH)
    os.close(handle)
    return Path(name)


def _write(file: BinaryIO, faces: Iterable[Face]) -> NDArray[np.int64]:
    ends = []
    with open(os.dup(file.fileno()), "wb") as to:  # noqa: PTH123 -- a file that is open and has no path
        for face in faces:
            to.write(pickle.dumps(face))
            ends.append(to.tell())
    return np.array(ends, np.int64)
