"""Where the mask is: in an aligned face by parser or detector, and in a photo by aligning each of its faces."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels
from stages.detection import detector as detection
from stages.faces import alignment, parts
from stages.faces.alignment import Align
from stages.faces.landmarks import Points, face_size
from stages.faces.regions import widened
from stages.landmarks.search import Search, all_faces
from stages.parsing import parser as parsing
from stages.removal import cutting
from stages.removal.cutting import Likely
from stages.removal.judge import Judge, Worn, probabilities
from stages.removal.refinement import mended, refined

By = Literal["parser", "detector"]
Find = Callable[[Sequence[Pixels]], Sequence[Likely]]
"""Says of aligned faces (H, W, 3) how likely each pixel is of the mask."""
ENOUGH = 0.22  # from this on, a pixel counts where it is asked whether a mask is worn: real masks are doubted
OVER = 0.3  # of a face's size by which a mask reaches over its outline
EDGE = 3  # pixels of a crop by which a region's edge may move to that of the photo


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
            regions = self._detected(faces)
        return [widened(np.where(region, np.uint8(255), np.uint8(0)), self.dilation) for region in regions]

    def likely(self, faces: Sequence[Pixels]) -> list[Likely]:
        """Return how likely each pixel of aligned faces is of the mask, float32 (H, W); the detector says 0 or 1."""
        if self.by == "parser":
            shares = _parser(self.parser).likely(faces, parts.MASK)
        else:
            shares = [np.float32(region) for region in self._detected(faces)]
        return [widened(share, self.dilation) for share in shares]

    def _detected(self, faces: Sequence[Pixels]) -> list[NDArray[np.bool_]]:
        return [one.regions[one.scores >= self.score_threshold].any(0) for one in _detector(self.detector)(faces)]


_parser = functools.cache(functools.partial(parsing.load, name="scanet"))
_detector = functools.cache(detection.load)


@dataclass(frozen=True)
class Crop:
    """A face of a photo, aligned.

    Attributes:
        image: RGB uint8 (size, size, 3).
        region: of its mask, uint8 (size, size), 0 or 255.
        matrix: from the photo's pixels to the crop's, float (2, 3).
        points: the face's landmarks, float32 (68, 2), pixels of the photo.
        worn: whether it wears a mask; None if nobody asked.
        whole: the region as it was cut out of the photo, in the picture of `cutting.frame`: a mask goes on where an
            aligned face ends, and has its own edge; None if nobody looked there.
    """

    image: Pixels
    region: Pixels
    matrix: NDArray[np.floating]
    points: Points
    worn: Worn | None = None
    whole: Pixels | None = None

    @property
    def scale(self) -> float:
        """Return how many pixels of the crop one of the photo is wide."""
        return alignment.scale_of(self.matrix)

    def region_in(self, photo: Pixels) -> Pixels:
        """Return the region as it lies in the photo, uint8 (H, W), 0 or 255.

        If it was cut out of the photo, its edge is that of the photo.
        """
        if self.whole is None:
            return _binary(alignment.laid_back(self.region, self.matrix, photo.shape))
        matrix = cutting.joined(cutting.frame(self.region.shape[0]), self.matrix)
        return refined(photo, _binary(alignment.laid_back(self.whole, matrix, photo.shape)), EDGE / self.scale)

    def to_fill(self, photo: Pixels, dilation: float) -> Pixels:
        """Return the region as it lies in the photo, uint8 (H, W), widened by hundredths of the crop's width.

        It is 0 where nothing is to be filled in.
        """
        if not self.region.any():
            return np.zeros(photo.shape[:2], np.uint8)
        return widened(self.region_in(photo), dilation * self.region.shape[1] / self.scale / photo.shape[1])


def _binary(region: Pixels) -> Pixels:
    return np.where(region >= 128, np.uint8(255), np.uint8(0))


def crops(photo: Pixels, find: Finder, search: Search, align: Align, judge: Judge) -> list[Crop | None]:
    """Return every face of a photo (H, W, 3), the largest first; see `crops_of`."""
    return crops_of(photo, [face.points for face in all_faces(photo, search)], find.likely, search, align, judge)


def crops_of(
    photo: Pixels, faces: Sequence[Points], find: Find, search: Search, align: Align, judge: Judge
) -> list[Crop | None]:
    """Return faces of a photo (H, W, 3), given their landmarks (68, 2); None for one that cannot be aligned.

    The region of a face that wears no mask is empty, whatever was found in it.
    """
    aligned: list[tuple[Pixels, NDArray[np.floating]] | None] = []
    for points in faces:
        try:
            matrix = align.matrix(points)
            aligned.append((alignment.warp(photo, matrix, align.side), matrix))
        except alignment.DegenerateLandmarksError:
            aligned.append(None)
    there = [(one, points) for one, points in zip(aligned, faces, strict=True) if one]
    seen = _seen([image for (image, _), _ in there], find)
    worn = probabilities(photo, [points for _, points in there], search.long_side)
    found = iter(
        _judged(Crop(image, _region(here), matrix, points), probability, judge, here, photo, find)
        for ((image, matrix), points), here, probability in zip(there, seen, worn, strict=True)
    )
    return [one and next(found) for one in aligned]


def _seen(faces: Sequence[Pixels], find: Find) -> list[Likely]:
    """Return how likely each pixel is of the mask, by two looks: at a face and at its mirror image."""
    found = find([*faces, *(np.ascontiguousarray(face[:, ::-1]) for face in faces)])
    pairs = zip(found[: len(faces)], found[len(faces) :], strict=True)
    return [(one + other[:, ::-1]) / 2 for one, other in pairs]


def _region(likely: Likely) -> Pixels:
    return mended(np.where(likely >= ENOUGH, np.uint8(255), np.uint8(0)))


def _judged(crop: Crop, probability: float, judge: Judge, here: Likely, photo: Pixels, find: Find) -> Crop:
    """Return a face with what was asked: whether a mask is worn, and if so, its region, which may go on below it."""
    worn = judge(probability, crop.region)
    if not worn or not crop.region.any():
        return replace(crop, worn=worn, region=np.zeros_like(crop.region))
    side = crop.region.shape[0]
    matrix, step = alignment.lower(crop.matrix, side), round(alignment.LOWER * side)
    (below,) = _seen([alignment.warp(photo, matrix, side)], find)
    both = (here[step:] + below[:-step]) / 2
    rest = np.where(_reach(alignment.apply(matrix, crop.points), side) > 0, below, np.float32(0))[-step:]
    whole = mended(cutting.cut(photo, np.concatenate([here[:step], both, rest]), crop.matrix))
    region = _binary(alignment.warp(whole, cv2.invertAffineTransform(cutting.frame(side)), side))
    return replace(crop, worn=replace(worn, share=float((region > 0).mean())), region=region, whole=whole)


def _reach(points: Points, side: int) -> Pixels:
    """Return how far a mask may reach on a face with landmarks (68, 2): a little over the face's outline."""
    outline = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(outline, cv2.convexHull(np.round(points).astype(np.int32)), 255)
    return widened(outline, 100 * OVER * face_size(points) / side)
