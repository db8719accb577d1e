"""Trained weights: a safetensors file whose header says which config they belong to."""

import hashlib
import json
import re
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
NAMED_HASH = re.compile(r"-([0-9a-f]{8,64})\.[a-z]+$")  # as torch.hub has it, the first digits of a sha256
FORBIDDEN = re.compile(r"unsupported global:? (?:GLOBAL )?(\S+)", re.IGNORECASE)  # in what torch says of pickled code


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


def load_published(path: Path, param: str) -> dict[str, Tensor]:
    """Return a state dict that somebody else has saved, such as torchvision and OpenMMLab publish them.

    It may stand below `state_dict` or `model`, with `module.` before each name, as trainings leave it. Code is never
    run: what is pickled beside tensors is refused. If the name ends in a hash (resnet18-f37072fd.pth), as torch.hub's
    do, the content must have it.

    Args:
        path: a .safetensors file, or what torch saved.
        param: names it in params.yaml.

    Raises:
        UnmaskError: no such file, of another hash, cut off, with code in it, or no state dict.
    """
    if not path.is_file():
        raise UnmaskError(f"{param}: there is no file {path}")
    if named := NAMED_HASH.search(path.name):
        with path.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if not found.startswith(named[1]):
            raise UnmaskError(
                f"{param}: the sha256 of {path} begins with {found[: len(named[1])]}, its name says {named[1]}: it is "
                f"not the file that was published; delete it and get it anew"
            )
    try:
        if path.suffix == ".safetensors":
            state = safetensors.torch.load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds
        if code := FORBIDDEN.search(str(error)):
            raise UnmaskError(
                f"{param}: {path} holds code, {code[1]}, which is not run: it must hold tensors alone, such as the "
                f"state dict of a model"
            ) from None
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise UnmaskError(
            f"{param}: {path}, {path.stat().st_size:,} bytes, cannot be read as weights: it is cut off, damaged, or "
            f"something else ({why})"
        ) from None
    for key in ("state_dict", "model"):
        state = state[key] if isinstance(state, dict) and isinstance(state.get(key), dict) else state
    if not isinstance(state, dict) or not any(isinstance(value, Tensor) for value in state.values()):
        raise UnmaskError(f"{param}: {path} holds no state dict")
    return {str(name).removeprefix("module."): value for name, value in state.items() if isinstance(value, Tensor)}


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
