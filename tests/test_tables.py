"""Face tables: same bytes for the same faces, nothing half-written, every broken rule named."""

import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.core import tables
from stages.core.errors import UnmaskError
from tests.conftest import ROOT, face_row, write_table


def test_round_trip(tmp_path: Path):
    rows = [face_row(index, identity="a") for index in range(3)]
    rows[1]["landmarks"] = None
    tables.write_part(tmp_path / "part-00000.parquet", rows, list(rows[0]))
    back = list(tables.read(tmp_path))
    assert [face["face_id"] for face in back] == [face["face_id"] for face in rows]
    assert back[0]["image"] == rows[0]["image"]
    assert back[1]["landmarks"] is None
    np.testing.assert_array_equal(back[2]["landmarks"], rows[2]["landmarks"])
    assert tables.count(tmp_path) == 3
    assert tables.columns(tmp_path) == list(rows[0])


def test_many_row_groups_keep_their_order(tmp_path: Path):
    rows = [{"face_id": f"d/a/{index:04d}", "identity": "a"} for index in range(333)]
    assert tables.write_part(tmp_path / "part-00000.parquet", iter(rows), ["face_id", "identity"]) == 333
    assert pq.read_metadata(tmp_path / "part-00000.parquet").num_row_groups == 4
    assert list(tables.read(tmp_path)) == rows
    sample = tables.sample(tmp_path, 5, by=["identity"], first=lambda face: face["face_id"].endswith("250"))
    assert "d/a/0250" in [face["face_id"] for face in sample]
    assert len(sample) == 5


@pytest.mark.parametrize("n", [1, 5, 12, 100])
def test_a_sample_is_spread_over_all_parts_and_has_the_preferred_first(tmp_path: Path, n: int):
    write_table(tmp_path / "faces", [face_row(index) for index in range(40)])
    names = [face["face_id"] for face in tables.read(tmp_path / "faces")]
    wanted = {name for place, name in enumerate(names) if place % 5 == 0}
    sample = tables.sample(tmp_path / "faces", n, first=lambda face: face["face_id"] in wanted)
    preferred = tables.evenly([name for name in names if name in wanted], n)
    others = tables.evenly([name for name in names if name not in wanted], n - len(preferred))
    assert [face["face_id"] for face in sample] == preferred + others
    assert [face["face_id"] for face in tables.sample(tmp_path / "faces", n)] == tables.evenly(names, n)


def test_same_faces_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        write_table(tmp_path / name, [face_row(index) for index in range(12)])
    for path in tables.parts(tmp_path / "one"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_changed_face_changes_one_part(tmp_path: Path):
    faces = [face_row(index) for index in range(12)]
    write_table(tmp_path / "one", faces)
    faces[5]["image"] = faces[6]["image"]
    write_table(tmp_path / "two", faces)
    changed = [
        path.name
        for path in tables.parts(tmp_path / "one")
        if path.read_bytes() != (tmp_path / "two" / path.name).read_bytes()
    ]
    assert changed == [tables.part_name(tables.part_of(faces[5]["identity"], tables.MIN_PARTS))]


def test_known_parts():
    assert tables.part_of("123456789", 1000) == 0xCBF43926 % 1000  # the check value of CRC-32
    assert tables.n_parts({f"s{index}": 10 for index in range(1, 41)}) == 32
    assert tables.n_parts({f"p{index}": 10 for index in range(8000)}) == 128
    assert tables.n_parts({"everybody": 5000}) == 32  # one person is never cut in two


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.integers(1, 900), min_size=1, max_size=60))
def test_no_part_is_too_large(faces: dict[str, int]):
    parts = tables.n_parts(faces)
    sizes = Counter[int]()
    for identity, count in faces.items():
        sizes[tables.part_of(identity, parts)] += count
    assert max(sizes.values()) <= tables.MAX_FACES_A_PART


@pytest.mark.parametrize("bad", ["", "a/b", "a/b/c/d", "a//c", "a/../c", "a/b/.", "a/b\\c/d", "a/b/c\n", None, 3])
def test_bad_face_ids(bad: object):
    assert not tables.is_face_id(bad)


def test_good_face_ids():
    assert tables.is_face_id("lfw/Zoë Ball/0001")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"face_id": "nonsense"}, "'nonsense' is no face_id"),
        ({"face_id": "drawn/p0/000"}, "comes after drawn/p0/000"),
        ({"split": "trian"}, "split is 'trian', not one of train, val, test"),
        ({"landmarks": np.zeros((67, 2))}, "landmarks are not 68 finite points"),
        ({"landmarks": np.full((68, 2), np.nan)}, "landmarks are not 68 finite points"),
        ({"mask": b""}, "column 'mask' is not expected"),
        ({"image": 3}, "drawn/p0/000 to drawn/p0/001"),
    ],
)
def test_a_row_that_breaks_the_rules_is_named(tmp_path: Path, change: dict[str, object], message: str):
    rows = [face_row(0), {**face_row(1), **change}]
    with pytest.raises(UnmaskError, match=message):
        tables.write_part(tmp_path / "part-00000.parquet", rows, list(face_row(0)))
    assert list(tmp_path.iterdir()) == []


def test_missing_column_in_a_row(tmp_path: Path):
    row = face_row(0)
    names = list(row)
    del row["split"]
    with pytest.raises(UnmaskError, match="column 'split' is missing"):
        tables.write_part(tmp_path / "part-00000.parquet", [row], names)


def test_reading_checks_the_schema(table: Path, tmp_path: Path):
    with pytest.raises(UnmaskError, match=r"part-\d+\.parquet has no column 'mask'; it has face_id"):
        tables.parts(table, ["mask"])
    with pytest.raises(UnmaskError, match="is no face table"):
        tables.parts(tmp_path)
    part = tables.parts(table)[0]
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnmaskError, match=f"{part.name} is no whole Parquet file"):
        tables.parts(table)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array(["a"]), "column 'landmarks' is string, not fixed_size_list"),
        (None, "has a column 'color' that no face table knows"),
    ],
)
def test_foreign_columns(tmp_path: Path, column: pa.Array | None, message: str):
    content = {"face_id": ["d/a/1"], "identity": ["a"]}
    content |= {"color": ["red"]} if column is None else {"landmarks": column}
    pq.write_table(pa.table(content), tmp_path / "part-00000.parquet")
    with pytest.raises(UnmaskError, match=message):
        tables.parts(tmp_path)


def number_face(face: tables.Face, fail_on: str = "") -> tuple[tables.Face | None, dict[str, float]]:
    if face["face_id"] == fail_on:
        raise UnmaskError("it is broken")
    if face["face_id"].endswith("7"):
        return None, {"dropped": 1, "never": 0}
    return {**face, "mask_style": face["identity"]}, {"half": 0.5, "never": 0}


def test_bare_faces_are_those_without_a_real_mask(tmp_path: Path):
    rows = [face_row(index) for index in range(8)]
    for index, row in enumerate(rows):
        row |= {"wears_mask": [True, False, None][index % 3], "sex": ["female", None][index % 2]}
    rows[1]["landmarks"] = None
    folder = write_table(tmp_path / "faces", rows)
    only = ["face_id", "identity"]

    def found(**options: object) -> list[str]:
        return [row["face_id"] for row in tables.bare(folder, only, rows[0]["split"], **options)]

    here = [row for row in rows if row["split"] == rows[0]["split"] and not row["wears_mask"]]
    ids = sorted(row["face_id"] for row in here)
    assert sorted(found(with_landmarks=False)) == ids
    assert sorted(found()) == sorted(row["face_id"] for row in here if row["landmarks"] is not None)
    women = sorted(row["face_id"] for row in here if row["sex"] == "female" and row["landmarks"] is not None)
    assert sorted(found(sex="female")) == women
    assert 0 < len(women) < len(ids)
    with pytest.raises(UnmaskError, match="no bare male face with landmarks in split"):
        found(sex="male")
    plain = [{name: value for name, value in face_row(0).items() if name not in {"wears_mask", "sex"}}]
    assert len(list(tables.bare(write_table(tmp_path / "plain", plain), only, plain[0]["split"]))) == 1


def test_map_faces_is_the_same_with_one_and_two_workers(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    results = []
    for workers in ("1", "2"):
        monkeypatch.setenv("UNMASK_WORKERS", workers)
        out = tmp_path / workers
        numbers = tables.map_faces(number_face, table, out, adds=["mask_style"])
        results.append((numbers, {path.name: path.read_bytes() for path in tables.parts(out)}))
    assert results[0] == results[1]
    assert results[0][0] == {"faces": 12, "dropped": 1, "half": 5.5, "never": 0}
    assert [face["mask_style"] for face in tables.read(tmp_path / "1")] == [
        face["identity"] for face in tables.read(table) if not face["face_id"].endswith("7")
    ]


def test_map_faces_is_the_same_on_a_dask_cluster(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from distributed import LocalCluster

    tables.map_faces(number_face, table, tmp_path / "here", adds=["mask_style"])
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        monkeypatch.setenv("UNMASK_SCHEDULER", cluster.scheduler_address)
        tables.map_faces(number_face, table, tmp_path / "there", adds=["mask_style"])
    for path in tables.parts(tmp_path / "here"):
        assert path.read_bytes() == (tmp_path / "there" / path.name).read_bytes()


def test_an_error_names_the_face_and_leaves_nothing(table: Path, tmp_path: Path):
    with pytest.raises(UnmaskError, match=r"part-\d+\.parquet, face drawn/p1/005: it is broken"):
        tables.map_faces(partial(number_face, fail_on="drawn/p1/005"), table, tmp_path / "out", adds=["mask_style"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces"]


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_leaves_nothing(table: Path, tmp_path: Path):
    with pytest.raises(OSError, match="No space left"):
        tables.map_faces(number_face, table, tmp_path / "out", adds=["mask_style"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces"]


def test_a_killed_run_leaves_no_table(table: Path, tmp_path: Path):
    """The process is killed in the middle of the second part, as by `kill -9`."""
    script = f"""
import os, signal
from pathlib import Path
from stages.core import tables
seen = []
def kill(face):
    seen.append(face["identity"])
    if len(set(seen)) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return face, {{}}
tables.map_faces(kill, Path({str(table)!r}), Path({str(tmp_path / "out")!r}))
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, env={"UNMASK_WORKERS": "1"})
    assert done.returncode == -9
    assert not (tmp_path / "out").exists()
    # The next run is not disturbed by what the dead one left.
    tables.map_faces(number_face, table, tmp_path / "out", adds=["mask_style"])
    assert tables.count(tmp_path / "out") == 11
    assert sorted(path.name for path in tmp_path.iterdir()) == ["faces", "out"]


def test_a_users_folder_is_never_replaced(table: Path, tmp_path: Path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "holiday.jpg").write_bytes(b"precious")
    with pytest.raises(UnmaskError, match=r"already holds 'holiday\.jpg'"):
        tables.map_faces(number_face, table, pictures, adds=["mask_style"])
    assert (pictures / "holiday.jpg").read_bytes() == b"precious"
