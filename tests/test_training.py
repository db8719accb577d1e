"""Trainings continue where they were killed, share their work, and stop on nonsense; weights say what they are."""

import ast
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import safetensors.torch
import torch
from pydantic import ValidationError
from torch import nn

from stages.compute import weights
from stages.core import code
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.training import checkpoints, loop
from stages.training.stream import Stream
from tests import tiny_training
from tests.conftest import ROOT, TWO_PROCESSES, run

# ---------------------------------------------------------------- chance

DRAWING = {"generator", "fraction", "derived"}  # of `seeding`
ON_PURPOSE = {  # names of chance that several modules use, and why
    "train_recognizer": "recognizers are compared with each other: bare and masked ones see faces changed the same way",
}


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def names_of_chance(file: Path) -> set[str]:
    """Return what a module names to `seeding`, and its trainings, whose names are those of their chance."""
    tree = ast.parse(file.read_text())
    constants: dict[str, ast.expr] = {}
    for node in (node for node in ast.walk(tree) if isinstance(node, ast.Assign)):
        target, value = node.targets[0], node.value
        several = isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
        several = several and len(target.elts) == len(value.elts)  # else one of them is starred
        pairs = zip(target.elts, value.elts, strict=True) if several else [(target, value)]
        constants |= {one.id: of for one, of in pairs if isinstance(one, ast.Name)}

    def text(node: ast.expr) -> list[str]:
        if isinstance(node, ast.Name):
            return text(constants[node.id]) if node.id in constants else []
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.FormattedValue) else part for part in node.values]
            return ["".join(next(iter(text(part)), "{}") for part in parts)]
        return [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []

    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [argument for call in calls if called(call) in DRAWING for argument in call.args]
    named += [word.value for call in calls if called(call) in {"train", "fit"} for word in call.keywords]
    return {name for argument in named for name in text(argument)}


def test_no_two_modules_draw_the_same_unless_they_are_to():
    used: dict[str, set[str]] = {}
    for file in sorted((ROOT / "stages").rglob("*.py")):
        for name in names_of_chance(file):
            used.setdefault(name, set()).add(file.relative_to(ROOT).as_posix())
    found = {"render_masks", "order", "train_gender-fold_{}", "tune_gender-fold_{}", "train_inpainter-{}"}
    assert found <= used.keys()
    assert {name: files for name, files in used.items() if len(files) > 1}.keys() == ON_PURPOSE.keys(), used


def test_no_training_takes_the_seed_of_all():
    """A sample drawn by `params.seed` itself would come again in another training."""
    for file in (ROOT / "stages").rglob("*.py"):
        for call in (node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)):
            if called(call) in {"Samples", "__init__"}:
                given = [*call.args, *(word.value for word in call.keywords)]
                assert not [node for node in given if ast.unparse(node).endswith("params.seed")], (
                    f"{file}:{call.lineno}"
                )


# ---------------------------------------------------------------- the order


def epochs(stream: Stream, n: int) -> list[list[int]]:
    result = []
    for epoch in range(n):
        stream.set_epoch(epoch)
        result.append(list(stream))
    return result


def test_each_round_sees_every_sample_once_and_orders_differ():
    keys = [key for epoch in epochs(Stream(10, 4, seed=0), 5) for key in epoch]
    assert sorted(keys[:10]) == list(range(10))
    assert sorted(keys[10:]) == list(range(10, 20))
    assert [key % 10 for key in keys[:10]] != [key % 10 for key in keys[10:]]


def test_an_epoch_is_the_same_however_one_gets_to_it():
    stream = Stream(7, 4, seed=3)
    stream.set_epoch(6)
    assert list(stream) == epochs(Stream(7, 4, seed=3), 7)[6]
    assert epochs(Stream(7, 4, seed=3), 3) != epochs(Stream(7, 4, seed=4), 3)


def test_processes_share_each_batch():
    one = epochs(Stream(10, 8, seed=0), 3)
    two = [epochs(Stream(10, 8, seed=0, rank=rank, world=2), 3) for rank in range(2)]
    for epoch in range(3):
        for batch in range(2):
            whole = one[epoch][4 * batch : 4 * batch + 4]
            assert sorted(whole) == sorted(key for shard in two for key in shard[epoch][2 * batch : 2 * batch + 2])


# ---------------------------------------------------------------- the loop


def test_it_learns_and_the_same_seed_gives_the_same_weights():
    first, second = tiny_training.train(steps=120), tiny_training.train(steps=120)
    assert first.rows[-1]["loss"] < first.rows[0]["loss"] / 2
    assert first.rows == second.rows
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)
    assert first.cost["seconds"] > 0


def program(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen([sys.executable, "-m", "tests.tiny_training", *arguments], cwd=folder, env=environment)


def test_a_killed_run_continues_and_ends_as_if_it_had_not_been(tmp_path: Path):
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    assert program(tmp_path / "whole", "rows.json").wait() == 0
    for epoch in (2, 4):
        process = program(tmp_path / "killed", "rows.json", "0.1")
        checkpoint = tmp_path / f"killed/.scratch/tiny/k-float32/epoch_{epoch}.pth"
        deadline = time.monotonic() + 60
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "killed/rows.json").exists()
    # A run killed while it wrote a checkpoint leaves a torn one.
    (tmp_path / "killed/.scratch/tiny/k-float32/epoch_9.pth").write_bytes(b"PK torn")
    assert program(tmp_path / "killed", "rows.json").wait() == 0
    whole, killed = (json.loads((tmp_path / name / "rows.json").read_text()) for name in ("whole", "killed"))
    assert killed == whole


def test_two_processes_learn_as_one(tmp_path: Path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    assert program(tmp_path / "one", "rows.json").wait() == 0
    tiny = ("-m", "tests.tiny_training", "rows.json")
    run(sys.executable, *TWO_PROCESSES, *tiny, cwd=tmp_path / "two", PYTHONPATH=str(ROOT))
    one, two = (json.loads((tmp_path / name / "rows.json").read_text()) for name in ("one", "two"))
    assert [row["step"] for row in two["rows"]] == [row["step"] for row in one["rows"]]
    assert two["weights"] == pytest.approx(one["weights"], abs=1e-4)


def test_a_loss_that_is_not_finite_stops_with_step_and_faces():
    with pytest.raises(
        UnmaskError, match=r"the loss is nan at step [1-3], on the batch .*t/p/5.*lower the learning rate"
    ):
        loop.train(tiny_training.Net, tiny_training.Line(broken=5), tiny_training.schedule(), name="tiny", key="nan")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoint_every": 7}, r"steps \(30\) must be a multiple of checkpoint_every \(7\)"),
        ({"learning_rate": 0.0}, "greater than 0"),
        ({"precision": "float16"}, "float32"),
    ],
)
def test_a_schedule_that_cannot_be(changes: dict[str, object], message: str):
    with pytest.raises(ValidationError, match=message):
        tiny_training.schedule(**changes)


def test_bfloat16_learns_too():
    assert tiny_training.train(steps=120, precision="bfloat16").rows[-1]["loss"] < 0.5


def test_the_key_knows_params_content_code_and_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file, module = tmp_path / "a" / "b.txt", tmp_path / "stage.py"
    file.parent.mkdir()
    file.write_text("one")
    module.write_text("from stages.core import errors\n")
    keys = [
        checkpoints.key_of({"steps": 1}, [tmp_path / "a"], module),
        checkpoints.key_of({"steps": 2}, [tmp_path / "a"], module),
    ]
    file.write_text("two")
    keys.append(checkpoints.key_of({"steps": 1}, [tmp_path / "a"], module))
    module.write_text("from stages.core import outputs\n")
    code._needs.cache_clear()  # in a run, no module changes
    keys.append(checkpoints.key_of({"steps": 1}, [tmp_path / "a"], module))
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "another")
    keys.append(checkpoints.key_of({"steps": 1}, [tmp_path / "a"], module))
    assert len(set(keys)) == 5


def test_results_are_written_and_checkpoints_deleted(tmp_path: Path):
    trained = tiny_training.train()
    assert trained.work.exists()
    faces = [{"identity": name} for name in ("a", "b", "a")]
    written = trained.write(tmp_path / "m/w.safetensors", {"kind": "line"}, Results(tmp_path / "line"), faces)
    assert (written["faces"], written["identities"], written["parameters"]) == (3, 2, 2 * 16 + 2 * 16 + 16 + 1)
    assert written["last"] == {"loss": trained.rows[-1]["loss"]}
    assert not trained.work.exists()
    assert json.loads((tmp_path / "costs/line.json").read_text())["precision"] == "float32"
    lines = (tmp_path / "curves/line.csv").read_text().splitlines()
    assert lines[0] == "step,lr,loss"
    assert [line.split(",")[0] for line in lines[1:]] == ["5", "10", "15", "20", "25", "30"]
    about, state = weights.load(tmp_path / "m/w.safetensors", "line")
    assert about == {"kind": "line", "precision": "float32"}
    assert state.keys() == trained.model.state_dict().keys()


# ---------------------------------------------------------------- weights


def test_weights_come_back_and_give_the_same_bytes(tmp_path: Path):
    model = nn.Sequential(nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last), nn.BatchNorm2d(4))
    about = {"kind": "parser", "size": 112, "model": {"b": [1, 2], "a": None}}
    for name in ("a", "b"):
        weights.save(tmp_path / name, model, about)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    told, state = weights.load(tmp_path / "a", "parser")
    assert told == about
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    weights.fill(other, state, tmp_path / "a")
    assert torch.equal(other[0].weight, model[0].weight)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "no such file; `dvc repro` trains it"),
        (lambda path: path.write_bytes(path.read_bytes()[:40]), "no whole safetensors file"),
        (lambda path: safetensors.torch.save_file({"a": torch.zeros(1)}, path), "not written by this project"),
        (lambda path: weights.save(path, nn.Linear(1, 1), {"kind": "detector"}), "of a detector, not of a parser"),
    ],
)
def test_weights_that_cannot_be_used(tmp_path: Path, spoil, message: str):
    path = tmp_path / "w.safetensors"
    weights.save(path, nn.Linear(1, 1), {"kind": "parser"})
    spoil(path)
    with pytest.raises(UnmaskError, match=message):
        weights.load(path, "parser")


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Linear(2, 3), r"'bias' is \[2\], the config makes it \[3\]"),
        (nn.Linear(2, 2, bias=False), "'bias' has no place in it"),
        (nn.Sequential(nn.Linear(2, 2)), "no tensor '0.bias'|'bias' has no place"),
    ],
)
def test_weights_of_another_config(tmp_path: Path, other: nn.Module, message: str):
    with pytest.raises(UnmaskError, match=message):
        weights.fill(other, nn.Linear(2, 2).state_dict(), tmp_path / "w.safetensors")
