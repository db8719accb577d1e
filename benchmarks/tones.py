"""How light the skin of a face is in its photo, to tell figures apart by it.

It is the individual typology angle (ITA) of Chardon, Cretois and Hourseau, 1991: the higher, the lighter. It is
measured of the photo, so dim or colored light counts as skin: it says what the networks saw, not who somebody is.
"""

import math
from collections.abc import Iterable

import cv2
import numpy as np

from stages.core.images import Pixels
from stages.faces.landmarks import Points

# Inner ends of the eyebrows, inner corners of the eyes and the middle of the nose's bridge: what no mask covers.
BETWEEN_EYES = [21, 22, 42, 28, 39]
# Degrees from which on skin is of a kind. The six of the literature are paired: photos are few.
LIGHT, TAN = 41.0, 10.0
KINDS = ("light", "tan", "brown")


def tone(image: Pixels, points: Points) -> str:
    """Return the kind of the skin between the eyes in an RGB photo (H, W, 3), of landmarks (68, 2)."""
    region = np.zeros(image.shape[:2], np.uint8)
    cv2.fillConvexPoly(region, cv2.convexHull(np.round(points[BETWEEN_EYES]).astype(np.int32)), 1)
    lab = cv2.cvtColor(np.float32(image) / 255, cv2.COLOR_RGB2LAB)[region > 0]
    if not len(lab):  # beyond the photo's edge
        return "not known"
    light, _, yellow = np.median(lab, 0)
    angle = math.degrees(math.atan2(light - 50, max(yellow, 1e-3)))
    return KINDS[0] if angle > LIGHT else KINDS[1] if angle > TAN else KINDS[2]


def by_kind(of: Iterable[tuple[str, float]]) -> str:
    """Return in words how many values there are of each kind, such as a tone of skin, and their mean."""
    values: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind, value in of:
        values.setdefault(kind, []).append(value)
    return "; ".join(f"{kind} {len(some)}: {np.mean(some):.3f}" for kind, some in values.items() if some)
