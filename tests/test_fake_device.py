"""No tensor is left behind on the CPU where networks compute on a GPU: found without one.

Under torch's FakeTensorMode tensors have a shape and a device, and no content: networks are built on a `cuda` device
that need not be there, and an operation on tensors of two devices is an error by torch's own rules. Faces come as a
table gives them, on the CPU, and the code under test brings them over.

What depends on the content of tensors cannot run so, such as Mask R-CNN from its proposals on; nor can a backward pass,
which asks the driver. Both are run in tests/test_pretended_gpu.py.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.symbolic_shapes import ShapeEnv

from stages.compute import device
from stages.core import params
from stages.detection import detector
from stages.faces.alignment import Align
from stages.gender import classifier
from stages.inpainting import baselines, inpainter
from stages.inpainting.networks import Generator
from stages.landmarks import landmarker
from stages.parsing import parser
from stages.recognition import dlib_embedding, heads, protocol, recognizer, train_recognizer
from stages.recognition.networks import Network
from stages.tools import presets
from stages.training import openmmlab
from tests.conftest import ROOT, drawn_face, drawn_landmarks

GPU = torch.device("cuda", 0)
FACES = [drawn_face(seed)[0] for seed in range(3)]
REGIONS = [np.where(np.arange(112)[:, None] > 60, np.uint8(255), np.zeros((112, 112), np.uint8))] * 3
Build = Callable[[], nn.Module]


@pytest.fixture(autouse=True)
def _mode(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Compute on a fake GPU, and let results have a content: zeros."""
    monkeypatch.setattr(device, "chosen", lambda: GPU)
    # Fake parameters cannot be moved, so they are made where they belong, by `built`.
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)
    numpy = Tensor.numpy

    def zeros(tensor: Tensor) -> Any:
        if not isinstance(tensor, FakeTensor):
            return numpy(tensor)
        if tensor.device.type != "cpu":
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return np.zeros(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."))

    monkeypatch.setattr(Tensor, "numpy", zeros)
    with FakeTensorMode(shape_env=ShapeEnv()):
        yield


def built(make: Build) -> Any:
    """Return a network on the fake GPU; what it makes later has no default device, as in life."""
    with GPU:
        network = make()
    for part in network.modules():
        if isinstance(part, BaseModel):
            part.to(GPU)
    wrong = {name for name, value in network.state_dict().items() if value.device != GPU}
    assert not wrong, "a test of nothing"
    return network


def section(model: Any, name: str) -> Any:
    return params.load(model, name, ROOT / "params.yaml")


# ---------------------------------------------------------------- a mistake is found


class LeftBehind(nn.Module):
    """A network that makes a tensor and forgets where it is."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, with a mistake."""
        return self.layer(x) + torch.arange(4.0)[:, None, None]


class LeftAside(LeftBehind):
    """Another, which keeps a tensor that no `.to` moves."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = [torch.zeros(3, 1, 1, device="cpu")]

    def forward(self, x: Tensor) -> Tensor:
        """Return features, with a mistake."""
        return self.layer(x - self.mean[0])


@pytest.mark.parametrize("mistake", [LeftBehind, LeftAside])
def test_a_tensor_left_behind_is_found(mistake: type[nn.Module]):
    network = device.placed(built(mistake))
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        device.apply(lambda some: network(some.float()), GPU, FACES)


def test_an_input_left_behind_is_found():
    network = built(lambda: nn.Conv2d(3, 4, 3))
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device"):
        network(torch.zeros(1, 3, 8, 8))


def test_a_result_left_on_the_gpu_is_found():
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        built(lambda: nn.Conv2d(3, 4, 3)).weight.detach().numpy()


# ---------------------------------------------------------------- inference


def network_of_parser(name: str) -> Any:
    return built(lambda: openmmlab.build("mmseg", parser.config(name, {})))


@pytest.mark.parametrize(
    ("name", "side"),
    [("scanet", 112), ("scanet", 96), ("extractor", 112), ("extractor", 96)]
    + [("scanet_r101", 473), ("scanet_r101_112", 112), ("segformer_b2", 512), ("extractor_r18", 256)],
)
def test_parsers_find(monkeypatch: pytest.MonkeyPatch, name: str, side: int):
    monkeypatch.setattr(parser, "fuse_conv_bn", lambda network: network)  # it makes parameters, which cannot be fake
    monkeypatch.setattr(torch, "linspace", np.linspace)  # whose content SegFormer asks for when it is built
    parse = parser.Parser(network_of_parser(name), ("a", "b"), side)
    assert [labels.shape for labels in parse(FACES)] == [(112, 112)] * 3


@pytest.mark.parametrize(("channels", "side"), [(8, 112), (8, 64), (48, 256)])
def test_inpainters_fill(channels: int, side: int):
    fill = inpainter.Inpainter(built(lambda: Generator(channels, side)), Align(template="arcface", side=side))
    assert [image.shape for image in fill(FACES, REGIONS)] == [(112, 112, 3)] * 3


def test_the_landmarker_looks(monkeypatch: pytest.MonkeyPatch):
    network = device.placed(built(landmarker.Network))
    monkeypatch.setattr(landmarker, "network", lambda: network)
    points, logits = landmarker._once(FACES[0], [landmarker.Square(56, 56, 80)] * 3)
    assert len(points) == 3
    assert logits.shape == (3, 2)


@pytest.mark.parametrize(("name", "side"), [("resnet10", 64), ("inception_v3", 299)])
def test_the_classifier_judges(name: str, side: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(
        nn.init, "trunc_normal_", lambda weight, **_: weight
    )  # which asks for the content of its bounds
    network = classifier.Network(name=name, side=side, pretrained=None, frozen=False)
    judge = classifier.Classifier(built(network.build), side)
    assert len(judge.female(FACES)) == 3


@pytest.mark.parametrize("recipe", [None, "iresnet18", "iresnet50", "iresnet100"])
def test_recognizers_embed(recipe: str | None):
    network = section(train_recognizer.Params, "train_recognizer").network
    if recipe:
        network = Network(**presets.load(f"recipes/{recipe}", ROOT / "presets").params["train_recognizer.network"])
    embed = recognizer.Recognizer(built(network.build), network.side).embed
    assert embed(FACES).shape == (3, network.embedding)
    of_dlib = dlib_embedding.Embedder(built(dlib_embedding.ResNet29))
    assert of_dlib(FACES, [drawn_landmarks()] * 3).shape == (3, 128)


def test_heads_correct_embeddings():
    both = built(lambda: heads.Heads(16, 8))
    embeddings = np.zeros((5, 16), np.float32)
    assert all(both.correct("masked", name, embeddings).shape == (5, 16) for name in protocol.HEADS)


def test_the_mean_face_is_fitted():
    known = baselines.Known(FACES)
    assert [face.shape for face in known.fitted_means(FACES, REGIONS)] == [(112, 112, 3)] * 3


@pytest.mark.parametrize(
    ("name", "side"), [("mask_rcnn_r18", 112), ("mask_rcnn_r50_coco", 256), ("mask_rcnn_r50_coco", 800)]
)
def test_mask_rcnn_sees_features_and_makes_proposals(name: str, side: int):
    network = built(lambda: openmmlab.build("mmdet", detector.config(name).model)).eval()
    features = network.extract_feat(torch.zeros(2, 3, side, side, device=GPU))
    scores, changes = network.rpn_head(features)
    assert all(value.device == GPU for value in (*scores, *changes))
