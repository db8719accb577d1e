"""The detector with three quarters of the channels in its encoder, fewer behind it: a release must stay small.

Run by `dvc repro train_detector` with preset `release`, whose steps presets/release.yaml holds.
"""

_base_ = "./mask_rcnn_r18.py"

model = dict(
    backbone=dict(base_channels=24, stem_channels=24),
    neck=dict(in_channels=[16, 24, 24, 48, 96, 192]),
    roi_head=dict(bbox_head=dict(fc_out_channels=128)),
)
