"""The extractor with half the channels: a release must stay small.

Run by `dvc repro train_parser@extractor` with preset `release`, whose sizes and steps presets/release.yaml holds.
"""

_base_ = "./extractor.py"

model = dict(
    backbone=dict(base_channels=16, stem_channels=16),
    decode_head=dict(in_channels=[16, 16, 16, 32, 64, 128], decoder_channels=[64, 32, 16, 16, 16]),
)
