"""Fill in what is behind the mask of every face, with the generator of the person's sex.

python -m stages.inpainting.inpaint --faces data/masked/oracle/orl --unmasked data/unmasked/oracle/orl \
    --gender models/gender.safetensors --shared models/inpainter-shared.safetensors \
    --female models/inpainter-female.safetensors --male models/inpainter-male.safetensors \
    --out data/inpainted/oracle/orl --results metrics/inpaint-oracle-orl

Given a plain folder of photos instead of a face table, it does so with every face in every photo, and finds the masks
itself, as `remove_masks` does. It writes the photos to `inpainted/` and the regions to `regions/`, and says in
index.csv what it did with each file:

python -m stages.inpainting.inpaint --faces my/photos --out my/inpainted

There, weights that are not named are those of models/released, and a face that wears no mask stays as it is. The shared
generator fills the faces of a sex whose own is not named, and all faces without a classifier, `--gender`.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from stages.compute import device
from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import StageParams, load
from stages.core.results import Results
from stages.core.tables import SEXES, Face
from stages.faces import alignment, regions
from stages.faces.alignment import Align
from stages.figures import sheets
from stages.gender import classifier
from stages.inpainting import inpainter, light
from stages.inpainting.filled import Filled
from stages.landmarks.search import Search
from stages.photos import folders
from stages.removal import released, remove_masks
from stages.removal.finder import Crop, Finder, crops
from stages.removal.judge import Judge

SHARED = "shared"


class Params(StageParams):
    """Section `inpaint:` of params.yaml."""

    region_from: Literal["remove_masks", "truth"]
    """What says where the mask is: what `remove_masks` found, or the table's own column `mask`."""
    dilation: float = Field(ge=0, le=20)
    """By how much the region is widened, in hundredths of the image's width, so that no thread of the mask is left."""
    sex_from: Literal["predicted", "known", "nobody"]
    """What decides on the generator: the gender classifier, the table's column `sex`, or nothing (the shared one)."""


@dataclass(frozen=True)
class Filler:
    """Fills faces; it can be sent to other processes, which load the networks themselves.

    Attributes:
        gender: the classifier's weights; None if it is not asked.
        generators: weights by sex, and of the shared one.
        judge: says of which faces the sex is unsure, which the shared one fills; None: of no face.
    """

    gender: Path | None
    generators: Mapping[str, Path]
    judge: Judge | None = None

    def __call__(
        self, faces: Sequence[Pixels], holes: Sequence[Pixels], sexes: Sequence[str | None]
    ) -> list[tuple[Pixels, str]]:
        """Return each face (H, W, 3) with its region filled, and which generator did it."""
        names = self._names(faces, sexes)

        def filled(name: str, indices: list[int]) -> list[Pixels]:
            some = [[column[index] for index in indices] for column in (faces, holes)]
            return _generator(self.generators[name])(*some)

        return list(zip(device.by_name(names, filled), names, strict=True))

    def in_photo(self, photo: Pixels, crop: Crop, region: Pixels, sex: str | None = None) -> Filled:
        """Return a face of a photo (H, W, 3), filled; the generator sees it at its own side, well lit, and alone.

        Args:
            photo: RGB uint8.
            crop: the face.
            region: to fill, as it lies in the photo, uint8 (H, W).
            sex: of the person, if it is sure; a classifier is asked in its place.
        """
        (name,) = self._names([crop.image], [sex])
        generator = _generator(self.generators[name])
        matrix, side = generator.align.matrix(crop.points), generator.align.side
        face, hole = (alignment.warp(one, matrix, side) for one in (photo, region))
        lit, gain = light.lit(face, alignment.apply(matrix, crop.points), hole)
        (picture,) = generator([lit], [hole])
        return Filled(light.times(picture, 1 / gain), matrix, region, name)

    def load(self) -> None:
        """Load the generators, so that a missing file is said at once and no face waits."""
        for path in self.generators.values():
            _generator(path)

    def _names(self, faces: Sequence[Pixels], sexes: Sequence[str | None]) -> list[str]:
        if self.gender is not None:
            asked = _classifier(self.gender)
            sexes = [self.judge.sex(one) for one in asked.female(faces)] if self.judge else asked.sexes(faces)
        return [sex if sex in self.generators else SHARED for sex in sexes]


@functools.cache
def _generator(path: Path) -> inpainter.Inpainter:
    return inpainter.load(path)


@functools.cache
def _classifier(path: Path) -> classifier.Classifier:
    return classifier.load(path)


def inpaint(
    faces: Path,
    unmasked: Path,
    gender: Path,
    shared: Path,
    out: Path,
    results: Results,
    params: Params,
    female: Path | None = None,
    male: Path | None = None,
) -> dict[str, Any]:
    """Fill the region of the mask in every face of a table; add it as `found_mask`, and `inpainter`.

    Args:
        faces: a table of aligned faces.
        unmasked: what `remove_masks` made of that table.
        gender: the gender classifier's weights.
        shared: weights of the shared inpainter.
        out: the table to write. A face without a region stays as it is; its `inpainter` is null.
        results: where the numbers go, and a contact sheet.
        params: section `inpaint`.
        female: weights of the inpainter of women's faces.
        male: weights of the inpainter of men's faces.

    Returns:
        How many faces were filled, by which generator, how much of the image that is, and, where the sex is known, how
        many got the other sex's generator.
    """
    truth = params.region_from == "truth"
    column = "mask" if truth else "found_mask"
    numbers = tables.map_many(
        functools.partial(
            _filled, filler=_filler(params, gender, shared, female, male), column=column, dilation=params.dilation
        ),
        faces,
        out,
        needs=["image", "mask"] if truth else ["image"],
        adds=["found_mask", "inpainter"],
        beside=None if truth else tables.Beside(unmasked, (column,)),
    )
    title = "Filled in behind the mask, by the generator that is named"
    sheets.show_table(out, results.figure, title=title, caption=lambda face: face["inpainter"] or "as it was")
    return {
        "faces": numbers["faces"],
        "filled": numbers["filled"],
        "inpainters": {name: numbers[f"by {name}"] for name in (*SEXES, SHARED)},
        "generator_of_the_other_sex": numbers["other"],
        "mean_share_filled": numbers["share"] / max(numbers["filled"], 1),
    }


def photos_folder(
    faces: Path,
    out: Path,
    params: Params,
    parser: Path | None = None,
    detector: Path | None = None,
    gender: Path | None = None,
    shared: Path | None = None,
    female: Path | None = None,
    male: Path | None = None,
) -> dict[str, Any]:
    """Fill in what is behind the mask of every face in every photo of a folder; see the module's description."""
    for name, value in (("region_from", params.region_from), ("sex_from", params.sex_from)):
        if value in {"truth", "known"}:
            raise UnmaskError(f"inpaint.{name} is {value!r}, but nobody knows that of a folder of photos")
    parser, detector = released.weights("parser-scanet", parser), released.weights("detector", detector)
    removing, judge = load(remove_masks.Params, "remove_masks"), load(Judge, "try_photo")
    filler = _filler(params, gender, released.weights("inpainter-shared", shared), female, male)
    work = functools.partial(
        _filled_photo,
        filler=replace(filler, judge=judge),
        find=removing.finder(parser, detector),
        dilation=params.dilation,
        search=load(Search, "find_landmarks.search"),
        align=released.settings(Align, "align_faces", parser.parent),
        judge=judge,
    )
    return folders.map_photos(work, faces, out)


def _filler(params: Params, gender: Path | None, shared: Path, female: Path | None, male: Path | None) -> Filler:
    generators = {SHARED: shared.absolute()}
    if params.sex_from != "nobody":
        generators |= {sex: path.absolute() for sex, path in (("female", female), ("male", male)) if path is not None}
    return Filler(gender.absolute() if params.sex_from == "predicted" and gender else None, generators)


def _filled(faces: Sequence[Face], filler: Filler, column: str, dilation: float) -> list[tables.Mapped]:
    pictures = [images.decode(face["image"]) for face in faces]
    holes = [
        np.zeros(picture.shape[:2], np.uint8)
        if face[column] is None
        else regions.widened(images.decode_gray(face[column]), dilation)
        for face, picture in zip(faces, pictures, strict=True)
    ]
    masked = [index for index, hole in enumerate(holes) if hole.any()]
    sexes = [faces[index].get("sex") for index in masked]
    filled = filler([pictures[index] for index in masked], [holes[index] for index in masked], sexes)
    done = dict(zip(masked, filled, strict=True))
    return [_result(face, hole, done.get(index)) for index, (face, hole) in enumerate(zip(faces, holes, strict=True))]


def _result(face: Face, region: Pixels, done: tuple[Pixels, str] | None) -> tuple[Face, Mapping[str, float]]:
    result = {**face, "found_mask": images.encode_png(region), "inpainter": None}
    if done is None:
        return result, {}
    filled, name = done
    result |= {"image": images.encode_png(filled), "inpainter": name}
    other = name != SHARED and face.get("sex") is not None and name != face["sex"]
    return result, {"filled": 1, f"by {name}": 1, "share": float((region > 0).mean()), "other": int(other)}


def filled_in(
    photo: Pixels, faces: Sequence[Crop | None], filler: Filler, dilation: float
) -> tuple[Pixels, Pixels, list[str]]:
    """Return a photo, RGB uint8 (H, W, 3), with the region of each face's mask filled in; no other pixel changes.

    Args:
        photo: in which the faces are.
        faces: aligned; a region that is empty is left as it is.
        filler: fills them.
        dilation: by how much regions are widened, in hundredths of the crop's width.

    Returns:
        The photo, the region that was filled, uint8 (H, W), 0 or 255, and which generators did it.
    """
    result, everywhere, by = photo, np.zeros(photo.shape[:2], np.uint8), []
    masked = [crop for crop in faces if crop is not None and crop.region.any()]
    for filled in [filler.in_photo(photo, crop, crop.to_fill(photo, dilation)) for crop in masked]:
        result, everywhere = filled.laid_into(result), np.maximum(everywhere, filled.region)
        by.append(filled.generator)
    return result, everywhere, by


def _filled_photo(
    name: str,
    photo: Pixels,
    filler: Filler,
    find: Finder,
    dilation: float,
    search: Search,
    align: Align,
    judge: Judge,
) -> folders.Outcome:
    del name
    faces = crops(photo, find, search, align, judge)
    result, everywhere, by = filled_in(photo, faces, filler, dilation)
    not_found = sum(bool(crop and crop.worn and not crop.region.any()) for crop in faces)
    what = "inpainted" if by else "mask_not_found" if not_found else "no_mask" if faces else "no_face"
    pictures = {"inpainted": images.encode_png(result), "regions": images.encode_png(everywhere)}
    counts = {"with_mask": len(by), "mask_not_found": not_found}
    return folders.Outcome(what, len(faces), " ".join(by), pictures, counts)


if __name__ == "__main__":
    run_stage("inpainting.inpaint")
