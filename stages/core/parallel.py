"""One function over many items: joblib's loky processes on this machine, or a Dask cluster.

How many workers and where is said by the untracked section `parallel:` of params.yaml, or by the environment
(`UNMASK_WORKERS`, `UNMASK_THREADS`, `UNMASK_SCHEDULER`, `UNMASK_PATIENCE`, `UNMASK_DEVICE`, `UNMASK_REPRODUCIBLE`),
which wins. None is a param of any stage: they change the time, and no result but the last digits of a training, or of
what a GPU computes.
"""

import functools
import os
import re
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Annotated, Any, Literal, TypeVar

import cv2
import joblib
from pydantic import AfterValidator, Field
from threadpoolctl import threadpool_limits

from stages.core import cluster, params, reproducible
from stages.core.errors import UnmaskError
from stages.core.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", text):
        raise ValueError(f"is {text!r}, it must be auto, cpu, cuda, cuda:0 (the first GPU), cuda:1, …, or mps")
    return text


class Parallel(params.StageParams):
    """Section `parallel:` of params.yaml."""

    workers: int | None = Field(default=None, ge=1)
    """Processes on this machine; null: one a core."""
    scheduler: str | None = None
    """Address of a Dask scheduler (`tcp://host:8786`); null: this machine."""
    patience: int = Field(default=300, ge=1)
    """Seconds without any Dask worker after which a stage gives up; a batch system may take minutes to start one."""
    device: Annotated[str, AfterValidator(_device)] = "auto"
    """Of all networks: `cpu`, `cuda`, `cuda:1`, `mps`; `auto` is `cuda` where there is one, else `cpu`."""
    reproducible: Literal["fast", "strict"] = "fast"
    """`strict`: the same bytes on every x86 processor, see `reproducible.py`; `fast`: what this one does best."""
    launcher: Literal["none", "pytorch"] = "none"
    """Of trainings: `pytorch` starts several processes through torchrun."""
    processes: int | None = Field(default=None, ge=1)
    """How many; null: one a GPU."""
    threads: int = Field(default=2, ge=1)
    """Of a training on the CPU; another number may change the last digits of its weights."""


def settings() -> Parallel:
    """Return where to run, from the environment or else from params.yaml.

    Raises:
        UnmaskError: a setting cannot be used; the message names it.
    """
    chosen = params.load(Parallel, "parallel") if params.PARAMS_FILE.exists() else Parallel()
    wanted: dict[str, Any] = {"scheduler": os.environ.get("UNMASK_SCHEDULER") or chosen.scheduler}
    for name in ("workers", "threads", "patience"):
        variable = f"UNMASK_{name.upper()}"
        if text := os.environ.get(variable):
            if not text.isdecimal() or int(text) < 1:
                raise UnmaskError(f"{variable} is {text!r}, it must be a whole number from 1")
            wanted[name] = int(text)
    if text := os.environ.get("UNMASK_DEVICE"):
        try:
            wanted["device"] = _device(text)
        except ValueError as error:
            raise UnmaskError(f"UNMASK_DEVICE {error}") from None
    if (text := os.environ.get("UNMASK_REPRODUCIBLE", "fast")) not in {"fast", "strict"}:
        raise UnmaskError(f"UNMASK_REPRODUCIBLE is {text!r}, it must be fast or strict")
    if reproducible.strict():
        wanted |= {"reproducible": "strict", "threads": reproducible.THREADS, "device": "cpu"}
    return chosen.model_copy(update=wanted)


def run(
    function: Callable[[Item], Result], items: Sequence[Item], *, sizes: Sequence[int], label: str, unit: str = "faces"
) -> list[Result]:
    """Return `[function(item) for item in items]`, computed in parallel, with a progress bar.

    Args:
        function: picklable; each call is limited to one thread, so that workers don't fight over cores and results
            don't depend on their number.
        items: picklable; with a scheduler, paths in them must be absolute and reachable by every worker.
        sizes: the work in each item (faces in a part); the largest start first, the bar counts them.
        label: what the progress bar is called.
        unit: what it counts.

    Raises:
        UnmaskError: one raised by `function`; a worker process died; or of a Dask cluster, no worker or no scheduler
            is left, a worker killed three others in a row, runs other code, or does not see the files.
    """
    chosen = settings()
    order = sorted(range(len(items)), key=lambda index: -sizes[index])
    tasks = [(index, items[index]) for index in order]
    workers = min(chosen.workers or joblib.cpu_count(), len(items))
    done: Generator[tuple[int, Result]]
    if chosen.scheduler:
        done = cluster.run(
            [functools.partial(_call, function, *task) for task in tasks], chosen.scheduler, chosen.patience
        )
    elif workers <= 1:
        done = (_call(function, *task) for task in tasks)
    else:
        done = _loky(function, tasks, workers)
    results: dict[int, Result] = {}
    # However this ends, no worker writes any more when the caller deletes what is half-written.
    with closing(done), Progress(sum(sizes), label, unit) as bar:
        for index, result in done:
            results[index] = result
            bar.update(sizes[index])
    return [results[index] for index in range(len(items))]


def _call(function: Callable[[Item], Result], index: int, item: Item) -> tuple[int, Result]:
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with threadpool_limits(1):
            return index, function(item)
    finally:
        cv2.setNumThreads(threads)


def _loky(function: Callable[[Item], Result], tasks: list[tuple[int, Item]], workers: int) -> Generator[Any]:
    # With more tasks handed over than the workers' queue takes, loky prints a traceback when it is told to stop.
    # One thread in each from its start on, whatever the environment says: torch takes as many as there were then.
    with joblib.parallel_config("loky", n_jobs=workers, inner_max_num_threads=1):
        pool = joblib.Parallel(return_as="generator_unordered", pre_dispatch="2*n_jobs", batch_size=1)
    try:
        with _deaf_to_ctrl_c():
            results = pool(joblib.delayed(_call)(function, *task) for task in tasks)
        yield from results
    except joblib.externals.loky.process_executor.TerminatedWorkerError:
        raise UnmaskError(
            "a worker process was killed, most likely for lack of memory: run again with fewer workers "
            "(`parallel.workers` in params.yaml, or UNMASK_WORKERS)"
        ) from None


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Start processes that Ctrl-C, which a terminal sends to all of them, does not reach: this one stops them."""
    if threading.current_thread() is not threading.main_thread():  # which alone may say so
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
