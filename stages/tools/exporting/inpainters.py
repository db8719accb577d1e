"""The graph of an inpainter."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stages.compute import weights
from stages.core import images
from stages.core.images import Pixels
from stages.core.tables import Face
from stages.inpainting import inpainter
from stages.inpainting.networks import Generator
from stages.tools.exporting.graph import FACES, SIDES, Arrays, Graph, picture, planes, resized


class Module(nn.Module):
    """What `inpainter.Inpainter` does, from pixels to pixels.

    Args:
        generator: fills holes.
        size: side of the images it was trained on, pixels.
    """

    def __init__(self, generator: Generator, size: int) -> None:
        super().__init__()
        self.generator = generator.to("cpu", memory_format=torch.contiguous_format)
        self.size = size

    def forward(self, faces: Tensor, regions: Tensor) -> Tensor:
        """Return faces (n, 3, h, w), 0 to 255, filled where regions (n, 1, h, w) are not 0; whole numbers."""
        outside = (regions <= 0).float()
        around = resized(outside, self.size)
        inputs = resized(faces / 255 * outside, self.size) / around.clamp(min=1e-3)
        holes = (around < 0.5).float()
        made = self.generator(inputs, holes) + self.generator(inputs.flip(3), holes.flip(3)).flip(3)
        made = (made / 2).clamp(0, 1)
        made = nn.functional.interpolate(made, faces.shape[2:], mode="bicubic", antialias=True).clamp(0, 1)
        filled = (made * 255).round()
        unlike = (faces - faces.mean(1, keepdim=True)).abs().amax((1, 2, 3), keepdim=True)
        filled = torch.where(unlike < 1e-3, filled.mean(1, keepdim=True).round(), filled)  # a gray photo stays gray
        return torch.where(outside > 0, faces, filled)


def graph(path: Path) -> Graph:
    """Return the graph of an inpainter that a training wrote.

    Raises:
        UnmaskError: no such file, or it holds something else.
    """
    about, _ = weights.load(path, inpainter.KIND)
    own, size = inpainter.load(path), about["size"]

    def pipeline(face: Face) -> Arrays:
        return {"filled": planes(own([picture(face)], [_region(face)]))}

    return Graph(
        module=Module(inpainter.load(path).generator, size).eval(),
        example=(torch.zeros(2, 3, size + 8, size + 16), torch.zeros(2, 1, size + 8, size + 16)),
        inputs={
            "faces": FACES,
            "regions": "float32 (batch, 1, height, width): not 0 where the face is to be filled, such as behind a mask",
        },
        outputs={
            "filled": "float32 (batch, 3, height, width): RGB, whole numbers of 0 to 255; outside the regions the input"
        },
        free={"faces": SIDES, "regions": SIDES},
        feed=lambda face: {"faces": planes([picture(face)]), "regions": planes([_region(face)])},
        pipeline=pipeline,
        facts={"trained_on_pixels": size},
    )


def _region(face: Face) -> Pixels:
    """Return a face's mask, uint8 (H, W); without one, the lower half."""
    if face.get("mask") is not None:
        return images.decode_gray(face["mask"])
    region = np.zeros(picture(face).shape[:2], np.uint8)
    region[region.shape[0] // 2 :] = 255
    return region
