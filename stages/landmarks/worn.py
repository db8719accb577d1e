"""Whether a face wears a mask: a linear classifier on what CenterFace and the landmarker see of it.

CenterFace learned from photos of crowds, many of whom have something before their faces; the landmarker has only seen
drawn masks, and doubts real ones. Its released weights come from `python -m stages.landmarks.train_worn`.
"""

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import nn

from stages.compute import weights
from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.landmarks import centerface, landmarker
from stages.landmarks.landmarker import Square, crop
from stages.landmarks.shipped import SHIPPED

KIND = "worn"
WEIGHTS = SHIPPED / "worn.safetensors"
SIZE = 128  # pixels of a crop
MOST = 6.0  # of the landmarker's logit
TRUST = 3.0  # by which that logit counts more than one of the 6144 features: all weights are penalized alike
WORN = 0.7  # from this probability on, a mask is worn; chosen on FaceMaskDetection's half val and bare crops of ORL


def empty() -> nn.Linear:
    """Return the classifier without its weights."""
    return nn.Linear(96 * (SIZE // 16) ** 2 + 1, 1)


@functools.cache
def _classifier() -> tuple[NDArray[np.float64], float]:
    _, state = weights.load(WEIGHTS, KIND)
    linear = empty().double().requires_grad_(False)
    weights.fill(linear, {name: value.double() for name, value in state.items()}, WEIGHTS)
    return linear.weight.numpy()[0], float(linear.bias)


def features(photo: Pixels, faces: Sequence[Points]) -> NDArray[np.float64]:
    """Return what the classifier is told of faces with landmarks (68, 2) in an RGB photo (H, W, 3), (n, 6145).

    It is the mean of what is seen of a face and of its mirror image: CenterFace's features, and last the landmarker's
    logit of a mask.
    """
    squares = [Square.around(points) for points in faces]
    crops = np.stack([crop(photo, square.matrix(size=SIZE), SIZE) for square in squares])
    seen = [centerface.features(some).reshape(len(squares), -1) for some in (crops, crops[:, :, ::-1])]
    small = [crop(photo, square.matrix()) for square in squares]
    both = landmarker.outputs([*small, *(one[:, ::-1] for one in small)])[1][:, 1]
    masks = both.reshape(2, -1).astype(np.float64).clip(-MOST, MOST).mean(0)
    return np.column_stack([np.mean(seen, 0, dtype=np.float64), TRUST * masks])


def probabilities(photo: Pixels, faces: Sequence[Points]) -> list[float]:
    """Return of each face with landmarks (68, 2) in an RGB photo (H, W, 3) how likely it wears a mask."""
    if not len(faces):
        return []
    weight, bias = _classifier()
    return [float(1 / (1 + np.exp(-(one @ weight + bias)))) for one in features(photo, faces)]
