"""Try everything in a browser: masks off, masks on, and regions corrected with a brush.

python -m stages.tools.run_app

`make app` is short for it. It needs Gradio: pip install '.[app]'. The networks are those of models/released, unless
`--models` names another folder. With `--known people`, a folder of photos of people, `people/<name>/<photo>`, faces are
compared with them. The app is reached from this machine alone unless `--host` says otherwise; `--port` is 7860, and
with 0 the first free one from there on.

What becomes of photos: Gradio keeps them in a temporary folder that only its owner can read, serves no other files, and
loads nothing from elsewhere; the folder goes when the program ends, unless it is killed by SIGKILL. Who asks: while the
app listens to this machine alone, a page of another origin may send requests, but not read answers; Gradio does not
check the header Host.
"""

import argparse
import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pydantic import Field

from stages.core.command import errors_in_words
from stages.core.errors import UnmaskError
from stages.core.params import StageParams, load
from stages.removal.released import RELEASED
from stages.tools import try_photo
from stages.tools.portrait.portrait import Tools

LOCAL = ("127.0.0.1", "localhost", "::1")  # addresses that only this machine reaches
PORT = 7860


class Params(StageParams):
    """Section `run_app:` of params.yaml."""

    upload_mb: int = Field(ge=1, le=1000)
    """A larger photo is refused, millions of bytes."""
    side: int = Field(ge=200, le=8000)
    """A photo with a longer side is shrunk to it, pixels."""


@contextmanager
def serving(tools: Tools, params: Params, host: str = LOCAL[0], port: int = PORT) -> Iterator[str]:
    """Run the app until the block ends; yield its address.

    Args:
        tools: what looks at faces.
        params: section `run_app`.
        host: the address to listen on.
        port: to listen on; 0 takes the first free one from 7860 on.

    Raises:
        UnmaskError: Gradio is not installed, or the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="unmask-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            from stages.tools.portrait.page import THEME, build  # noqa: PLC0415 -- an extra; reads the environment
        except ImportError:
            raise UnmaskError("the app needs Gradio: pip install '.[app]'") from None
        blocks = build(tools, params.side)
        try:
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port or None,
                prevent_thread_lock=True,
                quiet=True,
                share=False,
                run_history=False,
                enable_monitoring=False,
                footer_links=[],
                theme=THEME,
                max_file_size=params.upload_mb * 10**6,
            )
        except OSError:
            raise UnmaskError(f"port {port} of {host} cannot be used: choose another with --port") from None
        try:
            yield address
        finally:
            blocks.close(verbose=False)


def run_app(arguments: list[str] | None = None) -> None:
    """Run the app from the command line until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.run_app",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default=LOCAL[0], help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=PORT, help="%(default)s; 0: the first free one from there on")
    parser.add_argument("--models", type=Path, default=RELEASED, help="folder of weights (%(default)s)")
    parser.add_argument("--known", type=Path, help="folder of photos of people to compare with")
    given = parser.parse_args(arguments)
    with errors_in_words("run_app"):
        params = load(Params, "run_app")
        tools = try_photo.load_tools(load(try_photo.Params, "try_photo"), given.models, given.known)
        for ending in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(ending) == signal.SIG_DFL:  # not under nohup
                signal.signal(ending, signal.default_int_handler)  # as Ctrl-C, so that photos are removed then, too
        with serving(tools, params, given.host, given.port) as address:
            print(f"The app runs at {address} until you press Ctrl-C.", flush=True)
            if given.host not in LOCAL:
                print("Whoever reaches this machine over the network can use it: there is no password.", flush=True)
            with suppress(KeyboardInterrupt):
                threading.Event().wait()


if __name__ == "__main__":
    run_app()
