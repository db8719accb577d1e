"""A plain folder of photos in place of a face table: for using a stage outside the pipeline."""

import functools
import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core import parallel
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.outputs import whole_folder, write_csv
from stages.core.text import printable
from stages.photos import reading

MAX_PIXELS = 100_000_000  # a larger photo would take gigabytes on its way


@dataclass(frozen=True)
class Outcome:
    """What was done with a photo: words for index.csv, PNG pictures by the folder into which each goes, and counts."""

    what: str
    faces: int = 0
    detail: str = ""
    pictures: Mapping[str, bytes] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)


PhotoFunction = Callable[[str, Pixels], Outcome]


def map_photos(function: PhotoFunction, folder: Path, out: Path) -> dict[str, Any]:
    """Apply a function to every photo below a folder, in parallel, and write its pictures and an index.csv.

    The picture of `trip/one.jpg` that goes into `masked` becomes `masked/trip/one.png`; beside a `trip/one.png` it
    would become `masked/trip/one.jpg.png`. Names are shown, and written, as `names_below` gives them.

    Args:
        function: from a photo's path below `folder` and its pixels, RGB uint8 (H, W, 3), to what was done with it;
            must be picklable.
        folder: of photos, with any folders in it.
        out: the folder to write; must not exist yet, or be empty.

    Returns:
        How many files there were but for hidden ones, how many of these, how many faces, how many files came to each
        outcome, and the sums of what was counted.

    Raises:
        UnmaskError: there is no such folder, or no file in it, or two whose names cannot be told apart.
    """
    if not folder.is_dir():
        raise UnmaskError(f"{folder} is neither a face table nor a folder of photos")
    paths, hidden = names_below(folder)
    if not paths:
        raise UnmaskError(f"{folder} holds no files")
    names = list(paths)
    with whole_folder(out) as staging:
        work = functools.partial(_done, function=function, out=staging.absolute(), stems=stems(names))
        # As bytes, names that are no UTF-8 go to any worker.
        tasks = [(name, os.fsencode(path.absolute())) for name, path in paths.items()]
        outcomes = parallel.run(work, tasks, sizes=[1] * len(names), label=out.as_posix(), unit="photos")
        lines = ([name, one.what, one.faces, one.detail] for name, one in zip(names, outcomes, strict=True))
        write_csv(staging / "index.csv", ["file", "outcome", "faces", "detail"], lines)
    counts = Counter[str]()
    for outcome in outcomes:
        counts.update(outcome.counts)
    return {
        "files": len(names),
        "hidden": hidden,
        "faces": sum(outcome.faces for outcome in outcomes),
        "outcomes": Counter(outcome.what for outcome in outcomes),
        **counts,
    }


def names_below(folder: Path) -> tuple[dict[str, Path], int]:
    """Return the files below a folder, sorted by name, and how many hidden ones (.name) are not among them.

    A name is the path below the folder in Unicode's composed form (NFC); bytes of it that are no UTF-8 stand as %E9.

    Raises:
        UnmaskError: two files have the same name, in two forms of Unicode.
    """
    found: dict[str, Path] = {}
    hidden = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        stored = path.relative_to(folder).as_posix()
        if any(step.startswith(".") for step in stored.split("/")):
            hidden += 1
            continue
        name = printable(stored)
        if name in found:
            raise UnmaskError(f"{folder}: {name!r} is there twice, in two spellings of Unicode; keep one of them")
        found[name] = path
    return dict(sorted(found.items())), hidden


def stems(names: Collection[str]) -> dict[str, str]:
    """Return how each file's pictures are called but for `.png`: as the file, with its suffix only where some clash."""
    bare = {name: PurePosixPath(name).with_suffix("").as_posix() for name in names}
    times = Counter(bare.values())
    return {name: stem if times[stem] == 1 else name for name, stem in bare.items()}


def _done(task: tuple[str, bytes], function: PhotoFunction, out: Path, stems: Mapping[str, str]) -> Outcome:
    name, stored = task
    try:
        photo, _ = reading.open_photo(Path(os.fsdecode(stored)).read_bytes(), MAX_PIXELS)
    except reading.UnreadableImageError as error:
        return Outcome(error.reason, detail=str(error))
    outcome = function(name, photo)
    for kind, data in outcome.pictures.items():
        path = out / kind / f"{stems[name]}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return replace(outcome, pictures={})
