"""Make a release: models of a finished run in half precision, which the tools take for photos of anybody.

python -m stages.tools.release --preset lfw --faces data/masked/oracle/lfw

`make release PRESET=lfw FACES=data/masked/oracle/lfw` is short for it. `--run` is the checkout in which the run was
made, if not this one: its models, metrics, params, catalogue and dvc.lock are read. `--faces` is a table with drawn
masks, on which each model must say in half precision what it said before. `--out` (`models/released`) is replaced as a
whole, and the README.md beside it is written anew; a model whose weights are those of the last release keeps its
commit, and one that the run has not trained stays as it is. Which models of a run are released stands in `release:` of
params.yaml, what is said of each in stages/tools/releasing/models.yaml. Models that were trained by hand are in every
release, with the weights that they have here; by_hand.yaml says what they are. A file's header has all of it:

python -c "import safetensors as s; print(s.safe_open('models/released/detector.safetensors', 'pt').metadata())"
"""

import functools
import hashlib
import json
import operator
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import safetensors.torch
import torch
from pydantic import Field
from ruamel.yaml import YAML
from torch import Tensor

from stages.compute import weights
from stages.core import params as yaml
from stages.core import tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file, whole_folder
from stages.core.params import Section, StageParams
from stages.inpainting import inpainter
from stages.landmarks.shipped import SHIPPED
from stages.removal.released import RELEASED, SETTINGS
from stages.tools.releasing import agreement

HERE = Path(__file__).parent / "releasing"
BY_HAND = HERE / "by_hand.yaml"
KEY = "release"  # of a header
README = "README.md"
CATALOGUE = "data/catalogue.yaml"
OURS = "*.[sy]a[fm]*"  # .safetensors, .yaml
COMPARED = 24  # faces
FINDER = "parser-scanet"  # how faces lie, in which masks are looked for, is as it has learned
PARSER = "train_parser@scanet"  # which may learn from a table of real masks, whose faces are named by their datasets
MADE = ("models/", "data/")  # folders of what stages make of each other's outs
TRAINED = ("align_faces",)  # sections of the run's params.yaml that models only work with
USED = ("find_landmarks", "remove_masks", "inpaint", "try_photo")  # of this one's, for who has none
LICENSE = "MIT, within the terms of the data that it learned from"

Lock = Mapping[str, Any]
"""Stages of dvc.lock."""


class Params(StageParams):
    """Section `release:` of params.yaml."""

    models: list[str] = Field(min_length=1)
    """Which, by the names of their files."""
    megabytes: float = Field(gt=0)
    """Millions of bytes that they may have in all."""


class Described(Section):
    """An entry of models.yaml."""

    what: str
    use: str
    made_by: str
    learned_from: list[str]
    asked: dict[str, list[str]] = Field(default_factory=dict)
    also_from: str = ""
    figures: dict[str, list[str]]


class ByHand(Section):
    """An entry of by_hand.yaml."""

    what: str
    use: str
    made_by: str
    preset: str
    commit: str
    weights: str
    learned_from: list[str]
    also_from: str
    measured: str
    figures: dict[str, float | str]


def release(
    preset: str, faces: Path, params: Params, run: Path | None = None, out: Path | None = None
) -> dict[str, Any]:
    """Write models of a run in half precision, those that were trained by hand, and the page that describes them.

    Args:
        preset: the name of the preset that the run followed.
        faces: a face table with drawn masks.
        params: section `release`.
        run: the checkout of the run, by default the current folder.
        out: the folder to write, by default `models/released`; the page goes beside it.

    Returns:
        The size of each model and of all, by how much each differs from what it was before, and what has changed since
        the last release.

    Raises:
        UnmaskError: a model or a figure of it is missing, a figure is of another model, one differs by more than it
            may, or all are too large.
    """
    run, out = run or Path(), out or RELEASED
    rows = _sample(faces)
    before = {path.stem: path.read_bytes() for path in out.glob("*.safetensors")}
    lock = yaml.read_yaml(run / "dvc.lock")["stages"]
    kept = [name for name in params.models if name in before and not _path(run, name).exists()]
    by_hand = headers_by_hand(SHIPPED, run / CATALOGUE)
    headers = by_hand | {
        name: safetensors_header(before[name])[KEY] if name in kept else _header(name, run, preset, lock)
        for name in params.models
    }
    with whole_folder(out, replaceable=OURS) as staging:
        for name, header in headers.items():
            target = staging / f"{name}.safetensors"
            if name in by_hand:
                _write(SHIPPED / target.name, target, header)
                continue
            if name in kept:
                target.write_bytes(before[name])
                continue
            source = weights_of(run, name)
            _write(source, target, header)
            found = agreement.difference(source, target, rows)
            if found.value > found.most:
                raise UnmaskError(f"{name} differs in half precision from what it was by {found}: leave it out")
            header["difference"] = str(found)
            header["commit"] = _first_commit(before.get(name), target.read_bytes()) or header["commit"]
            _write(source, target, header)
        sizes = {name: (staging / f"{name}.safetensors").stat().st_size / 1e6 for name in headers}
        if sum(sizes.values()) > params.megabytes:
            raise UnmaskError(_too_large(sizes, params.megabytes))
        _write_settings(out / SETTINGS if FINDER in kept else run / yaml.PARAMS_FILE, staging / SETTINGS)
    _write_page(out.parent / README, headers, sizes, {"preset": preset, "faces": _in_run(faces, run)})
    after = {name: (out / f"{name}.safetensors").read_bytes() for name in headers}
    return {
        "megabytes": {**sizes, "all": sum(sizes.values())},
        "differences": {name: header["difference"] for name, header in headers.items()},
        "changes": changes(before, after),
    }


def weights_of(run: Path, name: str) -> Path:
    """Return the file of a model of a run.

    Raises:
        UnmaskError: there is none.
    """
    path = _path(run, name)
    if not path.exists():
        raise UnmaskError(f"{path}: no such file; `dvc repro` trains it, or take it out of release.models")
    return path


def _path(run: Path, name: str) -> Path:
    return run / "models" / f"{name}.safetensors"


def _sample(faces: Path) -> list[tables.Face]:
    rows = [row for row in tables.sample(faces, 4 * COMPARED) if row.get("mask") is not None][:COMPARED]
    if not rows:
        raise UnmaskError(f"{faces} has no faces with drawn masks: name a table such as data/masked/oracle/lfw")
    return rows


def halved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights in half precision; vectors stay as they are, among them the statistics of batch norms.

    Raises:
        UnmaskError: a number is too large for half precision; the message names its tensor.
    """
    found = {}
    for name, tensor in state.items():
        small = tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor
        if tensor.is_floating_point() and not torch.isfinite(small).all():
            raise UnmaskError(
                f"{name} has numbers beyond half precision, {tensor.abs().max():.3g}: leave its model out"
            )
        found[name] = small.contiguous()
    return found


def _write(source: Path, target: Path, header: Mapping[str, Any]) -> None:
    """Write a file of weights in half precision, with more in its header, and without what only a training needs."""
    about, state = weights.load(source, weights.kind_of(source))
    state = {name: tensor for name, tensor in state.items() if not name.startswith(inpainter.DISCRIMINATOR)}
    with whole_file(target, in_whole_folder=True) as staging:
        text = json.dumps({**about, KEY: header}, sort_keys=True)
        safetensors.torch.save_file(halved(state), staging, {weights.KEY: text})


def headers_by_hand(folder: Path, catalogue: Path) -> dict[str, dict[str, Any]]:
    """Return what by_hand.yaml says of each model in it, by name, and the catalogue of its data.

    Raises:
        UnmaskError: the file of one in the folder is missing, or has other weights than those that the figures are of.
    """
    described, datasets, found = yaml.read_yaml(BY_HAND), yaml.read_yaml(catalogue), {}
    for name in described:
        one = yaml.check(ByHand, described[name], BY_HAND, (name,))
        path = folder / f"{name}.safetensors"
        if not path.exists():
            raise UnmaskError(f"{path}: no such file; Git has it, or `{one.made_by}` trains it anew")
        digest = hashlib.sha256(_tensors(path.read_bytes())).hexdigest()[: len(one.weights)]
        if digest != one.weights:
            raise UnmaskError(
                f"{path} has the weights {digest}, the figures in {BY_HAND.name} are of {one.weights}: measure it as "
                f"{one.measured} says, and write there what you find, the commit and the weights"
            )
        found[name] = {
            **one.model_dump(exclude={"weights", "learned_from"}),
            "name": name,
            "data": _data(one.learned_from, datasets),
            "license": LICENSE,
            "difference": "not known: half precision is all that was kept",
        }
    return found


def _data(datasets: Sequence[str], catalogue: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{key: catalogue[dataset][key] for key in ("title", "homepage", "license")} for dataset in datasets]


def _header(name: str, run: Path, preset: str, lock: Lock) -> dict[str, Any]:
    """Return what is said of a model of a run: what it is, and from what and how it was made."""
    described = yaml.read_yaml(HERE / "models.yaml")
    if name not in described:
        raise UnmaskError(f"release.models: {name!r} is not allowed: one of {', '.join(sorted(described))}")
    one = yaml.check(Described, described[name], HERE / "models.yaml", (name,))
    settings = yaml.read_yaml(run / yaml.PARAMS_FILE)
    catalogue = yaml.read_yaml(run / CATALOGUE)
    asked = [role for role, weight in one.asked.items() if functools.reduce(operator.getitem, weight, settings)]
    datasets = [settings["roles"][role] for role in (*one.learned_from, *asked)]
    if one.made_by == PARSER and (real := settings["train_parser"]["scanet"]["real"]):
        datasets += sorted({row["face_id"].split("/")[0] for row in tables.read(run / real, ["face_id"])})
    datasets = list(dict.fromkeys(datasets))
    return {
        "name": name,
        "what": one.what,
        "use": one.use,
        "made_by": one.made_by,
        "preset": preset,
        "commit": _commit(run),
        "data": _data(datasets, catalogue),
        "also_from": one.also_from,
        "license": LICENSE,
        "figures": {label: _figure(run, path, weights_of(run, name), lock) for label, path in one.figures.items()},
    }


def _figure(run: Path, path: Sequence[str], model: Path, lock: Lock) -> float:
    """Return a number of a metrics file, given the file's name and the steps to it, that is of a model of the run."""
    file, *steps = path
    source = run / "metrics" / f"{file}.json"
    try:
        found = json.loads(source.read_text(encoding="utf-8"))
        for step in steps:
            found = found[step]
        number = float(found)
    except FileNotFoundError:
        raise UnmaskError(f"{source}: no such file; `dvc repro` of that run writes it") from None
    except (KeyError, TypeError):
        raise UnmaskError(f"{source} has no {'.'.join(steps)}: write into models.yaml what it has") from None
    if not _measured_with(model.relative_to(run).as_posix(), _md5(model), source.relative_to(run), _md5(source), lock):
        raise UnmaskError(f"{source} was not measured with {model} as it is now: do `dvc repro` in {run.resolve()}")
    return number


def _measured_with(model: str, digest: str, out: Path, of_out: str, lock: Lock) -> bool:
    """Tell whether dvc.lock has made an out, of this checksum, of a model of that one, directly or by other outs."""
    for stage in lock.values():
        if any(one["path"] == out.as_posix() and one["md5"] == of_out for one in stage.get("outs", [])):
            made_of = {dep["path"]: dep["md5"] for dep in stage.get("deps", []) if dep["path"].startswith(MADE)}
            if model in made_of:
                return made_of[model] == digest
            return any(_measured_with(model, digest, Path(path), of, lock) for path, of in made_of.items())
    return False


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()  # as DVC counts


def _commit(run: Path) -> str:
    git = ["git", "-C", str(run), "rev-parse", "--short=12", "HEAD"]
    done = subprocess.run(git, capture_output=True, text=True, check=False)  # noqa: S603 -- of this machine
    if done.returncode:
        raise UnmaskError(f"{run} is no checkout of Git: nobody could say what its models were made by")
    return done.stdout.strip()


def _first_commit(before: bytes | None, now: bytes) -> str | None:
    """Return the commit of the last release if its weights are these, given the content of both files."""
    if before is None or _tensors(before) != _tensors(now):
        return None
    return str(safetensors_header(before)[KEY]["commit"])


def _tensors(content: bytes) -> bytes:
    length = int.from_bytes(content[:8], "little")
    return content[8 + length :]


def _too_large(sizes: Mapping[str, float], most: float) -> str:
    each = ", ".join(f"{name} {size:.1f}" for name, size in sorted(sizes.items(), key=lambda one: -one[1]))
    total = sum(sizes.values())
    return f"these models have {total:.1f} MB in all, release.megabytes allows {most:g}: leave one out ({each})"


def _write_settings(trained_with: Path, target: Path) -> None:
    """Write the sections of params.yaml by which the tools find faces and masks."""
    trained, used = yaml.read_yaml(trained_with), yaml.read_yaml(yaml.PARAMS_FILE)
    content = {name: trained[name] for name in TRAINED} | {name: used[name] for name in USED}
    with target.open("w", encoding="utf-8") as file:
        file.write("# How the models beside this file are used; `make release` writes it.\n")
        YAML().dump(content, file)


def _in_run(faces: Path, run: Path) -> str:
    """Return the path of a table as it is called in the checkout of the run."""
    inside = faces.resolve().is_relative_to(run.resolve())
    return (faces.resolve().relative_to(run.resolve()) if inside else faces).as_posix()


def _write_page(page: Path, headers: Mapping[str, Any], sizes: Mapping[str, float], made: Mapping[str, str]) -> None:
    commits, data = defaultdict(list), {}
    for name, header in headers.items():
        commits[header["commit"], header["preset"]].append(name)
        for one in header["data"]:
            data.setdefault(one["title"], {**one, "models": []})["models"].append(name)
    environment = jinja2.Environment(  # noqa: S701 -- Markdown
        loader=jinja2.FileSystemLoader(HERE), trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["backticked"] = lambda name: f"`{name}`"
    text = environment.get_template("zoo.md.j2").render(
        megabytes=sum(sizes.values()),
        models=[
            {**header, "figures": _in_order(name, header["figures"]), "megabytes": sizes[name]}
            for name, header in headers.items()
        ],
        commits=commits,
        data=list(data.values()),
        noncommercial=any("non-commercial" in one["license"] for one in data.values()),
        **made,
    )
    with whole_file(page) as staging:
        staging.write_text(text.strip() + "\n", encoding="utf-8")


def _in_order(name: str, figures: Mapping[str, float | str]) -> dict[str, float | str]:
    """Return figures of a model as models.yaml has them; a file's header has them by the alphabet."""
    order = list(yaml.read_yaml(HERE / "models.yaml").get(name, {}).get("figures", {}))
    return dict(sorted(figures.items(), key=lambda one: order.index(one[0]) if one[0] in order else -1))


def changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> dict[str, str]:
    """Return by model what is different, given the content of the files of two releases."""
    found = {}
    for name in sorted(before.keys() | after.keys()):
        if name not in after:
            found[name] = "no longer released"
        elif name not in before:
            found[name] = "new"
        elif before[name] != after[name]:
            was, now = (safetensors_header(content).get(KEY, {}) for content in (before[name], after[name]))
            figures = [
                f"{label} {was.get('figures', {}).get(label, 'unknown')} -> {value}"
                for label, value in now["figures"].items()
                if was.get("figures", {}).get(label) != value
            ]
            found[name] = "; ".join([f"commit {was.get('commit')} -> {now['commit']}", *figures])
    return found


def safetensors_header(content: bytes) -> dict[str, Any]:
    """Return what `weights.save` wrote into a file's header, given the file's content."""
    length = int.from_bytes(content[:8], "little")
    return dict(json.loads(json.loads(content[8 : 8 + length])["__metadata__"][weights.KEY]))


if __name__ == "__main__":
    run_stage("tools.release")
