"""Calls on a Dask cluster: what its workers must be, and what is said when it fails."""

import contextlib
import functools
import gc
import hashlib
import importlib.metadata
import logging
import platform
import queue
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stages.core.errors import UnmaskError

CODE = Path(__file__).parents[1]  # of all stages
# On the versions of which the bytes of a table depend.
PACKAGES = ("dlib-bin", "numpy", "opencv-python", "pillow", "pyarrow", "torch")
LOOK = 2.0  # seconds between two looks at whether the cluster still has workers

_one_at_a_time = threading.Lock()
_last_stage = [""]  # of which this worker ran a task


def run(calls: Sequence[Callable[[], Any]], address: str, patience: float) -> Generator[Any]:
    """Yield what functions without arguments return, in the order in which they end.

    Args:
        calls: picklable; the first start first.
        address: of a Dask scheduler.
        patience: seconds without any worker after which to give up.

    Raises:
        UnmaskError: one of a call's own; no scheduler or no worker is there, a call killed four workers, or a worker
            runs other code or does not see a file.
    """
    try:
        import cloudpickle  # noqa: PLC0415 -- an extra, like Dask, which requires it
        from distributed import Future, KilledWorker  # noqa: PLC0415
        from distributed.client import FutureCancelledError  # noqa: PLC0415
    except ImportError:
        raise UnmaskError("`parallel.scheduler` needs Dask: pip install '.[dask]'") from None
    client = _connected(address)
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what goes wrong is said below, in one line
    with client:
        ended: queue.SimpleQueue[Future[Any]] = queue.SimpleQueue()
        stage = uuid.uuid4().hex, Path.cwd(), code()

        def unpack(work: bytes, stage: tuple[str, Path, Mapping[str, str]]) -> Any:
            from stages.core import cluster  # noqa: PLC0415, PLW0406 -- that of the worker, if it has one

            return cluster.unpacked(work, *stage)

        # Dask sends `unpack` whole, as it is within another function, and not by a name that a worker may not have.
        # It gives a task to another worker when its worker dies. That may then run twice; it writes the same bytes.
        futures = [client.submit(unpack, cloudpickle.dumps(call), stage, pure=False) for call in calls]
        for future in futures:
            future.add_done_callback(ended.put)
        for _ in futures:
            future = _next(ended, client, address, patience)
            try:
                yield future.result()
            except FutureCancelledError:
                raise UnmaskError(
                    f"the Dask scheduler at {address} is gone (`parallel.scheduler`): start it and run again"
                ) from None
            except KilledWorker:
                raise UnmaskError(
                    "one part killed every Dask worker that tried it, most likely for lack of memory: run again with "
                    "more memory a worker (`dask worker --memory-limit`)"
                ) from None
            except ModuleNotFoundError as error:
                raise UnmaskError(
                    f"a Dask worker has no module {error.name!r}: start workers in a checkout of this commit, with "
                    f"`python -m dask worker {address} --nthreads 1`"
                ) from None
            except FileNotFoundError as error:
                raise UnmaskError(
                    f"a Dask worker does not see a file that is here: {error}. All workers need this folder under the "
                    f"same path, on a disk that they share"
                ) from None


def _connected(address: str) -> Any:
    from distributed import Client  # noqa: PLC0415 -- an extra

    try:
        return Client(address)
    except (OSError, ValueError) as error:
        why = str(error)
    # A client that failed closes itself when the garbage collector finds it. If that were while another one is made, it
    # would wait for ever for a lock which the other holds.
    gc.collect()
    raise UnmaskError(f"no Dask scheduler answers at {address} (`parallel.scheduler`): {why}")


def _next(ended: "queue.SimpleQueue[Any]", client: Any, address: str, patience: float) -> Any:
    """Return the next task that has ended.

    Raises:
        UnmaskError: there was no worker for so many seconds.
    """
    last_seen = time.monotonic()
    while True:
        try:
            return ended.get(timeout=min(LOOK, patience))
        except queue.Empty:
            with contextlib.suppress(OSError):  # the scheduler is gone; the next task that has ended will say so
                if client.scheduler_info(n_workers=-1)["workers"]:
                    last_seen = time.monotonic()
            if time.monotonic() - last_seen > patience:
                raise UnmaskError(
                    f"for {patience} seconds the Dask scheduler at {address} has had no worker: start some with "
                    f"`python -m dask worker {address} --nthreads 1` and run again (`parallel.patience`)"
                ) from None


@functools.cache
def code() -> dict[str, str]:
    """Return what results depend on and may differ between machines, by name: our code, and packages' versions."""
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(CODE.rglob("*.py")):
        digest.update(file.relative_to(CODE).as_posix().encode() + b"\0" + file.read_bytes())
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {"the code below stages/": digest.hexdigest(), "Python": platform.python_version(), **versions}


def unpacked(work: bytes, stage: str, folder: Path, expected: Mapping[str, str]) -> Any:
    """Run packed work in a stage's folder, if what is here is what the stage runs on.

    A worker with several threads runs one task at a time: neither dlib nor the limit of OpenCV's threads is for more.

    Args:
        work: a function without arguments, pickled. On other code it might not come back from that.
        stage: a name for this run of it.
        folder: in which it runs.
        expected: what `code` returned there.

    Raises:
        UnmaskError: something differs.
    """
    import cloudpickle  # noqa: PLC0415 -- an extra

    for name, version in expected.items():
        if code()[name] != version:
            raise UnmaskError(
                f"{name} of the Dask worker on {socket.gethostname()} is {code()[name]}, here it is {version}: "
                f"workers need the same commit and packages; update that one and start it again"
            )
    with _one_at_a_time, contextlib.chdir(folder):
        if stage != _last_stage[0]:
            forget()
            _last_stage[0] = stage
        return cloudpickle.loads(work)()


def forget() -> None:
    """Clear all caches of ours but that of `code`: a model of that name may be another one by now."""
    for module in [module for name, module in sys.modules.items() if name.startswith("stages.")]:
        for value in vars(module).values():
            if hasattr(value, "cache_clear") and value is not code:
                value.cache_clear()
