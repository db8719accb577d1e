"""Which models look at photos: those of the release, which come with the repository, unless a run's are asked for."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from stages.core import params

RELEASED = Path("models/released")
SETTINGS = "params.yaml"  # beside released models: of the run that they are from

_Model = TypeVar("_Model", bound=BaseModel)


def weights(name: str, given: Path | None = None) -> Path:
    """Return the file of a model's weights: the given one, or else the released one."""
    return given or RELEASED / f"{name}.safetensors"


def settings(model: type[_Model], section: str, folder: Path) -> _Model:
    """Return params that models in a folder were trained with: as it says itself, or else as params.yaml does.

    Raises:
        UnmaskError: as `stages.core.params.load`.
    """
    own = folder / SETTINGS
    return params.load(model, section, own if own.exists() else params.PARAMS_FILE)
