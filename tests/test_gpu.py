"""On a machine with a GPU: what is found there is what the CPU finds, but for rounding. `make test-gpu`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import run
from tests.test_device import FACES, NETWORKS

pytestmark = pytest.mark.gpu
RELATIVE, ABSOLUTE = 0.1, 0.1  # of a figure: trainings of two steps, rounded otherwise, of very few test faces
FEW = 0.01  # share of pixels or boxes that rounding may decide otherwise


@pytest.mark.parametrize("make", NETWORKS)
def test_networks_say_on_the_gpu_what_they_say_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], Callable[[Any], Any]]
):
    on_cpu = np.stack(make()(FACES)).astype(np.float64)
    monkeypatch.setenv("UNMASK_DEVICE", "cuda")
    from stages.recognition import dlib_embedding

    dlib_embedding._embedder.cache_clear()
    on_gpu = np.stack(make()(FACES)).astype(np.float64)
    dlib_embedding._embedder.cache_clear()
    dlib_embedding.network.cache_clear()
    assert np.mean(np.abs(on_gpu - on_cpu) > 1.01 * (on_cpu.max() > 1) + 1e-3) <= FEW


def figures(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield each number of the metrics files, by file and key."""

    def numbers(value: Any, name: str) -> Iterator[tuple[str, float]]:
        if isinstance(value, dict):
            for key, one in value.items():
                yield from numbers(one, f"{name}.{key}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)

    for file in sorted(folder.glob("*.json")):
        yield from numbers(json.loads(file.read_text()), file.stem)


@pytest.mark.xdist_group("repository")
def test_the_pipeline_gives_the_same_figures(small_repository: Path, tmp_path: Path):
    """Cold: a clone without data, cache or lock."""
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(small_repository), str(clone), cwd=tmp_path)
    (clone / "dvc.lock").unlink()
    run("dvc", "repro", cwd=clone, UNMASK_DEVICE="cuda")
    found, expected = dict(figures(clone / "metrics")), dict(figures(small_repository / "metrics"))
    assert found.keys() == expected.keys()
    off = {
        name: (found[name], value)
        for name, value in expected.items()
        if abs(found[name] - value) > ABSOLUTE + RELATIVE * abs(value)
    }
    assert not off
