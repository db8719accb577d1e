"""Parameters of a stage: one section of params.yaml, checked against the stage's `Params` model."""

import typing
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.core.errors import UnmaskError

PARAMS_FILE = Path("params.yaml")
# DVC's run cache drops keys of these names, at any depth, from what it knows a stage by: of outs, they are counts. If
# such a param changes, `dvc repro` brings back the results of its old value under the new one's name.
UNSEEN = frozenset({"size", "nfiles"})
# Types and bounds of a JSON schema in words.
KINDS = {"integer": "a whole number", "number": "a number", "string": "a text", "boolean": "true or false"}
KINDS |= {"null": "null"}
BOUNDS = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
BOUNDS |= {"pattern": "like"}
# Keys of earlier versions, and what their last part is called now, or the whole key.
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
    "recognizers.trained": "bare",
    "train_recognizer.masked": "train_masked_recognizer.mask_prob",
    "train_recognizer.softmax": "norm_softmax",
    "train_gender.masked": "mask_prob",
    "train_gender.network.backbone": "pretrained",
    "inpainter.blended": "blend_prob",
    "inpainter.averaging": "ema_momentum",
    "inpaint.grow": "dilation",
    "distill_recognizer.masked": "mask_prob",
    "embed.real_masks_from": "masks",
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
    keys_of_section = tuple(section.split("."))
    try:
        unseen = [(*keys_of_section, *keys) for keys in leaves(values) if UNSEEN & set(keys)]
    except RecursionError:
        raise UnmaskError(f"{path}: {section} is nested too deep, or within itself") from None
    if unseen:
        reason = f"no param may be called {' or '.join(sorted(UNSEEN))}, as DVC would not see that it changed"
        raise _error(path, [(keys, f"{reason}; pixels of an edge are called `side`") for keys in unseen])
    return check(model, values, path, keys_of_section)


def leaves(content: Any) -> dict[tuple[int | str, ...], Any]:
    """Return what stands at the ends of nested mappings and lists, by keys and indices; empty ones are ends, too."""
    if not content or not isinstance(content, dict | list):
        return {(): content}
    inner = content if isinstance(content, dict) else dict(enumerate(content))
    return {(key, *keys): leaf for key, value in inner.items() for keys, leaf in leaves(value).items()}


def check(model: type[_Model], values: Any, path: Path, section: tuple[str, ...] = ()) -> _Model:
    """Return values that were read from a section of a YAML file as a model.

    Raises:
        UnmaskError: as `load`.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        top_level = getattr(model, "top_level", ())
        problems = []
        for problem in error.errors():
            # "[key]" is pydantic's way to say that the key before it is wrong, not its value.
            keys = tuple(key for key in problem["loc"] if key != "[key]")
            keys = keys if keys and keys[0] in top_level else (*section, *keys)
            problems.append((keys, _wrong(model, problem, ".".join(map(str, keys)))))
        raise _error(path, problems) from None


def _error(path: Path, problems: list[tuple[tuple[int | str, ...], str]]) -> UnmaskError:
    """Return an error that names keys of a YAML file, the line of each, and what is wrong with it."""
    commented = YAML().load(path.read_text(encoding="utf-8"))  # knows the line of each key
    lines = []
    for keys, wrong in problems:
        line = _line(commented, keys)
        where = f"{path}, line {line}" if line else str(path)
        lines.append(f"{where}: {'.'.join(map(str, keys)) or '(whole file)'}: {wrong}")
    return UnmaskError("\n".join(lines))


def spelling(key: str) -> str:
    """Return what to do about an unknown dotted key of params.yaml: its new name, if it had another one before."""
    return f"it is called {RENAMED[key]} now" if key in RENAMED else "check its spelling"


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
    schema = model.model_json_schema()

    def followed(part: dict[str, Any]) -> dict[str, Any]:
        return schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part

    part = followed(schema)
    for key in location:
        inner = part.get("properties", {}).get(str(key), part.get("additionalProperties") or part.get("items"))
        if not isinstance(inner, dict):
            return ""
        part = followed(inner)
    return _described(part)


def _described(schema: dict[str, Any]) -> str:
    """Return a part of a JSON schema in words."""
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return "one of " + ", ".join(str(choice) for choice in choices)
    if "anyOf" in schema:
        choices = [_described(choice) for choice in schema["anyOf"]]
        return " or ".join(choices) if all(choices) else ""
    kind = KINDS.get(schema.get("type", ""), "") if "format" not in schema else ""
    return kind + "".join(f" {word} {schema[bound]}" for bound, word in BOUNDS.items() if kind and bound in schema)
