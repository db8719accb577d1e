"""What else can fill a hole, and needs no training: the rows beside ours in the table.

Faces are RGB uint8 (H, W, 3), aligned and of one size; regions uint8 (H, W), not 0 in the hole.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch

from stages.common.images import Pixels
from stages.inpainting.networks import fitted

RADIUS = 3  # pixels around a pixel from which Telea's method takes its value
Fill = Callable[[Pixels, Pixels], Pixels]
"""Maps a face and its region to the face, filled."""


def telea(face: Pixels, region: Pixels) -> Pixels:
    """Continue the surroundings into the hole (A. Telea, 2004; OpenCV)."""
    return np.asarray(cv2.inpaint(face, np.uint8(region > 0), RADIUS, cv2.INPAINT_TELEA), np.uint8)


class Known:
    """Fills holes from faces that were seen in training.

    Args:
        faces: of the training people, of one size.
    """

    def __init__(self, faces: Sequence[Pixels]) -> None:
        self.faces = np.stack(faces)
        self.mean = np.asarray(np.round(self.faces.mean(0, dtype=np.float64)), np.uint8)

    def mean_face(self, face: Pixels, region: Pixels) -> Pixels:
        """Put the mean face into the hole."""
        return filled(face, region, self.mean)

    def fitted_mean(self, face: Pixels, region: Pixels) -> Pixels:
        """Put the mean face into the hole, its gain and offset fitted to what is visible."""
        mean, image = (torch.from_numpy(one.transpose(2, 0, 1)[None]).float() / 255 for one in (self.mean, face))
        hole = torch.from_numpy(region > 0)[None, None].float()
        light = fitted(mean, image, hole)[0].clamp(0, 1).numpy().transpose(1, 2, 0)
        return filled(face, region, np.uint8(np.round(light * 255)))

    def nearest(self, face: Pixels, region: Pixels) -> Pixels:
        """Put into the hole what the training face has there that looks most alike in what is visible."""
        visible = (region == 0)[..., None]
        distances = [np.square((one.astype(np.int32) - face) * visible).sum() for one in self.faces]
        return filled(face, region, self.faces[int(np.argmin(distances))])


def filled(face: Pixels, region: Pixels, content: Pixels) -> Pixels:
    """Return a face with other content in the hole."""
    return np.where((region > 0)[..., None], content, face)
