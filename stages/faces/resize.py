"""The one way in which images come to the side of a network: a training must see what the network will be asked about.

Pixels that were shrunk without an average are sharper than others, and a network that learned on such is at a loss.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stages.core.images import Pixels

Shape = tuple[int, int]  # height, width


def resized(images: Tensor, shape: Shape) -> Tensor:
    """Return images (n, c, h, w) scaled to (n, c, *shape), averaged where they shrink; the same at that size.

    They are floats, or on the CPU uint8: these come out a level or two off, as each step rounds. Callers leave out what
    does nothing at the right size; an ONNX graph cannot choose.
    """
    return functional.interpolate(images, shape, mode="bilinear", align_corners=False, antialias=True)


def around_holes(images: Tensor, holes: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Return images with holes scaled to a shape, so that nothing of a hole leaks into its border.

    Args:
        images: floats (n, c, h, w).
        holes: float (n, 1, h, w), 1 in the hole and 0 around it.
        shape: of the results.

    Returns:
        Images, which hold nothing of use in the hole, and holes: pixels that were hidden for the most part.
    """
    visible = resized(1 - holes, shape)
    return resized(images * (1 - holes), shape) / visible.clamp(min=1e-3), (visible < 0.5).float()


def resized_pixels(image: Pixels, shape: Shape) -> Pixels:
    """Return an image, uint8 (H, W, 3), scaled to (*shape, 3) by `resized`; at that size, the image itself."""
    if image.shape[:2] == shape:
        return image
    return pixels(resized(batch(image), shape))


def batch(image: Pixels) -> Tensor:
    """Return an image, uint8 (H, W, 3), as a batch of one, uint8 (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]


def pixels(one: Tensor) -> Pixels:
    """Return the image of a batch of one, uint8 (1, 3, H, W), as uint8 (H, W, 3)."""
    return np.ascontiguousarray(one[0].permute(1, 2, 0).numpy())
