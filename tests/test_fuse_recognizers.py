"""fuse_recognizers: two recognizers as one, whose scores are weighted sums, with weights that people of val choose."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.compute import weights
from stages.core.errors import UnmaskError
from stages.recognition import embedders, embeddings, fuse_recognizers, networks, recognizer, teachers
from stages.recognition.embeddings import Faces
from stages.tools.exporting import recognizers
from stages.tools.exporting.graph import NotExportedError
from tests.conftest import drawn_face

PEOPLE, PHOTOS, NUMBERS = 6, 4, 8
PARAMS = fuse_recognizers.Params()
SOME = [drawn_face(index) for index in range(4)]


def of_length_1(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def table(path: Path, noise: float, split: str = "val", seed: int = 0) -> Path:
    """Write embeddings of people, bare and masked: the masked ones with much noise, if there is much."""
    rng = np.random.default_rng(seed)
    people = np.repeat(rng.normal(size=(PEOPLE, NUMBERS)), PHOTOS, 0)
    names = [f"p{index // PHOTOS}" for index in range(len(people))]
    ids = [f"drawn/{name}/{index}" for index, name in enumerate(names)]
    parts = [
        (name, Faces(ids, names, [split] * len(ids), [None] * len(ids), of_length_1(people + spread)))
        for name, spread in (("bare", 0.0), ("masked", noise * rng.normal(size=people.shape)))
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    embeddings.write(path, parts, NUMBERS)
    return path


def trained(path: Path, seed: int, fold_of: dict[str, int] | None = None) -> Path:
    torch.manual_seed(seed)
    network = networks.Network(side=32, layers=[1, 1, 1, 1], channels=[8, 8, 8, 8], embedding=8, dropout=0.0)
    about = recognizer.header("arcface", "bare", network, fold_of or {})
    weights.save(path, recognizer.joined(network.build(), []), about)
    return path


@pytest.fixture
def two(tmp_path: Path) -> list[Path]:
    folds = {"someone": 0, "another": 1}
    return [
        trained(tmp_path / "recognizer-one.safetensors", 1, folds),
        trained(tmp_path / "recognizer-other.safetensors", 2),
    ]


def fused(two: list[Path], noise: tuple[float, float], seeds: tuple[int, int] = (0, 1)) -> tuple[Path, dict]:
    folder = two[0].parent
    for name, spread, seed in zip(("one", "other"), noise, seeds, strict=True):
        table(folder / f"embeddings/{name}.parquet", spread, seed=seed)
    out = folder / "recognizer-one+other.safetensors"
    return out, fuse_recognizers.fuse_recognizers(*two, folder / "embeddings", out, PARAMS)


def test_a_score_is_the_weighted_sum_of_both(two: list[Path]):
    out, said = fused(two, (1.0, 1.0))
    first, second = said["weights"]["one"], said["weights"]["other"]
    assert first + second == pytest.approx(1)
    faces, points = [list(column) for column in zip(*SOME, strict=True)]
    one, other, both = (embedders.load(path)(faces, points) for path in (*two, out))
    assert both.shape == (4, 16)
    assert np.allclose(np.linalg.norm(both, axis=1), 1, atol=1e-6)
    assert np.allclose(both @ both.T, first * one @ one.T + second * other @ other.T, atol=1e-6)
    assert not embedders.knows_nobody(out)
    assert embedders.load_folds(out) is None


@pytest.mark.parametrize("noise", [(0.3, 3.0), (3.0, 0.3)])
def test_the_better_one_counts_more(two: list[Path], noise: tuple[float, float]):
    _, said = fused(two, noise)
    assert (said["weights"]["one"] > 0.5) == (noise[0] < noise[1])
    assert said["val"]["both"]["decidability"] > max(said["val"][name]["decidability"] for name in ("one", "other"))


def test_two_of_a_kind_count_alike_and_give_what_each_gives(two: list[Path]):
    _, said = fused(two, (1.0, 1.0), (0, 0))
    assert said["weights"] == {"one": 0.5, "other": 0.5}
    assert said["val"]["both"] == pytest.approx(said["val"]["one"], abs=1e-3)


def test_nobody_to_choose_by_is_told(two: list[Path]):
    folder = two[0].parent
    for name in ("one", "other"):
        table(folder / f"embeddings/{name}.parquet", 1.0, split="test")
    with pytest.raises(UnmaskError, match=r"split 'val' of .* has no two people .* see clean\.split"):
        fuse_recognizers.fuse_recognizers(*two, folder / "embeddings", folder / "out.safetensors", PARAMS)
    assert not (folder / "out.safetensors").exists()


def test_two_side_by_side_are_neither_fused_again_nor_taught_nor_exported(two: list[Path]):
    out, _ = fused(two, (1.0, 1.0))
    with pytest.raises(UnmaskError, match=r"one\+other\.safetensors is of two recognizers itself"):
        fuse_recognizers.fuse_recognizers(out, two[1], two[0].parent / "embeddings", out.with_stem("three"), PARAMS)
    with pytest.raises(UnmaskError, match="cannot be taught: it is two recognizers side by side"):
        teachers.load(out)
    with pytest.raises(NotExportedError, match="export each of them"):
        recognizers.graph(out)
