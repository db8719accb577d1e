"""What a run will cost is said before it, and while it goes on; precision is what the device is good at."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from stages.core import costs, parallel, progress, reproducible
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.tools import forecast
from stages.training import precision, speed
from tests.conftest import ROOT

HERE = {"network": 20.0, "single": 5.0}


# ---------------------------------------------------------------- precision


def supported(monkeypatch: pytest.MonkeyPatch, *, onednn: bool, **has: object) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    known = {"architecture": "x86_64", "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {**known, **has})


@pytest.mark.parametrize(
    ("onednn", "has", "expected"),
    [
        (False, {"avx512_bf16": True}, "float32"),  # oneDNN was told to use AVX2
        (True, {"avx512_bf16": True}, "bfloat16"),
        (True, {"amx_bf16": True}, "bfloat16"),
        (True, {}, "float32"),  # AVX-512 alone: oneDNN would convert
        (True, {"architecture": "aarch64"}, "bfloat16"),
    ],
)
def test_auto_is_bfloat16_where_a_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], onednn: bool, has: dict, expected: str
):
    supported(monkeypatch, onednn=onednn, **has)
    cpu = torch.device("cpu")
    assert precision.chosen("auto", cpu) == expected
    assert precision.chosen("float32", cpu) == "float32"
    assert not capsys.readouterr().err
    assert precision.chosen("bfloat16", cpu) == "bfloat16"
    assert ("8 times as long" in capsys.readouterr().err) == (expected == "float32")


def test_on_an_older_processor_auto_is_float32():
    older = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell"}
    asked = "import torch; from stages.training import precision; print(precision.chosen('auto', torch.device('cpu')))"
    assert said(asked, **older) == "float32"


def said(program: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


# ---------------------------------------------------------------- progress


def test_durations_in_words():
    assert [progress.in_words(seconds) for seconds in (0.4, 59, 61, 3600, 7500)] == [
        "0 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 h 5 min",
    ]


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.Progress(100, "train", "steps", done=20, rest=60) as shown:
        for _ in range(40):
            now[0] += 2
            shown.update(note="loss 0.5")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2  # of 80 seconds
    assert lines[0] == "train: 35 of 100 steps, 2 s each, 2 min 10 s left (3 min 10 s of the whole run), loss 0.5"


# ---------------------------------------------------------------- costs and forecast


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder to work in, with params of one training."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_STAGE", raising=False)
    (tmp_path / "params.yaml").write_text(
        "train_parser:\n  scanet:\n    schedule: {steps: 50, batch_size: 4}\nparallel: {}\n"
    )
    return tmp_path


def left(name: str, **found: object) -> None:
    costs.COSTS.mkdir(parents=True, exist_ok=True)
    (costs.COSTS / f"{name}.json").write_text(json.dumps(found))


def test_a_stage_takes_what_it_took_by_how_fast_it_is_here(folder: Path):
    there = {"network": 10.0, "single": 10.0}
    left("clean-orl", wall_seconds=30, speed=there)
    left("evaluate", wall_seconds=30, speed=there, capability="AVX2")
    left("train_parser-scanet", wall_seconds=110, seconds=100, images=400, images_per_second=4, speed=there)
    left("old", seconds=3)
    assert costs.forecast("clean@orl", HERE) == pytest.approx(15)  # one thread is twice as fast here
    assert costs.forecast("evaluate", HERE) == pytest.approx(60)  # networks are half as fast
    in_bfloat16 = {"network": 5.0, "single": 10.0}
    assert costs.forecast("evaluate", in_bfloat16) == pytest.approx(30)  # which it does not use
    assert costs.forecast("train_parser@scanet", HERE) == pytest.approx(100 / 2 * 2 + 10 / 2)  # half of the images
    assert costs.forecast("old", HERE) is None
    assert costs.forecast("unheard_of", HERE) is None


def test_a_run_counts_down(folder: Path, monkeypatch: pytest.MonkeyPatch):
    left("a", wall_seconds=60, speed=HERE)
    costs.SCRATCH.mkdir()
    costs.SPEED.write_text(json.dumps({"milliseconds": HERE, "of": costs.machine()}))
    costs.plan({"a": 60.0, "b": 30.0})
    assert costs.line() is None  # not started by DVC
    monkeypatch.setenv("DVC_STAGE", "a")
    assert costs.line() == "about 1 min 0 s, 1 min 30 s of the whole run"
    costs.done()
    assert costs.line() == "about 1 min 0 s"  # a second time: `dvc repro` alone
    monkeypatch.setenv("DVC_STAGE", "b")
    assert costs.rest_of_the_run() == 0
    costs.plan({"b": 30.0, "never measured": None})
    assert costs.rest_of_the_run() is None


def test_a_speed_of_another_machine_is_not_taken(folder: Path, monkeypatch: pytest.MonkeyPatch):
    costs.SCRATCH.mkdir()
    costs.SPEED.write_text(json.dumps({"milliseconds": HERE, "of": costs.machine()}))
    assert costs.known_speed() == HERE
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2" if os.environ.get("ONEDNN_MAX_CPU_ISA") != "AVX2" else "SSE41")
    assert costs.known_speed() is None
    costs.SPEED.write_text("torn")
    assert costs.known_speed() is None


def test_the_machine_is_measured(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    found = speed.measure()
    assert found.keys() == {"network", "single"}
    assert min(found.values()) > 0
    assert costs.known_speed() == pytest.approx(found, abs=1e-3)


def test_each_stage_leaves_its_costs_beside_its_metrics(folder: Path):
    costs.write(Results(Path("metrics/clean-orl")).costs, 12.5)
    found = json.loads(Path("metrics/costs/clean-orl.json").read_text())
    assert found["wall_seconds"] == 12.5
    assert found["processor"] == costs.processor()
    assert found["capability"] == torch.backends.cpu.get_cpu_capability()
    assert 0 < costs.seconds_so_far() < 24 * 3600


def test_a_forecast_in_words(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(costs, "processor", lambda: "Abacus")
    assert forecast.lines({}) == ["nothing has changed: no stage will run"]
    assert forecast.lines({"a": 30.0, "b": 90.0, "c": None}) == [
        "3 stages will run, about 2 min 0 s on this Abacus",
        "    1 min 30 s  b",
        "  never measured, and not counted: c",
    ]
    assert forecast.lines({"c": None}) == ["1 stages will run, nobody knows how long on this Abacus"]


# ---------------------------------------------------------------- the same bytes everywhere

GRADIENT = """
import stages
import hashlib, cv2, numpy as np, torch
from stages.core.parallel import settings
torch.set_num_threads(settings().threads)
generator = torch.Generator().manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 24, 3), torch.nn.BatchNorm2d(24), torch.nn.Conv2d(24, 8, 3))
for weight in net.parameters():
    torch.nn.init.normal_(weight, generator=generator)
x = torch.randn(8, 3, 40, 40, generator=generator)
net(x).float().softmax(1).square().sum().backward()
rng = np.random.default_rng(0)
a = rng.normal(size=(300, 300)).astype(np.float32)
parts = [weight.grad.numpy() for weight in net.parameters()] + [a @ a.T, np.exp(a), cv2.GaussianBlur(a, (0, 0), 3)]
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""


def test_strict_gives_the_same_bytes_with_other_threads_and_instructions():
    older = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OPENBLAS_CORETYPE": "Haswell"}
    runs = ({"UNMASK_THREADS": "1", "OMP_NUM_THREADS": "1"}, {"UNMASK_THREADS": "4", **older})
    found = {said(GRADIENT, UNMASK_REPRODUCIBLE="strict", **environment) for environment in runs}
    assert len(found) == 1
    assert said(GRADIENT, UNMASK_REPRODUCIBLE="fast", **runs[0]) not in found  # so the test can fail


def test_strict_is_asked_for_by_params_or_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("UNMASK_REPRODUCIBLE", raising=False)
    file = tmp_path / "params.yaml"
    assert not reproducible.strict(file)
    file.write_text("parallel:\n  reproducible: fast\n")
    assert not reproducible.strict(file)
    monkeypatch.setenv("UNMASK_REPRODUCIBLE", "strict")
    assert reproducible.strict(file)
    monkeypatch.setenv("UNMASK_DEVICE", "cuda")
    chosen = parallel.settings()
    assert (chosen.reproducible, chosen.threads, chosen.device) == ("strict", reproducible.THREADS, "cpu")
    monkeypatch.setenv("UNMASK_REPRODUCIBLE", "fast")
    file.write_text("parallel:\n  reproducible: strict    # for all\n")
    assert not reproducible.strict(file)
    monkeypatch.delenv("UNMASK_REPRODUCIBLE")
    assert reproducible.strict(file)
    monkeypatch.setenv("UNMASK_REPRODUCIBLE", "strictly")
    with pytest.raises(UnmaskError, match="must be fast or strict"):
        parallel.settings()
