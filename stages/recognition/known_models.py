"""What pretrained recognizers take, by name: models/catalogue.yaml knows the input of those that people use."""

from pathlib import Path
from typing import Any

from pydantic import ConfigDict, RootModel

from stages.core.errors import UnmaskError
from stages.core.params import Section, check, read_yaml

CATALOGUE = Path("models/catalogue.yaml")


class Input(Section):
    """What a recognizer takes, in the words of `import_recognizer`; what its publisher does not say is null."""

    file: str | None = None
    """Its ONNX file, as the publisher calls it; null if there is none, but weights to be exported."""
    side: int
    mean: float
    scale: float
    channels: str = "rgb"

    def described(self) -> dict[str, Any]:
        """Return a recognizer's keys in section `import_recognizer`, but kind and file; RGB goes without saying."""
        found = self.model_dump(exclude={"file"})
        return {key: value for key, value in found.items() if (key, value) != ("channels", "rgb")}


class _Entry(Section):
    """An entry of the catalogue; `stages.data.sources.catalogue` checks the rest."""

    model_config = ConfigDict(extra="ignore")

    input: Input | None = None
    """None of what is no recognizer, but a checkpoint that trainings start from."""


def load(path: Path = CATALOGUE) -> dict[str, Input]:
    """Return what each pretrained recognizer of the catalogue takes, by its name.

    Raises:
        UnmaskError: the catalogue cannot be read, or an entry is wrong; the message names it.
    """
    entries = check(RootModel[dict[str, _Entry]], read_yaml(path), path).root
    return {name: entry.input for name, entry in entries.items() if entry.input}


def of_file(name: str, path: Path = CATALOGUE) -> tuple[str, Input] | None:
    """Return the recognizer whose ONNX file has this name, and its own name in the catalogue; None if none has."""
    return next(((model, known) for model, known in load(path).items() if known.file == name), None)


def like(described: Any, path: Path = CATALOGUE) -> Any:
    """Return what is said of a recognizer in `import_recognizer`, with what the model that it is `like` takes.

    Keys that are there win. What is no mapping, or has no `like`, stays as it is.

    Raises:
        UnmaskError: the catalogue has no such model.
    """
    if not isinstance(described, dict) or "like" not in described:
        return described
    known = load(path)
    name = described["like"]
    if name not in known:
        raise UnmaskError(f"import_recognizer: like: {name!r} is no model of {path}; it has {', '.join(known)}")
    return {**known[name].described(), **{key: value for key, value in described.items() if key != "like"}}
