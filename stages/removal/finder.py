"""Where the mask is: in an aligned face by parser or detector, and in a photo by aligning each of its faces."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels
from stages.core.params import Section
from stages.detection import detector as detection
from stages.faces import alignment, parts
from stages.faces.landmarks import Points
from stages.faces.regions import widened
from stages.landmarks.search import Search, all_faces
from stages.parsing import parser as parsing
from stages.removal.judge import Judge, Worn, probabilities

By = Literal["parser", "detector"]


class Align(Section):
    """Section `align_faces:` of params.yaml: how the faces were aligned on which the networks were trained."""

    template: Literal["arcface", "ffhq"]
    side: int


@dataclass(frozen=True)
class Finder:
    """Finds masks; it can be sent to other processes, which load the networks themselves.

    Attributes:
        by: which network, SCANet's class `mask` or Mask R-CNN.
        parser: SCANet's weights, an absolute path.
        detector: Mask R-CNN's weights, an absolute path.
        score_threshold: from this score on, what the detector found is a mask.
        dilation: by how much the region is widened, in hundredths of the image's width.
    """

    by: By
    parser: Path
    detector: Path
    score_threshold: float
    dilation: float

    def __call__(self, faces: Sequence[Pixels]) -> list[Pixels]:
        """Return the region of the mask in each aligned face, uint8 (H, W), 0 or 255; all 0 if there is none."""
        if self.by == "parser":
            regions = [labels == parts.MASK for labels in _parser(self.parser)(faces)]
        else:
            regions = [
                one.regions[one.scores >= self.score_threshold].any(0) for one in _detector(self.detector)(faces)
            ]
        return [widened(np.where(region, np.uint8(255), np.uint8(0)), self.dilation) for region in regions]


_parser = functools.cache(functools.partial(parsing.load, name="scanet"))
_detector = functools.cache(detection.load)


@dataclass(frozen=True)
class Crop:
    """A face of a photo, aligned.

    Attributes:
        image: RGB uint8 (size, size, 3).
        region: of its mask, uint8 (size, size), 0 or 255.
        matrix: from the photo's pixels to the crop's, float (2, 3).
        worn: whether it wears a mask; None if nobody asked.
    """

    image: Pixels
    region: Pixels
    matrix: NDArray[np.floating]
    worn: Worn | None = None

    def laid_back(self, picture: Pixels, photo: Pixels) -> Pixels:
        """Return a picture of the crop's size, uint8, where it lies in the photo, of the photo's size; 0 around it."""
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(picture, self.matrix, photo.shape[1::-1], flags=flags), np.uint8)

    def region_in(self, photo: Pixels) -> Pixels:
        """Return the region as it lies in the photo, uint8 (H, W), 0 or 255."""
        return np.where(self.laid_back(self.region, photo) >= 128, np.uint8(255), np.uint8(0))


def crops(photo: Pixels, find: Finder, search: Search, align: Align, judge: Judge) -> list[Crop | None]:
    """Return every face of a photo (H, W, 3), the largest first; see `crops_of`."""
    return crops_of(photo, [face.points for face in all_faces(photo, search)], find, search, align, judge)


def crops_of(
    photo: Pixels, faces: Sequence[Points], find: Finder, search: Search, align: Align, judge: Judge
) -> list[Crop | None]:
    """Return faces of a photo (H, W, 3), given their landmarks (68, 2); None for one that cannot be aligned.

    The region of a face that wears no mask is empty, whatever was found in it.
    """
    aligned: list[tuple[Pixels, NDArray[np.floating]] | None] = []
    for points in faces:
        try:
            matrix = alignment.TRANSFORMS[align.template](points, align.side)
            aligned.append((alignment.warp(photo, matrix, align.side), matrix))
        except alignment.DegenerateLandmarksError:
            aligned.append(None)
    there = [(one, points) for one, points in zip(aligned, faces, strict=True) if one]
    regions = iter(find([image for (image, _), _ in there]))
    likely = iter(probabilities(photo, [points for _, points in there], search.long_side))
    return [one and _judged(Crop(one[0], next(regions), one[1]), next(likely), judge) for one in aligned]


def _judged(crop: Crop, probability: float, judge: Judge) -> Crop:
    worn = judge(probability, crop.region)
    return replace(crop, worn=worn, region=crop.region if worn else np.zeros_like(crop.region))
