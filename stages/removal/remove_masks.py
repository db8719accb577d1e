"""Take the mask off every face: find it with a parser or the detector, and set its pixels to 0.

python -m stages.removal.remove_masks --faces data/masked/oracle/orl --parser models/parser-scanet.safetensors \
    --detector models/detector.safetensors --out data/unmasked/oracle/orl --results metrics/remove_masks-oracle-orl

Given a plain folder of photos instead of a face table, it does so with every face in every photo. It writes the photos
to `unmasked/`, the regions to `regions/`, input, region and output side by side to `triptychs/`, and says in index.csv
what it did with each file:

python -m stages.removal.remove_masks --faces my/photos --out my/unmasked

There, weights that are not named are those of models/released, and a face that wears no mask stays as it is.

With `--pairs pairs.csv` (two face_ids, or two files of the folder, a line) and `--pairs-out DIR` it also writes these
pairs of faces with both masks removed from both, `DIR/<line>_1.png` and `DIR/<line>_2.png`. Files are named as in the
folder, or by paths from where the list lies.
"""

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stages.core import images, tables, text
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.outputs import whole_folder
from stages.core.params import StageParams, load
from stages.core.results import Results
from stages.core.tables import Face
from stages.faces import regions, removal
from stages.faces.alignment import Align
from stages.figures import sheets
from stages.landmarks.search import Search
from stages.photos import folders
from stages.removal import released
from stages.removal.finder import By, Finder, crops
from stages.removal.judge import Judge

ALIGNED, ALIGNED_REGIONS = "aligned", "aligned_regions"  # folders
# Words of a first line that names the columns.
COLUMN_NAMES = {
    f"{word}{number}" for word in ("file", "image", "img", "photo", "path", "face_id") for number in ("", 1, 2)
}
COLUMN_NAMES |= {"first", "second", "one", "other", "a", "b", "left", "right", "input", "target"}


class Params(StageParams):
    """Section `remove_masks:` of params.yaml."""

    by: By
    """What finds the mask: SCANet's class `mask`, or Mask R-CNN."""
    score_threshold: float = Field(ge=0, le=1)
    """From this score on, what the detector found is a mask."""
    dilation: float = Field(ge=0, le=20)
    """By how much the region is widened, in hundredths of the image's width: no thread of the mask is left."""

    def finder(self, parser: Path, detector: Path) -> Finder:
        """Return what finds masks, given both networks' weights."""
        return Finder(self.by, parser.absolute(), detector.absolute(), self.score_threshold, self.dilation)


def remove_masks(
    faces: Path,
    parser: Path,
    detector: Path,
    out: Path,
    results: Results,
    params: Params,
    pairs: Path | None = None,
    pairs_out: Path | None = None,
) -> dict[str, Any]:
    """Set the pixels of every mask of a face table to 0; add the region that was found as `found_mask`.

    Args:
        faces: a table of aligned faces.
        parser: SCANet's weights.
        detector: Mask R-CNN's weights.
        out: the table to write. A face in which no mask was found stays as it is; its region is empty.
        results: where the numbers go, and a contact sheet: input, region, output.
        params: section `remove_masks`.
        pairs: a list of pairs of face_ids; see `read_pairs`.
        pairs_out: the folder to write these pairs to.

    Returns:
        In how many faces a mask was found, how much of the image was removed, and, where the drawn region is known, by
        split the mean IoU with it, how many masks were missed, and in how many bare faces one was found.
    """
    work = functools.partial(_unmasked, find=params.finder(parser, detector))
    ids = (
        {text.same_name(face["face_id"]): face["face_id"] for face in tables.read(faces, ["face_id"])} if pairs else {}
    )
    with _pairs_written(pairs, pairs_out, ids) as write:
        numbers = tables.map_many(work, faces, out, needs=["image", "split"], adds=["found_mask"])
        _draw_sheet(faces, out, results.figure)
        columns = ["face_id", "image", "found_mask"]
        of_pairs = write(
            lambda wanted: {
                face["face_id"]: (face["image"], face["found_mask"])
                for face in tables.read(out, columns)
                if face["face_id"] in wanted
            }
        )
    splits = {}
    for split in tables.SPLITS:
        drawn = numbers[f"{split} drawn"]
        splits[split] = {
            "mean_iou": numbers[f"{split} iou"] / max(drawn, 1),
            "masks": drawn,
            "missed": numbers[f"{split} missed"],
            "found_on_bare_faces": numbers[f"{split} false"],
        }
    return {
        "faces": numbers["faces"],
        "mask_found": numbers["found"],
        "mean_share_removed": numbers["share"] / max(numbers["found"], 1),
        "splits": {split: values for split, values in splits.items() if any(values.values())},
        **of_pairs,
    }


def photos_folder(
    faces: Path,
    out: Path,
    params: Params,
    parser: Path | None = None,
    detector: Path | None = None,
    pairs: Path | None = None,
    pairs_out: Path | None = None,
) -> dict[str, Any]:
    """Set the pixels of every mask in every photo of a folder to 0; see the module's description."""
    parser, detector = released.weights("parser-scanet", parser), released.weights("detector", detector)
    work = functools.partial(
        _unmasked_photo,
        find=params.finder(parser, detector),
        search=load(Search, "find_landmarks.search"),
        align=released.settings(Align, "align_faces", parser.parent),
        judge=load(Judge, "try_photo"),
        aligned=bool(pairs),
    )
    stems = folders.stems(folders.names_below(faces)[0]) if pairs else {}
    # The suffix may be left out where no other file is so called.
    known = stems | {stem: stem for stem in stems.values()}
    with _pairs_written(pairs, pairs_out, known, faces) as write:
        result = folders.map_photos(work, faces, out)

        def found(wanted: set[str]) -> dict[str, tuple[bytes, bytes]]:
            places = {stem: [out / kind / f"{stem}.png" for kind in (ALIGNED, ALIGNED_REGIONS)] for stem in wanted}
            return {
                stem: (crop.read_bytes(), region.read_bytes())
                for stem, (crop, region) in places.items()
                if crop.exists()
            }

        return result | write(found)


def _unmasked(faces: Sequence[Face], find: Finder) -> list[tables.Mapped]:
    pictures = [images.decode(face["image"]) for face in faces]
    return [_removed(*one) for one in zip(faces, pictures, find(pictures), strict=True)]


def _removed(face: Face, image: Pixels, region: Pixels) -> tuple[Face, Mapping[str, float]]:
    removed, found = images.encode_png(removal.remove(image, region)), images.encode_png(region)
    numbers: dict[str, float] = {"found": int(region.any()), "share": float((region > 0).mean())}
    split = face["split"]
    if face.get("mask") is not None:
        truth = images.decode_gray(face["mask"]) > 0
        iou = regions.scores(truth, region > 0)["iou"]
        numbers |= {f"{split} drawn": 1, f"{split} iou": iou, f"{split} missed": int(not region.any())}
    elif face.get("wears_mask") is False or "mask" in face:
        numbers[f"{split} false"] = int(region.any() and not face.get("wears_mask"))
    return {**face, "image": removed, "found_mask": found}, numbers


def _unmasked_photo(
    name: str, photo: Pixels, find: Finder, search: Search, align: Align, judge: Judge, aligned: bool
) -> folders.Outcome:
    del name
    region, faces, with_mask, not_found, pictures = np.zeros(photo.shape[:2], np.uint8), 0, 0, 0, {}
    for crop in crops(photo, find, search, align, judge):
        faces += 1
        if crop is None:
            continue
        if aligned and not pictures:  # of the largest face
            pictures = {ALIGNED: images.encode_png(crop.image), ALIGNED_REGIONS: images.encode_png(crop.region)}
        with_mask += bool(crop.region.any())
        not_found += bool(crop.worn and not crop.region.any())
        region = np.maximum(region, crop.region_in(photo))
    pictures |= {
        "unmasked": images.encode_png(removal.remove(photo, region)),
        "regions": images.encode_png(region),
        "triptychs": images.encode_png(removal.triptych(photo, region)),
    }
    what = "unmasked" if with_mask else "mask_not_found" if not_found else "no_mask" if faces else "no_face"
    detail = f"{with_mask} with a mask" + f", {not_found} with one that was not found" * bool(not_found)
    counts = {"with_mask": with_mask, "mask_not_found": not_found}
    return folders.Outcome(what, faces, detail, pictures, counts)


# ---------------------------------------------------------------- what is written beside


def _draw_sheet(faces: Path, out: Path, figure: Path) -> None:
    n = sheets.SHEET_FACES // 2
    bare = {face["face_id"]: images.decode(face["image"]) for face in tables.sample(faces, n)}
    shown = tables.sample(out, n)
    sheet = sheets.contact_sheet(
        [removal.triptych(bare[face["face_id"]], images.decode_gray(face["found_mask"])) for face in shown],
        [face["face_id"].split("/", 1)[1] for face in shown],
        columns=4,
        side=2 * sheets.TILE,
        title=f"Input, mask found, mask removed - {out.name}",
    )
    sheets.write(figure, sheet)


def read_pairs(path: Path, known: Mapping[str, str], folder: Path | None = None) -> dict[int, tuple[str, str]]:
    """Read a list of pairs of faces, in any encoding, with commas, semicolons, tabs or bars; see `stages.core.text`.

    Args:
        path: of the list. Its first line may name the two columns.
        known: of each name by which a face may be called, in NFC, the one to return.
        folder: of the files that are called so; paths from where the list lies lead there, too.

    Returns:
        The two names of each line, by its number.

    Raises:
        UnmaskError: a line has not two names, or one of a face that is not there.
    """
    found: dict[int, tuple[str, str]] = {}
    for place, row in enumerate(text.split(text.read(path, known), str(path), lambda cells: cells == 2)):
        cells = [cell for cell in row.cells if cell]
        if len(cells) != 2:
            raise UnmaskError(f"{path}, line {row.line}: expected two names, got {len(cells)}")
        keys = [_key(cell, path, known, folder) for cell in cells]
        if place == 0 and set(map(str.casefold, cells)) <= COLUMN_NAMES and None in keys:
            continue
        for cell, key in zip(cells, keys, strict=True):
            if key is None:
                raise UnmaskError(f"{path}, line {row.line}: there is no face {cell!r}")
        found[row.line] = (str(keys[0]), str(keys[1]))
    if not found:
        raise UnmaskError(f"{path} is empty: expected two names on each line")
    return found


def _key(cell: str, path: Path, known: Mapping[str, str], folder: Path | None) -> str | None:
    name = os.path.normpath(cell.replace("\\", "/"))
    if name in known or folder is None:
        return known.get(name)
    from_list = (path.parent / name).absolute()
    return known.get(text.printable(os.path.relpath(os.path.realpath(from_list), os.path.realpath(folder))))


Pictures = Mapping[str, tuple[bytes, bytes]]
"""Encoded image and region by name."""


@contextmanager
def _pairs_written(
    pairs: Path | None, out: Path | None, known: Mapping[str, str], folder: Path | None = None
) -> Iterator[Callable[[Callable[[set[str]], Pictures]], dict[str, Any]]]:
    """Read a list of pairs before anything is computed; yield what writes them, both masks removed from both.

    It is given what finds the pictures of some names, and returns how many pairs were written, and of how many a face
    was not found.

    Raises:
        UnmaskError: only one of both paths is given, the list cannot be read, or two faces have different sizes.
    """
    if pairs is None and out is None:
        yield lambda _: {}
        return
    if pairs is None or out is None:
        raise UnmaskError("--pairs names a list, and --pairs-out the folder for its pairs: give both")
    wanted = read_pairs(pairs, known, folder)
    with whole_folder(out) as staging:

        def write(find: Callable[[set[str]], Pictures]) -> dict[str, Any]:
            pictures = find({name for names in wanted.values() for name in names})
            written = 0
            for line, (one, other) in wanted.items():
                if one not in pictures or other not in pictures:
                    continue
                found = [
                    (images.decode(image), images.decode_gray(region))
                    for image, region in (pictures[one], pictures[other])
                ]
                try:
                    equal = removal.equalize(found[0][0], found[1][0], found[0][1], found[1][1])
                except ValueError as error:
                    raise UnmaskError(f"{pairs}, line {line}: {error}") from None
                for place, image in enumerate(equal, 1):
                    (staging / f"{line:05d}_{place}.png").write_bytes(images.encode_png(image))
                written += 1
            return {"pairs": {"written": written, "without_face": len(wanted) - written}}

        yield write


if __name__ == "__main__":
    run_stage("removal.remove_masks")
