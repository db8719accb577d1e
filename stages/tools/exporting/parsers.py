"""The graph of a parser: SCANet or the extractor."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stages.compute import weights
from stages.core import images
from stages.faces.resize import resized
from stages.parsing import parser
from stages.tools.exporting.graph import Graph, example


class Module(nn.Module):
    """What `parser.Parser` does, from pixels to classes."""

    def __init__(self, trained: parser.Parser) -> None:
        super().__init__()
        self.network: Any = trained.network.to("cpu", memory_format=torch.contiguous_format)
        self.size = trained.size

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Return classes, uint8 (n, h, w), and logits, float32 (n, classes, h, w), of faces (n, 3, h, w), 0 to 255."""
        preprocessor = self.network.data_preprocessor
        inputs = (resized(faces, (self.size, self.size)) - preprocessor.mean) / preprocessor.std
        logits = self.network(inputs, mode="tensor")
        logits = nn.functional.interpolate(logits, faces.shape[2:], mode="bilinear", align_corners=False)
        return logits.argmax(1).to(torch.uint8), logits


def graph(path: Path) -> Graph:
    """Return the graph of a parser that `train_parser` wrote; errors are those of `weights.load`."""
    about, _ = weights.load(path, parser.KIND)
    trained, own = parser.load(path, about["name"]), parser.load(path, about["name"])

    return Graph(
        module=Module(trained).eval(),
        example=(example(trained.size),),
        outputs={
            "labels": "uint8 (batch, height, width): the class of each pixel, an index into the list of classes",
            "logits": "float32 (batch, classes, height, width): softmax over the classes gives probabilities",
        },
        pipeline=lambda face: {"labels": np.stack(own([images.decode(face["image"])]))},
        facts={"name": about["name"], "classes": list(trained.classes), "trained_on_pixels": trained.size},
    )
