"""Try everything in a browser: masks off, masks on, and regions corrected with a brush.

python -m stages.tools.run_app

After `dvc repro`; `make app` is short for it. It needs Gradio: pip install '.[app]'. It is reached from this machine
alone unless `--host` says otherwise; `--port` is 7860, and with 0 any that is free.

What becomes of photos: they are sent within an event and not as a file, read in memory, kept there while their page is
open (half an hour at the longest after it was last used), and shown as data URLs. Gradio's own route for uploads, which
writes to the disk, is replaced by one that keeps in memory what the brush sends. So nothing of a photo is written to a
file; what the operating system swaps out, and what the browser keeps of its pages, is not in our hands. Nothing is sent
to anybody: Gradio's statistics and history are off, and pages may load nothing from elsewhere, by a content security
policy.
"""

import argparse
import ipaddress
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import Field

from stages.core.command import errors_in_words
from stages.core.errors import UnmaskError
from stages.core.params import StageParams, load
from stages.tools import try_photo
from stages.tools.portrait.portrait import Tools

LOCAL, PORT = "127.0.0.1", 7860
SLACK = 100_000  # bytes of a request beside the photo
KEPT = 4  # times a photo's size, of what brushes painted


class Params(StageParams):
    """Section `run_app:` of params.yaml."""

    upload_mb: int = Field(ge=1, le=1000)
    """A larger photo is refused, millions of bytes."""
    side: int = Field(ge=200, le=8000)
    """A photo with a longer side is shrunk to it, pixels."""


@contextmanager
def serving(tools: Tools, params: Params, host: str = LOCAL, port: int = PORT) -> Iterator[str]:
    """Run the app until the block ends; yield its address.

    Args:
        tools: what looks at faces.
        params: section `run_app`.
        host: the address to listen on.
        port: to listen on; 0 takes any that is free.

    Raises:
        UnmaskError: Gradio is not installed, or the port is taken.
    """
    # Nothing is written here. If a component of a later Gradio did, it would be in memory where that can be had, and
    # be gone at the end.
    shared = Path("/dev/shm")  # noqa: S108 -- the folder made there is private
    folder = tempfile.mkdtemp(prefix="unmask-", dir=shared if os.access(shared, os.W_OK) else None)
    os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        import gradio as gr  # noqa: PLC0415 -- an extra, and it reads the environment
        from starlette.middleware import Middleware  # noqa: PLC0415

        from stages.tools.portrait import page  # noqa: PLC0415
        from stages.tools.portrait.guard import Guard  # noqa: PLC0415
        from stages.tools.portrait.uploads import Uploads  # noqa: PLC0415
    except ImportError:
        shutil.rmtree(folder, ignore_errors=True)
        raise UnmaskError("the app needs Gradio: pip install '.[app]'") from None
    most = params.upload_mb * 10**6
    uploads = Uploads(Path(folder), KEPT * most)
    blocks = page.build(tools, uploads, most=most, side=params.side)
    try:
        _, address, _ = blocks.launch(
            server_name=host,
            server_port=port or _free_port(host),
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            run_history=False,
            mcp_server=False,
            ssr_mode=False,
            enable_monitoring=False,
            footer_links=[],
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"]),
            css=page.CSS,
            max_file_size=most,
            app_kwargs={
                "middleware": [Middleware(Guard, most=most * 4 // 3 + SLACK, uploads=uploads)],
                "docs_url": None,
            },
        )
        yield address
    except OSError:
        raise UnmaskError(f"port {port} of {host} cannot be used: choose another with --port") from None
    finally:
        blocks.close(verbose=False)
        shutil.rmtree(folder, ignore_errors=True)


def _free_port(host: str) -> int:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        taken.bind((host, 0))
        return int(taken.getsockname()[1])


def is_local(host: str) -> bool:
    """Tell whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def run_app(arguments: list[str] | None = None) -> None:
    """Run the app from the command line until it is interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m stages.tools.run_app",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default=LOCAL)
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--models", type=Path, default=try_photo.MODELS)
    parser.add_argument("--data", type=Path, default=try_photo.DATA)
    given = parser.parse_args(arguments)
    with errors_in_words("run_app"):
        params = load(Params, "run_app")
        tools = try_photo.load_tools(load(try_photo.Params, "try_photo"), given.models, given.data)
        with serving(tools, params, given.host, given.port) as address:
            print(f"The app runs at {address} until you press Ctrl-C.", flush=True)
            if not is_local(given.host):
                print("Whoever reaches this machine over the network can use it: there is no password.", flush=True)
            _wait()


def _wait() -> None:
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    run_app()
