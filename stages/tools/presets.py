"""Put a preset into params.yaml: presets/<name>.yaml says what it is, and which numbers it changes.

python -m stages.tools.presets lfw

One of presets/recipes is a single model of a paper at full size, and changes nothing else:

python -m stages.tools.presets recipes/extractor_r18
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update
from pydantic import Field, field_validator

from stages.core.command import errors_in_words
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file
from stages.core.params import PARAMS_FILE, Section, check, read_yaml, spelling
from stages.data.sources import catalogue as sources

FOLDER = Path("presets")
CATALOGUE = Path("data/catalogue.yaml")
ACCEPTED = "accept_terms"  # the user's own word, which no preset gives
RECIPES = "recipes"
CHECKPOINTS = "checkpoints"  # key of params.yaml


class About(Section):
    """What a preset is for."""

    what: str
    """In a sentence or two."""
    paper: str | None
    """Whose setting it follows."""
    data: str
    """What must be fetched or dropped."""
    hardware: str
    """On which it was run, and how long that took; or that nobody has run it whole."""
    prints: str
    """What to expect."""


class Preset(Section):
    """Content of presets/<name>.yaml."""

    about: About
    base: str | None = None
    """Another preset, whose values come first."""
    recipes: list[str] = Field(default=[])
    """Names of presets/recipes, whose values come next."""
    checkpoints: list[str] = Field(default=[])
    """Of models/catalogue.yaml, that its trainings start from; with a recipe, those that are listed stay."""
    params: dict[str, Any] = Field(min_length=1)
    """Dotted keys of params.yaml, and their values. A mapping replaces the whole mapping."""

    @field_validator("params")
    @classmethod
    def _accepts_nothing(cls, params: dict[str, Any]) -> dict[str, Any]:
        if ACCEPTED in params:
            raise ValueError(f"{ACCEPTED} is for the user alone to write, into {PARAMS_FILE}")
        if CHECKPOINTS in params:
            raise ValueError(f"{CHECKPOINTS} is no param of a preset: it stands beside `params`")
        return params


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all presets."""
    presets = sorted(path.stem for path in folder.glob("*.yaml"))
    return presets + sorted(f"{RECIPES}/{path.stem}" for path in folder.glob(f"{RECIPES}/*.yaml"))


def load(name: str, folder: Path = FOLDER) -> Preset:
    """Return a preset, the values of those it is based on among its own.

    Raises:
        UnmaskError: there is none of this name, or its file is wrong.
    """
    if name not in names(folder):
        raise UnmaskError(f"there is no preset {name!r}; {folder} has {', '.join(names(folder))}")
    path = folder / f"{name}.yaml"
    preset = check(Preset, read_yaml(path), path)
    above = [load(preset.base, folder)] if preset.base else []
    above += [load(f"{RECIPES}/{recipe}", folder) for recipe in preset.recipes]
    values: dict[str, Any] = {}
    checkpoints: list[str] = []
    for one in (*above, preset):
        values |= one.params
        checkpoints += [name for name in one.checkpoints if name not in checkpoints]
    return preset.model_copy(update={"base": None, "recipes": [], "params": values, "checkpoints": checkpoints})


def applied(name: str, params: Path = PARAMS_FILE, folder: Path = FOLDER) -> tuple[Any, list[str]]:
    """Return the content of params.yaml with a preset's values, and a line on each key that changed; write nothing.

    Raises:
        UnmaskError: there is no such preset, or params.yaml lacks one of its keys.
    """
    preset = load(name, folder)
    content = parse_yaml_for_update(params.read_text(encoding="utf-8"), params)
    changes = []
    here = content.get(CHECKPOINTS) or []
    kept = [one for one in here if one not in preset.checkpoints] if name.startswith(f"{RECIPES}/") else []
    for key, value in {**preset.params, CHECKPOINTS: [*kept, *preset.checkpoints]}.items():
        *steps, last = key.split(".")
        place: Any = content
        for step in steps:
            place = place.get(step) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise UnmaskError(f"{folder / name}.yaml: {key} is no key of {params}; {spelling(key)}")
        if place[last] != value:
            changes.append(f"{key}: {_short(place[last])} -> {_short(value)}")
            _put(place, last, value)
    return content, changes


def not_accepted(content: Any, known: Mapping[str, sources.Dataset]) -> dict[str, sources.Dataset]:
    """Return those of some datasets or models whose terms are not accepted in the content of params.yaml, by name."""
    accepted = content.get(ACCEPTED) or []
    return {name: source for name, source in known.items() if source.terms and name not in accepted}


def apply(name: str, params: Path = PARAMS_FILE, folder: Path = FOLDER, catalogue: Path = CATALOGUE) -> list[str]:
    """Put a preset's values into params.yaml, in the form that DVC writes; return a line on each key that changed.

    Raises:
        UnmaskError: there is no such preset, params.yaml lacks one of its keys, or the terms of one of its datasets are
            not accepted there; then nothing is changed.
    """
    content, changes = applied(name, params, folder)
    known = sources.load(catalogue)
    wanted = {name: known[name] for name in content.get("datasets") or [] if name in known}
    if asked := not_accepted(content, wanted):
        told = [
            f"- {name}, {source.title}: {source.terms} License: {source.license.rstrip('.')}. Read more at "
            f"{source.homepage}."
            for name, source in asked.items()
        ]
        raise UnmaskError(
            f"{params} is unchanged, as {name} needs datasets whose terms you have not accepted:\n"
            + "\n".join(told)
            + f"\nIf you accept them, write `{ACCEPTED}: [{', '.join([*(content.get(ACCEPTED) or []), *asked])}]` in "
            f"{params} and run this again."
        )
    if changes:
        with whole_file(params) as staging:
            staging.write_text(dumps_yaml(content), encoding="utf-8")
    return changes


def _put(place: Any, key: str, value: Any) -> None:
    """Set a value; of a mapping, what stays the same keeps its place and its comments."""
    here = place.get(key)
    if not (isinstance(value, dict) and isinstance(here, dict)):
        place[key] = value
        return
    for gone in set(here) - set(value):
        del here[gone]
    for name, one in value.items():
        if name not in here or here[name] != one:
            _put(here, name, one)


def _short(value: Any) -> str:
    text = str(dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value)
    return text if len(text) < 60 else f"{text[:57]}..."


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.tools.presets", description=__doc__)
    parser.add_argument("name", nargs="?", help=f"one of {', '.join(names())}; none: say what there is")
    name = parser.parse_args().name
    with errors_in_words("presets"):
        if name is None:
            print("\n".join(f"{one:26} {load(one).about.what}" for one in names()))
            return
        changes = apply(name)
        about = load(name).about
    print("\n".join(changes) or f"{PARAMS_FILE} has these values already")
    print("\n" + "\n".join(f"{key}: {text}" for key, text in about if text) + "\n\nNow run: dvc repro")


if __name__ == "__main__":
    main()
