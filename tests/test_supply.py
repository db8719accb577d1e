"""Nothing here runs what a file says; licenses, holes and secrets are looked for, and what is found is told."""

import ast
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from checks import audit, licenses
from tests.conftest import ROOT, run

# What could run code that stands in a file of others', or lead a file out of its folder.
UNPICKLE = {"pickle.load", "pickle.loads", "cPickle.load", "dill.load", "dill.loads", "cloudpickle.load"}
UNPICKLE |= {"cloudpickle.loads", "joblib.load", "pandas.read_pickle", "pd.read_pickle", "torch.load", "marshal.loads"}
UNPICKLE |= {"torch.jit.load", "torch.hub.load", "shelve.open", "scipy.io.loadmat", "loadmat", "load_checkpoint"}
EVALUATE = {"eval", "exec", "compile", "os.system", "os.popen"}
PYYAML = {"yaml.load", "yaml.unsafe_load", "yaml.full_load"}  # ruamel.yaml makes no objects unless told to
EXTRACT = {"extractall", "extract", "unpack_archive"}
LOAD_ARRAY = {"np.load", "numpy.load"}
ALLOWED = {
    ("stages/core/cluster.py", "cloudpickle.loads"): "a task of our own, which only a Dask scheduler hands over",
    ("stages/training/checkpoints.py", "torch.load"): "a checkpoint of our own, tensors and plain values alone",
    ("stages/compute/weights.py", "torch.load"): "published weights the user names, tensors and plain values alone",
    ("stages/training/rows.py", "pickle.loads"): "rows of our own, in a file without a name",
    ("stages/data/photo.py", "pickle.load"): "what `clean` puts aside, in a temporary folder that nobody else can open",
    ("tests/test_datasets.py", "pickle.loads"): "what the test has pickled itself",
    ("tests/test_library.py", "compile"): "the cells of a notebook of ours",
    ("tests/test_library.py", "exec"): "the cells of a notebook of ours",
    ("tests/test_other_tools.py", "compile"): "the programs of docs/share.md",
    ("tests/test_other_tools.py", "exec"): "the programs of docs/share.md",
}


def dotted(node: ast.expr) -> str:
    """Return a name as it is written, such as `torch.load`; of what is no name, only the attributes, as `?.load`."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return "?"


def dangers(source: str) -> set[str]:
    """Return the calls in a module that could run what a file says."""
    found = set()
    nodes = list(ast.walk(ast.parse(source)))
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    never = UNPICKLE | EVALUATE | (PYYAML if "yaml" in imported else set())
    for call in (node for node in nodes if isinstance(node, ast.Call)):
        name = dotted(call.func)
        given = {word.arg: word.value for word in call.keywords}

        def says(word: str, value: object, given: dict[str | None, ast.expr] = given) -> bool:
            return isinstance(given.get(word), ast.Constant) and given[word].value is value

        if name in never or name.split(".")[-1] in EXTRACT:
            found.add(name)
        if name in LOAD_ARRAY and "allow_pickle" in given and not says("allow_pickle", False):
            found.add(f"{name}(allow_pickle)")
        if name == "torch.load" and not says("weights_only", True):
            found.add("torch.load without weights_only=True")
        if "shell" in given and not says("shell", False):
            found.add(f"{name}(shell)")
        if name.endswith("YAML") and isinstance(given.get("typ"), ast.Constant) and given["typ"].value != "safe":
            found.add("YAML that makes objects")
    return found


def test_no_file_of_others_is_run():
    found = {}
    for name in run("git", "ls-files", "-co", "--exclude-standard", "*.py", cwd=ROOT).stdout.split():
        if (ROOT / name).exists():
            found |= {(name, danger): None for danger in dangers((ROOT / name).read_text())}
    assert sorted(found) == sorted(ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        "pickle.load(file)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=chosen)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pd.read_pickle(path)",
        "joblib.load(path)",
        "import yaml; yaml.load(text)",
        "YAML(typ='unsafe')",
        "archive.extractall(folder)",
        "shutil.unpack_archive(path)",
        "subprocess.run(command, shell=True)",
        "eval(text)",
    ],
)
def test_what_could_run_is_seen(line: str):
    assert dangers(line)


def test_what_runs_nothing_is_not_blamed():
    quiet = "model.eval()\nnp.load(path)\nYAML(typ='safe')\nre.compile(text)\nsubprocess.run(words, shell=False)\n"
    assert not dangers(quiet)
    assert dangers("torch.load(path, weights_only=True)") == {"torch.load"}  # each is to be in the list


def test_h5py_makes_no_objects():
    """An HDF5 file can hold pickles in opaque or object columns; ours are numbers, texts and references."""
    source = (ROOT / "stages/data/matlab.py").read_text()
    assert "pickle" not in source.replace("allow_pickle=False", "")
    assert 'h5py.File(path, "r")' in source


# ---------------------------------------------------------------- licenses


@pytest.mark.parametrize(
    ("license_", "right"),
    [
        ("MIT", True),
        ("GPL-3.0", False),
        ("ISC License (ISCL)", True),
        ("GPL-3.0 OR MIT", True),
        ("GPL-3.0 AND MIT", False),
        ("MIT AND (GPL-3.0 OR ISC License (ISCL))", True),
        ("MIT; GPL-3.0", False),
        ("UNKNOWN", False),
    ],
)
def test_what_a_license_lets_one_do(license_: str, right: bool):
    assert licenses.allowed(license_, ["MIT", "ISC License (ISCL)"]) == right


def test_a_package_that_was_looked_at_is_not_refused():
    packages = {"Own-Terms": "UNKNOWN", "other": "UNKNOWN", "free": "MIT"}
    assert licenses.refused(packages, ["MIT"], ["own-terms"]) == {"other": "UNKNOWN"}


def test_what_is_installed_may_be_used():
    assert "Looked at one by one" in run(sys.executable, "-m", "checks.licenses", cwd=ROOT).stdout


# ---------------------------------------------------------------- holes


@pytest.mark.parametrize(
    ("packages", "status", "message"),
    [
        ([{"name": "a", "version": "1", "vulns": []}], 0, "no known hole in 1 packages"),
        (
            [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}],
            1,
            "1 known holes\na 1: CVE-1, fixed in 2",
        ),
        ([{"name": "a", "skip_reason": "not found"}], 2, "answered for none of 1 packages, so nothing is known"),
        (
            [{"name": "a", "skip_reason": "not found"}, {"name": "b", "version": "1", "vulns": []}],
            2,
            "does not know 1 packages: a",
        ),
    ],
)
def test_an_audit_says_what_is_known(packages: list[dict], status: int, message: str):
    found, text = audit.verdict(json.dumps({"dependencies": packages}), "", "pypi")
    assert found == status
    assert message in text


def test_an_audit_without_a_network_knows_nothing():
    status, text = audit.verdict("", "Traceback …\nConnectionError: no route\n", "osv")
    assert status == 2
    assert text.endswith("so nothing is known: ConnectionError: no route")


# ---------------------------------------------------------------- secrets


def test_a_new_secret_is_found(tmp_path: Path):
    baseline = tmp_path / "baseline"
    baseline.write_text((ROOT / ".secrets.baseline").read_text())
    run("git", "init", "-q", cwd=tmp_path)
    file = tmp_path / "settings.py"
    file.write_text("md5: 0123456789abcdef0123456789abcdee\n")
    hook = [sys.executable, "-m", "detect_secrets.pre_commit_hook", "--baseline", str(baseline), str(file)]
    assert run(*hook, cwd=tmp_path, check=False).returncode == 0
    made_up = "AKIA" + "Z7QX" * 4
    file.write_text(f"key = '{made_up}'\n")
    found = run(*hook, cwd=tmp_path, check=False)
    assert found.returncode == 1
    assert "AWS Access Key" in found.stdout


# ---------------------------------------------------------------- no network

BLOCK = """
import socket

def refuse(*args, **kwargs):
    raise AssertionError(f"the network is asked for: {args}")

socket.getaddrinfo = socket.create_connection = socket.gethostbyname = refuse

class Closed(socket.socket):
    def connect(self, address):
        if self.family != socket.AF_UNIX:
            refuse(address)
        return super().connect(address)

    def connect_ex(self, address):
        return self.connect(address)

socket.socket = Closed
"""
FIRST = ("fetch", "clean", "find_landmarks", "align_faces", "render_masks")


def test_sockets_are_closed(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    script = "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9')"
    done = run(sys.executable, "-c", script, cwd=tmp_path, check=False, PYTHONPATH=str(tmp_path))
    assert "AssertionError: the network is asked for" in done.stderr
    assert socket.socket.__module__ == "socket"


@pytest.mark.xdist_group("repository")
def test_the_first_stages_need_no_network(tmp_path: Path):
    from tests.conftest import copy_repository, edit_params

    repository = copy_repository(tmp_path / "unmask")
    (repository / "dvc.lock").unlink()
    edit_params(repository, clean__limit__identities=3, clean__limit__photos=2)
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed/sitecustomize.py").write_text(BLOCK)
    # Where the system lets a test do so, it takes the network away altogether, from programs in other languages, too.
    alone = ["unshare", "--map-root-user", "--net"]
    able = (
        subprocess.run([*alone, "true"], check=False, capture_output=True).returncode == 0 if _has_unshare() else False
    )
    run(
        *(alone if able else []),
        *("dvc", "repro", *(f"{name}@orl" for name in FIRST)),
        cwd=repository,
        PYTHONPATH=str(tmp_path / "closed"),
        OMP_NUM_THREADS="1",
    )
    metrics = json.loads((repository / "metrics/render_masks-orl.json").read_text())
    assert metrics["faces"] == 6


def _has_unshare() -> bool:
    import shutil

    return shutil.which("unshare") is not None
