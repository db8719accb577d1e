"""params.yaml and DVC: each of its numbers is seen by the run cache, and `dvc exp run -S` keeps the file as it is."""

import copy
import functools
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.dependency import ParamsDependency
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.stage.cache import _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from stages.core import params
from stages.tools import presets
from tests.conftest import ROOT, edit_params

Keys = tuple[int | str, ...]

FILE = ROOT / "params.yaml"
PARAMS = params.read_yaml(FILE)
NAMES = presets.names(ROOT / "presets")
# Sections that no stage tracks: they change no result, or are read by what is run by hand.
UNTRACKED = {
    *("accept_terms", "checkpoints", "parallel"),
    *("release", "review_identities", "run_app", "train_landmarker", "train_worn", "try_photo", "tune_gender"),
}
# Dots within a key, as in tune_gender.space, are beyond `-S`.
SETTABLE = {keys: leaf for keys, leaf in params.leaves(PARAMS).items() if not any("." in str(key) for key in keys)}


def other(leaf: Any) -> Any:
    """Return another value of the same kind."""
    if isinstance(leaf, bool):
        return not leaf
    if isinstance(leaf, int | float):
        return leaf + 1
    return {"another": 1} if isinstance(leaf, dict) else ["another"] if isinstance(leaf, list) else f"{leaf}x"


def changed(content: Any, keys: Keys) -> Any:
    """Return a copy of nested mappings and lists, in which the leaf under these keys has another value."""
    content = copy.deepcopy(content)
    place = functools.reduce(lambda place, key: place[key], keys[:-1], content)
    place[keys[-1]] = other(place[keys[-1]])
    return content


# ---------------------------------------------------------------- what the run cache sees


def example_entries() -> Iterator[tuple[str, Any]]:
    """Yield the YAML that stands in comments and guides, such as `mine: {kind: onnx, …}`."""
    for path in (FILE, ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "models").rglob("*.md")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            text = line.strip(" #`")
            if ": {" in text and "}" in text:
                yield f"{path.name}:{number}", YAML(typ="safe").load(io.StringIO(text[: text.rindex("}") + 1]))


def test_no_param_is_called_size_or_nfiles():
    """DVC's run cache hashes a stage without keys of these names, however deep they stand (see `params.UNSEEN`).

    `dvc exp run -S align_faces.size=128` printed "is cached - skipping run", brought back the images of 112 pixels, and
    dvc.lock said 128. That goes for params.yaml, for what presets and people put into it, and for the catalogue, whose
    entries are params of `fetch`.
    """
    examples = dict(example_entries())
    assert [text for text in examples.values() if "mine" in text], "the example of import_recognizer is not found"
    contents = {
        "params.yaml": PARAMS,
        "data/catalogue.yaml": params.read_yaml(ROOT / "data/catalogue.yaml"),
        **{name: params.read_yaml(ROOT / f"presets/{name}.yaml")["params"] for name in NAMES},
        **examples,
    }
    found = {
        f"{name}: {'.'.join(map(str, keys))}"
        for name, content in contents.items()
        for keys in params.leaves(content)
        if params.UNSEEN & {step for key in keys for step in str(key).split(".")}
    }
    assert not found


def test_the_run_cache_does_not_see_size():
    """Why the rule is there. Once this fails, DVC is mended, and the rule can go."""

    def key(section: dict[str, Any]) -> str:
        return str(_get_cache_hash({"cmd": "draw", "params": {"params.yaml": {"draw": section}}}, key=True))

    for name in params.UNSEEN:
        assert key({name: 112}) == key({name: 128}) == key({})
    assert key({"side": 112}) != key({"side": 128})


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a DVC repository with our stages, those that do not run by default among them."""
    for name in ("dvc.yaml", "params.yaml", "data/catalogue.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    losses = ["norm_softmax", "sphereface", "cosface", "arcface"]
    edit_params(tmp_path, recognizers__bare=losses, recognizers__masked=losses, recognizers__distilled=["dlib"])
    Repo.init(str(tmp_path), no_scm=True).close()
    return tmp_path


def tracking(stage: PipelineStage) -> list[ParamsDependency]:
    found = [dep for dep in stage.deps if isinstance(dep, ParamsDependency)]
    return [dep for dep in found if Path(dep.fs_path).name == "params.yaml"]


def covers(param: str, keys: Keys) -> bool:
    steps = tuple(param.split("."))
    return keys[: len(steps)] == steps


def key_in_run_cache(stage: PipelineStage) -> str:
    return str(_get_cache_hash(to_single_stage_lockfile(stage), key=True))


def test_every_param_runs_the_stages_that_track_it(repository: Path, monkeypatch: pytest.MonkeyPatch):
    """Change one after the other: DVC says that each such stage changed, and no earlier run of it is in the run cache.

    The stages are those of dvc.yaml, and DVC itself compares the params and computes the keys of the run cache; only
    the file that it reads is in memory.
    """
    content = params.read_yaml(repository / "params.yaml")
    stages = [stage for stage in Repo(str(repository)).index.stages if isinstance(stage, PipelineStage)]
    deps = [(stage, dep) for stage in stages for dep in tracking(stage)]
    now = {"params.yaml": content}
    monkeypatch.setattr("dvc.dependency.param.load_path", lambda path, *_: now[Path(path).name])
    for _, dep in deps:
        dep.save()  # as after a run with this file
    keys_before = {stage.name: key_in_run_cache(stage) for stage in stages}
    not_run = []
    for keys in params.leaves(content):
        described = keys[0] == "import_recognizer" and keys[1] not in content["recognizers"]["pretrained"]
        if keys[0] in UNTRACKED or described:  # for presets
            continue
        now["params.yaml"] = changed(content, keys)
        followers = [one for one in deps if any(covers(param, keys) for param in one[1].params)]
        assert followers, f"no stage tracks {keys}"
        for stage, dep in followers:
            saved, status = dep.hash_info, dep.status()
            dep.save()
            if not status or key_in_run_cache(stage) == keys_before[stage.name]:
                not_run.append((stage.name, keys))
            dep.hash_info = saved
    assert not not_run


# ---------------------------------------------------------------- what `dvc exp run -S` does to the file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return Path(shutil.copy(FILE, tmp_path / "params.yaml"))


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def override(keys: Keys, value: Any) -> str:
    """Return what stands behind `-S`."""
    return f"{'.'.join(map(str, keys))}={json.dumps(value)}"


def comments(path: Path) -> list[tuple[str, str]]:
    """Return each comment with the key before it, in order; a line of its own has no key."""
    found = [line.partition("#") for line in lines(path) if "#" in line and "'#" not in line]
    return [(before.partition(":")[0].strip(), comment) for before, _, comment in found]


def test_the_file_has_the_form_that_dvc_writes(file: Path):
    apply_overrides(str(file), [override(("seed",), PARAMS["seed"])])
    assert lines(file) == lines(FILE), (
        "write params.yaml as DVC does: lists with an item a line, strings in single quotes, and neither comment nor "
        "empty line behind a list"
    )


@pytest.mark.parametrize(
    "keys",
    [
        ("seed",),
        ("datasets", 0),
        ("recognizers", "bare", 1),
        ("parallel", "workers"),
        ("find_landmarks", "search", "masked"),
        ("render_masks", "colors", "cloth", 6),
        ("train_recognizer", "network", "embedding"),
        ("verify", "fars", 3),
        ("identify", "resamples"),
    ],
)
def test_a_changed_param_changes_its_own_line(keys: Keys, file: Path):
    *above, last = keys
    whole = keys if isinstance(last, str) else tuple(above)  # a list is set as a whole
    content = changed(PARAMS, keys)
    value = functools.reduce(lambda place, key: place[key], whole, content)
    apply_overrides(str(file), [override(whole, value)])
    assert params.read_yaml(file) == content
    pairs = [(old, new) for old, new in zip(lines(FILE), lines(file), strict=True) if old != new]
    assert len(pairs) == 1
    assert comments(file) == comments(FILE)


def test_all_params_changed_at_once_keep_their_comments(file: Path):
    wanted = copy.deepcopy(PARAMS)
    overrides = {}
    for keys in SETTABLE:
        wanted = changed(wanted, keys)
    for keys in SETTABLE:
        whole = keys[: next((place for place, key in enumerate(keys) if isinstance(key, int)), len(keys))]
        overrides[whole] = functools.reduce(lambda place, key: place[key], whole, wanted)
    apply_overrides(str(file), [override(*one) for one in overrides.items()])
    assert params.read_yaml(file) == wanted
    assert comments(file) == comments(FILE)


def lists(content: Any, above: Keys = ()) -> dict[Keys, list[Any]]:
    if isinstance(content, list):
        return {above: content}
    inner = content.items() if isinstance(content, dict) else ()
    return {keys: found for key, value in inner for keys, found in lists(value, (*above, key)).items()}


def test_lists_can_be_emptied_and_filled_again(file: Path):
    """With a comment behind its key, an emptied list would leave a file that is no YAML."""
    assert len(lists(PARAMS)) > 10
    apply_overrides(str(file), [override(keys, []) for keys in lists(PARAMS)])
    assert set(map(tuple, lists(params.read_yaml(file)).values())) == {()}
    apply_overrides(str(file), [override(keys, ["some", "thing"]) for keys in lists(PARAMS)])
    assert comments(file) == comments(FILE)
    apply_overrides(str(file), [override(keys, values) for keys, values in lists(PARAMS).items()])
    assert lines(file) == lines(FILE)


@pytest.mark.parametrize("name", NAMES)
def test_a_preset_leaves_the_form_that_dvc_writes(name: str, file: Path):
    apply_overrides(str(file), ["accept_terms=[celeba,celebamask_hq,faceocc,mlfw]"])
    presets.apply(name, file, ROOT / "presets", ROOT / "data/catalogue.yaml")
    before = lines(file)
    apply_overrides(str(file), ["seed=7"])
    assert lines(file) == [line.replace("seed: 0", "seed: 7") for line in before]
    assert comments(file) == comments(FILE)
