"""Two recognizers side by side: the score of two faces is the weighted sum of both recognizers' scores.

An embedding is that of the first one times the root of its weight, then that of the second one times the root of its
own; weights add up to 1. So its length is 1, and the cosine of two such embeddings is the sum of the two cosines.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


class Side(nn.Module):
    """Tensors of several recognizers' files, to be kept in one: each with its number before its name."""

    def __init__(self, states: Sequence[Mapping[str, Tensor]]) -> None:
        super().__init__()
        self.states = states

    def state_dict(self, *_: Any, **__: Any) -> dict[str, Tensor]:  # type: ignore[override]
        """Return the tensors by name."""
        return {f"{n}.{name}": tensor for n, state in enumerate(self.states) for name, tensor in state.items()}


def split(state: Mapping[str, Tensor], n: int) -> list[dict[str, Tensor]]:
    """Return the tensors of each of `n` recognizers from what `Side` keeps."""
    return [
        {name.removeprefix(f"{k}."): tensor for name, tensor in state.items() if name.startswith(f"{k}.")}
        for k in range(n)
    ]


def joined(parts: Sequence[NDArray[np.float32]], weights: Sequence[float]) -> NDArray[np.float32]:
    """Return embeddings of length 1, (n, d1 + d2), of embeddings of length 1, (n, d1) and (n, d2)."""
    pairs = zip(parts, weights, strict=True)
    return np.concatenate([part * np.float32(np.sqrt(weight)) for part, weight in pairs], 1)
