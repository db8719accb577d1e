"""A face of a photo that was filled in, and how it comes back into the photo."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.images import Pixels
from stages.faces import alignment

AROUND = 8  # pixels that are looked at around what is filled in by them


@dataclass(frozen=True)
class Filled:
    """What a generator made of a face of a photo.

    Attributes:
        picture: the face with its region filled, RGB uint8 (size, size, 3); what lies around the region is of no use.
        matrix: from the photo's pixels to the picture's, float (2, 3).
        region: that was filled, as it lies in the photo, uint8 (H, W), 0 or 255.
        generator: that made it.
    """

    picture: Pixels
    matrix: NDArray[np.floating]
    region: Pixels
    generator: str

    def laid_into(self, photo: Pixels) -> Pixels:
        """Return the photo (H, W, 3) with the region as the picture shows it; no other pixel changes.

        What the picture does not show goes on as what is around it, by OpenCV's Telea.
        """
        left, top, width, height = cv2.boundingRect(self.region)
        x, y = max(0, left - AROUND), max(0, top - AROUND)
        window = slice(y, top + height + AROUND), slice(x, left + width + AROUND)
        part, region = photo[window], self.region[window] > 0
        matrix = np.column_stack([self.matrix[:, :2], alignment.apply(self.matrix, np.array([[x, y]]))[0]])
        shown = alignment.laid_back(np.full(self.picture.shape[:2], 255, np.uint8), matrix, part.shape) >= 128
        # The picture's outermost pixels go on, so that its border leaves no dark line.
        laid = alignment.laid_back(self.picture, matrix, part.shape, cv2.BORDER_REPLICATE)
        filled = np.where((region & shown)[..., None], laid, part)
        if (beyond := region & ~shown).any():
            filled = cv2.inpaint(filled, np.where(beyond, np.uint8(255), np.uint8(0)), 3, cv2.INPAINT_TELEA)
        result = photo.copy()
        result[window] = filled
        return result
