"""The faces of any photo, masked or not, soon enough for a person who waits.

`landmarks.search.all_faces` asks dlib's CNN whenever HOG sees nobody, which takes half a minute on a large photo. Here
the CNN is asked last: where neither HOG nor the network for faces behind masks sees anybody, and in a small copy.
"""

import cv2
import numpy as np

from stages.core.images import Pixels
from stages.faces.landmarks import Points, face_size
from stages.landmarks import behind_masks, boxes
from stages.landmarks.behind_masks import Found, apart
from stages.landmarks.search import Search, all_faces, by_backend

SMALL = 480  # pixels of the longer side of the copy in which masked faces, and by the CNN all, are searched


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
    seen = boxes.by_hog(medium, short_side=search.short_side, long_side=search.long_side)
    found = [behind_masks.in_box(medium, box) or by_backend(medium, box, search) for box in seen]
    found = [_placed(one, medium, photo) for one in found]
    small = shrunk(medium, SMALL)
    for other in behind_masks.everywhere(small):
        placed = _placed(other, small, photo)
        if all(apart(placed.points, one.points) and not _within(placed.points, one.points) for one in found):
            found.append(placed)
    found = found or [_placed(one, small, photo) for one in all_faces(small, search)]
    return sorted(found, key=lambda one: -face_size(one.points))


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
