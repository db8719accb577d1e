"""What README, lock and catalogue say is so."""

import importlib.metadata
import json
import re
import tomllib

from packaging.requirements import Requirement

from stages.common import params
from tests.conftest import ROOT, run

README = (ROOT / "README.md").read_text()


def canonical(name: str) -> str:
    """Return a package's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


LOCK = {
    canonical(name): version
    for name, version in (line.split("==") for line in (ROOT / "requirements.lock").read_text().splitlines())
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_numbers_in_the_readme_are_the_metrics():
    lines = re.findall(r"^(\S+\.json) +(\S+) +(\S+)$", README, re.MULTILINE)
    assert len(lines) >= 10
    for file, key, value in lines:
        number = json.loads((ROOT / "metrics" / file).read_text())
        for step in key.split("."):
            number = number[step]
        assert str(number) == value, f"{file} {key}"


def test_the_readme_lists_every_dataset():
    listed = re.findall(r"^\| `(\w+)` \|.*\| (yes|not yet)", README, re.MULTILINE)
    catalogue = params.read_yaml(ROOT / "data/catalogue.yaml")
    assert sorted(name for name, _ in listed if name in catalogue) == sorted(catalogue)
    for name, adapter in listed:
        if name in catalogue:
            assert (ROOT / f"stages/datasets/{name}.py").exists() == (adapter == "yes"), name


def test_links_in_the_readme_lead_somewhere():
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


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
        assert distribution.version == LOCK[name], f"{name} {distribution.version} is installed, not {LOCK[name]}"
        for text in distribution.requires or []:
            needed = Requirement(text)
            if not needed.marker or any(needed.marker.evaluate({"extra": extra}) for extra in (*extras, "")):
                todo.append(needed)


def test_the_lock_is_pins_alone():
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line), line


def test_nothing_large_is_in_git():
    # The landmarker's weights come with the code, as dlib's do with its package: photos need them before any stage.
    larger = {"stages/landmarks/landmarker.safetensors": 2.5 * 2**20}
    for name in run("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0"):
        if name and (ROOT / name).exists():
            assert (ROOT / name).stat().st_size < larger.get(name, 2**20), name


def test_make_help_lists_every_target():
    shown = run("make", "help", cwd=ROOT).stdout
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"repro", "test", "lint"} <= set(targets)
    for target in targets:
        assert f"make {target} " in shown


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
