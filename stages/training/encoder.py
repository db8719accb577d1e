"""The encoder of parsers and detector: a ResNet that keeps the detail of small faces.

Shapes are (batch, channels, height, width).
"""

from typing import Any

from torch import Tensor, nn

from stages.training import openmmlab

openmmlab.enable()

from mmcv.cnn import ConvModule  # noqa: E402 -- OpenMMLab is importable only now
from mmseg.models.backbones import ResNet  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402


@MODELS.register_module()
class FaceResNet(ResNet):  # type: ignore[misc] -- mmseg has no types
    """A ResNet that keeps the detail of small faces: it also gives a layer of full size and the stem's output.

    A face of 112 pixels has eyes 5 pixels high and straps of one pixel; at the usual stride of 4 they are gone.

    Args:
        fine_channels: of the layer of full size.
        pool: whether the stem's output is pooled before the first stage, as in the original.
        deep_stem: whether the stem has three convolutions (ResNet-v1c), or one, as torchvision's ResNets.
        options: of mmseg's ResNet. `out_indices` counts its four stages.
    """

    def __init__(self, *, fine_channels: int, pool: bool, deep_stem: bool = True, **options: Any) -> None:
        super().__init__(deep_stem=deep_stem, avg_down=False, **options)
        self.fine = ConvModule(3, fine_channels, 3, padding=1, norm_cfg=self.norm_cfg)
        if not pool:
            self.maxpool = nn.Identity()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return features of the full size, of half of it, and of the stages."""
        fine, detail = self.fine(x), self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        x, stages = self.maxpool(detail), []
        for name in self.res_layers:
            x = getattr(self, name)(x)
            stages.append(x)
        return fine, detail, *(stages[index] for index in self.out_indices)
