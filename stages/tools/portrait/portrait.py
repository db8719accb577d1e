"""All that the project's networks say of a face in a photo, and what they make of it.

Faces are aligned crops, RGB uint8 (size, size, 3); regions and label maps are uint8 (size, size).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stages.core.images import Pixels
from stages.faces import alignment, removal
from stages.faces.alignment import Align
from stages.faces.landmarks import Points
from stages.inpainting.filled import Filled
from stages.landmarks.search import Search, all_faces
from stages.removal.finder import Crop, Find, crops_of
from stages.removal.judge import Judge, Worn
from stages.tools.portrait.gallery import Compared, Gallery, Neighbor

Fill = Callable[[Pixels, Crop, Pixels, str | None], Filled]
"""Fills a region (H, W) of a face in a photo (H, W, 3), given the person's sex, if it is sure."""


@dataclass(frozen=True)
class Portrait:
    """A face of a photo.

    Attributes:
        points: landmarks, float32 (68, 2), pixels of the photo.
        found_by: what found them.
        crop: the aligned face, with the region of the mask.
        worn: whether it wears a mask.
        labels: class ids, see `stages.faces.parts`.
        removed: the face with the mask's pixels at 0; as it is if none is worn.
        to_fill: the region that was filled in, in the crop, empty if none is worn.
        filling: what a generator made of it; None if nothing was filled in.
        filled: the face with that region filled in.
        female: how likely the person is a woman, by the classifier, 0 to 1; None without one.
        sex: what that says; None if it is unsure.
        compared: which picture was compared with the gallery: `bare`, or one of `Compared`.
        nearest: people of the gallery, the nearest first; nobody without one.
    """

    points: Points
    found_by: str
    crop: Crop
    worn: Worn
    labels: Pixels
    removed: Pixels
    to_fill: Pixels
    filling: Filled | None
    filled: Pixels
    female: float | None
    sex: str | None
    compared: str
    nearest: list[Neighbor]

    @property
    def generator(self) -> str | None:
        """Return which generator filled it; None if nothing was filled in."""
        return self.filling and self.filling.generator


@dataclass(frozen=True)
class Tools:
    """What looks at faces; the networks are loaded.

    Attributes:
        search: section `find_landmarks.search`.
        align: section `align_faces`.
        find: says how likely each pixel is of the mask.
        parse: maps a face to its label map.
        female: how likely a face is a woman's; None if nobody is asked.
        fill: fills faces.
        dilation: by how much a region is widened to be filled in, in hundredths of the image's width.
        gallery: of known people; None without any.
        compared: what of a masked face is compared with the gallery.
        n_nearest: how many people are looked up.
        judge: says whether a mask is worn, and whether the sex is sure.
    """

    search: Search
    align: Align
    find: Find
    parse: Callable[[Pixels], Pixels]
    female: Callable[[Pixels], float] | None
    fill: Fill
    dilation: float
    gallery: Gallery | None
    compared: Compared
    n_nearest: int
    judge: Judge


def portraits(photo: Pixels, tools: Tools) -> list[Portrait | None]:
    """Return every face of an RGB photo (H, W, 3), the largest first; None for one that cannot be aligned."""
    return [portrait_of(photo, one.points, one.by, tools) for one in all_faces(photo, tools.search)]


def portrait_of(photo: Pixels, points: Points, by: str, tools: Tools) -> Portrait | None:
    """Return the face with landmarks (68, 2) in an RGB photo (H, W, 3); None if it cannot be aligned.

    Args:
        photo: RGB uint8.
        points: in pixels of the photo.
        by: what found them.
        tools: what looks at it.
    """
    (crop,) = crops_of(photo, [points], tools.find, tools.search, tools.align, tools.judge)
    return crop and _portrait(photo, points, by, crop, tools)


def refilled(photo: Pixels, portrait: Portrait, region: Pixels, tools: Tools) -> Portrait:
    """Return a portrait with another region, uint8 (size, size), removed and filled in; an empty one fills nothing."""
    crop = replace(portrait.crop, region=region, whole=None)
    filling = _filling(photo, crop, crop.region_in(photo), portrait.sex, tools)
    return replace(
        portrait,
        crop=crop,
        removed=removal.remove(crop.image, region),
        to_fill=region,
        filling=filling,
        filled=_filled(photo, crop, region, filling),
    )


def _filling(photo: Pixels, crop: Crop, region: Pixels, sex: str | None, tools: Tools) -> Filled | None:
    return tools.fill(photo, crop, region, sex) if region.any() else None


def _filled(photo: Pixels, crop: Crop, region: Pixels, filling: Filled | None) -> Pixels:
    """Return the aligned face with a region of it, uint8 (size, size), as it was filled in in the photo."""
    if filling is None:
        return crop.image
    there = alignment.warp(filling.laid_into(photo), crop.matrix, crop.image.shape[0])
    return np.where((region > 0)[..., None], there, crop.image)


def _portrait(photo: Pixels, points: Points, by: str, crop: Crop, tools: Tools) -> Portrait:
    face, worn = crop.image, crop.worn
    assert worn is not None  # noqa: S101 -- the finder has asked
    female = tools.female(face) if tools.female else None
    sex = tools.judge.sex(female)
    removed, whole = removal.remove(face, crop.region), crop.to_fill(photo, tools.dilation)
    to_fill, filling = alignment.warp(whole, crop.matrix, face.shape[0]), _filling(photo, crop, whole, sex, tools)
    filled = _filled(photo, crop, to_fill, filling)
    compared, nearest = tools.compared if worn else "bare", list[Neighbor]()
    if tools.gallery is not None:
        pictures = {"zeroed": removed, "inpainted": filled, "upper": removal.upper_half(face)}
        there = alignment.apply(crop.matrix, points)
        nearest = tools.gallery.nearest(pictures.get(compared, face), there, compared=compared, n=tools.n_nearest)
    labels = tools.parse(face)
    return Portrait(points, by, crop, worn, labels, removed, to_fill, filling, filled, female, sex, compared, nearest)
