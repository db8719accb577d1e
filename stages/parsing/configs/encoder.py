"""What SCANet and the extractor share: their inputs and their encoder, learned from scratch."""

_base_ = "mmseg::_base_/models/danet_r50-d8.py"

norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    pretrained=None,
    data_preprocessor=dict(bgr_to_rgb=False, size_divisor=1),
    backbone=dict(
        _delete_=True,
        type="FaceResNet",
        depth=18,
        base_channels=32,
        stem_channels=32,
        fine_channels=16,
        norm_cfg=norm_cfg,
    ),
    auxiliary_head=None,
)
