"""dvc.yaml, params.yaml and the code agree; the whole pipeline runs, and runs nothing twice."""

import ast
import importlib
import json
import re
import shutil
import sys
from pathlib import Path

import networkx as nx
import pytest
from dvc.repo import Repo
from dvc.stage import PipelineStage

from checks import deps
from stages.core import params, tables
from stages.core.code import BESIDE, FOLDER, closure, module_of
from stages.tools import forecast
from stages.training import speed
from tests.conftest import ROOT, SMALL, commit, copy_repository, edit_params, run

PARAMS = params.read_yaml(ROOT / "params.yaml")
PIPELINE = {
    name: {**stage.get("do", {}), **stage} for name, stage in params.read_yaml(ROOT / "dvc.yaml")["stages"].items()
}
# No stage of the pipeline.
BY_HAND = {
    "tune_gender",
    "train_landmarker",
    "train_worn",
    "review_identities",
    "try_photo",
    "run_app",
    "release",
    "evaluate_folder",
}
UNTRACKED = {"accept_terms", "parallel"}  # they change no result

pytestmark = pytest.mark.xdist_group("repository")  # one process makes it, and runs all that needs it


def stages(root: Path) -> dict[str, PipelineStage]:
    found = (stage for stage in Repo(str(root)).index.stages if isinstance(stage, PipelineStage))
    return {stage.name: stage for stage in found}


STAGES = stages(ROOT)


def imports(file: Path) -> set[str]:
    """Return the modules of ours that a file imports, without `stages.`, and with the names that it takes of them."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return {name.removeprefix("stages.") for name in names if name.startswith("stages.")}


def test_the_closure_finds_what_is_imported_and_what_lies_beside_that():
    found = {path.relative_to(ROOT).as_posix() for path in closure(ROOT / "stages/masks/render_masks.py")}
    assert {"stages/faces/warp.py", "stages/landmarks/dlib.py", "stages/core/params.py"} <= found
    assert not {"stages/data/clean.py", "stages/__init__.py", "stages/core/__init__.py"} & found
    of_parser = closure(ROOT / "stages/parsing/parser.py")
    assert ROOT / "stages/parsing/configs/scanet.py" in of_parser
    of_report = closure(ROOT / "stages/reports/report.py")
    assert {file.name for file in of_report} >= {"model_card.md.j2", "page.html.j2", "layout.html.j2", "published.yaml"}
    assert closure(ROOT / "stages/core/errors.py") == {ROOT / "stages/core/errors.py"}


def test_a_stage_that_looks_for_faces_depends_on_the_released_models_that_it_asks():
    asked = {ROOT / f"models/released/{name}.safetensors" for name in ("landmarker", "worn")}
    assert deps.needed(deps.file_of("find_landmarks")) - closure(deps.file_of("find_landmarks")) == asked
    assert {path.as_posix() for path in asked} <= {dep.fs_path for dep in STAGES["find_landmarks@orl"].deps}
    assert not deps.needed(deps.file_of("align_faces")) - closure(deps.file_of("align_faces"))


@pytest.mark.parametrize("name", ["embed", "train_detector", "report"])
def test_every_file_of_ours_that_a_run_loads_is_in_the_closure(name: str):
    """Python itself says what a stage imports; nothing of it is missing."""
    script = f"import sys, {module_of(name)} as _\nfor name, module in sys.modules.items():\n"
    script += "    if name.startswith('stages.'): print(module.__file__)"
    loaded = {Path(word) for word in run(sys.executable, "-c", script, cwd=ROOT).stdout.split()}
    known = closure(deps.file_of(name))
    known.add(ROOT / "stages/core/reproducible.py")  # by `stages` itself, before any stage; it changes no result
    assert {file for file in loaded if file.stat().st_size} <= known


def test_dvc_yaml_names_the_code_that_is_imported():
    text = (ROOT / "dvc.yaml").read_text()
    assert deps.rewritten(text) == text, "make deps"


@pytest.mark.parametrize("name", STAGES)
def test_the_code_of_a_stage_is_what_it_imports_and_little_more(name: str):
    module, _, item = name.partition("@")
    needed = deps.needed(deps.file_of(module), item if module == "clean" else "*")
    places = [Path(dep.fs_path) for dep in STAGES[name].deps if not hasattr(dep, "params")]
    code = [place for place in places if place.is_relative_to(ROOT / "stages") or place.parent == deps.RELEASED]
    named = {file for place in code for file in (deps.files_in(place) if place.is_dir() else {place})}
    assert needed <= named, "make deps"
    assert not [file for file in named - needed if deps.is_program(file)], "another stage's change would run this one"
    if module != "clean":  # whose adapters use more of the room than each other
        assert len(named) <= deps.AT_MOST * len(needed)


def test_a_missing_and_an_idle_dep_are_put_right():
    text = (ROOT / "dvc.yaml").read_text()
    wrong = text.replace(" stages/data/fetch.py, stages/data/sources]", " stages/data/sources, stages/masks]")
    assert wrong != text
    assert deps.rewritten(wrong) == text


@pytest.mark.parametrize("name", PIPELINE)
def test_one_name_four_times(name: str):
    module = importlib.import_module(module_of(name))
    assert callable(getattr(module, name))
    assert f"python -m {module_of(name)}\n" in PIPELINE[name]["cmd"].replace(" --", "\n--")
    assert len(PIPELINE[name]["desc"]) <= 80
    item = "".join(f"-${{item.{axis}}}" for axis in PIPELINE[name].get("matrix", {}))
    item = item.replace("${item.pair}", "${item.pair[0]}+${item.pair[1]}")
    item += "-${key}" * ("foreach" in PIPELINE[name])
    if name != "report":  # which measures nothing
        assert PIPELINE[name]["metrics"][0].keys() == {f"metrics/{name}{item}.json"}


@pytest.mark.parametrize("name", PIPELINE)
def test_params_are_those_of_the_model(name: str):
    """The section of params.yaml loads, and dvc.yaml tracks it and the top-level params that the model takes."""
    model = importlib.import_module(module_of(name)).Params
    params.load(model, name, ROOT / "params.yaml")
    # A stage over models tracks the section of its model only: `train_parser.${item.model}`.
    tracked = {key.split(".")[0] for key in PIPELINE[name].get("params", []) if isinstance(key, str)}
    sections = {name} if name in PARAMS else set()
    assert tracked == (sections | set(getattr(model, "top_level", ()))) - UNTRACKED


def test_params_yaml_has_no_section_that_nobody_reads():
    shared = {"seed", "datasets", "roles", "inpainter", "recognizers", "checkpoints"}
    assert PARAMS.keys() - UNTRACKED - shared - BY_HAND == PIPELINE.keys() - {
        "fetch",
        "fetch_checkpoint",
        "mask_photos",
        "label_parts",
        "fuse_recognizers",
        "report",
    }


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_what_is_run_by_hand_has_params_too(name: str):
    params.load(importlib.import_module(module_of(name)).Params, name, ROOT / "params.yaml")


def test_no_dataset_is_named_in_dvc_yaml():
    names = params.read_yaml(ROOT / "data/catalogue.yaml").keys()
    text = (ROOT / "dvc.yaml").read_text()
    assert not [name for name in names if re.search(rf"\b{name}\b", text)]


def test_what_explains_a_folder_runs_nothing():
    """A README beside masks, occluders or models of one's own is none of them."""
    with Repo(str(ROOT)) as repo:
        for folder in ("data/mask_templates", "data/occluders", "models/pretrained", "models/checkpoints"):
            assert repo.dvcignore.is_ignored_file(str(ROOT / folder / "README.md"))
            assert not repo.dvcignore.is_ignored_file(str(ROOT / folder / "mine.png"))


ROOMS = {  # each may import the ones above it that it names, and itself
    "core": set(),
    "photos": {"core"},
    "compute": {"core"},
    "figures": {"core"},
    "faces": {"core"},
    "masks": {"core", "faces"},
    "training": {"core", "compute"},
}
BELOW = {*ROOMS}  # what any topic may stand on
JOINING = {  # topics that join others
    "removal": {"landmarks", "parsing", "detection"},  # the finder, for two stages and the tools
    "tools": {"landmarks", "parsing", "detection", "removal", "gender", "inpainting", "recognition", "reports"},
}


def test_what_lies_below_imports_no_topic_and_no_topic_imports_another():
    """A stage may, as it puts things together; what it is made of may not."""
    rooms = {path.name for path in (ROOT / "stages").iterdir() if (path / "__init__.py").exists()}
    for room in rooms:
        allowed = ROOMS.get(room, BELOW | JOINING.get(room, set())) | {room}
        for file in (ROOT / "stages" / room).rglob("*.py"):
            if deps.is_program(file):
                continue
            used = {name.split(".")[0] for name in imports(file)}
            assert used <= allowed, f"{file.relative_to(ROOT)} imports {used - allowed}"


def test_nothing_but_a_program_imports_a_stage():
    programs = {file for file in (ROOT / "stages").rglob("*.py") if deps.is_program(file)}
    named = [".".join(file.relative_to(ROOT / "stages").with_suffix("").parts) for file in programs]
    for file in set((ROOT / "stages").rglob("*.py")) - programs:
        assert not [name for name in imports(file) for program in named if f"{name}.".startswith(f"{program}.")], file


def test_no_file_lies_beside_a_module_unseen():
    """Each way in which a module names its own place is one that `closure` knows, or no way to a file of its own."""
    others = {
        "stages/core/cluster.py": "parents[1]",
        "stages/core/code.py": "resolve().parents[1]",
        "stages/landmarks/shipped.py": "resolve().parents[2]",
        "stages/training/openmmlab.py": "origin=__file__",
    }
    for file in (ROOT / "stages").rglob("*.py"):
        lines = [line for line in file.read_text().splitlines() if "__file__" in line and "re.compile" not in line]
        for line in lines:
            known = BESIDE.search(line) or FOLDER.search(line) or re.search(r"(, |^ +)Path\(__file__\)(?=[,)]|$)", line)
            assert known or others[file.relative_to(ROOT).as_posix()] in line, f"{file}: {line}"


def test_the_tree_says_which_stages_a_change_runs():
    text = (ROOT / "docs/tree.md").read_text()
    rows = re.findall(r"^\| (?:`(\w+):` in params.yaml|((?:stages|models)/\S+)) \| (.*) \|$", text, re.MULTILINE)
    assert len(rows) == 9
    for param, file, said in rows:
        run = {
            name
            for name, stage in PIPELINE.items()
            for dep in stage.get("params" if param else "deps", [])
            if f"{param or file}/".startswith(f"{dep}/".replace("${item.dataset}", "lfw"))
        }
        named = set(re.findall(r"`(\w+)`", said))
        assert run == (PIPELINE.keys() - named if said.startswith("all but") else named), param or file


def test_core_works_without_torch():
    for file in (ROOT / "stages/core").glob("*.py"):
        assert not re.search(r"^\s*(import|from) torch", file.read_text(), re.MULTILINE), file


def test_a_margin_runs_its_recognizers_their_scores_and_the_report():
    graph = Repo(str(ROOT)).index.graph
    changed = [
        stage for stage in graph if any("train_recognizer.arcface" in getattr(dep, "params", []) for dep in stage.deps)
    ]
    assert {stage.name for stage in changed} == {"train_recognizer@arcface", "train_masked_recognizer@arcface"}
    follow = {stage.name for one in changed for stage in nx.ancestors(graph, one)}  # DVC's arrows point back
    kinds = ("embed", "train_heads", "verify", "identify")
    assert follow == {f"{kind}@arcface-{masks}" for kind in kinds for masks in ("bare", "masked")} | {"report"}


# ---------------------------------------------------------------- the run


def test_the_whole_pipeline_runs_on_few_faces(small_repository: Path):
    metrics = {path.stem: json.loads(path.read_text()) for path in (small_repository / "metrics").glob("*.json")}
    names = stages(small_repository)
    assert metrics.keys() == {name.replace("@", "-") for name in names if name != "report"}
    assert metrics["clean-orl"]["faces"] == metrics["render_masks-orl"]["masked"] == SMALL
    assert metrics["remove_masks-oracle-orl"]["faces"] == metrics["inpaint-oracle-orl"]["faces"] == SMALL
    assert metrics["clean-orl"]["rejected"] == {"beyond_limit": 400 - SMALL}
    assert tables.count(small_repository / "data/masked/oracle/orl") == SMALL
    for name in names:
        if not name.startswith(("fetch", "train_", "pretrain_", "import_", "embed", "report")):
            figure = small_repository / f"metrics/figures/{name.replace('@', '-')}.png"
            assert figure.stat().st_size > 1000
    curve = (small_repository / "metrics/curves/train_detector.csv").read_text().splitlines()
    assert curve[0].startswith("step,lr,")
    ids = [
        [face["face_id"] for face in tables.read(small_repository / f"data/{kind}/orl")]
        for kind in ("clean", "masked/oracle")
    ]
    assert ids[0] == ids[1]


def ran(output: str) -> list[str]:
    return re.findall(r"Running stage '(.+)'", output)


def test_the_second_run_runs_nothing(small_repository: Path):
    assert ran(run("dvc", "repro", cwd=small_repository).stdout) == []
    assert run("dvc", "status", cwd=small_repository).stdout.strip() == "Data and pipelines are up to date."
    assert run("git", "status", "--porcelain", cwd=small_repository).stdout == ""


def test_a_param_runs_what_depends_on_it_and_nothing_else(small_repository: Path):
    before = (small_repository / "params.yaml").read_text()
    inpainters = ["pretrain_inpainter", "train_shared_inpainter", "train_inpainter@female", "train_inpainter@male"]
    try:
        for change, expected in (
            # All that draws masks, and no recognizer of bare faces; what follows is known once these have run.
            (
                {"render_masks__softness": 1.0},
                [
                    "render_masks@orl",
                    "mask_photos@orl",
                    *(f"{name}_parser@{model}" for name in ("train", "evaluate") for model in ("scanet", "extractor")),
                    "train_detector",
                    "train_gender",
                    *inpainters,
                ],
            ),
            ({"train_parser__scanet__side": 96}, ["train_parser@scanet"]),
            ({"align_faces__side": 96}, ["align_faces@orl", "mask_photos@orl", *inpainters]),
            ({"identify__ranks": [1, 5]}, ["identify@norm_softmax-bare"]),
            ({"accept_terms": ["ffhq"]}, []),
            ({"parallel__workers": 1}, []),
        ):
            edit_params(small_repository, **change)
            assert sorted(ran(run("dvc", "repro", "--dry", cwd=small_repository).stdout)) == sorted(expected)
            (small_repository / "params.yaml").write_text(before)
    finally:
        (small_repository / "params.yaml").write_text(before)


def test_another_dataset_does_not_run_the_first_again(small_repository: Path):
    before = (small_repository / "params.yaml").read_text()
    try:
        edit_params(small_repository, datasets=["orl", "lfw"])
        planned = ran(run("dvc", "repro", "--dry", "--keep-going", cwd=small_repository, check=False).stdout)
        assert planned
        assert not [stage for stage in planned if stage.endswith("@orl")]
    finally:
        (small_repository / "params.yaml").write_text(before)


def test_a_bad_param_stops_with_one_line(small_repository: Path):
    before = (small_repository / "params.yaml").read_text()
    try:
        edit_params(small_repository, render_masks__softness=-1)
        done = run("dvc", "repro", cwd=small_repository, check=False)
        assert done.returncode != 0
        assert "render_masks.softness: -1 is not allowed: a number from 0 to 5" in done.stderr
        assert "Traceback" not in done.stderr
    finally:
        (small_repository / "params.yaml").write_text(before)
        run("dvc", "checkout", cwd=small_repository)


@pytest.mark.parametrize("stages", [["label_parts", "render_masks"], pytest.param(None, marks=pytest.mark.slow)])
def test_one_and_two_workers_write_the_same_lock(small_repository: Path, tmp_path: Path, stages: list[str] | None):
    """Cold: a clone without data, cache or lock; up to some stages, or all."""
    clone = tmp_path / "clone"
    run("git", "clone", "-q", str(small_repository), str(clone), cwd=tmp_path)
    (clone / "dvc.lock").unlink()
    run("dvc", "repro", *(f"{stage}@orl" for stage in stages or []), cwd=clone, UNMASK_WORKERS="2")
    written, expected = (params.read_yaml(where / "dvc.lock")["stages"] for where in (clone, small_repository))
    assert written.keys() >= {f"{stage}@orl" for stage in stages} if stages else written.keys() == expected.keys()
    assert written == {name: expected[name] for name in written}
    shutil.rmtree(clone)


def test_a_missing_curation_list_is_asked_for(tmp_path: Path):
    repository = copy_repository(tmp_path / "unmask")
    (repository / "data/curation/orl.csv").write_text("face_id,reason\norl/s1/11,not there\n")
    edit_params(repository, clean__limit__identities=1)
    commit(repository, "a wrong line")
    done = run("dvc", "repro", "clean@orl", cwd=repository, check=False)
    assert done.returncode != 0
    assert "data/curation/orl.csv names faces that are not in the dataset: line 2: orl/s1/11" in done.stderr
    assert not (repository / "data/clean/orl").exists()


def test_a_forecast_of_the_pipeline_names_what_would_run(
    experiments: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(experiments)
    monkeypatch.setattr(speed, "SECONDS", 0.01)
    assert forecast.pending() == []
    edit_params(experiments, render_masks__softness=1.0)
    found = forecast.pending()
    assert {"render_masks@orl", "train_detector", "identify@norm_softmax-bare", "report"} <= set(found)
    assert not {"fetch@orl", "align_faces@orl", "label_parts@orl"} & set(found)
    forecast.forecast()
    assert f"{len(found)} stages will run, about" in capsys.readouterr().out
    Path("dvc.yaml").write_text("stages: [")
    forecast.forecast()
    assert capsys.readouterr().out.startswith("no forecast: ")
