"""Parameters of a stage: one section of params.yaml, checked against the stage's `Params` model."""

import types
import typing
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.core.errors import UnmaskError

PARAMS_FILE = Path("params.yaml")
# DVC's run cache drops keys of these names, at any depth, from what it knows a stage by: of outs, they are counts. If
# such a param changes, `dvc repro` brings back the results of its old value under the new one's name.
UNSEEN = frozenset({"size", "nfiles"})
# Keys of earlier versions, and their last part's name now.
RENAMED = {
    "clean.limit.people": "identities",
    "try_photo.certain": "worn_threshold",
    "try_photo.possible": "possible_threshold",
    "train_landmarker.masked": "mask_prob",
    "train_landmarker.elsewhere": "background_prob",
    "train_parser.scanet.occluded": "occluder_prob",
    "train_parser.scanet.bearded": "beard_prob",
    "train_parser.extractor.occluded": "occluder_prob",
    "train_parser.extractor.bearded": "beard_prob",
    "train_detector.bearded": "beard_prob",
    "evaluate_detector.certain": "score_threshold",
    "remove_masks.certain": "score_threshold",
    "remove_masks.grow": "dilation",
    "train_recognizer.masked": "mask_prob",
    "train_gender.masked": "mask_prob",
    "inpainter.blended": "blend_prob",
    "inpainter.averaging": "ema_momentum",
    "inpaint.grow": "dilation",
    "distill_recognizer.masked": "mask_prob",
}


FilePath = Annotated[Path, Field(strict=False)]  # which YAML writes as a text


class Section(BaseModel):
    """A frozen group of params; an unknown key, a missing key or a wrong type is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class StageParams(Section):
    """Base of every stage's `Params`: the section of params.yaml that has the stage's name.

    `top_level` names the fields that stand at the top of params.yaml instead, because several stages share them.
    """

    top_level: ClassVar[tuple[str, ...]] = ()


_Model = typing.TypeVar("_Model", bound=BaseModel)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML 1.2 file as plain Python types.

    Raises:
        UnmaskError: no such file, or not YAML.
    """
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnmaskError(f"{path}: no such file; run from the root of the repository") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise UnmaskError(f"{path} cannot be read as YAML: {error}") from None


def load(model: type[_Model], section: str, path: Path = PARAMS_FILE) -> _Model:
    """Return the params in a section of params.yaml, named by its dotted keys.

    Raises:
        UnmaskError: a key is unknown, missing, ill-typed, out of range or one that DVC does not see; the message names
            each such key, its line and what is allowed.
    """
    content = read_yaml(path)
    values: Any = content
    for key in section.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    top_level = getattr(model, "top_level", ())
    if not isinstance(values, dict):
        required = {name for name, field in model.model_fields.items() if field.is_required()}
        if required - set(top_level) or not isinstance(content, dict):
            raise UnmaskError(f"{path} has no section `{section}:`")
        values = {}
    values = {**values, **{name: content[name] for name in top_level if name in content}}
    _refuse_unseen(values, path, tuple(section.split(".")))
    return check(model, values, path, tuple(section.split(".")))


def _refuse_unseen(values: Any, path: Path, section: tuple[str, ...]) -> None:
    try:
        wrong = [(*section, *keys) for keys in leaves(values) if UNSEEN & set(keys)]
    except RecursionError:
        raise UnmaskError(f"{path}: {_dotted(section)} is nested too deep, or within itself") from None
    if not wrong:
        return
    commented = YAML().load(path.read_text(encoding="utf-8"))
    reason = f"no param may be called {' or '.join(sorted(UNSEEN))}, as DVC would not see that it changed"
    raise UnmaskError(
        "\n".join(
            f"{path}, line {_line(commented, keys)}: {_dotted(keys)}: {reason}; pixels of an edge are called `side`"
            for keys in wrong
        )
    )


def leaves(content: Any) -> dict[tuple[int | str, ...], Any]:
    """Return what stands at the ends of nested mappings and lists, by keys and indices; empty ones are ends, too."""
    if not content or not isinstance(content, dict | list):
        return {(): content}
    inner = content if isinstance(content, dict) else dict(enumerate(content))
    return {(key, *keys): leaf for key, value in inner.items() for keys, leaf in leaves(value).items()}


def check(model: type[_Model], values: Any, path: Path, section: tuple[str, ...] = ()) -> _Model:
    """Return values from a YAML file as a model.

    Args:
        model: what the values must be.
        values: what was read.
        path: of the file, for the message.
        section: the keys under which the values stand in the file.

    Raises:
        UnmaskError: as `load`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        commented = YAML().load(path.read_text(encoding="utf-8"))  # knows the line of each key
        top_level = getattr(model, "top_level", ())
        lines = []
        for problem in error.errors():
            # "[key]" is pydantic's way to say that the key before it is wrong, not its value.
            location = tuple(key for key in problem["loc"] if key != "[key]")
            keys = location if location and location[0] in top_level else (*section, *location)
            line = _line(commented, keys)
            where = f"{path}, line {line}" if line else str(path)
            lines.append(f"{where}: {_dotted(keys)}: {_wrong(model, problem, _dotted(keys))}")
        raise UnmaskError("\n".join(lines)) from None


def spelling(key: str) -> str:
    """Return what to do about an unknown dotted key of params.yaml: its new name, if it had another one before."""
    return f"it is called {RENAMED[key]} now" if key in RENAMED else "check its spelling"


def _dotted(location: tuple[int | str, ...]) -> str:
    return ".".join(str(key) for key in location) or "(whole file)"


def _wrong(model: type[BaseModel], problem: Any, key: str) -> str:
    allowed = _allowed(model, problem["loc"])
    if problem["type"] == "missing":
        return f"is missing{f' ({allowed})' if allowed else ''}"
    if problem["type"] == "extra_forbidden":
        return f"is not a known key; {spelling(key)}"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    return f"{problem['input']!r} is not allowed: {allowed or problem['msg']}"


def _line(content: Any, keys: tuple[int | str, ...]) -> int | None:
    """Return the 1-based line of the deepest of `keys` that the file has."""
    line = None
    for key in keys:
        if not hasattr(content, "lc") or (isinstance(content, dict) and key not in content):
            break
        # A mapping keeps (line, column) by key, a sequence by index.
        line = content.lc.data[key][0] + 1
        content = content[key]
    return line


def _allowed(model: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """Describe the values a field takes: `a number from 0 to 1`, `one of a, b`; empty if it is not a simple field."""
    annotation: Any = model
    metadata: list[Any] = []
    for key in location:
        if isinstance(annotation, type) and issubclass(annotation, RootModel):
            annotation = annotation.model_fields["root"].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(key))
            if field is None:
                return ""
            annotation, metadata = field.annotation, list(field.metadata)
        elif typing.get_origin(annotation) in {dict, list}:
            annotation, metadata = typing.get_args(annotation)[-1], []
        else:
            return ""
        annotation, metadata = _unwrapped(annotation, metadata)
    return _described(annotation, metadata)


def _unwrapped(annotation: Any, metadata: list[Any]) -> tuple[Any, list[Any]]:
    """Move what `Annotated[type, …]` carries to the metadata."""
    if typing.get_origin(annotation) is typing.Annotated:
        annotation, *more = typing.get_args(annotation)
        constraints = [getattr(item, "metadata", [item]) for item in more]
        metadata = metadata + [item for group in constraints for item in group]
    return annotation, metadata


def _described(annotation: Any, metadata: list[Any]) -> str:
    if typing.get_origin(annotation) is typing.Literal:
        return "one of " + ", ".join(str(choice) for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) in {types.UnionType, typing.Union}:
        choices = [_described(*_unwrapped(choice, metadata)) for choice in typing.get_args(annotation)]
        return " or ".join(choices) if all(choices) else ""
    names = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}
    kind = names.get(annotation, "")
    if kind in {"a whole number", "a number"}:
        kind += _range(metadata)
    if kind == "a text":
        kind += "".join(f" like {item.pattern}" for item in metadata if getattr(item, "pattern", None))
    return kind


def _range(metadata: list[Any]) -> str:
    words = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    bounds = {word: getattr(item, word) for item in metadata for word in words if hasattr(item, word)}
    return "".join(f" {words[word]} {bounds[word]}" for word in words if word in bounds)
