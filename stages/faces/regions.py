"""How well a region that was found agrees with the true one."""

import numpy as np
from numpy.typing import NDArray


def scores(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> dict[str, float]:
    """Return IoU, recall, precision and accuracy of one image's region; a region rightly found empty has all 1."""
    both, either = int((truth & found).sum()), int((truth | found).sum())
    return {
        "iou": both / either if either else 1.0,
        "recall": both / int(truth.sum()) if truth.any() else 1.0,
        "precision": both / int(found.sum()) if found.any() else 1.0,
        "accuracy": float((truth == found).mean()),
    }
