"""How far a long piece of work is: a bar on a terminal, a line now and then in a log."""

import sys
import time
from contextlib import AbstractContextManager

from tqdm import tqdm

EVERY = 30.0  # seconds between two lines in a log


def in_words(seconds: float) -> str:
    """Return a duration as people say it: `45 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Progress(AbstractContextManager["Progress"]):
    """Counts what is done; use it as a context, or close it.

    Args:
        total: how much there is to do.
        label: of what.
        unit: of what is counted, such as `faces` or `steps`.
        done: how much of it an earlier run has done.
        rest: seconds that other work will take after this, for `… of the whole run`; None: nobody knows.
    """

    def __init__(self, total: int, label: str, unit: str, done: int = 0, rest: float | None = None) -> None:
        self.total, self.label, self.unit, self.rest = total, label, unit, rest
        self.done = self.first = done
        self.start = self.shown = time.monotonic()
        self.bar = tqdm(total=total, initial=done, desc=label, unit=unit, file=sys.stderr, disable=None)

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def update(self, n: int = 1, note: str = "") -> None:
        """Say that `n` more are done; `note` stands at the end of the line."""
        self.done += n
        now = time.monotonic()
        of_run = "" if self.rest is None else f"whole run {in_words(self._each_and_left(now)[1] + self.rest)}"
        self.bar.set_postfix_str(", ".join(filter(None, (note, of_run))), refresh=False)
        self.bar.update(n)
        if self.bar.disable and now - self.shown >= EVERY and self.done < self.total:
            self.shown = now
            print(f"{self.label}: {self.line(now)}{note and ', ' + note}", file=sys.stderr, flush=True)

    def line(self, now: float) -> str:
        """Return what is done, the time of one, and how much is left of this and of the whole run."""
        each, left = self._each_and_left(now)
        of_run = "" if self.rest is None else f" ({in_words(left + self.rest)} of the whole run)"
        return f"{self.done} of {self.total} {self.unit}, {each:.2g} s each, {in_words(left)} left{of_run}"

    def _each_and_left(self, now: float) -> tuple[float, float]:
        each = (now - self.start) / max(self.done - self.first, 1)
        return each, each * (self.total - self.done)

    def close(self) -> None:
        """Close the bar."""
        self.bar.close()
