"""The graph of a detector: mmdet's Mask R-CNN, from the image to boxes, scores and masks.

mmdet's own inference cannot be traced: it keeps lists of objects and asks how many boxes are left. Here the same
arithmetic is written for one image of a fixed size, with the network's own layers, coders and settings; between the
steps there are always as many boxes as there may be at most, and such as do not count have a score of -1.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.cnn.utils import fuse_conv_bn
from torch import Tensor, nn
from torchvision.ops import nms, roi_align

from stages.compute import weights
from stages.core.errors import UnmaskError
from stages.core.tables import Face
from stages.detection import detector
from stages.detection.coco import CLASSES
from stages.tools.exporting.graph import Arrays, Graph, picture, planes

NOTHING = -1.0  # score of a box that does not count


class Module(nn.Module):
    """What `detector.Detector` does with one image of the size it was trained on.

    Args:
        network: an mmdet Mask R-CNN with one class.
        size: side of the image, pixels.

    Raises:
        UnmaskError: the network takes the features of its boxes from several levels, or has several classes.
    """

    def __init__(self, network: Any, size: int) -> None:
        super().__init__()
        self.network = fuse_conv_bn(network).to("cpu", memory_format=torch.contiguous_format)
        self.size = size
        heads = network.roi_head
        extractors = (heads.bbox_roi_extractor, heads.mask_roi_extractor)
        if any(len(extractor.roi_layers) > 1 for extractor in extractors) or heads.bbox_head.num_classes > 1:
            raise UnmaskError("only a Mask R-CNN with one class and one level of features for its boxes is exported")
        with torch.no_grad():
            scores, _ = network.rpn_head(network.extract_feat(torch.zeros(1, 3, size, size)))
        anchors = network.rpn_head.prior_generator.grid_priors([score.shape[-2:] for score in scores], device="cpu")
        for level, boxes in enumerate(anchors):
            self.register_buffer(f"anchors_{level}", boxes, persistent=False)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is found in an image (1, 3, size, size), 0 to 255, the most certain first.

        Returns:
            Boxes, float32 (k, 4), x1, y1, x2, y2 in pixels; scores, float32 (k,); masks, bool (k, size, size).
        """
        preprocessor, heads = self.network.data_preprocessor, self.network.roi_head
        features = self.network.extract_feat((faces - preprocessor.mean) / preprocessor.std)
        proposals, _ = self._proposals(features)
        boxes, scores = self._boxes(features, proposals)
        # Masks are drawn for what was found alone, and for one box at least, as a trace must not be of nothing.
        drawn = (scores > NOTHING) | (torch.arange(len(scores)) == 0)
        boxes, scores = boxes[drawn], scores[drawn]
        torch._check(boxes.shape[0] > 0)
        cells = heads.mask_head(_pooled(heads.mask_roi_extractor, features, boxes)).sigmoid()
        masks = self._pasted(cells, boxes) >= heads.test_cfg.mask_thr_binary
        found = scores > NOTHING
        return boxes[found], scores[found], masks[found]

    def _proposals(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return the boxes (n, 4) that the region proposal network thinks worth a look, and their scores (n,)."""
        head = self.network.rpn_head
        config = head.test_cfg
        boxes, scores, levels = [], [], []
        for level, (score, change) in enumerate(zip(*head(features), strict=True)):
            of_level = score[0].permute(1, 2, 0).reshape(-1).sigmoid()
            changes = change[0].permute(1, 2, 0).reshape(-1, 4)
            best, indices = of_level.topk(min(config.nms_pre, of_level.shape[0]))
            anchors = getattr(self, f"anchors_{level}")[indices]
            boxes.append(_decoded(head.bbox_coder, anchors, changes[indices], self.size))
            scores.append(best)
            levels.append(torch.full_like(best, level))
        every, certain = torch.cat(boxes), torch.cat(scores)
        sides = every[:, 2:] - every[:, :2]
        certain = torch.where((sides > config.min_bbox_size).all(1), certain, NOTHING)
        # Boxes of different levels do not compete: they are moved apart, as mmcv does it.
        apart = every + (torch.cat(levels) * (every.max() + 1))[:, None]
        return _best(apart, every, certain, config.nms.iou_threshold, config.max_per_img)

    def _boxes(self, features: tuple[Tensor, ...], proposals: Tensor) -> tuple[Tensor, Tensor]:
        """Return the boxes (n, 4) of masks, and their scores (n,)."""
        heads = self.network.roi_head
        config = heads.test_cfg
        logits, changes = heads.bbox_head(_pooled(heads.bbox_roi_extractor, features, proposals))
        boxes = _decoded(heads.bbox_head.bbox_coder, proposals, changes, self.size)
        scores = logits.softmax(-1)[:, 0]
        scores = torch.where(scores > config.score_thr, scores, NOTHING)
        return _best(boxes, boxes, scores, config.nms.iou_threshold, config.max_per_img)

    def _pasted(self, cells: Tensor, boxes: Tensor) -> Tensor:
        """Return masks (n, size, size), 0 to 1, from those within the boxes, (n, 1, h, w)."""
        places = torch.arange(self.size, dtype=torch.float32) + 0.5
        low, sides = boxes[:, :2, None], (boxes[:, 2:] - boxes[:, :2])[..., None]
        x, y = ((places - low) / sides.clamp(min=1e-6) * 2 - 1).unbind(1)
        shape = (-1, self.size, self.size)
        grid = torch.stack([x[:, None, :].expand(shape), y[:, :, None].expand(shape)], 3)
        return nn.functional.grid_sample(cells, grid, align_corners=False)[:, 0]


def _best(apart: Tensor, boxes: Tensor, scores: Tensor, overlap: float, n: int) -> tuple[Tensor, Tensor]:
    """Return the n best boxes that do not overlap, (n, 4), and their scores; such as are missing score -1.

    Args:
        apart: the boxes, (m, 4), where they compete.
        boxes: the same as they are.
        scores: (m,).
        overlap: above which the box with the lower score goes.
        n: how many.
    """
    every = nms(apart, scores, overlap)  # by falling score
    kept = torch.cat([every, every.new_zeros(n)])[:n]
    there = torch.arange(n) < every.shape[0]
    return boxes[kept], torch.where(there, scores[kept], NOTHING)


def _decoded(coder: Any, boxes: Tensor, changes: Tensor, size: int) -> Tensor:
    """Return boxes (n, 4) changed as a network says, (n, 4), and cut at the image's border."""
    return coder.decode(boxes, changes, max_shape=(size, size))


def _pooled(extractor: Any, features: tuple[Tensor, ...], boxes: Tensor) -> Tensor:
    """Return the features in boxes (n, 4), (n, c, h, w)."""
    layer = extractor.roi_layers[0]
    rois = torch.cat([torch.zeros_like(boxes[:, :1]), boxes], 1)
    return roi_align(features[0], rois, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)


def graph(path: Path) -> Graph:
    """Return the graph of a detector that `train_detector` wrote.

    Raises:
        UnmaskError: no such file, it holds something else, or a network of another make.
    """
    about, _ = weights.load(path, detector.KIND)
    trained, own = detector.load(path), detector.load(path)
    size = about["size"]

    def feed(face: Face) -> Arrays:
        image = picture(face)
        if image.shape[:2] != (size, size):
            shape = f"{image.shape[1]}x{image.shape[0]}"
            raise UnmaskError(f"{face['face_id']} is {shape}, the detector takes {size}x{size} pixels")
        return {"faces": planes([image])}

    def pipeline(face: Face) -> Arrays:
        found = own([picture(face)])[0]
        return {"boxes": np.asarray(found.boxes), "scores": np.asarray(found.scores), "masks": found.regions}

    return Graph(
        module=Module(trained.network, size).eval(),
        example=(torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 255,),
        inputs={"faces": f"float32 (1, 3, {size}, {size}): RGB, 0 to 255, one aligned face"},
        outputs={
            "boxes": "float32 (found, 4): x1, y1, x2, y2 in pixels, the most certain first",
            "scores": "float32 (found): 0 to 1",
            "masks": "bool (found, height, width): where the mask is",
        },
        free={"faces": {}, "boxes": {0: "found"}},
        feed=feed,
        pipeline=pipeline,
        facts={"classes": list(CLASSES), "trained_on_pixels": size},
    )
