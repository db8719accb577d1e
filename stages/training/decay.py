"""Which weights decay: matrices and kernels alone, as is the custom."""

from typing import Any

from torch import nn


def groups(module: nn.Module) -> list[dict[str, Any]]:
    """Return what an optimizer takes as its parameters: those that learn, in a group that decays and one that does not.

    The first group has the optimizer's own `weight_decay`.
    """
    learning = [(name, weight) for name, weight in module.named_parameters() if weight.requires_grad]
    return [
        {"params": [weight for name, weight in learning if decays(name, weight)]},
        {"params": [weight for name, weight in learning if not decays(name, weight)], "weight_decay": 0.0},
    ]


def decays(name: str, weight: nn.Parameter) -> bool:
    """Return whether weight decay acts on a parameter of a model.

    Biases, and what norms and PReLUs learn, are few and must not be small. Of the vectors that a recognizer's
    `criterion` learns, one a person, the direction alone counts.
    """
    return weight.ndim > 1 and not name.startswith("criterion.")
