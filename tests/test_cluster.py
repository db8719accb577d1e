"""Data stages on a Dask cluster: scheduler and workers are processes, started by the commands that a user types."""

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from distributed import Client

from stages.core import cluster as clusters
from stages.core import parallel, tables
from stages.core.code import module_of
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels, encode_png
from stages.landmarks import boxes
from tests.conftest import ROOT, free_port, write_table

pytestmark = pytest.mark.xdist_group("cluster")  # one at a time: each takes three processes
SOURCES = {"find_landmarks": "clean", "align_faces": "find_landmarks", "render_masks": "align_faces"}
PEOPLE = 24  # of ORL, one photo of each


class Cluster:
    """A scheduler and its workers, on loopback."""

    def __init__(self, logs: Path) -> None:
        self.logs, self.processes = logs, list[subprocess.Popen[bytes]]()
        port = free_port()
        self.address = f"tcp://127.0.0.1:{port}"
        self.scheduler = self._start(logs, "scheduler", "--port", str(port))

    def _start(self, cwd: Path, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "dask", *words, "--host", "127.0.0.1", "--no-dashboard"]
        settings = {**os.environ, "OMP_NUM_THREADS": "1"}
        with (self.logs / f"dask-{len(self.processes)}.log").open("wb") as log:
            self.processes.append(subprocess.Popen(command, cwd=cwd, env=settings, stdout=log, stderr=log))
        return self.processes[-1]

    def start_workers(self, n: int, cwd: Path = ROOT) -> list[subprocess.Popen[bytes]]:
        """Start workers without a nanny, which would replace those that are killed; return when all are there."""
        from distributed import Client

        started = [self._start(cwd, "worker", self.address, "--nthreads", "1", "--no-nanny") for _ in range(n)]
        with Client(self.address) as client:
            wait_for(lambda: len(client.scheduler_info(n_workers=-1)["workers"]) == n)
        return started

    def stop(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    some = Cluster(tmp_path)
    yield some
    some.stop()


@pytest.fixture
def folder(tmp_path: Path, orl_photo: Callable[[str], Pixels]) -> Path:
    """Return a folder with params and a table of one photo of each person, in which a stage can run."""
    names = [f"s{person}" for person in range(1, PEOPLE + 1)]
    photos = {name: encode_png(orl_photo(f"{name}/1")) for name in names}
    rows = [
        {"face_id": f"orl/{name}/1", "identity": name, "wears_mask": False, "image": image}
        for name, image in photos.items()
    ]
    write_table(tmp_path / "run/clean", rows)
    (tmp_path / "run/templates").mkdir()
    shutil.copy(ROOT / "params.yaml", tmp_path / "run")
    return tmp_path / "run"


def options(name: str) -> list[str]:
    """Return the options of a stage of the flow, which reads what the one before it wrote."""
    words = ["--faces", SOURCES[name], "--out", name, "--results", f"results/{name}"]
    return words + (["--templates", "templates"] if name == "render_masks" else [])


def start_stage(name: str, folder: Path, **settings: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **settings}
    command = [sys.executable, "-m", module_of(name), *options(name)]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return a stage's exit status and what it printed to stderr, when it has ended."""
    try:
        return process.wait(timeout=120), process.communicate()[1]
    finally:
        process.kill()


def written(folder: Path) -> dict[str, bytes]:
    """Return the files that the stages wrote, hidden ones, too."""
    files = (path for name in SOURCES for path in (*folder.glob(f"{name}.*"), *(folder / name).iterdir()))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def wait_for(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def half_written(folder: Path) -> list[Path]:
    """Return the parts that workers are writing; the name of the file has the worker's process id."""
    return list(folder.glob(".find_landmarks.*.partial/.part-*.partial"))


def test_the_same_bytes_though_a_worker_is_killed(folder: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    workers = {process.pid: process for process in cluster.start_workers(2)}
    running = start_stage("find_landmarks", folder, UNMASK_SCHEDULER=cluster.address)
    wait_for(lambda: half_written(folder))
    half = half_written(folder)[0]
    killed = int(half.name.split(".")[3])
    os.kill(killed, signal.SIGKILL)
    workers.pop(killed).wait()
    assert said(running) == (0, "")
    assert not half.exists()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("UNMASK_SCHEDULER", cluster.address)
    cluster.start_workers(1)
    for name in ("align_faces", "render_masks"):
        run_stage(module_of(name).removeprefix("stages."), options(name))
    there = written(folder)
    monkeypatch.delenv("UNMASK_SCHEDULER")
    for name in SOURCES:
        run_stage(module_of(name).removeprefix("stages."), options(name))
    assert written(folder) == there
    assert tables.count(folder / "render_masks") == PEOPLE


@pytest.mark.slow  # half a minute
def test_a_cluster_that_is_gone_is_told_in_one_line(folder: Path, cluster: Cluster):
    cluster.start_workers(2)
    running = start_stage("find_landmarks", folder, UNMASK_SCHEDULER=cluster.address, UNMASK_PATIENCE="2")
    wait_for(lambda: half_written(folder))
    for process in cluster.processes[1:]:
        process.kill()
    wanted = f"find_landmarks: for 2 seconds the Dask scheduler at {cluster.address} has had no worker: start some"
    status, text = said(running)
    assert status == 1
    assert text.startswith(wanted)
    assert text.count("\n") == 1
    wait_for(lambda: all(process.poll() is not None for process in cluster.processes[1:]))
    cluster.start_workers(1)
    running = start_stage("find_landmarks", folder, UNMASK_SCHEDULER=cluster.address)
    wait_for(lambda: half_written(folder))
    cluster.scheduler.kill()
    status, text = said(running)
    assert status == 1
    assert text.startswith(f"find_landmarks: the Dask scheduler at {cluster.address} is gone")
    assert text.count("\n") == 1
    assert not (folder / "find_landmarks").exists()


def test_a_client_that_failed_is_no_more():
    """The garbage collector may find it while another one is made, and both would wait for each other for ever."""
    with pytest.raises(UnmaskError, match=r"no Dask scheduler answers at nonsense") as refused:
        next(clusters.run([int], "nonsense", 1))
    assert refused.value.__context__ is None
    assert not [one for one in gc.get_objects() if type(one) is Client]


def die(number: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_workers_that_cannot_do_the_work(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNMASK_SCHEDULER", cluster.address)
    monkeypatch.setenv("UNMASK_PATIENCE", "1")

    def expect(message: str, function: Callable[[Path], object] = pq.read_schema) -> None:
        with pytest.raises(UnmaskError, match=message):
            parallel.run(function, [Path("nowhere.parquet")], sizes=[1], label="x")

    expect("for 1 seconds the Dask scheduler at .* has had no worker")
    for change, message in (
        (None, "a Dask worker has no module 'stages.core': start workers in a checkout of this commit"),
        ("# other\n", r"the code below stages/ of the Dask worker on .* is \w+, here it is \w+: workers need the same"),
    ):
        elsewhere = tmp_path / f"elsewhere-{change is None}"
        elsewhere.mkdir()
        if change:
            shutil.copytree(ROOT / "stages", elsewhere / "stages", ignore=shutil.ignore_patterns("__pycache__"))
            with (elsewhere / "stages/data/fetch.py").open("a") as file:
                file.write(change)
        else:  # whatever is installed, the folder in which a worker is started comes first
            (elsewhere / "stages").mkdir()
            (elsewhere / "stages/__init__.py").touch()
        (worker,) = cluster.start_workers(1, cwd=elsewhere)
        expect(message)
        worker.kill()
        worker.wait()
    cluster.start_workers(1)
    expect(r"a Dask worker does not see a file that is here: .*nowhere\.parquet.*on a disk that they share")
    Path("here.txt").write_text("read")  # by its name alone, as models are: workers go where the stage runs
    assert parallel.run(Path.read_text, [Path("here.txt")], sizes=[1], label="x") == ["read"]


def test_a_worker_forgets_what_it_had_read_for_another_stage():
    boxes._hog()
    before = clusters.code()
    clusters.forget()
    assert boxes._hog.cache_info().currsize == 0
    assert clusters.code() is before


@pytest.mark.slow  # half a minute
def test_a_part_that_kills_its_workers_is_given_up(cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNMASK_SCHEDULER", cluster.address)
    cluster.start_workers(4)  # Dask tries a task on four workers
    with pytest.raises(UnmaskError, match="one part killed every Dask worker that tried it, most likely for lack of"):
        parallel.run(die, [1], sizes=[1], label="x")
