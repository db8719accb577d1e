"""The parts of a face: class ids of CelebAMask-HQ, and a weak label map drawn from the 68 landmarks.

Label maps are uint8 (H, W), a class id each pixel.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.faces.landmarks import BRIDGE_TOP, CHIN, JAW, NOSE_WING, SUBNASALE, Points, eye_centers, face_size

Labels = NDArray[np.uint8]

# Class ids 0 to 18 in the publisher's order. `l_` is the subject's left, which lies on the right of the image.
CLASSES: tuple[str, ...] = (
    "background",
    "skin",
    "nose",
    "eye_g",
    "l_eye",
    "r_eye",
    "l_brow",
    "r_brow",
    "l_ear",
    "r_ear",
)
CLASSES += ("mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth")
MASK = len(CLASSES)
NAMES = (*CLASSES, "mask")
HIDDEN = 0  # in a map of the visible face: what is no face, or hidden
IGNORED = 255  # a pixel that nobody labeled

# The face that an occluder can hide: what FaceExtraction takes for the visible face, without ears and glasses.
FACE = tuple(
    CLASSES.index(name) for name in CLASSES if name in {"skin", "nose", "mouth"} or name[2:] in {"eye", "brow", "lip"}
)

# What papers on face parsing take together beside the single parts, as DML-CSR's evaluation does (arXiv:2203.14448).
# The mean of CelebAMask-HQ's papers is over the 18 single parts.
MERGED = {"eyes": ("l_eye", "r_eye"), "brows": ("l_brow", "r_brow"), "mouth": ("mouth", "u_lip", "l_lip")}

# What each class becomes in the mirrored image.
FLIPPED = np.arange(256, dtype=np.uint8)
for _left, _right in (("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")):
    FLIPPED[[CLASSES.index(_left), CLASSES.index(_right)]] = CLASSES.index(_right), CLASSES.index(_left)

FOREHEAD = 0.72  # height of the forehead above the brows, of the distance between the eyes
BROW = 0.05  # thickness of a brow, of the face's size


def flip(labels: Labels) -> Labels:
    """Return the label map of the mirrored image: left and right classes change places."""
    return FLIPPED[labels[:, ::-1]]


def visible_face(labels: Labels) -> Labels:
    """Return 1 where a label map shows the face that an occluder can hide, else `HIDDEN`, 0."""
    return np.isin(labels, FACE).astype(np.uint8)


def covered(labels: Labels, region: Labels, *, by: int) -> Labels:
    """Return a label map in which the pixels of a region (not 0) are of the class of what covers them."""
    return np.where(region > 0, np.uint8(by), labels)


def from_landmarks(points: Points, height: int, width: int) -> Labels:
    """Return a weak label map of a bare face: skin, nose, eyes, brows, mouth and lips; all else is background.

    Skin is the polygon of the jaw and an arch above the brows, so it holds hair that falls over the forehead, and
    glasses are not seen: labels good enough to learn from, and not to be taken for the truth. Points, float32 (68, 2),
    may lie outside the image.
    """
    labels = np.zeros((height, width), np.uint8)
    size = face_size(points)

    def fill(name: str, outline: Points) -> None:
        cv2.fillPoly(labels, [in_fractions(outline)], CLASSES.index(name), cv2.LINE_8, FRACTION_BITS)

    # By the eyes and not by the chin, so that it is the same behind a mask; on a profile the nose is longer than that.
    left, right = eye_centers(points)
    height_above = FOREHEAD * max(math.dist(left, right), math.dist(points[BRIDGE_TOP], points[SUBNASALE]))
    upward = points[BRIDGE_TOP] - points[CHIN]
    up = upward / max(float(np.linalg.norm(upward)), 1e-6) * height_above
    brows = points[26:16:-1]  # from the right of the image to the left
    arch = np.sin(np.linspace(0.18, np.pi - 0.18, len(brows)))[:, None]
    fill("skin", np.concatenate([points[JAW], brows + up * arch]))
    for name, line in (("r_brow", points[17:22]), ("l_brow", points[22:27])):
        thickness = max(1, round(BROW * size))
        cv2.polylines(labels, [in_fractions(line)], False, CLASSES.index(name), thickness, cv2.LINE_8, FRACTION_BITS)
    fill("r_eye", points[36:42])
    fill("l_eye", points[42:48])
    left, right = (points[wing] for wing in NOSE_WING)
    outward = (right - left) * 0.2
    fill("nose", np.stack([points[BRIDGE_TOP], left - outward, *points[32:35], right + outward]))
    inner = points[60:68]  # left corner, over the top to the right corner, back below
    fill("u_lip", np.concatenate([points[48:55], inner[4::-1]]))
    fill("l_lip", np.concatenate([points[54:60], points[48:49], inner[:1], inner[:3:-1]]))
    _fill_inside(labels, inner, CLASSES.index("mouth"))
    return labels


def _fill_inside(labels: Labels, outline: Points, value: int) -> None:
    """Fill the pixels whose center lies inside an outline; unlike `fillPoly`, none for one without an inside."""
    box = np.zeros_like(labels)
    cv2.fillPoly(box, [in_fractions(outline)], 1, cv2.LINE_8, FRACTION_BITS)
    for y, x in np.argwhere(box):
        if cv2.pointPolygonTest(outline.astype(np.float32), (float(x), float(y)), False) > 0:
            labels[y, x] = value
