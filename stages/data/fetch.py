"""Get the files of a dataset as its publisher ships them, and believe none of them unchecked.

python -m stages.data.fetch --catalogue data/catalogue.yaml --checksums data/checksums/orl.csv --out data/raw/orl \
    --results metrics/fetch-orl

What lies in the drop folder (data/incoming/<dataset>/, or the folder that UNMASK_INCOMING names) is taken from there.
A download that is not what it should be is kept in data/incoming/<dataset>/ as <name>.differs, and nothing is deleted.
"""

import os
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar

from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import whole_folder
from stages.core.params import StageParams
from stages.data.sources import transports
from stages.data.sources.catalogue import Checks, Dataset, File, entry
from stages.data.sources.checks import Content, Records, RefusedError, believe, content
from stages.data.sources.transports import UnavailableError

SCRATCH = Path(".scratch/fetch")  # downloads under way, kept from one run to the next
INCOMING = Path("data/incoming")  # neither Git nor DVC looks there


class Params(StageParams):
    """What `fetch` reads from params.yaml. It is no param of the stage: permission changes no result."""

    top_level: ClassVar = ("accept_terms",)

    accept_terms: list[str]
    """Datasets whose terms the user has read and accepted."""


def fetch(catalogue: Path, checksums: Path, out: Path, params: Params) -> dict[str, Any]:
    """Bring the files of the dataset `out.name` to `out`.

    Args:
        catalogue: data/catalogue.yaml.
        checksums: the dataset's records; a file without a published checksum is added to them.
        out: the folder to write.
        params: whether its terms were accepted.

    Returns:
        Each file's size and sha256, and where it came from.

    Raises:
        UnmaskError: the terms were not accepted, or a file cannot be had or is not what it should be.
    """
    name = out.name
    dataset = entry(catalogue, name)
    if dataset.terms and name not in params.accept_terms:
        raise UnmaskError(
            f"{dataset.title}: {dataset.terms} Read the terms at {dataset.homepage}; if you accept them, add {name} to "
            f"`accept_terms` in params.yaml."
        )
    records = Records(checksums)
    got, missing = [], []
    with whole_folder(out) as staging:
        for file in dataset.files:
            try:
                got.append(_get(name, dataset, file, staging, records))
            except UnavailableError as error:
                if not file.optional:
                    raise
                print(f"going on without an optional file: {error}", file=sys.stderr)
                missing.append(file.name)
        for line in got:  # only now: what was downloaded outlives a later file that cannot be had
            if line["from"] == "download":
                shutil.move(SCRATCH / name / line["name"], staging / line["name"])
    return {"files": got, "missing_optional_files": missing}


def _get(name: str, dataset: Dataset, file: File, staging: Path, records: Records) -> dict[str, Any]:
    if file.package:
        count = transports.package_files(file.package, staging)
        return _line(f"{file.package.name} {file.package.version}", content(staging), "package", files=count)
    lying = dropped(name, file)
    if lying:
        known: Checks = next((other for other in file.instead if other.name == lying.name), file)
        target = staging / lying.name
        transports.copy(lying, target)
        try:
            return _line(lying.name, believe(target, known, records, note="from the drop folder"), "drop folder")
        except RefusedError as error:
            raise UnmaskError(f"{lying} is not what it should be: {error}") from None
    if file.by_hand:
        raise UnavailableError(
            f"{file.name} of {dataset.title} cannot be downloaded by a program. {file.by_hand} Homepage: "
            f"{dataset.homepage}. {_how_to_drop(name, file)}"
        )
    download = SCRATCH / name / file.name
    if not download.exists():
        download.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(download.parent).free
        if file.bytes is not None and free < file.bytes:
            where = download.parent
            raise UnmaskError(f"{file.name} takes {file.bytes:,} bytes, the disk of {where} has {free:,} left")
        try:
            transports.download(file, download, resume=file.has_checksum or bool(records.of(file)))
        except UnmaskError as error:
            raise type(error)(
                f"{error}\nIts address is {file.address}; the dataset's homepage is {dataset.homepage}. If you can "
                f"get it there: {_how_to_drop(name, file)}"
            ) from None
    try:
        found = believe(download, file, records, note="as first downloaded")
    except RefusedError as error:
        kept = INCOMING / name / f"{file.name}.differs"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(download, kept)
        raise UnmaskError(
            f"{file.name} from {file.address} is not what it should be: {error.wrong}. It was kept as {kept}. If it is "
            f"wrong, delete it: the next run downloads it anew. If it is right, rename it to {kept.with_suffix('')}, "
            f"from where the next run takes it, and: {error.remedy}"
        ) from None
    return _line(file.name, found, "download")


def dropped(name: str, file: File) -> Path | None:
    """Return where in a drop folder a file of a dataset, or one in its place, lies; None if it does not."""
    named = os.environ.get("UNMASK_INCOMING")
    folders = [*([Path(named) / name, Path(named)] if named else []), INCOMING / name]
    names = [file.name, *(other.name for other in file.instead)]
    return next((folder / name for folder in folders for name in names if (folder / name).exists()), None)


def _how_to_drop(name: str, file: File) -> str:
    instead = f" (or, in its place, {', '.join(other.name for other in file.instead)})" if file.instead else ""
    named = os.environ.get("UNMASK_INCOMING") or "a folder of yours"
    return (
        f"Put {file.name}{instead} into {INCOMING / name}/, or into the folder that UNMASK_INCOMING names ({named}), "
        f"and run again."
    )


def _line(name: str, found: Content, source: str, files: int = 1) -> dict[str, Any]:
    return {"name": name, "files": files, "bytes": found.bytes, "sha256": found.sha256, "from": source}


if __name__ == "__main__":
    run_stage("data.fetch")
