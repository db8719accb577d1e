"""What else can fill a hole, and needs no training: the rows beside ours in the table.

Faces are RGB uint8 (H, W, 3), aligned and of one size; regions uint8 (H, W), not 0 in the hole.
"""

from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from stages.compute import device
from stages.core.images import Pixels
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
        faces: of the training people, of one size; an array of them, uint8 (n, H, W, 3), may lie on the disk.
    """

    def __init__(self, faces: Sequence[Pixels] | Pixels) -> None:
        self.faces = np.asarray(faces)
        self.on = device.chosen()
        self.mean = np.asarray(np.round(self.faces.mean(0, dtype=np.float64)), np.uint8)

    def mean_face(self, face: Pixels, region: Pixels) -> Pixels:
        """Put the mean face into the hole."""
        return filled(face, region, self.mean)

    def fitted_means(self, faces: Sequence[Pixels], regions: Sequence[Pixels]) -> list[Pixels]:
        """Put the mean face into each hole, its gain and offset fitted to what is visible."""
        made = device.apply(self.relit, self.on, faces, regions)
        return [filled(*one) for one in zip(faces, regions, made, strict=True)]

    def relit(self, faces: Tensor, regions: Tensor) -> Tensor:
        """Return the mean face in the light of each face, uint8 (n, H, W, 3).

        Args:
            faces: uint8 (n, 3, H, W), on the device.
            regions: uint8 (n, H, W), there, too.
        """
        mean = torch.from_numpy(self.mean).to(faces.device).permute(2, 0, 1)[None]
        light = fitted(mean.float() / 255, faces.float() / 255, (regions > 0).float()[:, None])
        return (light.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1)

    def nearest(self, face: Pixels, region: Pixels) -> Pixels:
        """Put into the hole what the training face has there that looks most alike in what is visible."""
        visible = (region == 0)[..., None]
        distances = [np.square((one.astype(np.int32) - face) * visible).sum() for one in self.faces]
        return filled(face, region, self.faces[int(np.argmin(distances))])


def filled(face: Pixels, region: Pixels, content: Pixels) -> Pixels:
    """Return a face with other content in the hole."""
    return np.where((region > 0)[..., None], content, face)
