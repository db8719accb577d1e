"""A network sees in training what it is asked about later: faces come to its side in one way."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stages.core.images import Pixels
from stages.detection import coco, detector
from stages.faces import augmentation, resize
from stages.faces.alignment import Align
from stages.gender import classifier
from stages.inpainting import inpainter
from stages.inpainting import samples as of_inpainter
from stages.parsing import parser
from stages.parsing import samples as of_parser
from stages.recognition import recognizer
from tests.conftest import drawn_face
from tests.tiny_gan import hole

SIDE = 64
SIDES = [112, SIDE, 40]  # of faces: larger than the network's, of its size, smaller


class Still:
    """Chance that turns, moves, bends, mirrors, blurs and relights nothing."""

    def normal(self, mean: float, _deviation: float, size: Any = None) -> Any:
        """Return the mean."""
        return np.full(size, float(mean)) if size else float(mean)

    def uniform(self, low: float, _high: float) -> float:
        """Return the least."""
        return low

    def random(self) -> float:
        """Return more than all shares."""
        return 0.999


class Network(nn.Module):
    """Keeps what it is given; says nothing about it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.data_preprocessor = nn.Module()
        self.data_preprocessor.mean, self.data_preprocessor.std = 0.0, 1.0
        self.seen: list[Any] = []

    def forward(self, *inputs: Tensor, mode: str = "") -> Tensor:
        """Return three numbers of each pixel to whom wants pixels, else two of each image."""
        self.seen.append(inputs if len(inputs) > 1 else inputs[0])
        pixels = len(inputs) > 1 or mode == "tensor"
        return inputs[0].float() if pixels else inputs[0].float().mean((2, 3))[:, :2]

    def test_step(self, data: dict[str, Any]) -> list[Any]:
        """Keep images; return none, as mmdet does for none."""
        self.seen += data["inputs"]
        return []


def face(side: int) -> Pixels:
    """Return a face with detail as fine as a pixel, which shrinking without an average would keep."""
    image, _ = drawn_face(3, side)
    noise = np.random.default_rng(0).integers(-40, 40, image.shape)
    return np.clip(image.astype(int) + noise, 0, 255).astype(np.uint8)


def photo(planes: Tensor) -> np.ndarray[Any, Any]:
    """Return an image (3, h, w) as (h, w, 3)."""
    return planes.permute(1, 2, 0).numpy()


def alike(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any], levels: float = 2.0) -> bool:
    assert one.shape == other.shape == (SIDE, SIDE, 3)
    return float(np.abs(one.astype(float) - other).max()) <= levels


@pytest.mark.parametrize("side", SIDES)
def test_recognizers(side: int):
    network = Network()
    recognizer.Recognizer(network, SIDE).embed([face(side)])
    learned = augmentation.augment(face(side), SIDE, Still())
    assert alike(learned, photo(network.seen[0][0] * 255))


@pytest.mark.parametrize("side", SIDES)
def test_classifiers(side: int):
    network = Network()
    classifier.Classifier(network, SIDE).female([face(side)])
    learned = classifier.normalized(resize.batch(augmentation.augment(face(side), SIDE, Still())))
    in_levels = 255 * torch.tensor(classifier.STD)[:, None, None]
    assert alike(photo(learned[0] * in_levels), photo(network.seen[0][0] * in_levels))


@pytest.mark.parametrize("side", SIDES)
def test_parsers(side: int, monkeypatch: pytest.MonkeyPatch):
    network = Network()
    monkeypatch.setattr(parser, "fuse_conv_bn", lambda same: same)
    parser.Parser(network, ("a", "b", "c"), SIDE)([face(side)])
    labels = np.repeat(np.repeat(np.array([[0, 1], [4, 5]], np.uint8), side // 2, 0), side // 2, 1)
    learned, truth = of_parser.augment(face(side), labels, SIDE, Still())
    assert alike(learned, photo(network.seen[0][0]))
    assert np.array_equal(truth, np.repeat(np.repeat(labels[:: side // 2, :: side // 2], SIDE // 2, 0), SIDE // 2, 1))


@pytest.mark.parametrize("side", SIDES)
def test_inpainters(side: int):
    network = Network()
    region = hole(side, side)
    inpainter.Inpainter(network, Align(template="arcface", side=SIDE))([face(side)], [region])
    masked = np.where((region > 0)[..., None], np.uint8(255), face(side))
    bare, learned, hidden = of_inpainter.augment(face(side), masked, region, SIDE, Still())
    seen, holes = (one[0] for one in network.seen[0])
    around = (holes == 0).expand(3, -1, -1).permute(1, 2, 0).numpy()
    assert np.array_equal(hidden > 0, holes[0].numpy() > 0)
    assert alike(learned * around, photo(seen * 255) * around)
    assert alike(bare, resize.resized_pixels(face(side), (SIDE, SIDE)))


@pytest.mark.parametrize("side", SIDES)
def test_detectors(side: int, tmp_path: Path):
    network = Network()
    detector.Detector(network, SIDE)([face(side)])
    coco.write([coco.Example("a/b/1/0", face(side), (hole(side, side),))], tmp_path)
    load, annotate, *_, pack = detector.config("mask_rcnn_r18").train_pipeline
    learned = detector.Samples(tmp_path, [load, annotate, pack], SIDE, seed=0)[0]["inputs"]
    assert alike(photo(learned), photo(network.seen[0]))


def test_what_is_as_fine_as_a_pixel_becomes_gray():
    fine = np.zeros((112, 112, 3), np.uint8)
    fine[::2, ::2] = fine[1::2, 1::2] = 200
    inside = resize.resized_pixels(fine, (28, 28))[2:-2, 2:-2]
    assert np.abs(inside.astype(int) - 100).max() <= 2


def test_a_hole_does_not_leak():
    region = torch.from_numpy(hole(112, 112) > 0)[None, None].float()
    image = torch.where(region > 0, 255.0, 40.0).expand(1, 3, -1, -1)
    found, holes = resize.around_holes(image, region, (SIDE, SIDE))
    assert holes.shape == (1, 1, SIDE, SIDE)
    assert 0 < holes.mean() < 1
    assert torch.allclose(found[(holes == 0).expand_as(found)], torch.tensor(40.0))
