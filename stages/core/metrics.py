"""Metrics files: small, sorted, rounded JSON that Git can compare."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file

DIGITS = 4


def _plain(value: Any, key: str = "") -> Any:
    """Return `value` as JSON types, floats rounded; `key` is its dotted name, for the error."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item, f"{key}.{name}") for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{key}[{index}]") for index, item in enumerate(value)]
    if hasattr(value, "item"):  # a numpy scalar
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UnmaskError(f"metric {key.lstrip('.')} is {value}: a metrics file holds finite numbers only")
        return round(value, DIGITS)
    return value


def to_json(metrics: Mapping[str, Any]) -> str:
    """Return nested metrics as JSON text: keys sorted, floats rounded to 4 digits, a line feed at the end.

    Raises:
        UnmaskError: a number is NaN or infinite.
    """
    text = json.dumps(_plain(metrics), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    return text.encode(errors="backslashreplace").decode()  # bytes of file names that are no UTF-8


def write(path: Path, metrics: Mapping[str, Any]) -> None:
    """Write nested metrics to `path`, whole or not at all."""
    text = to_json(metrics)
    with whole_file(path) as staging:
        staging.write_text(text, encoding="utf-8")
