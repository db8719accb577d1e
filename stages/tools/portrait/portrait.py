"""All that the project's networks say of a face in a photo, and what they make of it.

Faces are aligned crops, RGB uint8 (size, size, 3); regions and label maps are uint8 (size, size).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from stages.core import images
from stages.core.images import Pixels
from stages.faces import alignment, regions, removal
from stages.faces.landmarks import Points
from stages.landmarks import worn as worn_masks
from stages.landmarks.search import Search, all_faces
from stages.removal.finder import Align, Crop
from stages.tools.portrait.gallery import Compared, Gallery, Neighbor

Region = Callable[[Pixels], Pixels]
"""Maps an aligned face to the region of its mask, 0 or 255."""
Fill = Callable[[Pixels, Pixels, str], tuple[Pixels, str]]
"""Maps an aligned face, the region to fill, and a sex to the filled face, and the generator that did it."""


@dataclass(frozen=True)
class Worn:
    """Whether a mask is worn, and from what that is said.

    Attributes:
        probability: that a mask is worn, by the classifier beside the landmarker.
        share: of the aligned face that the region of the mask takes.
        by: what says so: `classifier`, `region`; empty if nothing does.
    """

    probability: float
    share: float
    by: tuple[str, ...]

    def __bool__(self) -> bool:
        """Tell whether a mask is worn."""
        return bool(self.by)


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
        to_fill: the region that was filled in, empty if none is worn.
        filled: the face with that region filled in.
        generator: that filled it; None if nothing was.
        female: how likely the person is a woman, by the classifier, 0 to 1.
        compared: which picture was compared with the gallery: `bare`, or one of `Compared`.
        nearest: people of the gallery, the nearest first.
    """

    points: Points
    found_by: str
    crop: Crop
    worn: Worn
    labels: Pixels
    removed: Pixels
    to_fill: Pixels
    filled: Pixels
    generator: str | None
    female: float
    compared: str
    nearest: list[Neighbor]

    @property
    def sex(self) -> str:
        """Return the likelier sex."""
        return _sex(self.female)

    @property
    def certainty(self) -> float:
        """Return how likely that sex is, 0.5 to 1."""
        return max(self.female, 1 - self.female)


@dataclass(frozen=True)
class Tools:
    """What looks at faces; the networks are loaded.

    Attributes:
        search: section `find_landmarks.search`.
        align: section `align_faces`.
        find: says where the mask is.
        parse: maps a face to its label map.
        female: how likely a face is a woman's.
        fill: fills faces.
        dilation: by how much a region is widened to be filled in, in hundredths of the image's width.
        gallery: of known people.
        compared: what of a masked face is compared with the gallery.
        n_nearest: how many people are looked up.
        worn_threshold: from this probability of the classifier on, a mask is worn.
        possible_threshold: from this one on, the region may say so.
        min_share: from this share of the aligned face on, a region is a mask.
    """

    search: Search
    align: Align
    find: Region
    parse: Callable[[Pixels], Pixels]
    female: Callable[[Pixels], float]
    fill: Fill
    dilation: float
    gallery: Gallery
    compared: Compared
    n_nearest: int
    worn_threshold: float
    possible_threshold: float
    min_share: float


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
    try:
        matrix = alignment.TRANSFORMS[tools.align.template](points, tools.align.side)
    except alignment.DegenerateLandmarksError:
        return None
    small = images.shrunk(photo, tools.search.long_side)
    factors = np.array(small.shape[1::-1]) / np.array(photo.shape[1::-1])
    (probability,) = worn_masks.probabilities(small, [(points + 0.5) * factors - 0.5])
    image = alignment.warp(photo, matrix, tools.align.side)
    return _portrait(points, by, Crop(image, tools.find(image), matrix), probability, tools)


def refilled(portrait: Portrait, region: Pixels, tools: Tools) -> Portrait:
    """Return a portrait with another region, uint8 (size, size), removed and filled in; an empty one fills nothing."""
    face, filled, generator = portrait.crop.image, portrait.crop.image, None
    if region.any():
        filled, generator = tools.fill(face, region, portrait.sex)
    crop = replace(portrait.crop, region=region)
    removed = removal.remove(face, region)
    return replace(portrait, crop=crop, removed=removed, to_fill=region, filled=filled, generator=generator)


def laid_back(photo: Pixels, crop: Crop, picture: Pixels, region: Pixels) -> Pixels:
    """Return a photo (H, W, 3) with an aligned picture in it where a region of the crop lies; no other pixel changes.

    Args:
        photo: RGB uint8.
        crop: the aligned face of the photo.
        picture: RGB uint8 (size, size, 3), what the face has become.
        region: of the crop that changed, uint8 (size, size), 0 or 255.
    """
    there = Crop(crop.image, region, crop.matrix).region_in(photo)
    return np.where((there > 0)[..., None], crop.laid_back(picture, photo), photo)


def _portrait(points: Points, by: str, crop: Crop, probability: float, tools: Tools) -> Portrait:
    face = crop.image
    share = float((crop.region > 0).mean())
    # The parser takes sunglasses or a colored light for a mask more often than the classifier misses one.
    says = {
        "classifier": probability >= tools.worn_threshold,
        "region": share >= tools.min_share and probability >= tools.possible_threshold,
    }
    worn = Worn(probability, share, tuple(name for name, is_so in says.items() if is_so))
    female = tools.female(face)
    removed, filled, generator, to_fill = face, face, None, np.zeros_like(crop.region)
    if worn:
        removed, to_fill = removal.remove(face, crop.region), regions.widened(crop.region, tools.dilation)
        if to_fill.any():
            filled, generator = tools.fill(face, to_fill, _sex(female))
    compared = tools.compared if worn else "bare"
    pictures = {"zeroed": removed, "inpainted": filled, "upper": removal.upper_half(face)}
    nearest = tools.gallery.nearest(
        pictures.get(compared, face),
        alignment.apply(crop.matrix, points),
        upper=compared == "upper",
        n=tools.n_nearest,
    )
    labels = tools.parse(face)
    return Portrait(points, by, crop, worn, labels, removed, to_fill, filled, generator, female, compared, nearest)


def _sex(female: float) -> str:
    return "female" if female >= 0.5 else "male"
