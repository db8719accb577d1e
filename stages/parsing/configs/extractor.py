"""The occlusion-aware extractor of FaceExtraction: a U-Net with a ResNet-18 encoder, two classes, OHEM.

Run by `dvc repro train_parser@extractor`; steps, rates and sizes stand in params.yaml under `train_parser.extractor`.

It has half the original's channels, to learn from scratch in minutes on two cores, and sees the image at full size in
its last step. Of each image at least the harder half counts: with the hardest quarter alone it learned slower. The
encoder's inputs are normalized in training and in evaluation alike; the original's evaluation left
that out.
"""

_base_ = "./encoder.py"

norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    backbone=dict(
        pool=True,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        strides=(1, 2, 2, 2),
    ),
    decode_head=dict(
        _delete_=True,
        type="UNetHead",
        in_channels=[16, 32, 32, 64, 128, 256],
        in_index=[0, 1, 2, 3, 4, 5],
        decoder_channels=[128, 64, 32, 32, 16],
        dropout_ratio=0.0,
        num_classes=2,
        norm_cfg=norm_cfg,
        align_corners=False,
        sampler=dict(type="OHEMPixelSampler", thresh=0.9, min_kept=6000),
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, avg_non_ignore=True, loss_weight=1.0),
    ),
)
