"""SegFormer-B2 (arXiv:2105.15203), mmseg's own recipe with our classes: today's yardstick for a parser.

Data: CelebAMask-HQ, masks drawn anew in each round.
Schedule: presets/recipes/segformer_b2.yaml; the learning rate is the paper's, the number of steps ours.
Published: of a SegFormer on CelebAMask-HQ we know no score; one that tells faces from drawn occluders has 94.87 % mIoU
on COFW (kennyvoo/face-occlusion-generation). Nothing was trained with this config yet.
"""

_base_ = "mmseg::segformer/segformer_mit-b2_8xb2-160k_ade20k-512x512.py"

pretrained_tensors = 300  # of the encoder: all
model = dict(
    data_preprocessor=dict(bgr_to_rgb=False, size=None, size_divisor=1),
    backbone=dict(init_cfg=None),
    decode_head=dict(num_classes=20),
)
