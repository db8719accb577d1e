"""Mask R-CNN with a ResNet-50 and FPN (arXiv:1703.06870), mmdet's own with one class, from weights of COCO.

It is the start of "A Deep Learning Framework to Reconstruct Face under Mask". There is a recipe on crops, and one on
whole photos (`train_detector.table: landmarks`).
Data: faces with masks drawn on them.
Schedule: presets/recipes/mask_rcnn_crops.yaml and mask_rcnn_photos.yaml; they are ours.
Published: the weights have 38.2 box AP and 34.7 mask AP on COCO (mmdet). Of the paper's detector we know no score.
Nothing was trained with this config yet.
"""

_base_ = "mmdet::_base_/models/mask-rcnn_r50_fpn.py"

pretrained_tensors = 301  # all but the six that know COCO's 80 classes
model = dict(
    backbone=dict(init_cfg=None),
    roi_head=dict(bbox_head=dict(num_classes=1), mask_head=dict(num_classes=1)),
)
