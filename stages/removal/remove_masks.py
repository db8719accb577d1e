"""Take the mask off every face: find it with a parser or the detector, and set its pixels to 0.

python -m stages.removal.remove_masks --faces data/masked/oracle/orl --parser models/parser-scanet.safetensors \
    --detector models/detector.safetensors --out data/unmasked/oracle/orl --results metrics/remove_masks-oracle-orl

Given a plain folder of photos instead of a face table, it does so with every face in every photo. It writes the photos
to `unmasked/`, the regions to `regions/`, input, region and output side by side to `triptychs/`, and says in index.csv
what it did with each file:

python -m stages.removal.remove_masks --faces my/photos --parser models/parser-scanet.safetensors \
    --detector models/detector.safetensors --out my/unmasked

With `--pairs pairs.csv` (two face_ids, or two files of the folder, a line) and `--pairs-out DIR` it also writes these
pairs of faces with both masks removed from both, `DIR/<line>_1.png` and `DIR/<line>_2.png`.
"""

import csv
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.outputs import whole_folder
from stages.core.params import StageParams, load
from stages.core.results import Results
from stages.core.tables import Face
from stages.faces import regions, removal
from stages.figures import sheets
from stages.landmarks.search import Search
from stages.photos import folders
from stages.removal.finder import Align, By, Finder, crops


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
        pairs: a list of pairs of face_ids, CSV without a header.
        pairs_out: the folder to write these pairs to.

    Returns:
        In how many faces a mask was found, how much of the image was removed, and, where the drawn region is known, by
        split the mean IoU with it, how many masks were missed, and in how many bare faces one was found.
    """
    work = functools.partial(_unmasked, find=params.finder(parser, detector))
    numbers = tables.map_many(work, faces, out, needs=["image", "split"], adds=["found_mask"])
    _draw_sheet(faces, out, results.figure)
    if pairs and pairs_out:
        columns = ["face_id", "image", "found_mask"]
        table = {face["face_id"]: (face["image"], face["found_mask"]) for face in tables.read(out, columns)}
        _write_pairs(pairs, pairs_out, table)
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
    }


def photos_folder(
    faces: Path,
    parser: Path,
    detector: Path,
    out: Path,
    params: Params,
    pairs: Path | None = None,
    pairs_out: Path | None = None,
) -> dict[str, Any]:
    """Set the pixels of every mask in every photo of a folder to 0; see the module's description."""
    work = functools.partial(
        _unmasked_photo,
        find=params.finder(parser, detector),
        search=load(Search, "find_landmarks.search"),
        align=load(Align, "align_faces"),
        aligned=bool(pairs),
    )
    result = folders.map_photos(work, faces, out)
    if pairs and pairs_out:
        table = {}
        for path in sorted((out / "aligned").rglob("*.png")):
            name = path.relative_to(out / "aligned")
            region = (out / "aligned_regions" / name).read_bytes()
            table[name.with_suffix("").as_posix()] = path.read_bytes(), region
        _write_pairs(pairs, pairs_out, table)
    return result


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
    name: str, photo: Pixels, find: Finder, search: Search, align: Align, aligned: bool
) -> folders.Outcome:
    del name
    region, faces, with_mask, pictures = np.zeros(photo.shape[:2], np.uint8), 0, 0, {}
    for crop in crops(photo, find, search, align):
        faces += 1
        if crop is None:
            continue
        if aligned and not pictures:  # of the largest face
            pictures = {"aligned": images.encode_png(crop.image), "aligned_regions": images.encode_png(crop.region)}
        with_mask += bool(crop.region.any())
        region = np.maximum(region, crop.region_in(photo))
    pictures |= {
        "unmasked": images.encode_png(removal.remove(photo, region)),
        "regions": images.encode_png(region),
        "triptychs": images.encode_png(removal.triptych(photo, region)),
    }
    what = "unmasked" if with_mask else "no_mask" if faces else "no_face"
    return folders.Outcome(what, faces, f"{with_mask} with a mask", pictures)


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


def _write_pairs(pairs: Path, out: Path, table: Mapping[str, tuple[bytes, bytes]]) -> None:
    """Write pairs of faces, both masks removed from both; the table has encoded image and region by name.

    Raises:
        UnmaskError: a line has not two names, or one of a face that is not there, or of another size.
    """
    with pairs.open(newline="", encoding="utf-8") as file, whole_folder(out) as staging:
        for number, line in enumerate(csv.reader(file), 1):
            if len(line) != 2:
                raise UnmaskError(f"{pairs}, line {number}: expected two names, got {len(line)}")
            found = []
            for name in line:
                key = name if name in table else str(Path(name).with_suffix(""))  # a file's name
                if key not in table:
                    raise UnmaskError(f"{pairs}, line {number}: there is no face {name!r}")
                image, region = table[key]
                found.append((images.decode(image), images.decode_gray(region)))
            try:
                equal = removal.equalize(found[0][0], found[1][0], found[0][1], found[1][1])
            except ValueError as error:
                raise UnmaskError(f"{pairs}, line {number}: {error}") from None
            for place, image in enumerate(equal, 1):
                (staging / f"{number:05d}_{place}.png").write_bytes(images.encode_png(image))


if __name__ == "__main__":
    run_stage("removal.remove_masks")
