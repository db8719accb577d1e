"""What `clean` knows of each photo, on the disk: there may be millions, and in memory each would take 1 kB."""

import bisect
import itertools
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from stages.data.photo import Kept

Item = TypeVar("Item")


class Pages(Generic[Item]):
    """Items in their order, some on a page that lies on the disk until it is read; each page is read as a whole.

    The page that an item was last taken from stays in memory, as who asks for several often asks for neighbors.

    Args:
        pages: where a list of items is kept, and how many these are.
    """

    def __init__(self, pages: Iterable[tuple[Kept, int]]) -> None:
        self._pages, self._ends = list[Kept](), [0]
        self._last: tuple[int, list[Item]] = -1, []
        for page, n in pages:
            self._pages.append(page)
            self._ends.append(self._ends[-1] + n)

    def __getitem__(self, index: int) -> Item:
        """Return an item."""
        page = bisect.bisect_right(self._ends, index) - 1
        if self._last[0] != page:
            self._last = page, self._pages[page].read()
        return self._last[1][index - self._ends[page]]

    def __iter__(self) -> Iterator[Item]:
        """Yield all of them."""
        return itertools.chain.from_iterable(page.read() for page in self._pages)

    def __len__(self) -> int:
        """Return how many there are."""
        return self._ends[-1]


class Marks:
    """A number for each file of a dataset, 0 at first; a byte of memory each, beside their names.

    Args:
        names: of all files, sorted.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.of: NDArray[np.uint8] = np.zeros(len(names), np.uint8)

    def put(self, number: int, names: Iterable[str]) -> None:
        """Mark files that have no mark yet; what is no name of a file is passed over."""
        for name in names:
            place = bisect.bisect_left(self.names, name)
            if place < len(self.names) and self.names[place] == name and not self.of[place]:
                self.of[place] = number

    def without(self) -> list[str]:
        """Return the names of files that have no mark."""
        return [self.names[place] for place in np.flatnonzero(self.of == 0).tolist()]
