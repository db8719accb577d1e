"""data/catalogue.yaml: where each dataset comes from, under what terms, and how its files are known to be whole.

models/catalogue.yaml says the same of pretrained models.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, RootModel, StringConstraints, model_validator

from stages.core.errors import UnmaskError
from stages.core.params import Section, check, read_yaml

NAME = re.compile("[a-z][a-z0-9_]*")
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://")]

TRANSPORTS = ("package", "url", "doi", "google_drive", "google_drive_folder", "by_hand")


class Checks(Section):
    """What is known of a file's content; what nobody published is null."""

    name: FileName
    bytes: int | None = Field(default=None, ge=1)
    md5: str | None = Field(default=None, pattern="^[0-9a-f]{32}$")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    git_blob: str | None = Field(default=None, pattern="^[0-9a-f]{40}$")  # the id that Git gives the file's content
    sha256_begins: str | None = Field(default=None, pattern="^[0-9a-f]{8,63}$")  # as the file's name says
    mebibytes: float | None = Field(default=None, gt=0)  # where the publisher rounds its size, to three digits

    @property
    def has_checksum(self) -> bool:
        """Tell whether a changed byte would be noticed."""
        return any((self.md5, self.sha256, self.git_blob, self.sha256_begins))


class Package(Section):
    """Files inside an installed Python package, each checked against the sha256 in the package's RECORD."""

    name: str
    version: str
    folder: str
    pattern: str  # which files below the folder, e.g. `s*/*.pgm`
    count: int = Field(ge=1)


class File(Checks):
    """A file (or a package's folder) of a dataset, and the one way to get it."""

    name: FileName = "package"
    package: Package | None = None
    url: Url | None = None
    doi: str | None = None  # the file of this name in the Figshare, Zenodo or Dataverse record of this DOI
    google_drive: str | None = None  # a file's id
    google_drive_folder: str | None = None  # the id of the folder that holds the file of this name
    by_hand: str | None = None  # how a person gets it: a login or a form stands before it
    instead: list[Checks] = Field(default=[])  # other files, or folders, that may lie in the drop folder in its place
    optional: bool = False  # go on without it if it cannot be had
    checksum_by: str | None = None  # who published the checksums

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if sum(getattr(self, transport) is not None for transport in TRANSPORTS) != 1:
            raise ValueError(f"{self.name}: name exactly one of {', '.join(TRANSPORTS)}")
        if self.sha256_begins and f"-{self.sha256_begins}." not in self.name:
            raise ValueError(f"{self.name}: its name does not end in {self.sha256_begins}, as sha256_begins says")
        return self

    @property
    def address(self) -> str:
        """Where a person downloads it, in a browser; empty for a package and for what is got by hand."""
        if self.google_drive:
            return f"https://drive.google.com/file/d/{self.google_drive}/view"
        if self.google_drive_folder:
            return f"https://drive.google.com/drive/folders/{self.google_drive_folder}"
        return f"https://doi.org/{self.doi}" if self.doi else self.url or ""


class Expected(Section):
    """What the publisher says is in it."""

    photos: int | None = Field(default=None, ge=1)
    people: int | None = Field(default=None, ge=1)


class Dataset(Section):
    """An entry of the catalogue."""

    title: str
    homepage: Url
    license: str
    terms: str | None  # what the user must have accepted before the files may be fetched; null if nothing is asked
    expected: Expected
    layout: str  # the publisher's files and folders, in one line
    about: str | None = None  # how the photos came about, for the datasheet
    limits: list[str] = Field(default=[])  # what they cannot show, for datasheet and model card
    input: dict[str, Any] | None = None  # of a pretrained recognizer, see stages.recognition.known_models
    files: list[File] = Field(min_length=1)


def load(path: Path) -> dict[str, Dataset]:
    """Return all entries of the catalogue.

    Raises:
        UnmaskError: it cannot be read, or an entry is wrong; the message names it.
    """
    return check(RootModel[Annotated[dict[str, Dataset], BeforeValidator(_named)]], read_yaml(path), path).root


def _named(entries: Any) -> Any:
    wrong = [name for name in entries if not NAME.fullmatch(str(name))] if isinstance(entries, dict) else []
    if wrong:
        raise ValueError(f"{wrong[0]!r} is no name of a dataset: small letters, digits and _, a letter first")
    return entries


def entry(path: Path, dataset: str) -> Dataset:
    """Return one entry of the catalogue.

    Raises:
        UnmaskError: there is none of this name, or it is wrong.
    """
    datasets = load(path)
    if dataset not in datasets:
        raise UnmaskError(f"{path} has no dataset {dataset!r}; it has {', '.join(sorted(datasets))}")
    return datasets[dataset]
