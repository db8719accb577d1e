"""Trainings in several processes, as a user starts them: by params.yaml, or with torchrun."""

import csv
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT, TWO_PROCESSES, edit_params, face_row, free_port, run, write_table


def prepared(folder: Path, **changes: object) -> Path:
    """Return a folder with a table of faces and the params of two short steps of the detector."""
    write_table(folder / "faces", [face_row(index) for index in range(8)])
    (folder / "templates").mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    short = {"steps": 2, "batch_size": 2, "checkpoint_every": 1, "precision": "float32"}
    schedule = {f"train_detector__schedule__{name}": value for name, value in short.items()}
    edit_params(folder, train_detector__side=64, train_detector__looks=1, **schedule, **changes)
    return folder


def train(folder: Path, *launcher: str) -> dict[str, torch.Tensor]:
    words = ["--faces", "faces", "--templates", "templates", "--out", "weights", "--results", "results"]
    program = [sys.executable, *launcher, "-m", "stages.detection.train_detector", *words]
    run(*program, cwd=folder, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1", UNMASK_THREADS="1")
    return load_file(folder / "weights")


def train_on_two_nodes(folder: Path) -> dict[str, torch.Tensor]:
    """Start torchrun twice, as on two machines that share a disk."""
    nodes = ["-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
    nodes += ["--master-addr=127.0.0.1", f"--master-port={free_port()}"]
    with ThreadPoolExecutor(2) as pool:
        first, _ = pool.map(lambda rank: train(folder, *nodes, f"--node-rank={rank}"), range(2))
        return first


def losses(folder: Path) -> list[float]:
    with (folder / "curves/results.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.mark.slow  # a minute: seven processes that import OpenMMLab
def test_mask_rcnn_in_two_processes_is_as_in_one(tmp_path: Path):
    """What its batch norms saw is the same; proposals to learn from are drawn by chance, in each process others."""
    one = train(prepared(tmp_path / "one"))
    two = prepared(tmp_path / "two", parallel__launcher="pytorch", parallel__processes=2)
    by_torchrun = prepared(tmp_path / "torchrun", parallel__launcher="pytorch")
    on_nodes = prepared(tmp_path / "nodes", parallel__launcher="pytorch")
    for folder, found in (
        (two, train(two)),
        (by_torchrun, train(by_torchrun, *TWO_PROCESSES)),
        (on_nodes, train_on_two_nodes(on_nodes)),
    ):
        assert found.keys() == one.keys()
        statistics = [name for name in one if name.startswith("backbone.") and "running_" in name]
        assert len(statistics) > 10
        for name in statistics:
            assert torch.allclose(found[name], one[name], rtol=0.02, atol=2e-3), (folder.name, name)
        assert losses(folder) == pytest.approx(losses(tmp_path / "one"), rel=0.2)
