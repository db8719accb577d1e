"""What a browser sends in parts, such as the layers of Gradio's editor, kept in memory until an event asks for it."""

import secrets
import threading
from collections import OrderedDict
from pathlib import Path

from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartParser
from starlette.requests import Request

NAME = "part.png"


class _InMemory(MultiPartParser):
    spool_max_size = 2**40  # bytes up to which a part is no file; the guard limits what comes


class Uploads:
    """Parts by the path that Gradio believes them to be at. Nothing lies there.

    Args:
        folder: that Gradio takes for its cache: it accepts no other paths.
        most: bytes that are kept; the oldest parts go first.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self.most = folder, most
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, data: bytes) -> str:
        """Keep a part, and return its path."""
        path = str(self.folder / secrets.token_hex(16) / NAME)
        with self._lock:
            self._held[path] = data
            while len(self._held) > 1 and sum(map(len, self._held.values())) > self.most:
                self._held.popitem(last=False)
        return path

    def take(self, path: str) -> bytes | None:
        """Return a part and forget it; None if there is none, or it had to go."""
        with self._lock:
            return self._held.pop(path, None)

    async def received(self, request: Request) -> list[str]:
        """Keep all parts of a request, and return their paths, as Gradio's own route does.

        Raises:
            starlette.formparsers.MultiPartException: the request has no parts, or is broken.
        """
        form = await _InMemory(Headers(scope=request.scope), request.stream()).parse()
        return [self.put(await part.read()) for part in form.getlist("files") if isinstance(part, UploadFile)]
