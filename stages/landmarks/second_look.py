"""A second look at what CenterFace finds: the landmarker must agree that there is a face, and where it lies.

Either network alone takes foreheads, shelves or ties for faces now and then; both together hardly do.
"""

from collections.abc import Sequence

import numpy as np

from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.landmarks import landmarker
from stages.landmarks.boxes import Box
from stages.landmarks.landmarker import Square

# Where it looks: shift to the right and down, and zoom, of the square around the face.
PLACES = ((0, 0, 1), (-0.06, 0, 1), (0.06, 0, 1), (0, -0.06, 0.92), (0, 0.06, 1.1))
LOWER, LARGER = 0.14, 1.28  # the middle of that square below a box's, and its side, of the box's larger side
WEIGHT = 0.25  # of the landmarker's logit, which is mostly larger than CenterFace's
MOST = 5.0  # of that logit: it is as sure of a doll as of a face
BELIEVED = 0.25  # sum of logits from which on a face is believed in; chosen on FaceMaskDetection's half val
# The landmarker's mean logit from which on a face is believed in, however little CenterFace sees of it, as where a mask
# has a face printed on it: on half val four faces that were missed have 6.0 to 7.3, and what is no face 4.4 at most.
CERTAIN = 5.2


def believed(image: Pixels, boxes: Sequence[Box]) -> list[tuple[Points, float]]:
    """Return the landmarks, float32 (68, 2), of those boxes in an RGB photo (H, W, 3) that hold a face, and how sure.

    The landmarks are the mean of several looks; sums of logits say how sure both networks are.
    """
    looks = landmarker.look(image, [square for box in boxes for square in _squares(box)], looks=2)
    found = []
    for start, box in zip(range(0, len(looks), len(PLACES)), boxes, strict=True):
        some = looks[start : start + len(PLACES)]
        agreed = float(np.mean([_logit(seen.face) for seen in some]))
        sure = _logit(box.sure) + WEIGHT * min(max(agreed, -MOST), MOST)
        if sure >= BELIEVED or agreed >= CERTAIN:
            found.append((np.mean([seen.points for seen in some], 0, dtype=np.float32), sure))
    return found


def _squares(box: Box) -> list[Square]:
    side = max(box.right - box.left, box.bottom - box.top)
    x, y, large = (box.left + box.right) / 2, (box.top + box.bottom) / 2 + LOWER * side, LARGER * side
    return [Square(x + right * large, y + down * large, zoom * large) for right, down, zoom in PLACES]


def _logit(probability: float) -> float:
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))
