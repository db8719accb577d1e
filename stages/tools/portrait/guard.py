"""What stands before the app: limits the size of requests, keeps uploads from the disk, and pages from elsewhere."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.formparsers import MultiPartException
from starlette.requests import Request

from stages.tools.portrait.uploads import Uploads

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

# The page may load and reach nothing but the app itself, whatever Gradio's scripts would like to.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' data: blob:; "
    "form-action 'none'; frame-ancestors 'self'"
)
UPLOAD = ("/upload", "/upload/")  # where Gradio's own route would write to the disk


class TooLargeError(Exception):
    """A request brings more than it may."""


class Guard:
    """An ASGI middleware.

    Args:
        app: what it stands before.
        most: bytes of a request's body.
        uploads: where its parts are kept.
    """

    def __init__(self, app: App, most: int, uploads: Uploads) -> None:
        self.app, self.most, self.uploads = app, most, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.most:
            await _say(send, 413, f"That is too large: {self.most // 10**6} MB at most.")
            return
        came, answered = 0, False

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > self.most:
                raise TooLargeError
            return message

        async def with_policy(message: Message) -> None:
            nonlocal answered
            if came > self.most and not answered:
                raise TooLargeError  # whatever the app made of the body that broke off
            if message["type"] == "http.response.start":
                answered = True
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
                message["headers"].append((b"referrer-policy", b"no-referrer"))
            await send(message)

        try:
            if scope["method"] == "POST" and scope["path"].endswith(UPLOAD):
                await self._keep(scope, counted, with_policy)
            else:
                await self.app(scope, counted, with_policy)
        except TooLargeError:
            if not answered:
                await _say(send, 413, f"That is too large: {self.most // 10**6} MB at most.")

    async def _keep(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            paths = await self.uploads.received(Request(scope, receive))
        except (MultiPartException, KeyError) as error:
            await _say(send, 400, f"This is no upload: {error}")
            return
        await _say(send, 200, json.dumps(paths), b"application/json")


async def _say(send: Send, status: int, text: str, kind: bytes = b"text/plain; charset=utf-8") -> None:
    headers = [(b"content-type", kind), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
