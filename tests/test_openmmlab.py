"""OpenMMLab on today's torch: the three kernels give known answers, everything else says what is missing."""

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torchvision
from mmengine.config import Config

from stages.core.errors import UnmaskError
from stages.training import openmmlab
from tests.conftest import ROOT

openmmlab.enable()

from mmcv import ops  # noqa: E402 -- only now can it be imported


def test_the_extension_looks_like_a_module():
    openmmlab.enable()
    openmmlab.enable()
    spec = importlib.util.find_spec("mmcv._ext")
    assert spec is not None
    assert spec.name == "mmcv._ext"
    assert importlib.import_module("mmcv._ext") is sys.modules["mmcv._ext"]
    assert not hasattr(sys.modules["mmcv._ext"], "__path__")


def test_a_real_extension_wins(tmp_path: Path):
    """In a process of its own: a module mmcv._ext that can be found is not replaced."""
    package = tmp_path / "mmcv"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_ext.py").write_text("real = True\n")
    script = "from stages.training import openmmlab; openmmlab.enable(); import mmcv._ext; assert mmcv._ext.real"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, env={"PYTHONPATH": str(tmp_path)})


def test_nms_by_hand():
    # The first two overlap by 90 / 110 = 0.82; the third stands alone.
    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 0, 11, 10], [50, 50, 60, 60]])
    scores = torch.tensor([0.6, 0.9, 0.3])
    kept, indices = ops.nms(boxes, scores, iou_threshold=0.8)
    assert indices.tolist() == [1, 2]
    torch.testing.assert_close(kept[:, 4], torch.tensor([0.9, 0.3]))
    assert ops.nms(boxes, scores, iou_threshold=0.83)[1].tolist() == [1, 0, 2]
    assert ops.nms(boxes, scores, iou_threshold=0.8, score_threshold=0.5)[1].tolist() == [1]
    assert ops.nms(boxes, scores, iou_threshold=0.83, max_num=1)[1].tolist() == [1]


def test_nms_with_inclusive_borders():
    # Pixels 0 to 1 and 1 to 2: with offset 1 they share one of three columns, 1 / 3; without, nothing.
    boxes = torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1]])
    scores = torch.tensor([0.9, 0.8])
    assert ops.nms(boxes, scores, iou_threshold=0.3, offset=1)[1].tolist() == [0]
    assert ops.nms(boxes, scores, iou_threshold=0.3, offset=0)[1].tolist() == [0, 1]


def test_nms_of_nothing():
    assert ops.nms(torch.zeros(0, 4), torch.zeros(0), iou_threshold=0.5)[1].numel() == 0


@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_roi_align_of_a_ramp(sampling_ratio: int):
    """Bilinear sampling of a plane is exact, so each bin holds the plane's value at its center."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(20.0), indexing="ij")
    features = (3 * x - 2 * y + 1)[None, None]
    rois = torch.tensor([[0, 4.0, 2, 12, 10]])
    pooled = ops.RoIAlign((2, 4), spatial_scale=1.0, sampling_ratio=sampling_ratio, aligned=True)(features, rois)
    # Aligned: pixel centers lie at half numbers of the roi's coordinates.
    centers_x, centers_y = torch.tensor([5.0, 7, 9, 11]) - 0.5, torch.tensor([4.0, 8]) - 0.5
    torch.testing.assert_close(pooled[0, 0], 3 * centers_x[None] - 2 * centers_y[:, None] + 1)
    halved = ops.RoIAlign((2, 4), spatial_scale=0.5, sampling_ratio=sampling_ratio, aligned=True)(features, rois * 2)
    torch.testing.assert_close(halved, pooled)
    legacy = ops.RoIAlign((2, 4), spatial_scale=1.0, sampling_ratio=2, aligned=False)(features, rois)
    torch.testing.assert_close(legacy[0, 0], pooled[0, 0] + 0.5 * 3 - 0.5 * 2)


def test_roi_align_gradient():
    torch.manual_seed(0)
    features = torch.rand(2, 3, 7, 8, dtype=torch.float64, requires_grad=True)
    rois = torch.tensor([[0, 1.2, 0.7, 6.1, 5.3], [1, 0.3, 2.2, 4.4, 6.0]], dtype=torch.float64)
    layer = ops.RoIAlign((2, 3), spatial_scale=1.0, sampling_ratio=2, aligned=True)
    assert torch.autograd.gradcheck(lambda f: layer(f, rois), features)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_roi_align_is_torchvisions(aligned: bool, dtype: torch.dtype):
    """Values and gradients, also of boxes that reach beyond the image, lie outside it or have no area."""
    torch.manual_seed(0)
    features = torch.randn(3, 5, 20, 24).to(dtype).float()
    corner, size = torch.rand(17, 2) * 60 - 15, torch.rand(17, 2) * 60
    rois = torch.cat([torch.randint(0, 3, (17, 1)).float(), corner, corner + size], 1)
    rois[0, 1:], rois[1, 1:] = torch.tensor([9.0, 9, 9, 9]), torch.tensor([90.0, 90, 99, 99])
    ours, theirs = (features.to(kind, copy=True).requires_grad_() for kind in (dtype, torch.float32))
    layer = ops.RoIAlign((7, 9), spatial_scale=0.5, sampling_ratio=2, aligned=aligned)
    pooled = layer(ours, rois)
    expected = torchvision.ops.roi_align(theirs, rois, (7, 9), 0.5, 2, aligned)
    tolerance = 1e-4 if dtype == torch.float32 else 0.05
    torch.testing.assert_close(pooled.float(), expected, atol=tolerance, rtol=0)
    weights = torch.randn_like(expected)
    (pooled.float() * weights).sum().backward()
    (expected * weights).sum().backward()
    torch.testing.assert_close(ours.grad.float(), theirs.grad, atol=tolerance, rtol=0.02)


def test_roi_align_max_is_missing():
    layer = ops.RoIAlign((2, 2), pool_mode="max")
    with pytest.raises(UnmaskError, match="pool_mode='max' is not in mmcv-lite"):
        layer(torch.zeros(1, 1, 4, 4), torch.tensor([[0, 0.0, 0, 3, 3]]))


def test_other_ops_say_what_they_need():
    with pytest.raises(UnmaskError, match="'softnms' is not in mmcv-lite: this model needs full mmcv"):
        ops.soft_nms(torch.zeros(1, 4), torch.zeros(1))


def test_mask_rcnn_takes_a_step(tmp_path: Path):
    """An installed recipe is inherited, built, trained for one step, and predicts."""
    import numpy as np
    from mmdet.registry import MODELS
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmdet.utils import register_all_modules
    from mmengine.structures import InstanceData

    config = tmp_path / "config.py"
    config.write_text(
        "_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'\n"
        "model = dict(\n"
        "    backbone=dict(depth=18, init_cfg=None),\n"
        "    neck=dict(in_channels=[64, 128, 256, 512]),\n"
        "    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),\n"
        ")\n"
    )
    register_all_modules()
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(config).model)
    sample = DetDataSample(metainfo={"img_shape": (96, 96), "ori_shape": (96, 96), "scale_factor": (1, 1)})
    mask = np.zeros((1, 96, 96), np.uint8)
    mask[0, 40:80, 20:70] = 1
    sample.gt_instances = InstanceData(
        bboxes=torch.tensor([[20.0, 40, 70, 80]]), labels=torch.tensor([0]), masks=BitmapMasks(mask, 96, 96)
    )
    image = torch.randint(0, 255, (3, 96, 96), dtype=torch.uint8)
    batch = model.data_preprocessor({"inputs": [image], "data_samples": [sample]}, training=True)
    loss, terms = model.parse_losses(model(**batch, mode="loss"))
    loss.backward()
    assert torch.isfinite(loss)
    assert {"loss_cls", "loss_bbox", "loss_mask"} <= terms.keys()
    assert model.backbone.conv1.weight.grad is None  # the recipe freezes the stem
    assert model.backbone.layer4[0].conv1.weight.grad.abs().sum() > 0
    model.eval()
    with torch.no_grad():
        batch = model.data_preprocessor({"inputs": [image], "data_samples": [sample]}, training=False)
        (result,) = model(**batch, mode="predict")
    assert result.pred_instances.masks.shape[1:] == (96, 96)


def test_mmseg_builds_a_recipe():
    from mmseg.registry import MODELS
    from mmseg.utils import register_all_modules

    register_all_modules()
    head = MODELS.build(
        {"type": "mmseg.FCNHead", "in_channels": 8, "channels": 4, "num_classes": 20, "norm_cfg": {"type": "BN"}}
    )
    assert head([torch.zeros(2, 8, 6, 6)]).shape == (2, 20, 6, 6)
