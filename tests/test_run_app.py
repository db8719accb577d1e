"""The app over HTTP and in a browser; networks are stood in for, faces are searched for really."""

import base64
import http.client
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
import requests

pytest.importorskip("gradio", reason="needs the extra `app`")

from stages.core import images, params
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.masks.shapes import POSITIONS
from stages.tools import run_app as stage
from stages.tools.portrait import sitting, uploads
from stages.tools.portrait.faces import faces_in
from stages.tools.portrait.sitting import LOOKS
from tests.browser import CHROMIUM, Browser
from tests.conftest import ROOT, face_row, run, write_table
from tests.stand_ins import FILLED, SEARCH, green, stand_ins

PARAMS = params.load(stage.Params, "run_app", ROOT / "params.yaml").model_copy(update={"upload_mb": 2})
PATIENCE = 120  # seconds

pytestmark = pytest.mark.xdist_group("app")


class Written:
    """Files that this process opens to write while it looks; Python reports each, those deleted at once, too."""

    def __init__(self) -> None:
        self.looks, self.paths = False, list[str]()
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.looks or event != "open":
            return
        path, mode, flags = arguments
        writes = any(letter in (mode or "") for letter in "wax+") or flags & (os.O_WRONLY | os.O_RDWR)
        if writes and isinstance(path, str | bytes | os.PathLike) and path != os.devnull:
            self.paths.append(os.fsdecode(path))

    def __enter__(self) -> "Written":
        self.looks, self.paths = True, []
        return self

    def __exit__(self, *_: object) -> None:
        self.looks = False
        # Modules that are first imported here leave their byte code.
        self.paths = [path for path in self.paths if "__pycache__" not in path]


WRITTEN = Written()


def test_files_that_are_deleted_at_once_are_seen_too(tmp_path: Path):
    import tempfile

    with WRITTEN:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"a face")
        (tmp_path / "kept").write_bytes(b"a face")
        Path(os.devnull).write_bytes(b"a face")
        Path(__file__).read_bytes()
    assert {file.name, str(tmp_path / "kept")} <= set(WRITTEN.paths)
    assert not {os.devnull, __file__} & set(WRITTEN.paths)


def colored(gray: Pixels) -> Pixels:
    """Return a gray photo in skin's colors: on a gray one, masks are gray."""
    large = cv2.resize(gray, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    return np.round(large * np.array([0.95, 0.8, 0.7])).astype(np.uint8)


@pytest.fixture
def photo(orl_photo: Callable[[str], Pixels]) -> Pixels:
    return colored(orl_photo("s1/1"))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    aligned = tmp_path_factory.mktemp("app") / "aligned"
    write_table(aligned / "drawn", [face_row(index) for index in range(12)])
    with stage.serving(stand_ins(aligned), PARAMS, port=0) as address:
        yield address


# ---------------------------------------------------------------- what a person does


def opened(photo: Pixels, tmp_path: Path) -> tuple[sitting.Sitting, Any]:
    tools = stand_ins(write_table(tmp_path / "aligned/drawn", [face_row(index) for index in range(12)]).parent)
    return sitting.opened(images.encode_png(photo), "a.png", tools, 300), tools


def test_a_photo_is_shrunk_and_its_face_found(photo: Pixels, tmp_path: Path):
    now, _ = opened(photo, tmp_path)
    assert max(now.photo.shape) == 300 < max(photo.shape)
    assert len(now.faces) == 1
    assert not now.masked


@pytest.mark.parametrize("style", LOOKS)
def test_a_mask_of_each_style_is_put_on_the_bare_photo(photo: Pixels, tmp_path: Path, style: str):
    """Putting on another one takes the first off."""
    now, tools = opened(photo, tmp_path)
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


def test_a_face_behind_a_mask_gets_no_other(photo: Pixels, tmp_path: Path):
    masked = photo.copy()
    masked[200:320, 60:220] = (0, 255, 0)
    now, tools = opened(photo, tmp_path)
    face = sitting.portrait_of(masked, now.faces[0].points * np.float32(masked.shape[0] / 300), "drawn", tools)
    assert face is not None
    worn = sitting.Sitting("a.png", masked, masked, (face,))
    with pytest.raises(UnmaskError, match="wears a mask already"):
        sitting.with_mask(worn, 0, sitting.look_of("n95", "proper", "#ffffff"), tools)


def test_what_is_painted_is_filled_in_and_nothing_else(photo: Pixels, tmp_path: Path):
    now, tools = opened(photo, tmp_path)
    painted = np.zeros((448, 448), np.uint8)
    painted[200:320, 160:280] = 255
    changed = sitting.corrected(now, 0, painted, tools)
    assert (changed.faces[0].filled[50:80, 40:70] == FILLED).all()
    assert (changed.faces[0].filled != now.faces[0].crop.image).any(2).sum() == 30 * 30
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


def test_the_oldest_parts_give_way():
    held = uploads.Uploads(Path("/nowhere"), most=10)
    first, second = held.put(b"123456"), held.put(b"1234567")
    assert held.take(first) is None
    assert held.take(second) == b"1234567"
    assert held.take(second) is None


# ---------------------------------------------------------------- over HTTP


def called(address: str, event: dict[str, Any], name: str) -> dict[str, Any]:
    """Send what the page's script sends on an event, and return what comes back, once it has come."""
    config = requests.get(f"{address}config", timeout=PATIENCE).json()
    (number,) = [one["id"] for one in config["dependencies"] if one["targets"][0][1] == name]
    session = base64.b32encode(os.urandom(8)).decode()
    sent = {"data": [], "event_data": event, "fn_index": number, "session_hash": session, "trigger_id": None}
    joined = requests.post(f"{address}gradio_api/queue/join", json=sent, timeout=PATIENCE)
    if not joined.ok:
        return {"status": joined.status_code, "text": joined.text}
    said = []
    url = f"{address}gradio_api/queue/data?session_hash={session}"
    with requests.get(url, stream=True, timeout=PATIENCE) as lines:
        for line in lines.iter_lines():
            message = json.loads(line.removeprefix(b"data: ")) if line else {}
            if message.get("msg") == "log":
                said.append(message["log"])
            if message.get("msg") == "process_completed":
                return {"status": 200, "said": said, **message}
    raise AssertionError("the stream ended without an answer")


def drop(address: str, data: bytes, changes: dict[str, Any]) -> dict[str, Any]:
    event = {"name": "a.png", "size": len(data), "data": base64.b64encode(data).decode(), **changes}
    return called(address, event, "upload")


def shown(answer: dict[str, Any]) -> str:
    """Return the sentence about the photo."""
    return answer["output"]["data"][1]


def test_twenty_photos_at_once_are_all_answered_and_no_file_is_written(
    address: str, photo: Pixels, monkeypatch: pytest.MonkeyPatch
):
    found = faces_in(photo, SEARCH)
    monkeypatch.setattr("stages.tools.portrait.portrait.faces_in", lambda *_: found)  # which would take half a minute
    data = images.encode_png(photo)
    with WRITTEN, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: drop(address, data, {"name": f"photo {number}.png"}), range(20)))
    for number, answer in enumerate(answers):
        assert answer["success"]
        assert f"photo {number}.png" in shown(answer)
        assert "one face, bare" in shown(answer)
        before, after = answer["output"]["data"][3]
        pixels = images.decode(base64.b64decode(before["url"].removeprefix("data:image/png;base64,")))
        assert pixels.shape[2] == 3
        assert before == after  # there is no mask to take off
    assert WRITTEN.paths == []
    assert list(Path(os.environ["GRADIO_TEMP_DIR"]).rglob("*")) == []


@pytest.mark.parametrize(
    ("data", "changes", "says"),
    [
        (b"broken", {}, "a.png is a text and no photo"),
        (b"", {}, "a.png is empty"),
        (b"x", {"data": "?"}, "a.png"),
        (b"x", {"data": None, "size": 104_000_000}, "a.png has 104 MB, more than 2 MB: shrink it first"),
        (bytes(2_050_000), {"size": 1}, "a.png has 2 MB, more than 2 MB"),
        (b"\0\0\0\x24ftypheic", {"name": "<b>.heic"}, "&lt;b&gt;.heic is HEIC"),
    ],
)
def test_what_is_no_photo_is_said_politely(address: str, data: bytes, changes: dict[str, Any], says: str):
    answer = drop(address, data, changes)
    assert answer["success"]
    assert says in answer["said"][0]


def test_a_hundred_megabytes_are_refused_before_they_are_read(address: str):
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE)
    connection.putrequest("POST", "/gradio_api/queue/join")
    connection.putheader("Content-Length", "100000000")
    connection.endheaders()
    answer = connection.getresponse()  # though nothing was sent yet
    assert (answer.status, b"too large: 2 MB at most" in answer.read()) == (413, True)
    connection.close()

    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield bytes(100_000)

    # Without a length it is counted.
    sent = requests.post(f"{address}gradio_api/queue/join", data=pieces(), timeout=PATIENCE)
    assert (sent.status_code, "too large" in sent.text) == (413, True)


def test_what_the_brush_sends_stays_in_memory(address: str):
    with WRITTEN:
        answer = requests.post(
            f"{address}gradio_api/upload", files={"files": ("layer.png", b"x" * 1_500_000)}, timeout=PATIENCE
        )
        assert requests.post(f"{address}gradio_api/upload", json={}, timeout=PATIENCE).status_code == 400
    (path,) = answer.json()
    assert path.startswith(os.environ["GRADIO_TEMP_DIR"])
    assert not Path(path).exists()
    assert WRITTEN.paths == []
    read = requests.get(f"{address}gradio_api/file={path}", timeout=PATIENCE)
    assert read.status_code in {403, 404}


def test_the_page_names_nobody_elsewhere(address: str):
    page = requests.get(address, timeout=PATIENCE)
    assert "default-src 'self'" in page.headers["content-security-policy"]
    loaded = re.findall(r"<(?:script|link)[^>]*(?:src|href)=\"(https?:[^\"]+)", page.text)
    assert [url for url in loaded if not url.startswith(address)] == []
    config = requests.get(f"{address}config", timeout=PATIENCE).json()
    assert config["analytics_enabled"] is False


def test_only_this_machine_is_listened_to(address: str):
    assert address.startswith("http://127.0.0.1:")
    assert stage.is_local("::1")
    assert stage.is_local("localhost")
    assert not stage.is_local("0.0.0.0")
    made = run("make", "-n", "app", cwd=ROOT).stdout
    assert '--host "127.0.0.1" --port "7860"' in made


def test_a_taken_port_is_said_and_the_folder_goes(address: str, tmp_path: Path):
    port = int(address.rstrip("/").rsplit(":", 1)[1])
    kept = os.environ["GRADIO_TEMP_DIR"]
    with (
        pytest.raises(UnmaskError, match=f"port {port} of 127.0.0.1 cannot be used"),
        stage.serving(stand_ins(tmp_path), PARAMS, port=port),
    ):
        pass
    assert not Path(os.environ["GRADIO_TEMP_DIR"]).exists()
    os.environ["GRADIO_TEMP_DIR"] = kept


def test_a_missing_model_is_one_line(tmp_path: Path):
    shutil.copy(ROOT / "params.yaml", "params.yaml")
    with pytest.raises(SystemExit, match=r"run_app: .*parser-scanet.safetensors: no such file; `dvc repro` trains it"):
        stage.run_app(["--models", str(tmp_path)])


def test_without_gradio_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GRADIO_TEMP_DIR", "of the others")
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UnmaskError, match="pip install"), stage.serving(stand_ins(tmp_path), PARAMS, port=0):
        pass


# ---------------------------------------------------------------- in a browser

SAYS = "document.querySelector('#says').innerText"
STRIP = "[...document.querySelectorAll('#strip img')].map(one => one.src)"
BEFORE, AFTER = (f"document.querySelectorAll('#slider img')[{place}]" for place in (0, 1))
REGION = "document.querySelectorAll('#strip img')[2]"
TOAST = "document.querySelector('.toast-body')?.innerText || ''"


def picture(browser: Browser, script: str) -> Pixels:
    source = browser.wait(f"{script}?.src")
    return images.decode(base64.b64decode(source.removeprefix("data:image/png;base64,")))


def choose(browser: Browser, group: str, text: str) -> None:
    label = f"[...document.querySelectorAll('#{group} label')].find(one => one.innerText.trim() === {json.dumps(text)})"
    browser.value(f"{label}.querySelector('input').click()")


def orange(browser: Browser, folder: Path) -> int:
    """Return how many pixels of the page have the brush's color."""
    browser.screenshot(folder / "page.png")
    page = images.decode((folder / "page.png").read_bytes()).astype(int)
    return int((np.abs(page - (255, 80, 40)) < 12).all(2).sum())


def other_face(browser: Browser) -> None:
    """Choose the other face, and the first one again."""
    first = browser.wait(STRIP)
    choose(browser, "which", "2 (bare)")
    browser.wait(f"{STRIP}[0] !== {json.dumps(first[0])}")
    choose(browser, "which", "1 (bare)")
    browser.wait(f"{STRIP}[0] === {json.dumps(first[0])}")


def slide(browser: Browser) -> None:
    """Move the slider: what lies left of it is before."""
    _, y, width, _ = browser.middle("#slider img")
    clip = f"getComputedStyle({AFTER}).clipPath"
    at_first = browser.value(clip)
    handle = browser.value(
        "(() => { const box = document.querySelector('#slider [data-testid=slider] .inner, "
        "#slider [data-testid=slider] .icon-wrap').getBoundingClientRect(); "
        "return [box.x + box.width / 2, box.y + box.height / 2]; })()"
    )
    browser.drag([tuple(handle), *[(handle[0] - step * width / 20, y) for step in range(1, 6)]])
    browser.wait(f"{clip} !== {json.dumps(at_first)}")


def put_masks_on(browser: Browser) -> None:
    """Put on a mask of each style, in a color that is typed in, and worn in each way."""
    browser.click_until("#color .dialog-button", "!!document.querySelector('#color input[type=text]')")
    browser.value(
        "(() => { const box = document.querySelector('#color input[type=text]'); box.value = '#28c850'; "
        "box.dispatchEvent(new Event('input', {bubbles: true})); "
        "box.dispatchEvent(new Event('change', {bubbles: true})); box.blur(); })()"
    )
    looks = [(style, "properly") for style in LOOKS] + [("surgical", "below the nose"), ("surgical", "on the chin")]
    assert len(looks) == len(LOOKS) + len(POSITIONS) - 1
    seen: set[bytes] = set()
    for style, worn in looks:
        choose(browser, "style", style)
        choose(browser, "position", worn)
        last = browser.value(f"{AFTER}.src")
        browser.click_until("#put", f"{AFTER}.src !== {json.dumps(last)}")
        after = picture(browser, AFTER)
        differs = (after != picture(browser, BEFORE)).any(2)
        assert differs.mean() > 0.01, (style, worn)
        assert after[differs][:, 1].mean() > after[differs][:, 0].mean(), (style, worn)
        seen.add(after.tobytes())
    assert len(seen) == len(looks)
    browser.wait(f"{SAYS}.includes('before and after the mask')")


def full_screen(browser: Browser) -> None:
    """Have the slider fill the window, and put it back."""
    size = "document.querySelector('#slider').getBoundingClientRect().height"
    at_first = browser.value(size)
    browser.click_until("#slider button[aria-label=Fullscreen]", f"{size} > innerHeight - 4 && {size} > {at_first}")
    browser.click_until("#slider button[aria-label='Exit fullscreen mode']", f"Math.abs({size} - {at_first}) < 4")


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


def press(browser: Browser, button: str) -> None:
    """Press one of the editor's buttons, and let it draw."""
    browser.click(f"#editor button[aria-label='{button}']")
    time.sleep(1)


def fill_again(browser: Browser) -> float:
    """Have it filled in again, and return how much of the forehead, where no mask is, was."""
    last = browser.value(f"{AFTER}.src")
    browser.click_until("#again", f"{AFTER}.src !== {json.dumps(last)}")
    region = picture(browser, REGION)
    return float((region[:50] > 128).mean())


def correct(browser: Browser, tmp_path: Path) -> None:
    """Paint on the forehead and have it filled in; erase it, by hand and by the editor's buttons."""
    browser.value("document.querySelector('#tab-region-button').click()")
    browser.wait("!!document.querySelector('#editor canvas')")
    WRITTEN.looks = False
    stroke(browser, tmp_path, "Brush")
    WRITTEN.looks = True
    assert fill_again(browser) > 0.01
    gray = (np.ptp(picture(browser, AFTER).astype(int), axis=2) == 0) & (picture(browser, AFTER)[..., 0] == FILLED)
    assert gray.sum() > 100
    WRITTEN.looks = False
    stroke(browser, tmp_path, "Erase")
    WRITTEN.looks = True
    assert fill_again(browser) < 0.001
    masked = picture(browser, AFTER)
    press(browser, "Undo")
    assert fill_again(browser) > 0.01
    press(browser, "Redo")
    assert fill_again(browser) < 0.001
    assert np.array_equal(picture(browser, AFTER), masked)
    press(browser, "Clear canvas")
    fill_again(browser)
    assert not picture(browser, REGION).any()


def on_a_phone(browser: Browser) -> None:
    """Have the page as narrow as a phone: all of it is there without scrolling sideways."""
    browser.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
    browser.wait("innerWidth === 390 && document.documentElement.scrollWidth === 390")
    for name in ("drop", "which", "editor", "again", "slider", "strip"):
        x, _, width, _ = browser.middle(f"#{name}")
        assert width > 250, name
        assert 0 <= x - width / 2 < x + width / 2 <= 390, name


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser(address: str, photo: Pixels, tmp_path: Path):
    """Every control of the page does what it says; nothing is fetched from elsewhere, and no file is written."""
    wide = np.full((400, 700, 3), (70, 90, 120), np.uint8)
    wide[30:366, 20:296] = photo
    wide[80:304, 420:604] = cv2.resize(photo, (184, 224), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "two.png"), wide[..., ::-1])
    (tmp_path / "note.txt").write_text("no photo")
    (tmp_path / "large.jpg").write_bytes(bytes(2_100_000))
    with Browser(tmp_path) as browser, WRITTEN:
        WRITTEN.looks = False  # for screenshots are files; on while the app is at work
        browser.open(address)
        browser.wait("!!document.querySelector('#drop input')")
        for name, says in (("note.txt", "is a text and no photo"), ("large.jpg", "more than 2 MB")):
            browser.choose_file("#drop input", tmp_path / name)
            browser.wait(f"({TOAST}).includes({json.dumps(says)})")
            browser.click(".toast-close")
            browser.wait(f"!({TOAST})")
        WRITTEN.looks = True
        browser.choose_file("#drop input", tmp_path / "two.png")
        browser.wait(f"{SAYS}.includes('2 faces, none behind a mask')")
        assert len(browser.wait(STRIP)) == 7  # five of the face, two people

        other_face(browser)
        slide(browser)
        full_screen(browser)
        put_masks_on(browser)
        correct(browser, tmp_path)
        on_a_phone(browser)
        assert browser.console == []
        elsewhere = [url for url in browser.requests if not url.startswith((address, "data:", "blob:"))]
        assert elsewhere == []
    assert WRITTEN.paths == []
    assert green(wide).sum() == 0  # the stand-in sees no mask in the photo itself
