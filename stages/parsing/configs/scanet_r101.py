"""SCANet with a ResNet-101, for faces of 473 pixels, from weights of ImageNet.

Paper: of SCANet we know no schedule. Its parts are DANet's attentions (arXiv:1809.02983) and CE2P's edge branch
(arXiv:1809.05996). The encoder is DANet's of mmseg: dilated, features at an eighth of the image's size, 512 channels in
the attentions. A layer of full size, as in `scanet.py`, sees straps.
Data: CelebAMask-HQ, masks drawn anew in each round.
Schedule: presets/recipes/scanet_r101_473.yaml; it is ours.
Published on CelebAMask-HQ, mean F1 over 18 classes: EAGRNet 84.89, AGRNet 85.12, DML-CSR 86.07, SegFace 89.22 %.
Nothing was trained with this config yet.
"""

_base_ = "./scanet.py"

pretrained_tensors = 530  # of the encoder: all but the layer of full size, which no checkpoint has
model = dict(
    backbone=dict(
        depth=101,
        base_channels=64,
        stem_channels=64,
        fine_channels=32,
        pool=True,
        num_stages=4,
        out_indices=(0, 1, 3),
        strides=(1, 2, 1, 1),
        dilations=(1, 1, 2, 4),
        contract_dilation=True,
    ),
    decode_head=dict(
        in_channels=[32, 256, 512, 2048],
        in_index=[0, 2, 3, 4],
        context_channels=512,
        channels=64,
        dropout_ratio=0.1,
    ),
)
