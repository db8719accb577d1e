"""Weights that a training starts from: a published checkpoint, or a file, put into a network by name and shape.

`pretrained` of a recipe is null (from scratch), the name of a checkpoint of models/catalogue.yaml that `checkpoints` of
params.yaml lists, or a file.
"""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mmengine.logging import MMLogger
from mmengine.model import BaseModule
from torch import Tensor, nn

from stages.compute import weights
from stages.core.errors import UnmaskError

CHECKPOINTS = Path("models/checkpoints")
NAME = re.compile("[a-z][a-z0-9_]*")
ENCODER = "backbone."  # OpenMMLab's word, before the names of an encoder's tensors
COUNTS = "num_batches_tracked"  # of batch norms: no weights, and older checkpoints lack them
SHOWN = 3  # tensors that a message names


def file_of(value: str, param: str) -> Path:
    """Return the file that a param names.

    Args:
        value: of the param: a checkpoint's name, or a file.
        param: its dotted key.

    Raises:
        UnmaskError: it is not there.
    """
    path = Path(value)
    if path.is_file():
        return path
    if not NAME.fullmatch(value):
        raise UnmaskError(f"{param}: there is no file {value}")
    files = sorted(file for file in (CHECKPOINTS / value).glob("*") if file.is_file())
    if len(files) != 1:
        raise UnmaskError(
            f"{param}: {CHECKPOINTS / value} holds {len(files) or 'no'} files, it must be one: add {value} to "
            f"`checkpoints` of params.yaml, and `dvc repro` fetches it, if models/catalogue.yaml has it; else name a "
            f"file"
        )
    return files[0]


class Start:
    """Puts the weights that a param names into networks; if it is null, these stay as they were drawn.

    Args:
        value: of the param.
        param: its dotted key.
        least: tensors that must find their place, by name and shape; those that count batches do not count. None: half
            of the encoder's, or of all, if there is no `backbone`.
        renamed: gives a checkpoint's tensors the names that they have here.

    Attributes:
        files: that the training depends on: the checkpoint, or none.
        report: for the metrics of the training, empty if the param is null: how many tensors `matched`, how many stay
            as they were drawn, as they are `missing` or `of_another_shape`, and how many of the checkpoint's were
            `not_used`.

    Raises:
        UnmaskError: there is no such file, it is damaged, holds code, or is not what its name says.
    """

    def __init__(
        self,
        value: str | None,
        param: str,
        least: int | None,
        renamed: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict,
    ) -> None:
        self.value, self.param, self.least = value, param, least
        self.files = [] if value is None else [file_of(value, param)]
        self._state = {} if value is None else renamed(weights.load_published(self.files[0], param))
        self.report: dict[str, Any] = {}

    def __call__(self, network: nn.Module) -> nn.Module:
        """Fill a network, and say on stderr what found its place; return the network.

        The checkpoint is of the whole network, or of its `backbone`: whatever fills more.

        Raises:
            UnmaskError: fewer tensors than `least` find their place; the message names such as do not.
        """
        if not self.files:
            return network
        if isinstance(network, BaseModule):
            _draw(network)
        own = {name: value for name, value in network.state_dict().items() if not name.endswith(COUNTS)}
        ways = [self._state, {f"{ENCODER}{name}": value for name, value in self._state.items()}]
        state = max(ways, key=lambda state: (len(_matched(own, state)), len(own.keys() & state.keys())))
        matched = _matched(own, state)
        other = {name: value for name, value in state.items() if name in own and name not in matched}
        missing = [name for name in own if name not in state]
        unused = [name for name in state if name not in own and not name.endswith(COUNTS)]
        shapes = [f"{name} {list(value.shape)}, here {list(own[name].shape)}" for name, value in other.items()]
        encoder = [name for name in own if name.startswith(ENCODER)]
        least = len(encoder or own) // 2 if self.least is None else self.least
        said = (
            f"{self.param}: {self.files[0]}: {len(matched)} of {len(own)} tensors matched; of another shape: "
            f"{_some(shapes)}; missing: {_some(missing)}; not used: {_some(unused)}"
        )
        if len(matched) < least:
            raise UnmaskError(f"{said}. The recipe asks for {least} at least: the checkpoint is of another network")
        network.load_state_dict(matched, strict=False)
        print(said, file=sys.stderr)
        self.report = {
            "pretrained": {
                "from": self.value,
                "matched": len(matched),
                "of_another_shape": len(other),
                "missing": len(missing),
                "not_used": len(unused),
            }
        }
        return network


def _draw(network: BaseModule) -> None:
    """Draw a network's weights as mmengine does when a training starts, which then leaves them as they are."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel("ERROR")  # or it says of each tensor what it has done
    try:
        network.init_weights()
    finally:
        logger.setLevel(level)


def _matched(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose name and shape a network has."""
    return {name: value for name, value in state.items() if name in own and own[name].shape == value.shape}


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "none"
