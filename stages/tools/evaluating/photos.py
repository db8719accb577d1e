"""The photos of a folder people/<name>/<photo>: each is searched for its face, or it is said why it cannot be used."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core.errors import UnmaskError
from stages.core.images import Pixels, encode_png
from stages.core.text import printable
from stages.faces import alignment
from stages.faces.alignment import Align
from stages.faces.landmarks import Points
from stages.landmarks.search import Search, main_face
from stages.tools.portrait import files

FOUND, NO_FACE, NO_PERSON, HIDDEN, UNREADABLE = "found", "no_face", "no_person", "hidden", "unreadable"
COLUMNS = ("photo", "person", "found", "masked", "why not", "faces seen")


@dataclass(frozen=True)
class File:
    """A file below the folder.

    Attributes:
        path: below the folder, as the system has it.
        person: whom it shows: the first folder on the way to it; None if it lies in none.
        name: of the photo among those of the person: without its suffix, unless it needs that to be told from another.
    """

    path: str
    person: str | None
    name: str

    @property
    def shown(self) -> str:
        """Return the path as text, whatever bytes it holds."""
        return printable(self.path)

    @property
    def person_shown(self) -> str:
        """Return the person as text; empty if it is nobody's."""
        return printable(self.person or "")


@dataclass(frozen=True)
class Aligned:
    """A face that was found: its aligned image as PNG, landmarks (68, 2) in its pixels, and whether it is masked."""

    image: bytes
    landmarks: Points
    masked: bool


@dataclass(frozen=True)
class Looked:
    """What came of a file.

    Attributes:
        outcome: `FOUND`, or a short reason to count by.
        why: a sentence on why not; empty if a face was found.
        face: that face.
        faces: how many faces were seen in the photo.
    """

    outcome: str
    why: str = ""
    face: Aligned | None = None
    faces: int = 0

    @property
    def is_photo(self) -> bool:
        """Tell whether it is a photo of a person, in which a face was found or not."""
        return self.outcome in {FOUND, NO_FACE}


def listed(folder: Path) -> list[File]:
    """Return all files below a folder in order, those in linked folders, too.

    Raises:
        UnmaskError: there is no such folder, or no file in it.
    """
    if folder.is_file():
        raise UnmaskError(f"{folder} is a file: give the folder that holds a folder for each person")
    if not folder.is_dir():
        raise UnmaskError(f"there is no folder {folder}: give one that holds a folder for each person")
    paths = sorted(PurePosixPath(path) for path in _walked(folder))
    if not paths:
        raise UnmaskError(f"{folder} holds no files: put photos into it, {folder}/<name of the person>/<photo>.jpg")
    stems = Counter([*(path.with_suffix("") for path in paths if path.suffix), *paths])
    return [_file(path, alone=stems[path.with_suffix("")] == 1) for path in paths]


def _walked(folder: Path) -> list[str]:
    found, seen = [], set()
    for place, inner, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link to a folder above itself
            inner.clear()
            continue
        seen.add(real)
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in names]
    return found


def _file(path: PurePosixPath, *, alone: bool) -> File:
    person, *steps = path.parts
    if not steps:
        return File(str(path), None, path.name)
    name = PurePosixPath(*steps)
    return File(str(path), person, str(name.with_suffix("") if alone else name))


def look(file: File, folder: Path, search: Search, align: Align) -> Looked:
    """Return what came of a file: whoever wears a mask is told by the landmarker alone.

    Args:
        file: to be read.
        folder: in which it is.
        search: where to look for faces.
        align: how they are aligned.
    """
    if any(step.startswith(".") for step in PurePosixPath(file.path).parts):
        return Looked(HIDDEN, "it is hidden, as its name begins with a dot")
    if file.person is None:
        return Looked(NO_PERSON, "it lies in no person's folder")
    photo = _read(folder / file.path)
    if isinstance(photo, Looked):
        return photo
    found, n = main_face(photo, {"wears_mask": None}, search)
    if found is None:
        return Looked(NO_FACE, "no face was found in it", faces=n)
    try:
        matrix = align.matrix(found.points)
    except alignment.DegenerateLandmarksError:
        return Looked(NO_FACE, "its face has no extent", faces=n)
    image = encode_png(alignment.warp(photo, matrix, align.side))
    return Looked(FOUND, face=Aligned(image, alignment.apply(matrix, found.points), found.masked), faces=max(n, 1))


def _read(path: Path) -> Pixels | Looked:
    try:
        photo = files.read(path)
    except FileNotFoundError:
        return Looked(UNREADABLE, "it is a link to a file that is not there")
    except OSError as error:
        return Looked(UNREADABLE, f"it cannot be read: {error.strerror or error}")
    if isinstance(photo, files.Refused):
        return Looked(photo.reason, photo.why.replace(path.as_posix(), "it", 1))
    return photo


def line(file: File, one: Looked) -> tuple[str, ...]:
    """Return a file's line in the list of all files; see `COLUMNS`."""
    masked = "" if one.face is None else _yes_or_no(one.face.masked)
    return (file.shown, file.person_shown, _yes_or_no(one.face is not None), masked, one.why, str(one.faces))


def _yes_or_no(is_so: bool) -> str:
    return "yes" if is_so else "no"


def counted(looked: Mapping[File, Looked]) -> dict[str, Any]:
    """Return how many files, photos and people there are, and what came of how many files."""
    shown = {file: one for file, one in looked.items() if one.is_photo}
    faces = [one.face for one in shown.values() if one.face]
    found = {file.person for file, one in shown.items() if one.face}
    return {
        "files": len(looked),
        "photos": len(shown),
        "people": len({file.person for file in shown}),
        "people_not_found": len({file.person for file in shown} - found),
        "found": len(faces),
        "masked": sum(face.masked for face in faces),
        "several_faces": sum(one.faces > 1 for one in shown.values()),
        "outcomes": dict(Counter(one.outcome for one in looked.values())),
    }
