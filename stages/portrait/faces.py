"""The faces of any photo, masked or not, soon enough for a person who waits.

`landmarks.search.all_faces` asks dlib's CNN whenever HOG sees nobody, which takes half a minute on a large photo. Here
the CNN is asked last: where neither HOG nor the network for faces behind masks sees anybody, and in a small copy.
"""

import functools
from typing import Any

import cv2
import dlib
import numpy as np

from stages.common.images import Pixels
from stages.faces.landmarks import Points, face_size
from stages.landmarks import behind_masks
from stages.landmarks.behind_masks import Found, apart
from stages.landmarks.boxes import Box
from stages.landmarks.search import BACKENDS, Search, all_faces

SMALL = 480  # pixels of the longer side of the copy in which masked faces, and by the CNN all, are searched


@functools.cache
def _hog() -> Any:
    return dlib.get_frontal_face_detector()


def shrunk(photo: Pixels, side: int) -> Pixels:
    """Return an RGB photo (H, W, 3) with a longer side of at most `side` pixels; a smaller one stays as it is."""
    scale = side / max(photo.shape[:2])
    if scale >= 1:
        return photo
    size = [max(1, round(length * scale)) for length in photo.shape[1::-1]]
    return np.asarray(cv2.resize(photo, size, interpolation=cv2.INTER_AREA), np.uint8)


def faces_in(photo: Pixels, search: Search) -> list[Found]:
    """Return the faces of an RGB photo (H, W, 3), with landmarks in its pixels, the largest first.

    Args:
        photo: RGB uint8 of any size; it is searched in smaller copies.
        search: section `find_landmarks.search`: the sides to which photos are scaled, and the landmarks' backend.
    """
    medium = shrunk(photo, search.long_side)
    found = [_placed(one, medium, photo) for one in _by_hog(medium, search)]
    small = shrunk(medium, SMALL)
    for other in behind_masks.everywhere(small):
        placed = _placed(other, small, photo)
        if all(apart(placed.points, one.points) and not _within(placed.points, one.points) for one in found):
            found.append(placed)
    found = found or [_placed(one, small, photo) for one in all_faces(small, search)]
    return sorted(found, key=lambda one: -face_size(one.points))


def _by_hog(photo: Pixels, search: Search) -> list[Found]:
    larger = max(1.0, search.short_side / min(photo.shape[:2]))
    looked_at = photo
    if larger > 1:
        looked_at = np.asarray(cv2.resize(photo, None, fx=larger, fy=larger, interpolation=cv2.INTER_CUBIC), np.uint8)
    found = []
    for at in _hog()(looked_at, 0):
        box = Box(*(float(edge) / larger for edge in (at.left(), at.top(), at.right(), at.bottom())), by="hog")
        name = search.with_box[0] if search.with_box else "dlib"
        behind = behind_masks.in_box(photo, box)
        found.append(behind or Found(BACKENDS[name].points(photo, {}, box), f"{name}_{box.by}"))
    return found


def _within(points: Points, other: Points) -> bool:
    """Tell whether the middle of some landmarks (68, 2) lies in or close to the box of another face's.

    A chin over a dark tie is taken for a small face by the network, but a face does not begin at another one's chin.
    """
    margin = 0.25 * np.ptp(other, axis=0)
    middle = points.mean(0)
    return bool(np.all((other.min(0) - margin < middle) & (middle < other.max(0) + margin)))


def _placed(one: Found, copy: Pixels, photo: Pixels) -> Found:
    """Return a face of a scaled copy with its landmarks in the photo's pixels."""
    factors = np.array(photo.shape[1::-1]) / np.array(copy.shape[1::-1])
    points = (one.points + 0.5) * factors - 0.5  # pixel centers lie at whole numbers
    return Found(points.astype(np.float32), one.by, one.masked)
