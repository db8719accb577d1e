"""Faces behind masks, as `landmarker` sees them. It needs torch, which is loaded when the first one is asked for."""

from dataclasses import dataclass, replace

import numpy as np

from stages.core.images import Pixels
from stages.faces.landmarks import Points, face_size


@dataclass(frozen=True)
class Found:
    """A face that was found: its landmarks, float32 (68, 2), and whether a mask was seen on it."""

    points: Points
    by: str  # what found them: `csv`, `dlib_hog`, `dlib_crop`, `landmarker_hog`, …
    masked: bool = False


def if_worn(image: Pixels, found: Found) -> Found:
    """Return a face of an RGB image (H, W, 3) that was found as a bare one, or as a masked one if it wears a mask."""
    from stages.landmarks import landmarker, worn  # noqa: PLC0415 -- torch takes seconds to load

    if worn.probabilities(image, [found.points])[0] < worn.WORN:
        return found
    seen = landmarker.look(image, [landmarker.Square.around(found.points)])[0]
    by = f"landmarker_{found.by.rpartition('_')[2]}"
    return Found(seen.points, by, masked=True) if seen.sure else replace(found, masked=True)


def everywhere(image: Pixels) -> list[Found]:
    """Return the faces that are seen for sure in an RGB image (H, W, 3), the largest first."""
    from stages.landmarks import landmarker  # noqa: PLC0415 -- torch takes seconds to load

    return [Found(seen.points, "landmarker", seen.wears_mask) for seen in landmarker.find(image)]


def main_face(found: list[Found], image: Pixels) -> Found | None:
    """Return the face that the photo is about: of those at least half as large as the largest, the most central."""
    center = np.array([image.shape[1], image.shape[0]], np.float64) / 2
    sizes = [face_size(one.points) for one in found]
    large = [one for one, size in zip(found, sizes, strict=True) if size >= max(sizes) / 2**0.5]
    return min(large, key=lambda one: float(np.linalg.norm(one.points.mean(0) - center)), default=None)


def apart(one: Points, other: Points) -> bool:
    """Tell whether landmarks (68, 2) are of two faces."""
    away = float(np.linalg.norm(one.mean(0) - other.mean(0)))
    return away > max(face_size(one), face_size(other)) / 2
