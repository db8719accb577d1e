"""Chromium without a window, driven over the Chrome DevTools Protocol with the standard library alone."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE = 60  # seconds until the browser is taken for hung


class WebSocket:
    """A client of RFC 6455, as far as a browser on this machine needs one: text messages, no compression."""

    def __init__(self, address: str) -> None:
        where = urlsplit(address)
        self.socket = socket.create_connection((where.hostname, where.port), PATIENCE)
        key = base64.b64encode(os.urandom(16)).decode()
        ask = f"GET {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self.socket.sendall(f"{ask}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        self.file = self.socket.makefile("rb")
        assert b" 101 " in self.file.readline()
        while self.file.readline() != b"\r\n":
            pass

    def send(self, text: str) -> None:
        data = text.encode()
        size = len(data)
        head = bytes([0x81])
        if size < 126:
            head += bytes([0x80 | size])
        elif size < 2**16:
            head += bytes([0x80 | 126]) + size.to_bytes(2, "big")
        else:
            head += bytes([0x80 | 127]) + size.to_bytes(8, "big")
        self.socket.sendall(head + bytes(4) + data)  # masked with zeros, which changes nothing

    def receive(self) -> str:
        message = b""
        while True:
            first, size = self.file.read(2)
            if size >= 126:
                size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big")
            message += self.file.read(size)
            if first & 0x0F == 9:  # a ping
                message = b""
                continue
            if first & 0x80:
                return message.decode()


class Browser(AbstractContextManager["Browser"]):
    """A browser with one page.

    Args:
        folder: for its profile.
        size: of the window, pixels.
    """

    def __init__(self, folder: Path, size: tuple[int, int] = (1280, 1500)) -> None:
        self.folder = folder
        self.requests: list[str] = []
        self.console: list[str] = []
        self.number = 0
        profile = folder / "profile"
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run"]
        flags += ["--disable-component-update", "--disable-background-networking", f"--window-size={size[0]},{size[1]}"]
        self.process = subprocess.Popen(
            [str(CHROMIUM), *flags, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            port = profile / "DevToolsActivePort"
            self._until(lambda: port.exists() and port.read_text().count("\n") > 0, "chromium did not start")
            number, path = port.read_text().splitlines()[:2]
            self.socket = WebSocket(f"ws://127.0.0.1:{number}{path}")
            self.session = ""
            pages = self.call("Target.getTargets")["targetInfos"]
            target = next(one["targetId"] for one in pages if one["type"] == "page")
            self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Network", "DOM", "Log"):
                self.call(f"{domain}.enable")
        except BaseException:
            self.process.kill()
            raise

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.screenshot(self.folder / "failed.png")  # to look at
        self.process.terminate()
        self.process.wait(PATIENCE)

    @staticmethod
    def _until(done: Callable[[], Any], otherwise: str, seconds: float = PATIENCE) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := done():
                return found
            time.sleep(0.1)
        raise AssertionError(otherwise)

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        self.socket.send(json.dumps({**message, "sessionId": self.session} if self.session else message))
        while True:
            answer = json.loads(self.socket.receive())
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer.get("method"), answer.get("params", {}))

    def _note(self, event: str | None, params: dict[str, Any]) -> None:
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.console.append(json.dumps(params["exceptionDetails"]))
        elif event == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.console.append(f"{params['entry']['text']} {params['entry'].get('url', '')}")

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def value(self, script: str) -> Any:
        """Return what a JavaScript expression, or a promise, comes to."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = PATIENCE) -> Any:
        """Wait until a JavaScript expression is true, and return it."""
        return self._until(lambda: self.value(script), f"never came true: {script}", seconds)

    def choose_file(self, selector: str, path: Path) -> None:
        self.wait(f"!!document.querySelector({json.dumps(selector)})")
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def middle(self, selector: str) -> tuple[float, float, float, float]:
        """Return center, width and height of an element, scrolled into view, pixels of the window."""
        found = self.value(
            f"""(() => {{ const one = document.querySelector({json.dumps(selector)});
            one.scrollIntoView({{block: "center", behavior: "instant"}}); const box = one.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2, box.width, box.height]; }})()"""
        )
        return tuple(found)

    def drag(self, path: Sequence[tuple[float, float]]) -> None:
        """Press the mouse at the first of some points, move it over the others, and let it go; one point is a click."""
        self._mouse("mouseMoved", path[0], 0)
        self._mouse("mousePressed", path[0], 1)
        for point in path[1:]:
            self._mouse("mouseMoved", point, 1)
            time.sleep(0.03)
        self._mouse("mouseReleased", path[-1], 0)

    def _mouse(self, kind: str, point: tuple[float, float], buttons: int) -> None:
        self.call(
            "Input.dispatchMouseEvent", type=kind, x=point[0], y=point[1], button="left", buttons=buttons, clickCount=1
        )

    def click(self, selector: str) -> None:
        x, y, _, _ = self.middle(selector)
        self.drag([(x, y)])

    def click_until(self, selector: str, script: str) -> None:
        """Click an element until a JavaScript expression is true: now and then headless Chromium loses a click."""
        for _ in range(6):
            self.click(selector)
            end = time.monotonic() + PATIENCE / 6
            while time.monotonic() < end:
                if self.value(script):
                    return
                time.sleep(0.1)
        raise AssertionError(f"no click on {selector} made it true: {script[:300]}")

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))
