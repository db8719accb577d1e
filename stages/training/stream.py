"""The order in which a training sees its samples: fixed by the seed, whatever happens to the run.

Sample number s of the whole training is always the same: the same face, changed by chance in the same way. So a run
that was killed sees after its restart what it would have seen, and processes that share the work see together what one
alone would have seen.
"""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from stages.core.seeding import generator


class Stream(Sampler[int]):
    """Yields the keys of the samples of one epoch: round * n + index, each index once a round.

    An epoch is the stretch between two checkpoints, and no round through the faces.

    Args:
        n: number of samples in the dataset.
        per_epoch: samples an epoch, over all processes.
        seed: of the order.
        rank: of this process.
        world: number of processes; of each batch they get equal shares.
    """

    def __init__(self, n: int, per_epoch: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.n, self.per_epoch, self.seed, self.rank, self.world = n, per_epoch, seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; mmengine calls it before each."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return how many samples this process sees in an epoch."""
        return self.per_epoch // self.world

    def __iter__(self) -> Iterator[int]:
        """Yield this process's keys of the epoch."""
        start = self.epoch * self.per_epoch
        drawn, order = -1, torch.empty(0)
        for position in range(start + self.rank, start + self.per_epoch, self.world):
            turn = position // self.n
            if turn != drawn:
                drawn, order = turn, generator(self.seed, "order", turn).permutation(self.n)
            yield turn * self.n + int(order[position % self.n])
