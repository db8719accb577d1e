"""Sharing: push, clone, pull, import, S3, and two experiments compared. All in temporary folders, on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.core import tables
from tests.conftest import SMALL, commit, edit_params, free_port, run

pytestmark = pytest.mark.xdist_group("repository")  # one process makes it, and runs all that needs it


@pytest.fixture(scope="module")
def pushed(small_repository: Path) -> Path:
    run("dvc", "push", "-q", cwd=small_repository)
    return small_repository


def clone(repository: Path, folder: Path) -> Path:
    run("git", "clone", "-q", str(repository), str(folder), cwd=repository)
    return folder


def test_a_clone_beside_the_first_pulls_everything(pushed: Path):
    other = clone(pushed, pushed.parent / "colleague")  # the default remote lies beside the checkout
    run("dvc", "pull", "-q", cwd=other)
    assert run("dvc", "status", cwd=other).stdout.strip() == "Data and pipelines are up to date."
    assert "Running stage" not in run("dvc", "repro", cwd=other).stdout
    assert tables.count(other / "data/masked/oracle/orl") == SMALL
    assert run("git", "status", "--porcelain", cwd=other).stdout == ""


def test_another_repository_imports_the_masked_faces(pushed: Path, tmp_path: Path):
    other = tmp_path / "other"
    other.mkdir()
    run("git", "init", "-q", cwd=other)
    run("dvc", "init", "-q", cwd=other)
    run("dvc", "import", str(pushed), "data/masked/oracle/orl", "-o", "faces", cwd=other)
    assert tables.count(other / "faces") == SMALL
    commit(other, "imported")
    run("dvc", "get", str(pushed), "data/clean/orl", "-o", "bare", cwd=other)
    assert tables.count(other / "bare") == SMALL


@pytest.fixture
def s3() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    port = free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{port}"
    server.stop()


def test_the_same_through_s3(pushed: Path, tmp_path: Path, s3: str):
    import boto3

    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
    boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    ).create_bucket(Bucket="unmask")

    def to_s3(repository: Path) -> None:
        run("dvc", "remote", "modify", "--local", "storage", "url", "s3://unmask/cache", cwd=repository)
        run("dvc", "remote", "modify", "--local", "storage", "endpointurl", s3, cwd=repository)

    sender = clone(pushed, tmp_path / "sender" / "unmask")
    run("dvc", "remote", "modify", "--local", "storage", "url", str(pushed.parent / "unmask-storage"), cwd=sender)
    run("dvc", "pull", "-q", cwd=sender)
    to_s3(sender)
    run("dvc", "push", "-q", cwd=sender, **keys)
    receiver = clone(pushed, tmp_path / "receiver" / "unmask")
    to_s3(receiver)
    run("dvc", "pull", "-q", cwd=receiver, **keys)
    assert run("dvc", "status", cwd=receiver).stdout.strip() == "Data and pipelines are up to date."
    assert tables.count(receiver / "data/masked/oracle/orl") == SMALL


def test_two_branches_are_compared(pushed: Path):
    other = clone(pushed, pushed.parent / "experiments")
    run("dvc", "pull", "-q", cwd=other)
    run("git", "checkout", "-qb", "exp/half", cwd=other)
    edit_params(other, render_masks__share=0.5)
    run("dvc", "repro", "render_masks@orl", cwd=other)
    commit(other, "half of the faces")
    params = json.loads(run("dvc", "params", "diff", "main", "exp/half", "--json", cwd=other).stdout)
    assert params == {"params.yaml": {"render_masks.share": {"old": 1.0, "new": 0.5, "diff": -0.5}}}
    metrics = json.loads(run("dvc", "metrics", "diff", "main", "exp/half", "--json", cwd=other).stdout)
    assert metrics.keys() == {"metrics/render_masks-orl.json"}
    masked = metrics["metrics/render_masks-orl.json"]["masked"]
    assert masked["old"] == SMALL
    assert 0 < masked["new"] < SMALL
    run("git", "checkout", "-q", "main", cwd=other)
    run("dvc", "checkout", "-q", cwd=other)
    assert run("dvc", "status", cwd=other).stdout.strip() == "Data and pipelines are up to date."


def test_an_experiment_from_the_command_line(pushed: Path):
    other = clone(pushed, pushed.parent / "command-line")
    run("dvc", "pull", "-q", cwd=other)
    name = {"GIT_AUTHOR_NAME": "tests", "GIT_AUTHOR_EMAIL": "tests@localhost"}
    name |= {"GIT_COMMITTER_NAME": "tests", "GIT_COMMITTER_EMAIL": "tests@localhost"}
    run("dvc", "exp", "run", "-n", "soft", "-S", "render_masks.softness=2.0", "render_masks@orl", cwd=other, **name)
    shown = json.loads(run("dvc", "exp", "show", "--json", cwd=other).stdout)
    experiments = [
        revision["data"]["params"]["params.yaml"]["data"]["render_masks"]["softness"]
        for commit_ in shown
        for experiment in commit_.get("experiments") or []
        for revision in experiment["revs"]
    ]
    assert experiments == [2.0]
