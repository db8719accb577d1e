"""The graph of an inpainter."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from stages.compute import weights
from stages.core import images
from stages.core.images import Pixels
from stages.core.tables import Face
from stages.faces.resize import around_holes
from stages.inpainting import inpainter
from stages.inpainting.networks import Generator
from stages.tools.exporting.graph import FACES, SIDES, Graph, example, planes


class Module(nn.Module):
    """What `inpainter.Inpainter` does, from pixels to pixels, at `size` pixels a side."""

    def __init__(self, generator: Generator, size: int) -> None:
        super().__init__()
        self.generator = generator.to("cpu", memory_format=torch.contiguous_format)
        self.size = size

    def forward(self, faces: Tensor, regions: Tensor) -> Tensor:
        """Return faces (n, 3, h, w), 0 to 255, filled where regions (n, 1, h, w) are not 0; whole numbers."""
        outside = (regions <= 0).float()
        inputs, holes = around_holes(faces / 255, 1 - outside, (self.size, self.size))
        made = self.generator(inputs, holes) + self.generator(inputs.flip(3), holes.flip(3)).flip(3)
        made = (made / 2).clamp(0, 1)
        made = nn.functional.interpolate(made, faces.shape[2:], mode="bicubic", antialias=True).clamp(0, 1)
        filled = (made * 255).round()
        unlike = (faces - faces.mean(1, keepdim=True)).abs().amax((1, 2, 3), keepdim=True)
        filled = torch.where(unlike < 1e-3, filled.mean(1, keepdim=True).round(), filled)  # a gray photo stays gray
        return torch.where(outside > 0, faces, filled)


def graph(path: Path) -> Graph:
    """Return the graph of an inpainter that a training wrote; errors are those of `weights.load`."""
    about, _ = weights.load(path, inpainter.KIND)
    own, size = inpainter.load(path), about["size"]

    return Graph(
        module=Module(inpainter.load(path).generator, size).eval(),
        example=(example(size), example(size, 1)),
        inputs={
            "faces": FACES,
            "regions": "float32 (batch, 1, height, width): not 0 where the face is to be filled, such as behind a mask",
        },
        outputs={
            "filled": "float32 (batch, 3, height, width): RGB, whole numbers of 0 to 255; outside the regions the input"
        },
        free={"faces": SIDES, "regions": SIDES},
        feed=lambda face: {"faces": planes([images.decode(face["image"])]), "regions": planes([_region(face)])},
        pipeline=lambda face: {"filled": planes(own([images.decode(face["image"])], [_region(face)]))},
        facts={"trained_on_pixels": size},
    )


def _region(face: Face) -> Pixels:
    """Return a face's mask, uint8 (H, W); without one, the lower half."""
    if face.get("mask") is not None:
        return images.decode_gray(face["mask"])
    region = np.zeros(images.decode(face["image"]).shape[:2], np.uint8)
    region[region.shape[0] // 2 :] = 255
    return region
