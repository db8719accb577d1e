"""What fills in faces: the generator of a person's sex or the shared one, in aligned faces, and in those of a photo."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.compute import device
from stages.core.images import Pixels
from stages.faces import alignment
from stages.gender import classifier
from stages.inpainting import inpainter
from stages.removal.finder import Crop
from stages.removal.judge import Judge

SHARED = "shared"
AROUND = 8  # pixels that are looked at around what is filled in by them


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

    def in_photo(self, photo: Pixels, crop: Crop, region: Pixels, sex: str | None = None) -> "Filled":
        """Return a face of a photo (H, W, 3), filled as the generator sees faces, at its own side.

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
        (picture,) = generator([face], [hole])
        return Filled(picture, matrix, region, name)

    def load(self) -> None:
        """Load the generators, so that a missing file is said at once and no face waits."""
        for path in self.generators.values():
            _generator(path)

    def _names(self, faces: Sequence[Pixels], sexes: Sequence[str | None]) -> list[str]:
        if self.gender is not None:
            asked = _classifier(self.gender)
            sexes = [self.judge.sex(one) for one in asked.female(faces)] if self.judge else asked.sexes(faces)
        return [sex if sex in self.generators else SHARED for sex in sexes]


@dataclass(frozen=True)
class Filled:
    """What a generator made of a face of a photo.

    Attributes:
        picture: the face with its region filled, RGB uint8 (size, size, 3).
        matrix: from the photo's pixels to the picture's, float (2, 3).
        region: that was filled, as it lies in the photo, uint8 (H, W), 0 or 255.
        generator: that made it.
    """

    picture: Pixels
    matrix: NDArray[np.floating]
    region: Pixels
    generator: str

    def laid_into(self, photo: Pixels) -> Pixels:
        """Return the photo (H, W, 3) with the region as the picture shows it; no other pixel changes.

        What the picture does not show goes on as what is around it, by OpenCV's Telea.
        """
        left, top, width, height = cv2.boundingRect(self.region)
        x, y = max(0, left - AROUND), max(0, top - AROUND)
        window = slice(y, top + height + AROUND), slice(x, left + width + AROUND)
        part, region = photo[window], self.region[window] > 0
        matrix = np.column_stack([self.matrix[:, :2], alignment.apply(self.matrix, np.array([[x, y]]))[0]])
        shown = alignment.laid_back(np.full(self.picture.shape[:2], 255, np.uint8), matrix, part.shape) >= 128
        # The picture's outermost pixels go on, so that its border leaves no dark line.
        laid = alignment.laid_back(self.picture, matrix, part.shape, cv2.BORDER_REPLICATE)
        filled = np.where((region & shown)[..., None], laid, part)
        if (beyond := region & ~shown).any():
            filled = cv2.inpaint(filled, np.where(beyond, np.uint8(255), np.uint8(0)), 3, cv2.INPAINT_TELEA)
        result = photo.copy()
        result[window] = filled
        return result


@functools.cache
def _generator(path: Path) -> inpainter.Inpainter:
    return inpainter.load(path)


@functools.cache
def _classifier(path: Path) -> classifier.Classifier:
    return classifier.load(path)


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
