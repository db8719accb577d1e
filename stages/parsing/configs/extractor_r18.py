"""The extractor of FaceExtraction in full size: a U-Net with a ResNet-18 from weights of ImageNet, at 256 pixels.

Paper: FaceOcc (arXiv:2201.08425); its repository, FaceExtraction, builds a U-Net with segmentation_models_pytorch, of
which the decoder has these channels. Here the finest step sees the image itself, as in `extractor.py`.
Data: CelebAMask-HQ under occluders drawn anew in each round; FaceOcc's own, if they lie in data/occluders.
Schedule: presets/recipes/extractor_r18.yaml; it is ours. Of each image at least the harder half counts.
Published: the paper's scores are not quoted, as they were not at hand. Nothing was trained with this config yet.
"""

_base_ = "./extractor.py"

pretrained_tensors = 100  # of the encoder: all but the layer of full size, which no checkpoint has
model = dict(
    backbone=dict(deep_stem=False, base_channels=64, stem_channels=64),
    decode_head=dict(
        in_channels=[16, 64, 64, 128, 256, 512],
        decoder_channels=[256, 128, 64, 32, 16],
        sampler=dict(min_kept=32000),
    ),
)
