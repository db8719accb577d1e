"""The networks that OpenMMLab lacks: SCANet's head and the U-Net head of the extractor.

Shapes are (batch, channels, height, width).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from stages.training import openmmlab

openmmlab.enable()

from mmcv.cnn import ConvModule  # noqa: E402 -- OpenMMLab is importable only now
from mmseg.models.decode_heads.da_head import CAM, PAM  # noqa: E402
from mmseg.models.decode_heads.decode_head import BaseDecodeHead  # noqa: E402
from mmseg.models.losses import BoundaryLoss  # noqa: E402
from mmseg.registry import MODELS  # noqa: E402

from stages.training import encoder  # noqa: E402, F401 -- registers it

EDGE_CHANNELS = 16  # of SCANet's edge branch, for each depth


def edges(labels: Tensor) -> Tensor:
    """Return where the class changes, float32 (n, 1, h, w), from class ids (n, 1, h, w).

    It is 1 at a pixel with another class among its 8 neighbors, else 0.
    """
    padded = functional.pad(labels.float(), (1, 1, 1, 1), mode="replicate")
    highest = functional.max_pool2d(padded, 3, stride=1)
    lowest = -functional.max_pool2d(-padded, 3, stride=1)
    return (highest != lowest).float()


def soft_f1(logits: Tensor, labels: Tensor) -> Tensor:
    """Return 1 minus the mean F1 of the classes in a batch, probabilities in place of decisions (Dice loss).

    mmseg's DiceLoss pools all classes, so large ones decide; here each class counts the same, as in the score.

    Args:
        logits: (n, classes, h, w).
        labels: class ids (n, h, w); pixels of an id from `classes` on do not count.
    """
    classes = logits.shape[1]
    kept = labels < classes
    found = logits.float().softmax(1) * kept[:, None]
    right = found.gather(1, labels.clamp(max=classes - 1)[:, None])[:, 0]
    hits = found.new_zeros(classes).index_add(0, labels[kept], right[kept])
    truth = torch.bincount(labels[kept], minlength=classes)
    present = truth > 0
    return 1 - (2 * hits / (truth + found.sum((0, 2, 3))))[present].mean()


@MODELS.register_module()
class SCANetHead(BaseDecodeHead):  # type: ignore[misc]
    """Spatial and channel attention over the deepest features, and a branch that finds the edges between parts.

    Both attentions are DANet's (arXiv:1809.02983), the edge branch is that of CE2P (arXiv:1809.05996): features of
    three depths, from which the edge is told, join the context before pixels are classified.

    Args:
        in_channels: of the layer of full size, and of the features of three depths, the finest first.
        context_channels: of the attentions.
        attention: without it, plain convolutions stand in its place.
        edge: whether there is an edge branch.
        options: of mmseg's BaseDecodeHead; `channels` are those of the last layer, of full size.
    """

    def __init__(
        self,
        *,
        in_channels: list[int],
        context_channels: int = 64,
        attention: bool = True,
        edge: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(in_channels=in_channels, input_transform="multiple_select", **options)
        style = {"norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        full, shallow, _, deep = in_channels
        wide = context_channels
        self.spatial = nn.Sequential(
            ConvModule(deep, wide, 3, padding=1, **style),
            PAM(wide, max(8, wide // 8)) if attention else nn.Identity(),
            ConvModule(wide, wide, 3, padding=1, **style),
        )
        self.channel = nn.Sequential(
            ConvModule(deep, wide, 3, padding=1, **style),
            CAM() if attention else nn.Identity(),
            ConvModule(wide, wide, 3, padding=1, **style),
        )
        self.detail = ConvModule(shallow, wide // 2, 1, **style)
        joined = wide + wide // 2
        self.edge_loss = BoundaryLoss() if edge else None
        if edge:
            self.edge = nn.ModuleList(
                nn.Sequential(
                    ConvModule(depth, EDGE_CHANNELS, 1, **style),
                    ConvModule(EDGE_CHANNELS, EDGE_CHANNELS, 3, padding=1, **style),
                )
                for depth in in_channels[1:]
            )
            self.edge_logit = nn.Conv2d(3 * EDGE_CHANNELS, 1, 1)
            joined += 3 * EDGE_CHANNELS
        self.fuse = nn.Sequential(
            ConvModule(joined, wide, 1, **style),
            ConvModule(wide, self.channels, 3, padding=1, **style),
        )
        self.refine = ConvModule(self.channels + full, self.channels, 3, padding=1, **style)

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor | tuple[Tensor, Tensor | None]:
        """Return logits (n, classes, h, w); in training also the edge's (n, 1, h/2, w/2), None without that branch."""
        full, *depths = self._transform_inputs(inputs)
        size = depths[0].shape[2:]
        joined, edge = [self.spatial(depths[-1]) + self.channel(depths[-1]), self.detail(depths[0])], None
        if self.edge_loss is not None:
            found = [branch(feature) for branch, feature in zip(self.edge, depths, strict=True)]
            edge = _pointwise(self.edge_logit, found, size)
            joined += found
        join, smooth = self.fuse
        fused = join.activate(join.norm(_pointwise(join.conv, joined, size)))
        coarse = _enlarged(smooth(fused), full.shape[2:])
        logits = self.cls_seg(self.refine(torch.cat([coarse, full], 1)))
        return (logits, edge) if self.training else logits

    def loss_by_feat(self, seg_logits: tuple[Tensor, Tensor | None], batch_data_samples: Any) -> dict[str, Tensor]:
        """Return the losses of pixels, classes and edges."""
        logits, edge = seg_logits
        labels = self._stack_batch_gt(batch_data_samples)
        logits = _resized(logits, labels.shape[2:])
        losses: dict[str, Tensor] = {
            "loss_ce": self.loss_decode(logits, labels[:, 0], ignore_index=self.ignore_index),
            "loss_f1": soft_f1(logits[..., ::2, ::2], labels[:, 0, ::2, ::2]),  # a sample will do
        }
        if edge is not None and self.edge_loss is not None:
            losses["loss_edge"] = self.edge_loss(_resized(edge, labels.shape[2:]), edges(labels))
        return losses


@MODELS.register_module()
class UNetHead(BaseDecodeHead):  # type: ignore[misc]
    """The decoder of a U-Net over any encoder: double the size, join the skip connection, two convolutions.

    Args:
        in_channels: of the encoder's features, the finest first.
        decoder_channels: of each step, the deepest first: as many as there are skips.
        options: of mmseg's BaseDecodeHead.
    """

    def __init__(self, *, in_channels: list[int], decoder_channels: list[int], **options: Any) -> None:
        super().__init__(
            in_channels=in_channels, channels=decoder_channels[-1], input_transform="multiple_select", **options
        )
        style = {"norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        *skips, deepest = in_channels
        self.steps = nn.ModuleList(
            nn.Sequential(
                ConvModule(deep + skip, channels, 3, padding=1, **style),
                ConvModule(channels, channels, 3, padding=1, **style),
            )
            for deep, skip, channels in zip(
                [deepest, *decoder_channels[:-1]], reversed(skips), decoder_channels, strict=True
            )
        )

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Return logits (n, classes, h, w)."""
        *skips, x = self._transform_inputs(inputs)
        for step, skip in zip(self.steps, reversed(skips), strict=True):
            x = step(torch.cat([_enlarged(x, skip.shape[2:]), skip], 1))
        return self.cls_seg(x)


def _pointwise(conv: nn.Conv2d, features: Sequence[Tensor], size: Any) -> Tensor:
    """Return a 1x1 convolution of features that were enlarged to a size and joined.

    It may as well come before pixels are repeated: each feature is convolved at its own size, which is half the work.
    """
    weights = conv.weight.split([feature.shape[1] for feature in features], 1)
    parts = [functional.conv2d(feature, weight) for feature, weight in zip(features, weights, strict=True)]
    total = sum(part if part.shape[2:] == size else _enlarged(part, size) for part in parts)
    return total if conv.bias is None else total + conv.bias[:, None, None]


def _enlarged(features: Tensor, size: Any) -> Tensor:
    """Repeat features to a larger size: the convolutions that follow smooth them, at a tenth of bilinear's time."""
    return functional.interpolate(features, size=tuple(size), mode="nearest")


def _resized(x: Tensor, size: Any) -> Tensor:
    return functional.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)
