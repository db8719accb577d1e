"""Try everything on a photo of yours: each face with its mask found, removed and filled in, and the nearest people.

python -m stages.tools.try_photo --photos my/photo.jpg --out build/try

After `dvc repro`; `make try PHOTO=my/photo.jpg` is short for it. `--photos` is a file or a folder; `--out` gets one
picture, try.png, with a row for each face, and try.json, which has all numbers. Files of a folder that cannot be read
are named there. With `--models` and `--data`, networks and tables come from other folders than `models` and `data`.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stages.core import metrics
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.outputs import whole_folder
from stages.core.params import StageParams, load
from stages.core.text import printable
from stages.figures import sheets
from stages.gender import classifier
from stages.inpainting import inpaint
from stages.landmarks.search import Search
from stages.parsing import parser as parsing
from stages.recognition import embedders
from stages.removal import remove_masks
from stages.removal.finder import Align
from stages.tools.portrait import files, gallery, sheet
from stages.tools.portrait.gallery import Compared
from stages.tools.portrait.portrait import Portrait, Tools, portraits

MODELS, DATA = Path("models"), Path("data")  # of `dvc repro`
PICTURE, JSON = "try.png", "try.json"
SHOWN = 100  # rows of the picture: each takes 1 MB until it is written


class Params(StageParams):
    """Section `try_photo:` of params.yaml."""

    recognizer: str
    """Who looks for the nearest people: one of `recognizers.compared`."""
    compared: Compared
    """What of a masked face is compared with the bare faces: `upper` with their upper halves."""
    nearest: int = Field(ge=1, le=20)
    """People that are shown of each face."""
    worn_threshold: float = Field(ge=0, le=1)
    """From this probability on, which the classifier gives, a mask is worn."""
    possible_threshold: float = Field(ge=0, le=1)
    """From this probability on, a found region of at least `min_share` says so, too."""
    min_share: float = Field(ge=0, le=1)
    """Share of the aligned face from which on a found region counts."""


def load_tools(params: Params, models: Path, data: Path) -> Tools:
    """Return what looks at faces, with the networks of `dvc repro` loaded and warm.

    Args:
        params: section `try_photo`; how masks are found and filled in comes from the sections of these stages.
        models: the folder of weights.
        data: the folder with the tables `aligned` and `embeddings`.

    Raises:
        UnmaskError: a model or a table is missing; the message says how to get it.
    """
    removing, filling = load(remove_masks.Params, "remove_masks"), load(inpaint.Params, "inpaint")
    parser, detector = models / "parser-scanet.safetensors", models / "detector.safetensors"
    names = ["shared", "female", "male"] if filling.sex_from != "nobody" else ["shared"]
    generators = {name: (models / f"inpainter-{name}.safetensors").absolute() for name in names}
    find = removing.finder(parser, detector)
    filler = inpaint.Filler(None, generators)
    align = load(Align, "align_faces")
    parts, sexes = parsing.load(parser, "scanet"), classifier.load(models / "gender.safetensors")
    embed = embedders.load(models / f"recognizer-{params.recognizer}.safetensors")
    tools = Tools(
        search=load(Search, "find_landmarks.search"),
        align=align,
        find=lambda face: find([face])[0],
        parse=lambda face: parts([face])[0],
        female=lambda face: sexes.female([face])[0],
        fill=lambda face, region, sex: filler([face], [region], [sex])[0],
        dilation=filling.dilation,
        gallery=gallery.load(embed, data / "embeddings" / f"{params.recognizer}.parquet", data / "aligned"),
        compared=params.compared,
        n_nearest=params.nearest,
        worn_threshold=params.worn_threshold,
        possible_threshold=params.possible_threshold,
        min_share=params.min_share,
    )
    _warm(tools, generators)
    return tools


def _warm(tools: Tools, names: Any) -> None:
    """Load what loads itself when it is first asked, so that a missing file is said at once and no face waits."""
    blank = np.full((tools.align.side, tools.align.side, 3), 127, np.uint8)
    region = np.zeros(blank.shape[:2], np.uint8)
    region[-2:] = 255
    for look in (tools.find, tools.parse, tools.female):
        look(blank)
    for name in names:
        tools.fill(blank, region, name)
    portraits(blank, tools)


@dataclass
class _Said:
    """What was found in all photos."""

    photos: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[dict[str, str]] = field(default_factory=list)
    rows: list[sheet.Row] = field(default_factory=list)
    faces: int = 0
    masked: int = 0
    not_shown: int = 0


def try_photo(
    photos: Path, out: Path, params: Params, models: Path | None = None, data: Path | None = None
) -> dict[str, Any]:
    """Write what all networks say of the faces in a photo, or in those of a folder, as a picture and a JSON.

    Args:
        photos: a file or a folder.
        out: the folder to write: try.png and try.json, in place of those of an earlier call.
        params: section `try_photo`.
        models: the folder of weights, by default `models`.
        data: the folder with the tables `aligned` and `embeddings`, by default `data`.

    Returns:
        Where both are, how many files, unreadable ones, faces and masks there were, and the seconds a face.

    Raises:
        UnmaskError: there is no such file or folder, the one file cannot be read, a model is missing, or `out` holds
            files of the user's.
    """
    paths = files.listed(photos)
    first = files.read(paths[0])
    if photos.is_file() and isinstance(first, files.Refused):
        raise UnmaskError(first.why)
    with whole_folder(out, replaceable="try.*") as staging:
        tools = load_tools(params, models or MODELS, data or DATA)
        said, start = _Said(), time.perf_counter()
        for path in paths:
            name = printable(path.relative_to(photos if photos.is_dir() else photos.parent).as_posix())
            _try(name, first if path is paths[0] else files.read(path), tools, said)
        seconds = (time.perf_counter() - start) / max(said.faces, 1)
        title = f"{said.faces} faces in {len(said.photos)} photos; nearest by {params.recognizer}"
        title += f"; the first {SHOWN} rows of {SHOWN + said.not_shown}, see {JSON}" if said.not_shown else ""
        sheets.write(staging / PICTURE, sheet.drawn(said.rows, title))
        numbers = {
            "files": len(paths),
            "faces": said.faces,
            "masked": said.masked,
            "unreadable": len(said.unreadable),
            "seconds_a_face": seconds,
        }
        about = {
            **numbers,
            "photos": said.photos,
            "unreadable": said.unreadable,
            "nearest_by": params.recognizer,
            "mask_worn_if": {
                "probability_from": params.worn_threshold,
                "or_probability_from": params.possible_threshold,
                "and_region_share_from": params.min_share,
            },
        }
        metrics.write(staging / JSON, about)
    return {**numbers, "picture": (out / PICTURE).as_posix(), "json": (out / JSON).as_posix()}


def _try(name: str, photo: Pixels | files.Refused, tools: Tools, said: _Said) -> None:
    if isinstance(photo, files.Refused):
        said.unreadable.append({"file": name, "reason": photo.reason, "why": photo.why})
        return
    found = portraits(photo, tools)
    said.faces += len(found)
    said.masked += sum(bool(one and one.worn) for one in found)
    height, width = photo.shape[:2]
    said.photos.append({"file": name, "width": width, "height": height, "faces": [described(one) for one in found]})
    rows: list[tuple[str, Portrait | None]] = [("no face found", None)]
    if found:
        one_of = f" of {len(found)}"
        rows = [
            (f"face {number}{one_of}" if one else f"face {number} is too small", one)
            for number, one in enumerate(found, 1)
        ]
    for place, one in rows:
        if len(said.rows) >= SHOWN:
            said.not_shown += 1
            continue
        known = tools.gallery.photos([person.face_id for person in one.nearest]) if one else {}
        said.rows.append(sheet.row(photo, name, place, one, known, tools.n_nearest))


def described(portrait: Portrait | None) -> dict[str, Any]:
    """Return what is known of a face, as JSON can say it; of one that cannot be aligned, that."""
    if portrait is None:
        return {"aligned": False}
    low, high = portrait.points.min(0), portrait.points.max(0)
    worn = portrait.worn
    return {
        "aligned": True,
        "box": {"left": low[0], "top": low[1], "right": high[0], "bottom": high[1]},
        "found_by": portrait.found_by,
        "mask": {
            "worn": bool(worn),
            "said_by": list(worn.by),
            "classifier_probability": worn.probability,
            "region_share": worn.share,
        },
        "filled_by": portrait.generator,
        "gender": {"predicted": portrait.sex, "female": portrait.female},
        "compared": portrait.compared,
        "nearest": [
            {"identity": person.identity, "face_id": person.face_id, "cosine": person.cosine}
            for person in portrait.nearest
        ],
    }


if __name__ == "__main__":
    run_stage("tools.try_photo")
