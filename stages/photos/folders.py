"""A plain folder of photos in place of a face table: for using a stage outside the pipeline."""

import csv
import functools
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from stages.core import parallel
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.outputs import whole_folder
from stages.photos import reading

MAX_PIXELS = 100_000_000  # a larger photo would take gigabytes on its way


@dataclass(frozen=True)
class Outcome:
    """What was done with a photo: words for index.csv, and PNG pictures by the folder into which each goes."""

    what: str
    faces: int = 0
    detail: str = ""
    pictures: Mapping[str, bytes] = field(default_factory=dict)


PhotoFunction = Callable[[str, Pixels], Outcome]


def map_photos(function: PhotoFunction, folder: Path, out: Path) -> dict[str, Any]:
    """Apply a function to every photo below a folder, in parallel, and write its pictures and an index.csv.

    The picture of `trip/one.jpg` that goes into `masked` becomes `masked/trip/one.png`; beside a `trip/one.png` it
    would become `masked/trip/one.jpg.png`.

    Args:
        function: from a photo's path below `folder` and its pixels, RGB uint8 (H, W, 3), to what was done with it;
            must be picklable.
        folder: of photos, with any folders in it.
        out: the folder to write; must not exist yet, or be empty.

    Returns:
        How many files there were, and how many came to each outcome.

    Raises:
        UnmaskError: there is no such folder, or no file in it.
    """
    if not folder.is_dir():
        raise UnmaskError(f"{folder} is neither a face table nor a folder of photos")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    names = [name for name in names if not any(step.startswith(".") for step in name.split("/"))]
    if not names:
        raise UnmaskError(f"{folder} holds no files")
    stems = Counter(PurePosixPath(name).with_suffix("") for name in names)
    clashing = {name for name in names if stems[PurePosixPath(name).with_suffix("")] > 1}  # but for their suffix
    with whole_folder(out) as staging:
        work = functools.partial(
            _done, function=function, folder=folder.absolute(), out=staging.absolute(), clashing=clashing
        )
        outcomes = parallel.run(work, names, sizes=[1] * len(names), label=out.as_posix(), unit="photos")
        with (staging / "index.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "outcome", "faces", "detail"])
            writer.writerows([name, one.what, one.faces, one.detail] for name, one in zip(names, outcomes, strict=True))
    return {
        "files": len(names),
        "faces": sum(outcome.faces for outcome in outcomes),
        "outcomes": Counter(outcome.what for outcome in outcomes),
    }


def _done(name: str, function: PhotoFunction, folder: Path, out: Path, clashing: Collection[str]) -> Outcome:
    try:
        photo, _ = reading.open_photo((folder / name).read_bytes(), MAX_PIXELS)
    except reading.UnreadableImageError as error:
        return Outcome(error.reason, detail=str(error))
    outcome = function(name, photo)
    stem = name if name in clashing else PurePosixPath(name).with_suffix("")
    for kind, data in outcome.pictures.items():
        path = out / kind / f"{stem}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return replace(outcome, pictures={})
