"""Taking a mask off: its pixels become 0. Images are RGB uint8 (H, W, 3), regions uint8 (H, W), not 0 at the mask."""

import numpy as np

from stages.core.images import Pixels

GAP = 4  # pixels between the columns of a triptych


def remove(image: Pixels, region: Pixels) -> Pixels:
    """Return the image with 0 in every pixel of the region."""
    return np.where((region > 0)[..., None], np.uint8(0), image)


def upper_half(image: Pixels) -> Pixels:
    """Return an aligned face with 0 in its lower half, where masks are: brows, eyes and the bridge of the nose stay."""
    result = image.copy()
    result[image.shape[0] // 2 :] = 0
    return result


def equalize(first: Pixels, second: Pixels, of_first: Pixels, of_second: Pixels) -> tuple[Pixels, Pixels]:
    """Return two aligned photos of one size with both masks removed from both, so that they show the same parts.

    What one photo hides, the other must not show either, or two photos of a person differ by it. Photos without a mask
    come back as they are. Both are aligned to the same template; `of_first` and `of_second` are the masks' regions.

    Raises:
        ValueError: the photos differ in size.
    """
    if first.shape != second.shape:
        raise ValueError(f"photos of {first.shape[:2]} and {second.shape[:2]} pixels show different parts")
    either = np.maximum(of_first, of_second)
    return remove(first, either), remove(second, either)


def triptych(image: Pixels, region: Pixels) -> Pixels:
    """Return input, mask region and output side by side, RGB (H, 3 W + 2 gaps, 3)."""
    gap = np.full((image.shape[0], GAP, 3), 255, np.uint8)
    white = np.repeat(np.where(region > 0, np.uint8(255), np.uint8(0))[..., None], 3, axis=2)
    return np.concatenate([image, gap, white, gap, remove(image, region)], axis=1)
