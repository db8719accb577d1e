"""The region of a mask, cut out of a photo by its colors: a network is unsure of edges, beards, hands and scarves."""

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels
from stages.faces import alignment

SIDE = 392  # pixels of an aligned face as it is cut
MARGIN = 0.1  # of an aligned face's side that is seen around it
SURE, PERHAPS, NEVER = 0.99, 0.25, 0.02  # likelihoods from which on a pixel shows the mask, may show it, or may not
CLEAR = 0.35  # from this on, a pixel is of the mask, whatever its color is

Likely = NDArray[np.float32]  # (H, W), 0 to 1: how likely each pixel is of the mask
Matrix = NDArray[np.floating]


def frame(side: int) -> alignment.Matrix:
    """Return the map (2, 3) from an aligned face of a side to the picture in which it is cut: larger, with a margin."""
    scale = SIDE / side
    return np.array([[scale, 0, MARGIN * SIDE + (scale - 1) / 2], [0, scale, MARGIN * SIDE + (scale - 1) / 2]])


def cut(photo: Pixels, likely: Likely, matrix: Matrix) -> Pixels:
    """Return the region of a mask in the picture of `frame`, uint8 (h, w), 0 or 255.

    By GrabCut (C. Rother, V. Kolmogorov and A. Blake, SIGGRAPH 2004; OpenCV): of what is likely, the colors are learned
    that mask and surroundings have, and the border is put where these differ.

    Args:
        photo: RGB uint8 (H, W, 3).
        likely: how likely each pixel of an aligned face is of the mask, float32 (height, side). It may go on below.
        matrix: from the photo's pixels to the aligned face's, (2, 3).
    """
    side = likely.shape[1]
    there = frame(side)
    shape = np.round((np.array(likely.shape) + 2 * MARGIN * side) * SIDE / side).astype(int)
    share = np.asarray(cv2.warpAffine(likely, there, tuple(shape[::-1].tolist()), flags=cv2.INTER_LINEAR), np.float32)
    clear = share >= CLEAR
    to = joined(there, matrix)
    labels = np.full(share.shape, cv2.GC_BGD, np.uint8)
    for least, label in ((NEVER, cv2.GC_PR_BGD), (PERHAPS, cv2.GC_PR_FGD), (SURE, cv2.GC_FGD)):
        labels[share >= least] = label
    of_mask = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    if of_mask.any() and not of_mask.all():
        picture = alignment.warp(photo, to, int(shape.max()))[: shape[0], : shape[1]]
        cv2.setRNGSeed(0)  # colors are put together by chance
        cv2.grabCut(
            np.ascontiguousarray(picture), labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 1, cv2.GC_INIT_WITH_MASK
        )
        clear |= np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))
    return np.where(clear, np.uint8(255), np.uint8(0))


def joined(last: Matrix, first: Matrix) -> alignment.Matrix:
    """Return the map (2, 3) that two give one after the other."""
    return np.column_stack([last[:, :2] @ first[:, :2], last[:, :2] @ first[:, 2] + last[:, 2]])
