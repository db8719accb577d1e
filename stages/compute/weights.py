"""Trained weights: a safetensors file whose header says which config they belong to."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from stages.core.errors import UnmaskError
from stages.core.outputs import whole_file

# One key: a header with several would come out in another order each time, and with it the file's checksum.
KEY = "unmask"


def parameters(model: nn.Module) -> int:
    """Return the number of a model's parameters."""
    return sum(weight.numel() for weight in model.parameters())


def save(path: Path, model: nn.Module, about: Mapping[str, Any]) -> None:
    """Write a model's parameters and buffers, whole or not at all; the same weights give the same bytes.

    What `about` says goes into the header as JSON: what is needed to build the model again.
    """
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with whole_file(path) as staging:
        safetensors.torch.save_file(state, staging, {KEY: json.dumps(about, sort_keys=True)})


def load(path: Path, kind: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what the header of a file that `save` wrote says, and its tensors by name.

    Raises:
        UnmaskError: no such file, not one of ours, damaged, or of another kind.
    """
    with _opened(path) as (about, file):
        if about["kind"] != kind:
            raise UnmaskError(f"{path} holds weights of a {about['kind']}, not of a {kind}")
        return about, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- it is no dict


def kind_of(path: Path) -> str:
    """Return the kind of model whose weights a file holds.

    Raises:
        UnmaskError: no such file, not one of ours, or damaged.
    """
    with _opened(path) as (about, _):
        return str(about["kind"])


@contextmanager
def _opened(path: Path) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield what a file's header says, and the file to read tensors from."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {}).get(KEY, "null"))
            if not isinstance(about, dict) or "kind" not in about:
                raise UnmaskError(f"{path} was not written by this project: its header does not say what model it is")
            yield about, file
    except FileNotFoundError:
        raise UnmaskError(f"{path}: no such file; `dvc repro` trains it, `dvc pull` gets it") from None
    except (OSError, safetensors.SafetensorError, json.JSONDecodeError) as error:
        raise UnmaskError(f"{path} is no whole safetensors file: {error}") from None


def load_published(path: Path, param: str) -> dict[str, Any]:
    """Return a state dict that torch saved (.pth, .pt), such as torchvision publishes; `param` names it in params.yaml.

    Raises:
        UnmaskError: no such file, or no state dict in it.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UnmaskError(f"{param}: there is no file {path}") from None
    except Exception as error:  # torch raises many kinds
        raise UnmaskError(f"{param}: {path} cannot be read as weights: {error}") from None
    if not isinstance(state, dict):
        raise UnmaskError(f"{param}: {path} holds no state dict")
    return state


def fill(model: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Put weights into a model.

    Raises:
        UnmaskError: they are not this model's; the message names the first tensor that differs.
    """
    own = model.state_dict()
    for name in sorted(own.keys() | state.keys()):
        if name not in state:
            raise UnmaskError(f"{path} is from another config: it has no tensor {name!r}; train it again")
        if name not in own:
            raise UnmaskError(f"{path} is from another config: tensor {name!r} has no place in it; train it again")
        if own[name].shape != state[name].shape:
            shapes = f"{list(state[name].shape)}, the config makes it {list(own[name].shape)}"
            raise UnmaskError(f"{path} is from another config: tensor {name!r} is {shapes}; train it again")
    model.load_state_dict(state)
