"""Where a mask lies on a face: outlines, straps and fabric coordinates from the 68 landmarks.

All geometry is in pixels of the image, at any size of the face. A mask has fabric coordinates (u, v): u runs from -1 at
its left edge over 0 on the line from nose to chin to 1 at its right edge, v from 0 at its top edge to 1 at its bottom
edge. They follow the landmarks, so folds and patterns turn with the head.
"""

import functools
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.faces.landmarks import (
    BRIDGE_TOP,
    CHIN,
    LIP_BOTTOM,
    LIP_TOP,
    NOSE_TIP,
    NOSE_WING,
    SUBNASALE,
    Points,
    eye_centers,
    jaw_point,
    yaw,
)
from stages.faces.warp import ThinPlateSpline

POSITIONS = ("proper", "below_nose", "chin")
ROUNDNESS = 2.4  # the exponent of a rounded mask's outline: 2 is an ellipse, more is squarer
SAMPLES = 6  # points a spline segment
HIDDEN_FROM = 0.35  # a turn of the head from which the far ear cannot be seen
# Fabric coordinates u of the control points: along the top edge left to right, along the bottom edge back.
TOP_U = (-1.0, -0.62, -0.25, 0.0, 0.25, 0.62, 1.0)
BOTTOM_U = (1.0, 0.55, 0.0, -0.55, -1.0)

# The polygons of Face_Mask_Generator (AvLab-CV): the jaw and the nose bridge for a frontal face; for a profile that
# looks to the left of the image, the half of the jaw that faces the camera and the nose.
FRONTAL_POLYGON = (*range(1, 16), 28)
PROFILE_POLYGON = (*range(7, 16), 28, 29, 30)
PROFILE_POLYGON_RIGHT = (*range(9, 0, -1), 28, 29, 30)  # its mirror image, for one that looks to the right


@dataclass(frozen=True)
class Cut:
    """How a style is cut and where it is worn.

    Attributes:
        side: where on the jaw line (0 the ear, 8 the chin) its upper corner lies.
        corner: where on the jaw line its lower corner lies.
        inset: how far its side edge stays inside the jaw line, as a share of the way to the middle of the mask.
        below_chin: how far it reaches below the chin, as a share of the distance from eyes to chin.
        bulge: how far it stands out beyond the jaw between lower corner and chin, as a share of its distance from the
            middle of the mask.
        nose: how far up the nose its top edge reaches, as a share of the way from landmark 28 to 27.
        sag: how far its top edge hangs below the straight line from corner to nose, as a share of the distance from
            eyes to chin.
        rounded: whether its outline is a superellipse without corners.
        strap_ends: where on the jaw line an upper and a lower strap reach the ear.
    """

    side: float
    corner: float
    inset: float
    below_chin: float
    bulge: float
    nose: float
    sag: float
    rounded: bool = False
    strap_ends: tuple[float, float] = (0.4, 1.3)


@dataclass(frozen=True)
class Shape:
    """A mask's place in an image.

    Attributes:
        outline: closed, (n, 2).
        places: (k, 2), where the fabric coordinates `fabric` (k, 2) lie.
        straps: start and end of each, (s, 2, 2): left upper, left lower, right upper, right lower.
    """

    outline: Points
    places: Points
    fabric: Points
    straps: Points


def polygon(points: Points, face_type: str, height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return Face_Mask_Generator's mask region, pixel for pixel, and the one-pixel line around it.

    Like the original it cuts coordinates to whole pixels and fills with `cv2.fillConvexPoly`. The original knows only
    profiles that look to the left; for one that looks to the right this is the mirror image.

    Returns:
        Both uint8 (height, width), 0 or 255.
    """
    indices = FRONTAL_POLYGON
    if not face_type.startswith("0"):
        indices = PROFILE_POLYGON if yaw(points) <= 0 else PROFILE_POLYGON_RIGHT
    corners = points[list(indices)].astype(np.int32)
    region, edge = np.zeros((2, height, width), np.uint8)
    cv2.fillConvexPoly(region, corners, 255)
    cv2.polylines(edge, [corners], True, 255, 1)
    return region, edge


def shape(points: Points, cut: Cut, position: str) -> Shape:
    """Return where a mask of this cut lies on a face with landmarks float32 (68, 2), in pixels.

    It is worn `proper`, `below_nose` (nose free) or at the `chin` (nose and mouth free). A strap on the far side of a
    turned head is left out: it cannot be seen.
    """
    plan = _plan(cut, position)
    turn = yaw(points)
    seen = [turn > -HIDDEN_FROM] * 2 + [turn < HIDDEN_FROM] * 2
    straps = (plan.straps.reshape(-1, 68) @ points).reshape(4, 2, 2)
    return Shape(plan.outline @ points, plan.places @ points, plan.fabric, straps[seen])


@functools.lru_cache(maxsize=256)
def _plan(cut: Cut, position: str) -> Shape:
    """Return a shape as weights: each point is not (2,) pixels but (68,) weights of the landmarks.

    Every point of a mask is a weighted sum of landmarks, so the construction is done once, on landmarks that are the
    unit vectors, and a face's mask is a product of matrices.
    """
    points = np.eye(68)
    left_eye, right_eye = eye_centers(points)
    down = points[CHIN] - (left_eye + right_eye) / 2
    side, corner, below_chin = cut.side, cut.corner, cut.below_chin
    if position == "proper":
        top = _between(points[28], points[BRIDGE_TOP], cut.nose)
    elif position == "below_nose":
        top = _between(points[SUBNASALE], points[LIP_TOP], 0.35)
        side, corner, below_chin = side + 1.4, corner + 0.7, below_chin + 0.09
    else:
        top = _between(points[LIP_BOTTOM], points[CHIN], 0.3)
        side, corner, below_chin = side + 2.2, corner + 1.3, below_chin + 0.21
    bottom = points[CHIN] + down * below_chin
    middle = _between(top, bottom, 0.5)

    def half(mirror: bool) -> tuple[list[Points], list[Points]]:
        """Return the points of one half's edge, and start and end of its straps."""

        def jaw(place: float) -> Points:
            return jaw_point(points, 16 - place if mirror else place)

        upper = _between(jaw(side), middle, cut.inset)
        lower = _between(jaw(corner), middle, cut.inset * 0.6)
        flank = _between(upper, top, 0.72)
        if position == "proper":  # beside the nose, where the top edge turns up onto it
            flank = points[29] + (points[NOSE_WING[mirror]] - points[SUBNASALE]) * 1.5
        cheek = _between(upper, flank, 0.5) + down * cut.sag
        below = jaw((corner + 8) / 2)
        below = below + (below - middle) * cut.bulge + down * (below_chin * 0.5)
        outward = (points[16] - points[0]) * (0.05 if mirror else -0.05)
        ends = [(upper, jaw(cut.strap_ends[0]) + outward), (lower, jaw(cut.strap_ends[1]) + outward)]
        # Straps start under the mask, which is laid over them.
        straps = [np.stack([_between(start, middle, 0.2), end]) for start, end in ends]
        return [upper, cheek, flank, lower, below], straps

    (left_upper, left_cheek, left_flank, left_lower, left_below), left_straps = half(mirror=False)
    (right_upper, right_cheek, right_flank, right_lower, right_below), right_straps = half(mirror=True)
    top_edge = np.stack([left_upper, left_cheek, left_flank, top, right_flank, right_cheek, right_upper])
    bottom_edge = np.stack([right_lower, right_below, bottom, left_below, left_lower])
    inside = [(middle, 0.5)]  # places on the line from nose to chin, and their fabric coordinate v
    if position == "proper":
        inside = [(points[NOSE_TIP], 0.36), (points[LIP_BOTTOM], 0.7)]
    places = np.concatenate([top_edge, bottom_edge, [place for place, _ in inside]])
    fabric = [*((u, 0.0) for u in TOP_U), *((u, 1.0) for u in BOTTOM_U), *((0.0, v) for _, v in inside)]
    if cut.rounded:
        # |u|^e + |2v - 1|^e = 1 in fabric coordinates.
        rounded = superellipse(48, ROUNDNESS) * [1, 0.5] + [0, 0.5]
        outline = ThinPlateSpline(np.array(fabric), places, stiffness=1e-3)(rounded)
    else:
        outline = np.concatenate([spline(top_edge), spline(bottom_edge)])
    straps = np.stack(left_straps + right_straps)
    return Shape(*(np.asarray(weights, np.float32) for weights in (outline, places, fabric, straps)))


def _between(a: Points, b: Points, share: float) -> Points:
    return a + (b - a) * share


def superellipse(n: int, exponent: float) -> NDArray[np.float64]:
    """Return n points (n, 2) of the outline |x|^e + |y|^e = 1; e = 2 is the circle."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    return np.sign(circle) * np.abs(circle) ** (2 / exponent)


def spline(points: Points) -> Points:
    """Return a smooth line (m, d) through points (n, d): a uniform Catmull-Rom spline, `SAMPLES` points a segment."""
    t = (np.arange(SAMPLES) / SAMPLES)[:, None]
    weights = [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3]
    around = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    windows = np.stack([around[index : len(around) - 3 + index] for index in range(4)], 1)  # (segments, 4, d)
    line = np.einsum("tk,skd->std", np.hstack(weights) / 2, windows).reshape(-1, points.shape[1])
    return np.concatenate([line, points[-1:]])


def fill(
    outline: Points, lines: Points, thickness: float, height: int, width: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Draw an outline and lines with smooth edges.

    Returns:
        How much of each pixel the outline covers, and how much the lines do, uint8 (height, width), 0 to 255.
    """
    body = np.zeros((height, width), np.uint8)
    cv2.fillPoly(body, [in_fractions(outline)], 255, cv2.LINE_AA, FRACTION_BITS)
    thin = np.zeros((height, width), np.uint8)
    for line in lines:
        along = line[1] - line[0]
        across = np.array([-along[1], along[0]], np.float32) / max(float(np.linalg.norm(along)), 1e-6) * thickness / 2
        corners = np.stack([line[0] - across, line[0] + across, line[1] + across, line[1] - across])
        cv2.fillPoly(thin, [in_fractions(corners)], 255, cv2.LINE_AA, FRACTION_BITS)
    return body, thin
