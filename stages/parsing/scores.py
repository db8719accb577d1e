"""Scores of label maps, from pooled confusion matrices."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stages.core.errors import UnmaskError
from stages.faces.parts import IGNORED

Counts = NDArray[np.int64]


def confusion(truth: NDArray[np.uint8], found: NDArray[np.uint8], n: int) -> Counts:
    """Return how many pixels of class i (row) were taken for class j (column), int64 (n, n).

    Args:
        truth: label map; pixels of value 255 do not count.
        found: label map of the same shape.
        n: number of classes.

    Raises:
        UnmaskError: a class id from n on, or the shapes differ. mmseg drops such pixels and reports IoU 0 or nan.
    """
    if truth.shape != found.shape:
        raise UnmaskError(f"label maps of {truth.shape} and {found.shape} pixels cannot be compared")
    counted = truth != IGNORED
    pairs = truth[counted].astype(np.int64) * n + found[counted]
    for labels in (truth[counted], found[counted]):
        if labels.size and labels.max() >= n:
            raise UnmaskError(f"a label map holds class {labels.max()}, known are 0 to {n - 1}")
    return np.bincount(pairs, minlength=n * n).reshape(n, n)


def from_confusion(counts: Counts, names: Sequence[str]) -> dict[str, object]:
    """Return the scores of the CelebAMask-HQ papers: F1 by class and its mean over foreground classes; mIoU; accuracy.

    Args:
        counts: pooled over all images, int64 (n, n), truth by row.
        names: of the classes, background first.

    Returns:
        `f1` by name and `mean_f1` (without background), `mean_iou` (with it), `pixel_accuracy`, and under `absent` the
        classes that no pixel of the truth has: they are in no mean.

    Raises:
        UnmaskError: there is not one labeled pixel, or none of a foreground class.
    """
    hits = np.diag(counts)
    truth, found = counts.sum(1), counts.sum(0)
    present = truth > 0
    if not present[1:].any():
        raise UnmaskError("not one pixel of the images has a foreground class: nothing to score")
    f1 = 2 * hits / np.maximum(truth + found, 1)
    iou = hits / np.maximum(truth + found - hits, 1)
    return {
        "f1": {name: float(f1[i]) for i, name in enumerate(names) if i and present[i]},
        "mean_f1": float(f1[1:][present[1:]].mean()),
        "mean_iou": float(iou[present].mean()),
        "pixel_accuracy": float(hits.sum() / counts.sum()),
        "absent": [name for i, name in enumerate(names) if not present[i]],
    }


def merged(counts: Counts, names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> dict[str, float]:
    """Return the F1 of groups of classes, each taken for one class: what is confused within a group is right.

    Args:
        counts: as of `confusion`.
        names: of the classes.
        groups: names of the classes in each, by its name. A group of which the truth has no pixel is left out.
    """
    found = {}
    for group, members in groups.items():
        ids = [names.index(name) for name in members]
        truth, said = counts[ids].sum(), counts[:, ids].sum()
        if truth:
            found[group] = float(2 * counts[np.ix_(ids, ids)].sum() / (truth + said))
    return found
