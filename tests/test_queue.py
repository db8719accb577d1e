"""Two experiments that wait in a queue: both run at once, each its own code, and stand in one table."""

import json
import time
from pathlib import Path

import pytest

from tests.conftest import NOBODY, run

pytestmark = pytest.mark.xdist_group("repository")  # one process makes it, and runs all that needs it

TARGET = "verify@norm_softmax-bare"
METRICS = "metrics/verify-norm_softmax-bare.json"
RESAMPLES = {"few": 120, "more": 140}


def queue(repository: Path, name: str) -> None:
    change = f"verify.resamples={RESAMPLES[name]}"
    run("dvc", "exp", "run", "--queue", "-n", name, "-S", change, TARGET, cwd=repository, **NOBODY)


def revisions(repository: Path) -> dict[str, dict]:
    """Return params and metrics of each experiment in DVC's table, by name."""
    shown = json.loads(run("dvc", "exp", "show", "--json", cwd=repository).stdout)
    return {
        experiment["name"]: experiment["revs"][0]["data"]
        for baseline in shown
        for experiment in baseline.get("experiments") or []
    }


@pytest.mark.slow  # a minute, and more beside other work
@pytest.mark.parametrize("start", [("exp", "run", "--run-all", "--jobs", "2"), ("queue", "start", "--jobs", "2")])
def test_two_queued_experiments_run_at_once(experiments: Path, start: tuple[str, ...]):
    """The first has code of its own, which the checkout has no longer when the experiments run."""
    code = experiments / "stages/recognition/verify.py"
    before = code.read_text()
    after = before.replace('"identities":', '"of_its_own_code": 1,\n        "identities":', 1)
    assert after != before
    code.write_text(after)
    queue(experiments, "few")
    code.write_text(before)
    queue(experiments, "more")
    scratch = experiments / "data/incoming/mine"
    scratch.mkdir(parents=True)  # no experiment takes away what a person has put there
    (scratch / "photo.png").write_bytes(b"precious")

    run("dvc", *start, cwd=experiments, **NOBODY)
    until(experiments, "Success", 2)
    found = revisions(experiments)
    assert {
        name: data["params"]["params.yaml"]["data"]["verify"]["resamples"] for name, data in found.items()
    } == RESAMPLES
    scores = {name: data["metrics"][METRICS]["data"] for name, data in found.items()}
    assert {name: "of_its_own_code" in of for name, of in scores.items()} == {"few": True, "more": False}
    same, other = (scores[name]["series"]["none"]["bare-bare"] for name in RESAMPLES)
    assert same["auc"] == other["auc"]
    assert same["interval"] != other["interval"]

    # The checkout is as it was, nothing runs any more, and an experiment is compared by its name.
    assert run("git", "status", "--porcelain", cwd=experiments).stdout == ""
    assert (scratch / "photo.png").read_bytes() == b"precious"
    until(experiments, "0 active, 0 idle", 1)
    printed = run(
        "python", "-m", "stages.reports.compare_experiments", "--base", "few", "--other", "more", cwd=experiments
    ).stdout
    assert "verify.resamples  120 -> 140" in printed
    assert "stages/recognition/verify.py" in printed
    assert (experiments / "report/compare.html").is_file()


def until(repository: Path, text: str, times: int) -> None:
    """Wait until DVC says something of its queue so many times."""
    end = time.monotonic() + 600
    while True:
        status = run("dvc", "queue", "status", cwd=repository).stdout
        if status.count(text) == times:
            return
        assert "Failed" not in status, status
        assert time.monotonic() < end, status
        time.sleep(2)
