"""Put a preset into params.yaml: presets/<name>.yaml says what it is, and which numbers it changes.

python -m stages.common.presets lfw
"""

import argparse
import io
import sys
from pathlib import Path
from typing import Any

from pydantic import Field
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq

from stages.common.errors import UnmaskError
from stages.common.outputs import whole_file
from stages.common.params import PARAMS_FILE, Section, check, read_yaml

FOLDER = Path("presets")
WIDTH = 4096  # of a line of params.yaml: none is folded


class About(Section):
    """What a preset is for."""

    what: str
    """In a sentence or two."""
    paper: str | None
    """Whose setting it follows."""
    data: str
    """What must be fetched or dropped, and which terms are accepted by it."""
    hardware: str
    """On which it was run, and how long that took; or that nobody has run it whole."""
    prints: str
    """What to expect."""


class Preset(Section):
    """Content of presets/<name>.yaml."""

    about: About
    base: str | None = None
    """Another preset, whose values come first."""
    params: dict[str, Any] = Field(min_length=1)
    """Dotted keys of params.yaml, and their values. A mapping replaces the whole mapping."""


def names(folder: Path = FOLDER) -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load(name: str, folder: Path = FOLDER) -> Preset:
    """Return a preset, the values of those it is based on among its own.

    Raises:
        UnmaskError: there is none of this name, or its file is wrong.
    """
    if name not in names(folder):
        raise UnmaskError(f"there is no preset {name!r}; {folder} has {', '.join(names(folder))}")
    path = folder / f"{name}.yaml"
    preset = check(Preset, read_yaml(path), path)
    if preset.base is None:
        return preset
    return preset.model_copy(update={"base": None, "params": {**load(preset.base, folder).params, **preset.params}})


def apply(name: str, params: Path = PARAMS_FILE, folder: Path = FOLDER) -> list[str]:
    """Put a preset's values into params.yaml, comments kept; return a line on each key that changed.

    Raises:
        UnmaskError: there is no such preset, or params.yaml lacks one of its keys; then nothing is changed.
    """
    preset = load(name, folder)
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(params.read_text(encoding="utf-8"))
    changes = []
    for key, value in preset.params.items():
        *steps, last = key.split(".")
        place: Any = content
        for step in steps:
            place = place.get(step) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise UnmaskError(f"{folder / name}.yaml: {key} is no key of {params}")
        if place[last] != value:
            changes.append(f"{key}: {_short(place[last])} -> {_short(value)}")
            _put(place, last, value)
    written = io.StringIO()
    yaml.dump(content, written)
    if changes:
        with whole_file(params) as staging:
            staging.write_text(written.getvalue(), encoding="utf-8")
    return changes


def _put(place: Any, key: str, value: Any) -> None:
    """Set a value; of a mapping what stays the same keeps its place and its comments, and a list its brackets."""
    if isinstance(value, list) and isinstance(place[key], CommentedSeq):
        place[key] = _like(place[key], CommentedSeq(value))
        return
    if not (isinstance(value, dict) and isinstance(place[key], CommentedMap)):
        place[key] = value
        return
    here = place[key]
    for gone in set(here) - set(value):
        del here[gone]
    for name, one in value.items():
        if name not in here:
            here[name] = CommentedMap(one) if isinstance(one, dict) else one
            if isinstance(one, dict):
                here[name].fa.set_flow_style()
        elif here[name] != one:
            _put(here, name, one)


def _like(old: Any, new: Any) -> Any:
    """Return a new collection with the comments and brackets of an old one."""
    new.fa.set_flow_style()
    last = max((place for place in old.ca.items if isinstance(place, int)), default=None)
    if last is not None and len(new):  # a comment behind the list belongs to its last item
        new.ca.items[len(new) - 1] = old.ca.items[last]
    new.ca.comment = old.ca.comment
    return new


def _short(value: Any) -> str:
    text = str(dict(value) if isinstance(value, dict) else list(value) if isinstance(value, list) else value)
    return text if len(text) < 60 else f"{text[:57]}..."


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m stages.common.presets", description=__doc__)
    parser.add_argument("name", nargs="?", help=f"one of {', '.join(names())}; none: say what there is")
    name = parser.parse_args(arguments).name
    try:
        if name is None:
            print("\n".join(f"{one:18} {load(one).about.what}" for one in names()))
            return
        changes = apply(name)
        about = load(name).about
    except UnmaskError as error:
        sys.exit(f"presets: {error}")
    print("\n".join(changes) or f"{PARAMS_FILE} has these values already")
    print("\n" + "\n".join(f"{key}: {text}" for key, text in about if text) + "\n\nNow run: dvc repro")


if __name__ == "__main__":
    main()
