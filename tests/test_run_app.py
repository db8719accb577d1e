"""The app over HTTP and in a browser; networks are stood in for, faces are searched for really."""

import base64
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests

pytest.importorskip("gradio", reason="needs the extra `app`")

from stages.core import images, params
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.landmarks.search import all_faces
from stages.tools import run_app as stage
from stages.tools.portrait import sitting
from stages.tools.portrait.sitting import LOOKS
from tests.browser import CHROMIUM, Browser
from tests.conftest import ROOT, run
from tests.stand_ins import FILLED, SEARCH, stand_ins

PARAMS = params.load(stage.Params, "run_app", ROOT / "params.yaml").model_copy(update={"upload_mb": 2})
PATIENCE = 120  # seconds

pytestmark = pytest.mark.xdist_group("app")


def colored(gray: Pixels) -> Pixels:
    """Return a gray photo in skin's colors: on a gray one, masks are gray."""
    large = cv2.resize(gray, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    return np.round(large * np.array([0.95, 0.8, 0.7])).astype(np.uint8)


@pytest.fixture
def photo(orl_photo: Callable[[str], Pixels]) -> Pixels:
    return colored(orl_photo("s1/1"))


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with stage.serving(stand_ins(), PARAMS, port=0) as address:
        yield address


# ---------------------------------------------------------------- what a person does


def opened(photo: Pixels) -> tuple[sitting.Sitting, Any]:
    tools = stand_ins()
    return sitting.opened(images.encode_png(photo), "a.png", tools, 300), tools


def test_a_photo_is_shrunk_and_its_face_found(photo: Pixels):
    now, _ = opened(photo)
    assert max(now.photo.shape) == 300 < max(photo.shape)
    assert len(now.faces) == 1
    assert not now.masked


@pytest.mark.parametrize("style", LOOKS)
def test_a_mask_of_each_style_is_put_on_the_bare_photo(photo: Pixels, style: str):
    """Putting on another one takes the first off."""
    now, tools = opened(photo)
    color = "rgba(40, 200, 80, 1)"
    first = sitting.with_mask(now, 0, sitting.look_of("cloth", "proper", "#ffffff"), tools)
    changed = sitting.with_mask(first, 0, sitting.look_of(style, "proper", color), tools)
    assert np.array_equal(
        changed.photo, sitting.with_mask(now, 0, sitting.look_of(style, "proper", color), tools).photo
    )
    differs = (changed.photo != now.photo).any(2)
    assert 0.05 < differs.mean() < 0.5
    assert changed.masked
    assert changed.faces[0].worn.probability > 0.8
    reddish, greenish = (changed.photo[differs][:, channel].mean() for channel in (0, 1))
    assert greenish > reddish + 40


def test_a_face_behind_a_mask_gets_no_other(photo: Pixels):
    masked = photo.copy()
    masked[200:320, 60:220] = (0, 255, 0)
    now, tools = opened(photo)
    face = sitting.portrait_of(masked, now.faces[0].points * np.float32(masked.shape[0] / 300), "drawn", tools)
    assert face is not None
    worn = sitting.Sitting("a.png", masked, masked, (face,))
    with pytest.raises(UnmaskError, match="wears a mask already"):
        sitting.with_mask(worn, 0, sitting.look_of("n95", "proper", "#ffffff"), tools)


def test_a_mask_is_offered_to_bare_faces_and_another_to_the_one_that_got_one(photo: Pixels):
    now, tools = opened(photo)
    assert sitting.may_wear(now, 0)
    put = sitting.with_mask(now, 0, sitting.look_of("cloth", "proper", "#ffffff"), tools)
    assert put.faces[0].worn
    assert sitting.may_wear(put, 0)
    assert not sitting.may_wear(sitting.replace(put, put_on=None), 0)  # it came with its mask


def test_what_is_painted_is_filled_in_and_nothing_else(photo: Pixels):
    now, tools = opened(photo)
    painted = np.zeros((448, 448), np.bool_)
    painted[200:320, 160:280] = True
    changed = sitting.corrected(now, 0, painted, tools)
    assert (changed.faces[0].filled[53:77, 43:67] == FILLED).all()  # at its edges, it goes over into the photo
    differs = (changed.faces[0].filled != now.faces[0].crop.image).any(2)
    assert differs[50:80, 40:70].mean() > 0.9
    assert differs.sum() == differs[50:80, 40:70].sum()
    assert 0 < (changed.filled() != now.photo).any(2).mean() < 0.2
    again = sitting.corrected(changed, 0, np.zeros_like(painted), tools)
    assert np.array_equal(again.filled(), now.photo)


@pytest.mark.parametrize(("color", "expected"), [("#0a141e", (10, 20, 30)), ("rgba(9.6, 300, -4, 0.5)", (10, 255, 0))])
def test_colors_are_read_as_browsers_write_them(color: str, expected: tuple[int, int, int]):
    assert sitting.rgb(color) == expected


@pytest.mark.parametrize("color", ["red", "#12", "rgb(1, 2)", ""])
def test_what_is_no_color_is_said(color: str):
    with pytest.raises(UnmaskError, match="is no color like"):
        sitting.rgb(color)


# ---------------------------------------------------------------- over HTTP


def drop(address: str, data: bytes, name: str = "a.png") -> dict[str, Any]:
    """Send what the page's scripts send when a photo is dropped, and return what comes back, once it has come."""
    (path,) = requests.post(f"{address}gradio_api/upload", files={"files": (name, data)}, timeout=PATIENCE).json()
    config = requests.get(f"{address}config", timeout=PATIENCE).json()
    number = next(one["id"] for one in config["dependencies"] if one["targets"][0][1] == "upload")
    session = os.urandom(8).hex()
    file = {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
    sent = {"data": [file], "fn_index": number, "session_hash": session}
    requests.post(f"{address}gradio_api/queue/join", json=sent, timeout=PATIENCE).raise_for_status()
    said = []
    url = f"{address}gradio_api/queue/data?session_hash={session}"
    with requests.get(url, stream=True, timeout=PATIENCE) as lines:
        for line in lines.iter_lines():
            message = json.loads(line.removeprefix(b"data: ")) if line else {}
            if message.get("msg") == "log":
                said.append(message["log"])
            if message.get("msg") == "process_completed":
                assert message["success"], message
                return {"said": said, "shown": message["output"]["data"]}
    raise AssertionError("the stream ended without an answer")


def test_photos_at_once_are_all_answered(address: str, photo: Pixels, monkeypatch: pytest.MonkeyPatch):
    found = all_faces(photo, SEARCH)
    monkeypatch.setattr("stages.tools.portrait.portrait.all_faces", lambda *_: found)
    data = images.encode_png(photo)
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda number: drop(address, data, f"photo {number}.png"), range(10)))
    for number, answer in enumerate(answers):
        _, says, _, pair, strip, _, put, correct, painted = answer["shown"]
        assert says.startswith(f"**photo {number}.png**: one face, bare")
        assert pair[0]["url"] == pair[1]["url"]  # there is no mask to take off
        pixels = images.decode(requests.get(pair[0]["url"], timeout=PATIENCE).content)
        assert min(pixels.shape[:2]) > 200
        assert strip.count("<figure") == 4  # two of the face, two people
        # There is no region to correct in a bare face.
        assert [one["visible"] for one in (put, correct)] == [True, False]
        assert painted["background"]["path"].startswith(os.environ["GRADIO_TEMP_DIR"])


@pytest.mark.parametrize(
    ("data", "name", "says"),
    [
        (b"broken", "a.png", "a.png cannot be read as a photo (a text and no photo)"),
        (b"", "a.png", "a.png is empty"),
        (
            b"\0\0\0\x20ftypisom",
            "a b.mov",
            "a b.mov is a video, which is not read here: save it as JPEG or PNG",
        ),
    ],
)
def test_what_is_no_photo_is_said_politely(address: str, data: bytes, name: str, says: str):
    assert says in drop(address, data, name)["said"][0]


def test_a_photo_without_a_face_is_shown_all_the_same(address: str, photo: Pixels, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("stages.tools.portrait.portrait.all_faces", lambda *_: [])
    _, says, _, pair, strip, _, *controls, painted = drop(address, images.encode_png(photo))["shown"]
    assert "no face found" in says
    assert [one["visible"] for one in controls] == [False, False]
    assert pair[0]["url"] == pair[1]["url"]
    assert not strip
    assert painted is None


def test_a_file_that_is_too_large_is_refused_and_not_kept(address: str):
    kept = set(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*"))
    files = {"files": ("large.jpg", bytes(2_000_001))}
    answer = requests.post(f"{address}gradio_api/upload", files=files, timeout=PATIENCE)
    assert (answer.status_code, "2000000 bytes" in answer.text) == (413, True)
    assert set(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*")) == kept


def test_no_other_files_are_served(address: str):
    files = {"files": ("a.txt", b"a face")}
    (path,) = requests.post(f"{address}gradio_api/upload", files=files, timeout=PATIENCE).json()
    assert requests.get(f"{address}gradio_api/file={path}", timeout=PATIENCE).content == b"a face"
    assert requests.get(f"{address}gradio_api/file={ROOT / 'params.yaml'}", timeout=PATIENCE).status_code == 403


def test_pages_of_another_origin_may_not_read_answers(address: str):
    for origin, may in ((address.rstrip("/"), True), ("http://elsewhere.example", False)):
        answer = requests.get(f"{address}config", headers={"Origin": origin}, timeout=PATIENCE)
        assert ("access-control-allow-origin" in answer.headers) is may


def test_the_page_names_nobody_elsewhere_and_offers_no_api(address: str):
    page = requests.get(address, timeout=PATIENCE)
    loaded = re.findall(r"<(?:script|link)[^>]*(?:src|href)=\"(https?:[^\"]+)", page.text)
    assert [url for url in loaded if not url.startswith(address)] == []
    assert requests.get(f"{address}config", timeout=PATIENCE).json()["analytics_enabled"] is False
    api = requests.get(f"{address}gradio_api/info", timeout=PATIENCE).json()
    assert api == {"named_endpoints": {}, "unnamed_endpoints": {}}


RUN = """
import sys
from pathlib import Path
from stages.tools import run_app, try_photo
from tests.stand_ins import stand_ins
try_photo.load_tools = lambda *_: stand_ins()
run_app.run_app(["--port", "0"])
"""


@pytest.mark.parametrize("ending", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_nothing_is_left_behind(tmp_path: Path, ending: signal.Signals):
    """Photos lie where only their owner can read them, and are gone when the program has ended."""
    environment = {**os.environ, "TMPDIR": str(tmp_path), "GRADIO_TEMP_DIR": ""}
    with subprocess.Popen(
        [sys.executable, "-c", RUN], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    ) as app:
        try:
            assert app.stdout is not None
            (address,) = re.findall(r"runs at (\S+) until", app.stdout.readline())
            assert drop(address, b"no photo")["said"]
            (folder,) = tmp_path.glob("unmask-*")
            assert [file.read_bytes() for file in folder.rglob("a.png")] == [b"no photo"]
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
            app.send_signal(ending)
            assert app.wait(PATIENCE) == 0
        finally:
            app.kill()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert not folder.exists()


def test_only_this_machine_is_listened_to(address: str):
    assert address.startswith("http://127.0.0.1:")
    made = run("make", "-n", "app", cwd=ROOT).stdout
    assert '--host="${HOST:-127.0.0.1}" --port="${PORT:-7860}"' in made


def test_a_taken_port_is_said_and_the_folder_goes(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    monkeypatch.setenv("GRADIO_TEMP_DIR", os.environ["GRADIO_TEMP_DIR"])  # what the other app needs comes back
    with (
        pytest.raises(UnmaskError, match=f"port {port} of 127.0.0.1 cannot be used"),
        stage.serving(stand_ins(), PARAMS, port=port),
    ):
        pass
    assert not Path(os.environ["GRADIO_TEMP_DIR"]).exists()


def test_a_missing_model_is_one_line(tmp_path: Path):
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    with pytest.raises(SystemExit, match=r"run_app: .*parser-scanet.safetensors: no such file; `dvc repro` trains it"):
        stage.run_app(["--models", str(tmp_path)])


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "of the others")
    monkeypatch.delitem(sys.modules, "stages.tools.portrait.page", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UnmaskError, match="pip install"), stage.serving(stand_ins(), PARAMS, port=0):
        pass


# ---------------------------------------------------------------- in a browser

SAYS = "document.querySelector('#says').innerText"
STRIP = "[...document.querySelectorAll('#strip img')].map(one => one.src)"
TOAST = "document.querySelector('.toast-body')?.innerText || ''"


def choose(browser: Browser, group: str, text: str) -> None:
    label = f"[...document.querySelectorAll('#{group} label')].find(one => one.innerText.trim() === {json.dumps(text)})"
    browser.value(f"{label}.querySelector('input').click()")


def orange(browser: Browser, folder: Path) -> int:
    """Return how many pixels of the page have the brush's color."""
    browser.screenshot(folder / "page.png")
    page = images.decode((folder / "page.png").read_bytes()).astype(int)
    return int((np.abs(page - (255, 80, 40)) < 12).all(2).sum())


def stroke(browser: Browser, folder: Path, tool: str) -> None:
    """Paint over the forehead with the brush, or erase there, until the page shows it."""
    x, y, _, _ = browser.middle("#editor canvas")
    browser.value(f"document.querySelector('#editor button[aria-label={tool}]').click()")
    for _ in range(20):  # strokes are lost until the editor has loaded what it shows
        before = orange(browser, folder)
        browser.drag([(x - 50 + 8 * step, y - 100) for step in range(12)])
        time.sleep(0.5)
        change = orange(browser, folder) - before
        if (change if tool == "Brush" else -change) > 500:
            return
    pytest.fail(f"{tool} changes nothing")


def strip_after(browser: Browser, button: str) -> list[Pixels]:
    """Press a button until the face's pictures change, and return them."""
    browser.click_until(button, f"{STRIP}.join() !== {json.dumps(','.join(browser.value(STRIP)))}")
    return [images.decode(base64.b64decode(url.split(",")[1])) for url in browser.value(STRIP)]


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser(address: str, photo: Pixels, tmp_path: Path):
    """The page does what a person asks of it, on a computer and a phone, and fetches nothing from elsewhere."""
    wide = np.full((400, 700, 3), (70, 90, 120), np.uint8)
    wide[30:366, 20:296] = photo
    wide[80:304, 420:604] = cv2.resize(photo, (184, 224), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "two.png"), wide[..., ::-1])
    (tmp_path / "note.txt").write_text("no photo")
    (tmp_path / "large.jpg").write_bytes(bytes(2_100_000))
    with Browser(tmp_path) as browser:
        browser.open(address)
        for name, says in (("large.jpg", "exceed the maximum allowed size"), ("note.txt", "a text and no photo")):
            browser.choose_file("#drop input", tmp_path / name)
            browser.wait(f"({TOAST}).includes({json.dumps(says)})")
            browser.click(".toast-close")
            browser.wait(f"!({TOAST})")
        browser.choose_file("#drop input", tmp_path / "two.png")
        browser.wait(f"{SAYS}.includes('2 faces, none behind a mask')")
        first = browser.wait(STRIP)
        assert len(first) == 4  # two of the face, two people
        choose(browser, "which", "2 (bare)")
        browser.wait(f"{STRIP}[0] !== {json.dumps(first[0])}")
        choose(browser, "which", "1 (bare)")
        browser.wait(f"{STRIP}[0] === {json.dumps(first[0])}")
        choose(browser, "style", "cloth")
        choose(browser, "position", "below the nose")
        strip_after(browser, "#put")
        assert "before and after the mask" in browser.value(SAYS)

        browser.value("document.querySelector('#tab-region-button').click()")
        browser.wait("!!document.querySelector('#editor canvas')")
        stroke(browser, tmp_path, "Brush")
        _, _, region, _, filled, *_ = strip_after(browser, "#again")
        assert (region[:50] > 128).mean() > 0.01
        assert np.median(filled[region.min(2) > 250]) == FILLED
        stroke(browser, tmp_path, "Erase")
        assert (strip_after(browser, "#again")[2][:50] > 128).mean() < 0.001

        browser.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        browser.wait("innerWidth === 390 && document.documentElement.scrollWidth === 390")
        # Gradio asks how far an upload has come, even when it has come already.
        assert [line for line in browser.console if "upload_progress" not in line] == []
        elsewhere = [url for url in browser.requests if not url.startswith((address, "data:", "blob:"))]
        assert elsewhere == []
