"""Mask R-CNN with a ResNet-18 and FPN (arXiv:1703.06870), small enough to learn from scratch in minutes on two cores.

Run by `dvc repro train_detector`; steps, rates and sizes stand in params.yaml under `train_detector`.

mmdet's Mask R-CNN recipe. What differs: one class; nothing pretrained, so all is trained; half the channels in the
encoder and less behind it; few proposals, as a crop holds one face; and fine features for the heads, at half the
image's size, the mask head 56x56 cells to give 112x112: straps are two pixels wide, and at mmdet's 28x28 even a perfect
answer would have an IoU of 0.94 only.
"""

_base_ = "mmdet::_base_/models/mask-rcnn_r50_fpn.py"

norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    data_preprocessor=dict(pad_size_divisor=1),
    backbone=dict(
        _delete_=True,
        type="mmseg.FaceResNet",
        depth=18,
        base_channels=32,
        stem_channels=32,
        fine_channels=16,
        pool=True,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 2),
        norm_cfg=norm_cfg,
    ),
    neck=dict(in_channels=[16, 32, 32, 64, 128, 256], start_level=1, out_channels=48, norm_cfg=norm_cfg),
    rpn_head=dict(
        type="CoarseRPNHead", in_channels=48, feat_channels=48, anchor_generator=dict(strides=[4, 8, 16, 32])
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=48, roi_layer=dict(sampling_ratio=2), featmap_strides=[2]),
        bbox_head=dict(in_channels=48, fc_out_channels=256, num_classes=1),
        mask_roi_extractor=dict(out_channels=48, roi_layer=dict(output_size=56, sampling_ratio=1), featmap_strides=[2]),
        mask_head=dict(
            num_convs=2,
            in_channels=48,
            conv_out_channels=24,
            num_classes=1,
            norm_cfg=norm_cfg,
            loss_mask=dict(loss_weight=4.0),
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)),
        rpn_proposal=dict(nms_pre=200, max_per_img=100),
        rcnn=dict(sampler=dict(num=16, pos_fraction=0.125), mask_size=112),
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50), rcnn=dict(max_per_img=10)),
)

train_pipeline = [
    dict(type="LoadImageFromFile", backend_args=None),
    dict(type="LoadAnnotations", with_bbox=True, with_mask=True),
    dict(type="Rotate", prob=0.5, max_mag=8.0, img_border_value=0),
    dict(type="TranslateX", prob=0.5, max_mag=0.08, img_border_value=0),
    dict(type="TranslateY", prob=0.5, max_mag=0.08, img_border_value=0),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion", brightness_delta=24, contrast_range=(0.7, 1.3)),
    dict(type="BoxesFromMasks"),
    dict(type="PackDetInputs", meta_keys=("face_id", "img_path", "ori_shape", "img_shape", "scale_factor")),
]
