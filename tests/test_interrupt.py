"""Ctrl-C: one line, status 130, and nothing half-written, wherever a program is at that moment."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch.distributed.run
from torch.distributed.elastic.multiprocessing import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from stages.training import launch
from tests.conftest import ROOT, edit_params
from tests.test_launch import prepared

STOPPED = "stopped by Ctrl-C. Nothing half-written was kept."


def interrupted(command: list[str], folder: Path, until: str, **environment: str) -> tuple[int, str]:
    """Run a program, press Ctrl-C in its terminal once files of a pattern are there; return status and what it said."""
    settings = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1", **environment}
    said = folder / "said"
    with said.open("w") as file:
        # In the background of a shell, programs are deaf to Ctrl-C, and so are those that they start.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            command, cwd=folder, env=settings, start_new_session=True, stdout=subprocess.DEVNULL, stderr=file
        )
        signal.signal(signal.SIGINT, before)
    try:
        deadline = time.monotonic() + 120
        while not list(folder.glob(until)) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert list(folder.glob(until)), said.read_text()
        os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to all of its processes
        return process.wait(60), said.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stage_in_one_process_or_in_several(tmp_path: Path, workers: str):
    status, said = interrupted([sys.executable, "-m", "tests.slow_map"], tmp_path, "begun", UNMASK_WORKERS=workers)
    assert said == f"slow_map: {STOPPED}\n"
    assert status == 130
    assert sorted(path.name for path in tmp_path.iterdir()) == ["begun", "said"]


def test_a_stage_that_still_imports(tmp_path: Path):
    (tmp_path / "cv2.py").write_text("import pathlib, time; pathlib.Path('begun').touch(); time.sleep(100)\n")
    status, said = interrupted([sys.executable, "-m", "stages.landmarks.align_faces"], tmp_path, "begun")
    assert said == "stopped by Ctrl-C\n"
    assert status == -signal.SIGINT  # which a shell calls 130


def test_an_error_keeps_its_traceback(tmp_path: Path):
    (tmp_path / "cv2.py").write_text("raise ValueError('a bug')\n")
    command = [sys.executable, "-m", "stages.landmarks.align_faces"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(tmp_path)}, check=False, capture_output=True, text=True
    )
    assert "Traceback" in done.stderr
    assert "ValueError: a bug" in done.stderr


@pytest.mark.slow  # half a minute: three processes that import OpenMMLab
def test_a_training_in_two_processes(tmp_path: Path):
    folder = prepared(tmp_path, parallel__launcher="pytorch", parallel__processes=2)
    edit_params(folder, train_detector__schedule__steps=1000)
    words = ["--faces", "faces", "--templates", "templates", "--out", "weights", "--results", "results"]
    command = [sys.executable, "-W", "ignore", "-m", "stages.detection.train_detector", *words]
    checkpoints = ".scratch/train_detector/*/*"
    status, said = interrupted(command, folder, checkpoints, UNMASK_THREADS="1", PYTHONWARNINGS="ignore")
    assert said.splitlines()[-1] == f"train_detector: {STOPPED}"
    assert said.count("Ctrl-C") == 1
    assert "Traceback" not in said
    assert status == 130
    assert sorted(path.name for path in folder.iterdir()) == [".scratch", "faces", "params.yaml", "said", "templates"]


# ---------------------------------------------------------------- what torchrun ends with


def ended(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a training in several processes, which ends with an error of torchrun's."""

    def main(words: list[str]) -> None:
        assert words[:4] == ["--standalone", "--nproc-per-node=2", "-m", "stages.detection.train_detector"]
        raise error

    monkeypatch.setattr(torch.distributed.run, "main", main)
    monkeypatch.setattr(launch, "settings", lambda: SimpleNamespace(launcher="pytorch", processes=2))
    launch.run_stage("detection.train_detector")


def failed(exitcode: int) -> ChildFailedError:
    return ChildFailedError("train_detector", {1: ProcessFailure(1, 0, exitcode, "none")})


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (SignalException("", signal.SIGINT), 130, f"train_detector: {STOPPED}\n"),
        (SignalException("", signal.SIGTERM), 143, ""),
        (failed(1), 1, ""),  # which has said why
    ],
)
def test_a_training_ends_as_its_processes_do(
    error: Exception, status: int, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as ending:
        ended(error, monkeypatch)
    assert ending.value.code == status
    assert capsys.readouterr().err == said


def test_a_process_that_was_killed_is_named(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        SystemExit, match=r"process 1 was killed by signal 9, most likely for lack of memory: run again"
    ):
        ended(failed(-9), monkeypatch)
