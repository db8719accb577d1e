"""Partial FC (arXiv:2203.15565): with many people, a step compares faces with some of them, drawn by chance.

A softmax over a million people takes more time and memory than the network. Those whose faces are in the batch are
always among them; the others are drawn anew in each step.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

VECTORS = {"W": 1, "people": 0}  # what a loss calls the vectors of people, and along which axis these are counted


class Sampled(nn.Module):
    """A loss over angles that compares with a share of the people; its gradient is 0 for all others.

    Args:
        loss: maps embeddings (n, d) and numbers of people (n,) to a number, and learns a vector each: `W` (d, people),
            as in pytorch-metric-learning, or `people` (people, d).
        share: of the people with which a step compares.
    """

    def __init__(self, loss: nn.Module, share: float) -> None:
        super().__init__()
        self.loss, self.share = loss, share
        ((self.name, self.axis),) = ((name, axis) for name, axis in VECTORS.items() if hasattr(loss, name))

    def forward(self, embeddings: Tensor, people: Tensor) -> Tensor:
        """Return the loss of embeddings (n, d) of the people of these numbers, (n,), among those that are drawn."""
        vectors = getattr(self.loss, self.name)
        chosen = drawn(vectors.shape[self.axis], people, self.share)
        loss: Any = self.loss
        loss.num_classes = len(chosen)  # pytorch-metric-learning's make a mask of so many columns
        some = {self.name: vectors.index_select(self.axis, chosen)}
        return functional_call(loss, some, (embeddings, torch.searchsorted(chosen, people)))


def drawn(total: int, people: Tensor, share: float) -> Tensor:
    """Return the numbers of people that a step compares with, rising: all those in `people`, and others by chance.

    They are a share of all people, or more if there are more in the batch.
    """
    own = people.unique()
    order = torch.rand(total, device=people.device)
    order[own] = 2.0  # above all that is drawn
    return order.topk(max(len(own), round(share * total))).indices.sort().values
