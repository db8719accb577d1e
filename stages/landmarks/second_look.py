"""A second look at what CenterFace finds: the landmarker must agree that there is a face, and where it lies.

Either network alone takes foreheads, shelves or ties for faces now and then; both together hardly do.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.landmarks import landmarker
from stages.landmarks.boxes import Box
from stages.landmarks.landmarker import Square

# Where it looks: shift to the right and down, and zoom, of the square around the face.
PLACES = ((0, 0, 1), (-0.06, 0, 1), (0.06, 0, 1), (0, -0.06, 0.92), (0, 0.06, 1.1))
# Where the photo as it stands shows no face, squares are turned, degrees, and then the contrast is evened out: the
# landmarker hardly knows a head that is tilted by more than 20 degrees, or dark, blurred or badly compressed.
TRIES = ((0.0, False), (-25.0, False), (25.0, False), (0.0, True))
CONTRAST, TILES = 3.0, (4, 4)  # of the evened photo: how much is allowed, and in how many tiles it is evened
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
    found: dict[int, tuple[Points, float]] = {}
    for turn, evened in TRIES:
        left = [number for number in range(len(boxes)) if number not in found]
        photo = _evened(image) if evened and left else image
        squares = [square for number in left for square in _squares(boxes[number], turn)]
        looks = landmarker.look(photo, squares, looks=2)
        for start, number in zip(range(0, len(looks), len(PLACES)), left, strict=True):
            some = looks[start : start + len(PLACES)]
            agreed = float(np.mean([_logit(seen.face) for seen in some]))
            sure = _logit(boxes[number].sure) + WEIGHT * min(max(agreed, -MOST), MOST)
            if sure >= BELIEVED or agreed >= CERTAIN:
                found[number] = np.mean([seen.points for seen in some], 0, dtype=np.float32), sure
    return [found[number] for number in sorted(found)]


def _evened(image: Pixels) -> Pixels:
    """Return an RGB photo (H, W, 3) with the contrast of its brightness evened out (CLAHE)."""
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    lab[..., 0] = cv2.createCLAHE(CONTRAST, TILES).apply(lab[..., 0])
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def _squares(box: Box, turn: float) -> list[Square]:
    side = max(box.right - box.left, box.bottom - box.top)
    x, y, large = (box.left + box.right) / 2, (box.top + box.bottom) / 2 + LOWER * side, LARGER * side
    return [Square(x + right * large, y + down * large, zoom * large, turn) for right, down, zoom in PLACES]


def _logit(probability: float) -> float:
    inside = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(inside / (1 - inside)))
