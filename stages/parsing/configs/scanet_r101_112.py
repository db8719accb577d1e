"""The same SCANet with a ResNet-101 for faces of 112 pixels: the size of Masked LFW, for which SCANet was made.

The stem is not pooled, or a face would have 14 pixels of features from the second stage on. The weights are the same.
Schedule: presets/recipes/scanet_r101_112.yaml; it is ours.
Published on CelebAMask-HQ near this size, mean F1 over 18 classes: SegFace at 96 pixels 83.8, at 128 pixels 85.6 %.
Nothing was trained with this config yet.
"""

_base_ = "./scanet_r101.py"

model = dict(backbone=dict(pool=False, strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2)))
