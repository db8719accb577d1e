"""Faces that a training reads from the disk by their number: the same ones as in memory, which they do not fill."""

import tracemalloc
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from stages.core import tables
from stages.core.errors import UnmaskError
from stages.recognition import training
from stages.training.rows import on_disk
from stages.training.samples import FaceSamples
from tests.conftest import face_row


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tables.Face]:
    monkeypatch.chdir(tmp_path)
    return [face_row(index, identity=f"p{index % 3}") for index in range(9)]


def test_rows_are_the_faces_in_their_order(faces: list[tables.Face]):
    rows = on_disk(iter(faces))
    assert len(rows) == len(faces)
    for index in (0, 8, -1, np.int64(4)):
        assert rows[index].keys() == faces[index].keys()
        np.testing.assert_equal(rows[index], faces[index])
    names = [face["face_id"] for face in faces]
    assert [row["face_id"] for row in rows] == names
    assert [row["face_id"] for row in rows[1:8:3]] == names[1:8:3]
    some = rows.outside(1, {"p0": 0, "p1": 1, "p2": 2})
    assert [row["face_id"] for row in some] == [face["face_id"] for face in faces if face["identity"] != "p1"]
    assert [row["identity"] for row in some.where(lambda face: face["identity"] != "p0")[-1:]] == ["p2"]
    assert len(on_disk([])) == len(on_disk([]).where(bool)) == 0
    with pytest.raises(IndexError):
        rows[9]


def test_nothing_is_left_behind(faces: list[tables.Face]):
    def broken() -> Iterator[tables.Face]:
        yield faces[0]
        raise UnmaskError("a part is damaged")

    kept = on_disk(faces)
    with pytest.raises(UnmaskError, match="damaged"):
        on_disk(broken())
    assert not list(Path(".scratch").iterdir())  # while they can still be read
    assert kept[3]["face_id"] == faces[3]["face_id"]


def test_memory_holds_no_image(faces: list[tables.Face]):
    megabyte = np.random.default_rng(0).bytes(2**20)
    tracemalloc.start()
    try:
        rows = on_disk({"face_id": f"d/p/{number}", "image": megabyte[:-1] + b"."} for number in range(60))
        assert sum(len(row["image"]) for row in rows) == 60 * 2**20
        assert tracemalloc.get_traced_memory()[1] < 5 * 2**20
    finally:
        tracemalloc.stop()


class Names(FaceSamples):
    """The bytes of each face, and a number by chance."""

    def sample(self, face: tables.Face, rng: np.random.Generator) -> dict:
        return {"inputs": [face["face_id"], face["image"]], "data_samples": float(rng.random())}


def test_workers_of_a_loader_read_at_the_same_time(faces: list[tables.Face]):
    found = list(DataLoader(Names(on_disk(faces), 0), batch_size=None, num_workers=2, sampler=range(18)))
    alone = Names(faces, 0)
    assert found == [alone[key] for key in range(18)]


def test_a_recognizer_learns_the_same_from_the_disk(faces: list[tables.Face]):
    schedule = {"steps": 4, "batch_size": 4, "learning_rate": 0.01, "weight_decay": 0.0, "checkpoint_every": 2}
    margin = {"margin": 2.0, "scale": 16.0, "folds": None}
    recipe = training.Recipe(
        network={"side": 32, "layers": [1] * 4, "channels": [8, 8, 16, 16], "embedding": 16, "dropout": 0.1},
        **dict.fromkeys(("sphereface", "cosface", "arcface"), margin),
        norm_softmax={"scale": 16.0, "folds": None},
        pretrained=None,
        sample_rate=1.0,
        schedule={**schedule, "precision": "float32"},
    )

    def weights(rows: Sequence[tables.Face]) -> dict[str, torch.Tensor]:
        samples = training.Samples(rows, 32, seed=3)
        options = {"start": recipe.start(), "name": "of_rows", "key": type(rows).__name__, "last": True}
        trained = training.fit("arcface", recipe, samples, **options)
        return trained.model.state_dict()

    one, other = weights(faces), weights(on_disk(faces))
    assert all(torch.equal(one[name], other[name]) for name in one)
