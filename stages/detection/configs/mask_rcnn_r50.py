"""Mask R-CNN with a ResNet-50 and FPN (arXiv:1703.06870), in full size, for a GPU.

dvc exp run -S train_detector.config=mask_rcnn_r50 -S train_detector.side=512 -S train_detector.schedule.steps=20000

The small one of `mask_rcnn_r18.py` with mmdet's own depth and widths. It learns from scratch and downloads nothing;
whoever has weights pretrained on ImageNet names them in `backbone.init_cfg`. No score or time is stated here, because
none was measured.
"""

_base_ = "./mask_rcnn_r18.py"

model = dict(
    backbone=dict(depth=50, base_channels=64, stem_channels=64),
    neck=dict(in_channels=[16, 64, 256, 512, 1024, 2048], out_channels=256),
    rpn_head=dict(in_channels=256, feat_channels=256),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=256),
        bbox_head=dict(in_channels=256, fc_out_channels=1024),
        mask_roi_extractor=dict(out_channels=256),
        mask_head=dict(num_convs=4, in_channels=256, conv_out_channels=64),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=256)),
        rpn_proposal=dict(nms_pre=2000, max_per_img=1000),
        rcnn=dict(sampler=dict(num=128, pos_fraction=0.125)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=1000, max_per_img=1000), rcnn=dict(max_per_img=100)),
)
