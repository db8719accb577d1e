"""Try everything on a photo of yours: each face with its mask found, removed and filled in, and who it may be.

python -m stages.tools.try_photo --photos my/photo.jpg --out build/try

`make try PHOTO=my/photo.jpg` is short for it. `--photos` is a file or a folder; `--out` gets one picture, try.png, with
a row for each face, and try.json, which has all numbers. Files of a folder that cannot be read are named there. The
networks are those of models/released, which come with the repository, or of another folder, such as `--models models`
after `dvc repro`. With `--known people`, a folder of photos of people, `people/<name>/<photo>`, those of them who look
like a face are shown beside it.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field

from stages.core import metrics
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.outputs import whole_folder
from stages.core.params import load
from stages.core.tables import SEXES
from stages.core.text import printable
from stages.faces.alignment import Align
from stages.figures import sheets
from stages.gender import classifier
from stages.inpainting import inpaint
from stages.landmarks.search import Search
from stages.parsing import parser as parsing
from stages.recognition import dlib_embedding, embedders
from stages.recognition.embedders import Embed
from stages.removal import released, remove_masks
from stages.removal.judge import Judge
from stages.removal.released import RELEASED
from stages.tools.portrait import files, gallery, sheet
from stages.tools.portrait.gallery import Compared, Gallery
from stages.tools.portrait.portrait import Portrait, Tools, portraits

PICTURE, JSON = "try.png", "try.json"
SHOWN = 100  # rows of the picture: each takes 1 MB until it is written


class Params(Judge):
    """Section `try_photo:` of params.yaml."""

    model_config = ConfigDict(extra="forbid")

    recognizer: str
    """Who compares a face with known people: a recognizer among the models or the released ones, or `dlib`."""
    compared: Compared
    """What of a masked face is compared with bare faces: `upper` with their upper halves."""
    nearest: int = Field(ge=1, le=20)
    """People that are shown of each face, at most."""
    match_thresholds: dict[Literal["bare", "masked", "zeroed", "inpainted", "upper"], float]
    """By what of a face is compared, the recognizer's cosine from which on two faces may show one person."""


def load_tools(params: Params, models: Path | None = None, known: Path | None = None) -> Tools:
    """Return what looks at faces, with networks loaded and warm.

    Args:
        params: section `try_photo`; how masks are found and filled in comes from the sections of these stages.
        models: the folder of weights, by default `models/released`. The sex of a face is said if there is a classifier.
        known: a folder of photos of people to compare with.

    Raises:
        UnmaskError: a model is missing, or nobody is known by the folder; the message says what to do.
    """
    models = models or RELEASED
    removing, filling = load(remove_masks.Params, "remove_masks"), load(inpaint.Params, "inpaint")
    search, align = load(Search, "find_landmarks.search"), released.settings(Align, "align_faces", models)
    parser = models / "parser-scanet.safetensors"
    sexed = [sex for sex in SEXES if filling.sex_from != "nobody" and _inpainter(models, sex).exists()]
    generators = {name: _inpainter(models, name) for name in (inpaint.SHARED, *sexed)}
    find = removing.finder(parser, models / "detector.safetensors")
    filler = inpaint.Filler(None, generators)
    parts, gender = parsing.load(parser, "scanet"), models / "gender.safetensors"
    sexes = classifier.load(gender) if gender.exists() else None
    people = known and gallery.load(
        known, recognizer(params.recognizer, models), search, align, params.match_thresholds
    )
    tools = Tools(
        search=search,
        align=align,
        find=find.likely,
        parse=lambda face: parts([face])[0],
        female=sexes and (lambda face: sexes.female([face])[0]),
        fill=filler.in_photo,
        dilation=filling.dilation,
        gallery=people,
        compared=params.compared,
        n_nearest=params.nearest,
        judge=params,
    )
    filler.load()
    _warm(tools)
    return tools


def _inpainter(models: Path, name: str) -> Path:
    return (models / f"inpainter-{name}.safetensors").absolute()


def recognizer(name: str, models: Path) -> Embed:
    """Return what embeds faces: of a folder of models, else the released one; `dlib` comes with a package.

    Raises:
        UnmaskError: neither has it, or its file is none of a recognizer.
    """
    file = f"recognizer-{name}.safetensors"
    found = [folder / file for folder in (models, RELEASED) if (folder / file).exists()]
    if name == embedders.DLIB and not found:
        return dlib_embedding.Embedder(dlib_embedding.network())
    return embedders.load(found[0] if found else models / file)


def _warm(tools: Tools) -> None:
    """Load what loads itself when it is first asked, so that a missing file is said at once and no face waits."""
    blank = np.full((tools.align.side, tools.align.side, 3), 127, np.uint8)
    tools.find([blank])
    for look in (tools.parse, tools.female):
        if look:
            look(blank)
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
    photos: Path, out: Path, params: Params, models: Path | None = None, known: Path | None = None
) -> dict[str, Any]:
    """Write what all networks say of the faces in a photo, or in those of a folder, as a picture and a JSON.

    Args:
        photos: a file or a folder.
        out: the folder to write: try.png and try.json, in place of those of an earlier call.
        params: section `try_photo`.
        models: the folder of weights, by default `models/released`.
        known: a folder of photos of people to compare with, `<name>/<photo>`; without it nobody is compared.

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
        tools = load_tools(params, models, known)
        said, start = _Said(), time.perf_counter()
        for path in paths:
            name = printable(path.relative_to(photos if photos.is_dir() else photos.parent).as_posix())
            _try(name, first if path is paths[0] else files.read(path), tools, said)
        seconds = (time.perf_counter() - start) / max(said.faces, 1)
        title = f"{said.faces} face{'s' * (said.faces != 1)} in {len(said.photos)} photo{'s' * (len(said.photos) != 1)}"
        title += f"; compared with {known} by {params.recognizer}" if known else ""
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
            "models": (models or RELEASED).as_posix(),
            "known": tools.gallery and _described_gallery(tools.gallery, params.recognizer),
            "mask_worn_if": {
                "probability_from": params.worn_threshold,
                "or_probability_from": params.possible_threshold,
                "and_region_share_from": params.min_share,
            },
            "sex_said_if": {"probability_from": params.certain_sex} if tools.female else None,
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
        said.rows.append(sheet.row(photo, name, place, one, tools.gallery))


def _described_gallery(known: Gallery, recognizer: str) -> dict[str, Any]:
    return {
        "people": len(set(known.people)),
        "photos": len(known.people),
        "photos_left_out": known.left_out,
        "recognizer": recognizer,
        "match_if_cosine_from": known.thresholds,
    }


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
        "sex": None if portrait.female is None else {"said": portrait.sex or "unsure", "female": portrait.female},
        "compared": portrait.compared,
        "match": next((person.identity for person in portrait.nearest if person.match), None),
        "nearest": [
            {"identity": person.identity, "photo": person.photo, "cosine": person.cosine, "match": person.match}
            for person in portrait.nearest
        ],
    }


if __name__ == "__main__":
    run_stage("tools.try_photo")
