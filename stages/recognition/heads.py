"""Heads on frozen embeddings, which move that of a masked face to where the bare face's would lie.

Both are trained on pairs of embeddings of one photo, bare and under another condition, of people who are in no test.
Embeddings are float32 (n, d), of length 1.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from stages.compute import device, weights
from stages.core.errors import UnmaskError
from stages.core.seeding import generator
from stages.recognition.networks import normalized
from stages.recognition.protocol import CONDITIONS, HEADS
from stages.training import decay

KIND = "heads"
AT_ONCE = 2**13  # photos in a step
Embeddings = NDArray[np.float32]


class MeanShift(nn.Module):
    """Adds what bare embeddings have more than masked ones, on average.

    Args:
        size: numbers in an embedding.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(size))

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return embeddings of length 1."""
        return normalized(embeddings + self.shift)


class Unmasking(nn.Module):
    """A small network that adds to an embedding what the mask took from it; untrained, it adds nothing.

    After the embedding unmasking model of "Self-restrained triplet loss for accurate masked face recognition"
    (arXiv:2103.01716), made residual.

    Args:
        size: numbers in an embedding.
        hidden: numbers between its two layers.
    """

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(size, hidden), nn.Linear(hidden, size)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Return embeddings of length 1."""
        return normalized(embeddings + self.last(functional.relu(self.first(embeddings))))


def mean_shift(bare: Embeddings, masked: Embeddings) -> MeanShift:
    """Return the head that moves the mean of masked embeddings to that of the same photos' bare ones."""
    head = MeanShift(bare.shape[1])
    head.shift.copy_(torch.from_numpy(bare.mean(0) - masked.mean(0)))
    return head


def self_restrained(anchors: Tensor, positives: Tensor, negatives: Tensor, margin: float) -> Tensor:
    """Return the self-restrained triplet loss (arXiv:2103.01716), from squared distances.

    A triplet loss while anchors are closer to strangers than positives are; after that the strangers' distance is what
    it is between bare faces, and only the way to the positive is made shorter.

    Args:
        anchors: of masked faces, corrected (n, d).
        positives: of bare faces of the same people.
        negatives: of bare faces of others.
        margin: by how much the positive must be closer.
    """
    to_positive = (anchors - positives).square().sum(1)
    to_negative = (anchors - negatives).square().sum(1)
    apart = (positives - negatives).square().sum(1).mean().detach()
    limit = torch.where(to_negative.mean() < apart, to_negative, apart)  # a GPU need not wait to know
    return functional.relu(to_positive - limit + margin).mean()


def unmasking(
    bare: Embeddings,
    masked: Embeddings,
    people: Sequence[str],
    *,
    hidden: int,
    steps: int,
    learning_rate: float,
    weight_decay: float,
    margin: float,
    seed: int,
) -> Unmasking:
    """Train the unmasking network; each step is on all photos, or on `AT_ONCE` of them drawn by chance.

    Args:
        bare: embeddings of photos.
        masked: of the same photos under another condition.
        people: whom they show.
        hidden: see `Unmasking`.
        steps: how many times its weights are changed.
        learning_rate: of AdamW.
        weight_decay: of AdamW, for the matrices.
        margin: of the loss.
        seed: of all chance; one for all conditions and recognizers, as their heads are compared with each other.

    Raises:
        UnmaskError: the photos show one person alone: there are no negatives.
    """
    if len(set(people)) < 2:
        raise UnmaskError("an unmasking network learns from at least two people, the photos show one")
    torch.manual_seed(seed)
    rng = generator(seed, "unmasking")
    on = device.chosen()
    head = Unmasking(bare.shape[1], hidden).to(on)
    optimizer = torch.optim.AdamW(decay.groups(head), learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    bare_ones, masked_ones = torch.from_numpy(bare).to(on), torch.from_numpy(masked).to(on)
    draw = Triplets(people)
    for _ in range(steps):
        anchor, positive, negative = draw(rng, AT_ONCE)
        loss = self_restrained(head(masked_ones[anchor]), bare_ones[positive], bare_ones[negative], margin)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return head.eval().cpu()


class Triplets:
    """Draws photos, of each another one of the same person, or itself, and one of somebody else; all alike likely.

    Memory and time grow with the photos, not with their pairs.

    Args:
        people: whom the photos show; two people or more.
    """

    def __init__(self, people: Sequence[str]) -> None:
        of, n_of = np.unique(people, return_inverse=True, return_counts=True)[1:]
        self.order = np.argsort(of, kind="stable")  # photos, person by person
        self.first, self.n_own = (np.cumsum(n_of) - n_of)[of], n_of[of]  # of each photo's person, in that order

    def __call__(self, rng: np.random.Generator, most: int) -> tuple[NDArray[np.int64], ...]:
        """Return the indices of anchors, positives and negatives, int64 (at most `most`,) each."""
        n = len(self.order)
        anchor = np.arange(n) if n <= most else rng.choice(n, most, replace=False)
        first, n_own = self.first[anchor], self.n_own[anchor]
        positive, negative = rng.integers([n_own, n - n_own])
        return anchor, self.order[first + positive], self.order[negative + n_own * (negative >= first)]


class Heads(nn.Module):
    """The heads of a recognizer, two for each condition but the bare one; and as many for each fold of the people.

    Args:
        size: numbers in an embedding.
        hidden: see `Unmasking`.
        folds: number of folds; the heads of one learned from the people of all others.
    """

    def __init__(self, size: int, hidden: int, folds: int = 0) -> None:
        super().__init__()
        self.size, self.hidden, self.folds = size, hidden, folds
        self.of = _untrained(size, hidden)
        self.of_fold = nn.ModuleList(_untrained(size, hidden) for _ in range(folds))

    def put(self, condition: str, trained: Mapping[str, nn.Module], fold: int | None = None) -> None:
        """Take over trained heads; those of a fold, if one is given."""
        for name, head in trained.items():
            self._of(fold)[condition][name].load_state_dict(head.state_dict())

    def correct(self, condition: str, name: str, embeddings: Embeddings, fold: int | None = None) -> Embeddings:
        """Return the embeddings of faces under a condition, corrected by the head `name`.

        What is NaN stays NaN.

        Args:
            condition: of `CONDITIONS`, but not the first.
            name: of `HEADS`.
            embeddings: (n, d).
            fold: of the people whom they show, if these are people to train on.
        """
        return apply(self._of(fold)[condition][name], embeddings)

    def _of(self, fold: int | None) -> Any:
        return self.of if fold is None else self.of_fold[fold]


def _untrained(size: int, hidden: int) -> nn.ModuleDict:
    of_one = {condition: (MeanShift(size), Unmasking(size, hidden)) for condition in CONDITIONS[1:]}
    return nn.ModuleDict(
        {condition: nn.ModuleDict(zip(HEADS, both, strict=True)) for condition, both in of_one.items()}
    )


def apply(head: nn.Module, embeddings: Embeddings) -> Embeddings:
    """Return embeddings corrected by a head, `AT_ONCE` at a time: its hidden numbers take far more memory than they."""
    on, found = device.of(head), np.empty_like(embeddings)
    with torch.inference_mode():
        for start in range(0, len(embeddings), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            found[some] = head(torch.from_numpy(embeddings[some]).to(on)).cpu().numpy()
    return found


def closeness(some: Embeddings, others: Embeddings, head: nn.Module | None = None) -> float:
    """Return the mean cosine of embeddings (n, d) with as many others, corrected by a head, each with its own."""
    cosines = np.empty(len(some), np.float32)
    for start in range(0, len(some), AT_ONCE):
        block = slice(start, start + AT_ONCE)
        cosines[block] = (some[block] * (apply(head, others[block]) if head else others[block])).sum(1)
    return float(cosines.mean())


def load(path: Path) -> Heads:
    """Return the heads that `train_heads` wrote.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    about, state = weights.load(path, KIND)
    found = Heads(about["size"], about["hidden"], about["folds"])
    weights.fill(found, state, path)
    return device.placed(found)
