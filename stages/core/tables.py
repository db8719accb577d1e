"""Face tables: a folder of Parquet parts, one row a face, encoded images in a column.

A face goes to part `crc32(identity) % n_parts`; rows are sorted by `face_id`. So the same faces give the same bytes,
all photos of a person lie in one part, a changed face changes one file, and two tables of one dataset join part by
part without a lookup.
"""

import functools
import heapq
import itertools
import zlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stages.core import parallel
from stages.core.errors import UnmaskError
from stages.core.outputs import PARTS, whole_file, whole_folder

T = TypeVar("T")


Face = dict[str, Any]
"""One row: column name to value. Landmarks are float32 (68, 2), images and masks are encoded bytes."""


class NoFacesError(UnmaskError):
    """A table has no face of the kind that was asked for."""


COLUMNS: dict[str, pa.DataType] = {
    "face_id": pa.string(),  # <dataset>/<identity>/<name>: unique and stable
    "identity": pa.string(),  # unique within the dataset
    "sex": pa.string(),  # female, male or null
    "split": pa.string(),  # train, val or test; the same for all faces of an identity
    "wears_mask": pa.bool_(),  # a real mask in the photo; null if nobody said
    "image": pa.binary(),  # PNG or JPEG, 8-bit gray or RGB
    "landmarks": pa.list_(pa.float32(), 136),  # 68 points x, y in pixels, 300-W order; null if none were found
    "landmarks_by": pa.string(),  # which backend and detector gave them
    "face_type": pa.string(),  # <profile 0|1>_<blurred 0|1>, as Face_Mask_Generator writes it
    "labels": pa.binary(),  # PNG of class ids, the size of the image
    "labels_by": pa.string(),  # publisher, or landmarks (weak labels, drawn from them)
    "mask": pa.binary(),  # PNG, 255 where a drawn mask covers the image, else 0
    "mask_style": pa.string(),  # null if no mask was drawn
    "mask_position": pa.string(),  # proper, below_nose or chin
    "mask_color": pa.string(),  # #rrggbb of the fabric
    "found_mask": pa.binary(),  # PNG, 255 where a mask was found and removed or filled, else 0
    "inpainter": pa.string(),  # which generator filled that: female, male or shared; null if nothing was filled
}
SPLITS = ("train", "val", "test")
SEXES = ("female", "male")

MAX_FACES_A_PART = 1000
MIN_PARTS = 32  # so that a small dataset, too, keeps several workers busy to the end
MAX_PARTS = 2**16  # names have five digits; reached only if the names of two large people have one checksum
FACES_A_ROW_GROUP = 100  # what is in memory at once when a part is read or written


def n_parts(faces_by_identity: Mapping[str, int]) -> int:
    """Return how many parts a dataset takes: the least power of two from 32 on that leaves no part above 1,000 faces.

    A person with more than 1,000 faces still lies in one part; that person's part may then be larger.
    """
    parts = MIN_PARTS
    while parts < MAX_PARTS:
        sizes: Counter[int] = Counter()
        largest: Counter[int] = Counter()
        for identity, faces in faces_by_identity.items():
            part = part_of(identity, parts)
            sizes[part] += faces
            largest[part] = max(largest[part], faces)
        if all(size <= max(MAX_FACES_A_PART, largest[part]) for part, size in sizes.items()):
            break
        parts *= 2
    return parts


def part_of(identity: str, parts: int) -> int:
    """Return the part that holds a person's faces."""
    return zlib.crc32(identity.encode()) % parts


def part_name(part: int) -> str:
    """Return the file name of a part."""
    return f"part-{part:05d}.parquet"


def parts(folder: Path, needs: Collection[str] = ()) -> list[Path]:
    """Return the parts of a table in order, after checking that each has the columns `needs`, of the right type.

    One part alone is a table, too: whatever reads a table reads a part of it by its path.

    Raises:
        UnmaskError: no table there, a part is damaged, or a column is missing or of another type.
    """
    paths = [folder] if folder.is_file() else sorted(folder.glob(PARTS))
    if not paths:
        raise UnmaskError(f"{folder} is no face table: it holds no {PARTS} file")
    for path in paths:
        try:
            schema = pq.read_schema(path)
        except (pa.ArrowInvalid, OSError) as error:
            raise UnmaskError(f"{path} is no whole Parquet file: {error}") from None
        for name in ("face_id", "identity", *needs):
            if name not in schema.names:
                raise UnmaskError(f"{path} has no column {name!r}; it has {', '.join(schema.names)}")
        for field in schema:
            if field.name not in COLUMNS:
                raise UnmaskError(f"{path} has a column {field.name!r} that no face table knows")
            if not field.type.equals(COLUMNS[field.name]):
                raise UnmaskError(f"{path}: column {field.name!r} is {field.type}, not {COLUMNS[field.name]}")
    return paths


def columns(folder: Path) -> list[str]:
    """Return the columns of a table in their order."""
    return list(pq.read_schema(parts(folder)[0]).names)


def read_part(path: Path, only: Sequence[str] | None = None) -> Iterator[Face]:
    """Yield the faces of a part in order, at most a row group of them in memory; `only` names the columns wanted."""
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=FACES_A_ROW_GROUP, columns=only):
            yield from map(_face, batch.to_pylist())


def _face(row: Face) -> Face:
    if row.get("landmarks") is not None:
        row["landmarks"] = np.asarray(row["landmarks"], np.float32).reshape(68, 2)
    return row


def read(folder: Path, only: Sequence[str] | None = None) -> Iterator[Face]:
    """Yield all faces of a table, part by part."""
    for path in parts(folder, only or ()):
        yield from read_part(path, only)


def bare(
    folder: Path, only: Sequence[str], split: str, *, sex: str | None = None, with_landmarks: bool = True
) -> Iterator[Face]:
    """Yield the faces of a table that wear no real mask.

    Args:
        folder: the table; it may lack the columns `wears_mask` and `sex`.
        only: the columns wanted.
        split: of the faces.
        sex: of the faces; None: all, also such of whom nobody knows.
        with_landmarks: whether a face without landmarks is left out.

    Raises:
        NoFacesError: there is none.
    """
    wanted = dict.fromkeys([*only, "split", "landmarks", "wears_mask", "sex"])
    has, found = columns(folder), False
    for face in read(folder, [name for name in wanted if name in has or name not in {"wears_mask", "sex"}]):
        if face.get("wears_mask") or face["split"] != split or sex not in {None, face.get("sex")}:
            continue
        if face["landmarks"] is not None or not with_landmarks:
            found = True
            yield face
    if not found:
        which = f"bare {f'{sex} ' if sex else ''}face{' with landmarks' if with_landmarks else ''}"
        raise NoFacesError(f"{folder} has no {which} in split {split!r}")


def joined(
    first: Path, second: Path, only_first: Sequence[str], only_second: Sequence[str]
) -> Iterator[tuple[Face, Face]]:
    """Yield the faces of two tables of one dataset pairwise, in order; a face that only one of them has is left out.

    The columns wanted of each hold `face_id`.
    """
    beside = second / first.name if first.is_file() else second
    others = {path.name: path for path in parts(beside, only_second)} if beside == second or beside.exists() else {}
    for path in parts(first, only_first):
        if path.name in others:
            both = (read_part(path, only_first), read_part(others[path.name], only_second))
            for face, other in itertools.pairwise(heapq.merge(*both, key=lambda face: face["face_id"])):
                if face["face_id"] == other["face_id"]:
                    yield face, other


def sample(folder: Path, n: int, *, by: Sequence[str] = (), first: Callable[[Face], bool] | None = None) -> list[Face]:
    """Return at most `n` faces spread evenly over a table, for a person to look at.

    Those for which `first` is true come before any other; it looks at the columns `by`, which hold no images.
    """
    paths = parts(folder, by)
    ends = np.cumsum([pq.read_metadata(path).num_rows for path in paths])
    looked_at = ["face_id", *by]
    rows = (face for path in paths for face in read_part(path, looked_at)) if first else ()
    is_first = np.fromiter(map(first, rows), bool) if first else np.zeros(ends[-1], bool)
    preferred, others = np.flatnonzero(is_first), np.flatnonzero(~is_first)
    chosen = preferred[evenly(range(len(preferred)), n)].tolist()
    chosen += others[evenly(range(len(others)), n - len(chosen))].tolist()
    places = [(int(np.searchsorted(ends, row, "right")), row) for row in chosen]
    return [_row(paths[part], row - (int(ends[part - 1]) if part else 0)) for part, row in places]


def evenly(items: Sequence[T], n: int) -> list[T]:
    """Return at most `n` of some items, spread evenly."""
    return list(items) if len(items) <= n else [items[index * len(items) // n] for index in range(n)]


def _row(path: Path, row: int) -> Face:
    with pq.ParquetFile(path) as file:
        group = row // FACES_A_ROW_GROUP
        return _face(file.read_row_group(group).slice(row % FACES_A_ROW_GROUP, 1).to_pylist()[0])


def count_by(faces: Iterable[Face], name: str) -> dict[str, int]:
    """Return how many of the faces have which value in a column."""
    return dict(sorted(Counter(str(face[name]) for face in faces).items()))


def count(folder: Path) -> int:
    """Return how many faces a table holds, from the parts' footers."""
    return sum(pq.read_metadata(path).num_rows for path in parts(folder))


def write_part(path: Path, faces: Iterable[Face], names: Sequence[str]) -> int:
    """Write one part, whole or not at all, a row group at a time; return the number of faces.

    Args:
        path: the part, in a folder that is there.
        faces: rows in ascending order of `face_id`; each has all of `names` and no other column.
        names: the columns in their order.

    Raises:
        UnmaskError: a row that breaks these rules, named by its face_id.
    """
    schema = pa.schema([(name, COLUMNS[name]) for name in names])
    written, last = 0, ""
    with (
        whole_file(path, in_whole_folder=True) as staging,
        pq.ParquetWriter(staging, schema, compression="zstd", use_dictionary=False) as to,
    ):
        rows = iter(faces)
        while group := list(itertools.islice(rows, FACES_A_ROW_GROUP)):
            for face in group:
                _check(face, names, last)
                last = face["face_id"]
            to.write_table(_table(group, schema))
            written += len(group)
        if not written:
            to.write_table(_table([], schema))
    return written


def _check(face: Face, names: Sequence[str], last: str) -> None:
    face_id = str(face.get("face_id"))
    if not is_face_id(face_id):
        raise UnmaskError(f"{face_id!r} is no face_id: it must be <dataset>/<identity>/<name>")
    if face_id <= last:
        raise UnmaskError(f"face {face_id} comes after {last}: face_ids must be unique and ascending")
    if face.keys() != set(names):
        odd = sorted(face.keys() ^ set(names))
        raise UnmaskError(f"face {face_id}: column {odd[0]!r} is {'missing' if odd[0] in names else 'not expected'}")
    for name, choices in (("split", SPLITS), ("sex", SEXES)):
        if face.get(name) not in {None, *choices}:
            raise UnmaskError(f"face {face_id}: {name} is {face[name]!r}, not one of {', '.join(choices)}")
    points = face.get("landmarks")
    if points is not None and (np.shape(points) != (68, 2) or not np.isfinite(points).all()):
        raise UnmaskError(f"face {face_id}: landmarks are not 68 finite points")


def is_face_id(text: object) -> bool:
    """Tell whether `text` is a face_id: `<dataset>/<identity>/<name>`, no part of which could lead out of a folder."""
    if not isinstance(text, str) or "\\" in text or not text.isprintable():
        return False
    steps = text.split("/")
    return len(steps) == 3 and all(step.strip() and step not in {".", ".."} for step in steps)


def _table(faces: list[Face], schema: pa.Schema) -> pa.Table:
    rows = [
        face if face.get("landmarks") is None else {**face, "landmarks": np.ravel(face["landmarks"]).tolist()}
        for face in faces
    ]
    try:
        return pa.Table.from_pylist(rows, schema)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise UnmaskError(f"faces {faces[0]['face_id']} to {faces[-1]['face_id']}: {error}") from None


def map_parts(function: Callable[[Path], T], folder: Path, *, needs: Sequence[str], label: str) -> list[T]:
    """Return what a function returns of each part of a table, in their order, computed in parallel.

    Args:
        function: takes a part's path. Must be picklable, and paths in it absolute.
        folder: the table.
        needs: columns that `function` reads.
        label: what the progress bar is called.

    Raises:
        UnmaskError: the table is missing, damaged or without such a column, or one of the function's own.
    """
    paths = [path.absolute() for path in parts(folder, needs)]
    return parallel.run(function, paths, sizes=[pq.read_metadata(path).num_rows for path in paths], label=label)


Mapped = tuple[Face | None, Mapping[str, float]]
FacesFunction = Callable[[Sequence[Face]], Sequence[Mapped]]


@dataclass(frozen=True)
class Beside:
    """A table of which some columns are read together with another one: both have the same faces in the same parts."""

    table: Path
    columns: tuple[str, ...]


def map_faces(
    function: Callable[[Face], Mapped], faces: Path, out: Path, *, needs: Sequence[str] = (), adds: Sequence[str] = ()
) -> Counter[str]:
    """Make table `out` from table `faces`, one face at a time; see `map_many`, whose function takes several."""
    return map_many(functools.partial(_each, function=function), faces, out, needs=needs, adds=adds, at_once=1)


def _each(faces: Sequence[Face], function: Callable[[Face], Mapped]) -> list[Mapped]:
    return [function(face) for face in faces]


def map_many(
    function: FacesFunction,
    faces: Path,
    out: Path,
    *,
    needs: Sequence[str] = (),
    adds: Sequence[str] = (),
    beside: Beside | None = None,
    at_once: int = FACES_A_ROW_GROUP,
) -> Counter[str]:
    """Make table `out` from table `faces`, some faces at a time, in parallel over the parts.

    Args:
        function: maps each of some faces to a face with the columns `adds` added (None leaves it out), and to numbers
            to sum over all faces, by name. Must be picklable, and no face's result may depend on the others.
        faces: the table to read.
        out: the table to write; it appears when it is whole.
        needs: columns that `function` reads.
        adds: columns that `function` adds (or replaces).
        beside: another table of the same faces, of which `function` reads columns, too.
        at_once: so many faces of a part are handed over, or what is left of them.

    Returns:
        The sums of the numbers over all faces, and as `faces` how many were read.

    Raises:
        UnmaskError: a table is missing, damaged or without such a column, the other one has other faces, or a face
            cannot be mapped.
    """
    sources = parts(faces, needs)
    if beside is not None:
        parts(beside.table, beside.columns)
        beside = replace(beside, table=beside.table.absolute())
    names = [*columns(faces), *(name for name in adds if name not in columns(faces))]
    with whole_folder(out, PARTS) as staging:
        work = functools.partial(
            _map_part, function=function, out=staging.absolute(), names=names, beside=beside, at_once=at_once
        )
        totals = parallel.run(
            work,
            [path.absolute() for path in sources],
            sizes=[pq.read_metadata(path).num_rows for path in sources],
            label=out.as_posix(),
        )
    total: Counter[str] = Counter()
    for numbers in totals:
        total.update(numbers)  # not +, which drops what is not positive
    return total


def _map_part(
    path: Path, function: FacesFunction, out: Path, names: Sequence[str], beside: Beside | None, at_once: int
) -> Counter[str]:
    totals: Counter[str] = Counter()

    def mapped() -> Iterator[Face]:
        rows = read_part(path) if beside is None else _with(beside, path)
        while some := list(itertools.islice(rows, at_once)):
            for result, numbers in _called(function, some, path):
                totals.update(numbers, faces=1)
                if result is not None:
                    yield result

    write_part(out / path.name, mapped(), names)
    return totals


def _called(function: FacesFunction, faces: Sequence[Face], path: Path) -> Sequence[Mapped]:
    try:
        return function(faces)
    except UnmaskError as error:
        if len(faces) > 1:  # one at a time, to say which it is
            return [one for face in faces for one in _called(function, [face], path)]
        raise UnmaskError(f"{path}, face {faces[0]['face_id']}: {error}") from None


def _with(beside: Beside, path: Path) -> Iterator[Face]:
    """Yield the faces of a part, each with its columns of the table beside it."""
    other = beside.table / path.name
    others = read_part(other, ["face_id", *beside.columns]) if other.exists() else iter(())
    for face, more in itertools.zip_longest(read_part(path), others):
        if face is None or more is None or face["face_id"] != more["face_id"]:
            raise UnmaskError(f"{other} has other faces than {path}: one of the two tables is to be made anew")
        yield {**face, **more}
