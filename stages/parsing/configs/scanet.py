"""SCANet: a ResNet encoder, spatial and channel attention, and an edge branch.

After "Masked LFW mask parsing" (SCANet), with DANet's attentions and CE2P's edge branch.
Run by `dvc repro train_parser@scanet`; steps, rates and sizes stand in params.yaml under `train_parser.scanet`.

mmseg's DANet recipe, small enough to learn from scratch in minutes on two cores: the first three stages of a ResNet-18
(which see the whole of a 112-pixel face) with half its channels, no pooling after the stem, and a last layer of full
size, which sees straps of one pixel.
"""

_base_ = "./encoder.py"

norm_cfg = dict(type="SyncBN", requires_grad=True)
model = dict(
    backbone=dict(
        pool=False,
        num_stages=3,
        out_indices=(0, 1, 2),
        strides=(1, 2, 2),
        dilations=(1, 1, 1),
    ),
    decode_head=dict(
        _delete_=True,
        type="SCANetHead",
        in_channels=[16, 32, 64, 128],
        in_index=[0, 2, 3, 4],
        channels=16,
        dropout_ratio=0.0,
        num_classes=20,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, avg_non_ignore=True, loss_weight=1.0),
    ),
)
