"""Every network learns two steps and is asked on a pretended GPU: no tensor is left behind on the CPU.

Values are real, so what depends on them is run, too: proposals, boxes that are found. torch's own rules are asked in
tests/test_fake_device.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from torch import Tensor, nn
from torchvision import models

from stages.compute import device
from stages.core.results import Results
from stages.faces.alignment import Align
from stages.gender import classifier, evaluate_gender
from stages.inpainting import baselines, inpaint, inpainter
from stages.inpainting.lpips import Lpips
from stages.landmarks import landmarker
from stages.recognition import dlib_embedding, embed, heads, recognizer
from stages.removal import finder
from stages.training import loop
from stages.training.trained import Trained
from tests import test_gender, test_parsing, test_recognition, tiny_gan
from tests.conftest import ROOT, drawn_face, face_row, write_table
from tests.pretended_gpu import GPU, OnGpu, TwoDevicesError, pretended
from tests.test_detection import test_a_detector_is_trained_and_scored  # noqa: F401 -- run again, here
from tests.test_distill_recognizer import test_a_copy_learns_and_is_a_recognizer_like_its_teacher  # noqa: F401
from tests.test_find_landmarks import test_the_network_is_trained  # noqa: F401
from tests.test_gender import faces  # noqa: F401 -- a fixture
from tests.test_parsing import tables_of_faces  # noqa: F401 -- another
from tests.test_remedies import test_every_face_is_embedded_under_every_condition  # noqa: F401

PICTURES = [drawn_face(seed)[0] for seed in range(3)]
HOLES = [tiny_gan.hole(112, 112)] * 3
LOADED_ONCE = (
    *(finder._parser, finder._detector, inpaint._generator, inpaint._classifier),
    *(landmarker.network, dlib_embedding.network, dlib_embedding._embedder, embed._networks),
)


@pytest.fixture(autouse=True)
def _gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    train = loop.train

    def two_steps(build: Any, samples: Any, schedule: loop.Schedule, **options: Any) -> Trained:
        return train(build, samples, schedule.model_copy(update={"steps": 2, "checkpoint_every": 1}), **options)

    monkeypatch.setattr(loop, "train", two_steps)
    for load in LOADED_ONCE:
        load.cache_clear()  # type: ignore[attr-defined]
    with pretended():
        yield
    for load in LOADED_ONCE:
        load.cache_clear()  # type: ignore[attr-defined]


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
        self.mean = [torch.zeros(3, 1, 1)]

    def forward(self, x: Tensor) -> Tensor:
        """Return features, with a mistake."""
        return self.layer(x - self.mean[0])


class Right(LeftBehind):
    """The same without a mistake."""

    def forward(self, x: Tensor) -> Tensor:
        """Return features."""
        return self.layer(x) + torch.arange(4.0, device=x.device)[:, None, None]


def inferred(network: nn.Module) -> list[Any]:
    return device.apply(lambda some: network(some.float()), GPU, [drawn_face()[0]])


@pytest.mark.parametrize("mistake", [LeftBehind, LeftAside])
def test_a_tensor_left_behind_is_found(mistake: type[nn.Module]):
    with pytest.raises(TwoDevicesError, match="are on the CPU"):
        inferred(device.placed(mistake()))
    with pytest.raises(TwoDevicesError, match="are on the CPU"):
        inferred(mistake())  # nobody put it there
    assert inferred(device.placed(Right()))[0].shape == (4, 110, 110)


@pytest.mark.parametrize(("network", "found"), [(LeftBehind, True), (LeftAside, True), (Right, False)])
def test_a_mistake_in_a_training_is_found(network: type[nn.Module], found: bool):
    class Training(BaseModel):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.network = network()

        def forward(self, inputs: list[Tensor], *_: Any, **__: Any) -> dict[str, Tensor]:
            return {"loss": self.network(torch.stack(inputs).float()).square().mean()}

    model = Training().to(GPU)
    wrapper = build_optim_wrapper(
        model, {"optimizer": {"type": "AdamW", "fused": True}, "clip_grad": {"max_norm": 1.0}}
    )
    given = {"inputs": [torch.ones(3, 8, 8)] * 2, "data_samples": [None] * 2}
    if found:
        with pytest.raises(TwoDevicesError):
            model.train_step(given, wrapper)
    else:
        assert model.train_step(given, wrapper)["loss"].device == GPU


def test_a_gpu_is_pretended_where_torch_would_need_one():
    layer = nn.Linear(2, 2).to(GPU)
    assert all(isinstance(weight, OnGpu) and weight.device == GPU for weight in layer.parameters())
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        layer.weight.detach().numpy()
    with pytest.raises(TypeError, match="can't convert cuda:0"):
        np.asarray(layer.weight.detach())
    assert layer.cpu().weight.device.type == "cpu"
    here = torch.arange(4.0)
    there = here.to("cuda")
    assert there[torch.tensor([1, 2])].device == GPU  # as on a GPU, indices may come from the CPU
    assert there.new_zeros(2).device == torch.zeros(2, device=there.device).device == GPU
    assert float((there * torch.tensor(2.0)).sum()) == 12  # and so may a number
    with pytest.raises(TwoDevicesError):
        here * there
    with pytest.raises(TwoDevicesError):
        torch.cat([here, there])
    assert torch.equal(there.cpu(), here)


# ---------------------------------------------------------------- every network


@pytest.mark.parametrize("model", ["scanet", "extractor"])
def test_parsers(model: str, tables_of_faces: dict[str, Path], tmp_path: Path):  # noqa: F811
    test_parsing.train(model, tables_of_faces, tmp_path, test_parsing.stage_params(tmp_path))
    assert test_parsing.evaluate(model, tables_of_faces, tmp_path)["images"] >= 4


@pytest.mark.parametrize("loss", ["norm_softmax", "sphereface", "cosface", "arcface"])
def test_recognizers(tmp_path: Path, loss: str):
    table = write_table(tmp_path / "faces", [face_row(index) for index in range(12)])
    test_recognition.train(table, tmp_path, loss=loss)
    assert recognizer.load(tmp_path / "w.safetensors").embed(PICTURES).shape == (3, 16)


def test_classifiers(faces: dict[str, Path], tmp_path: Path):  # noqa: F811
    test_gender.train(faces["bare"], tmp_path)
    options = tmp_path / "w.safetensors", Results(tmp_path / "f"), evaluate_gender.Params(seed=0, resamples=100)
    assert evaluate_gender.evaluate_gender(faces["bare"], faces["masked"], *options)["folds"]["bare"]["images"] == 24
    inception = test_gender.network(name="inception_v3").model_copy(
        update={name: 75 for name in ("size", "side") if name in classifier.Network.model_fields}
    )
    assert len(classifier.Classifier(inception.build(), 75).female(PICTURES)) == 3


def test_both_sides_of_the_gan():
    known = recognizer.Recognizer(test_recognition.network().build(), 32)
    trained, networks = tiny_gan.train(2, known, identity=0.1)
    wanted = {"loss_hole", "loss_structure", "loss_identity", "loss_adversarial", "loss_discriminator"}
    assert wanted <= trained.rows[-1].keys()
    fill = inpainter.Inpainter(networks.generator, Align(template="arcface", side=32))
    assert [image.shape for image in fill(PICTURES, HOLES)] == [(112, 112, 3)] * 3


def test_heads():
    rng = np.random.default_rng(0)
    bare, masked = (rng.normal(size=(8, 16)).astype(np.float32) for _ in range(2))
    options: dict[str, Any] = {"hidden": 8, "steps": 3, "learning_rate": 0.01, "weight_decay": 0.0, "margin": 0.1}
    head = heads.unmasking(bare, masked, list("aabbccdd"), seed=0, **options)
    assert heads.apply(head, masked).shape == (8, 16)
    both = device.placed(heads.Heads(16, 8))
    assert both.correct("masked", "mean_shift", masked).shape == (8, 16)


def test_the_landmarker_looks():
    assert landmarker.look(PICTURES[0], [landmarker.Square(56, 56, 90)])[0].points.shape == (68, 2)


def test_what_scores_and_what_is_compared_with(tmp_path: Path):
    torch.save(models.alexnet(weights=None).state_dict(), tmp_path / "alexnet.pth")
    assert Lpips(tmp_path / "alexnet.pth")(PICTURES[:1], PICTURES[:1]) == [0]
    assert len(baselines.Known(PICTURES).fitted_means(PICTURES, HOLES)) == 3


def test_every_training_is_run_here():
    """A new training is to get a test here."""
    root = ROOT / "stages"
    assert {
        file.relative_to(root).as_posix() for file in root.glob("*/*.py") if " loop.train(" in file.read_text()
    } == {
        "detection/train_detector.py",
        "gender/training.py",
        "inpainting/training.py",
        "landmarks/train_landmarker.py",
        "parsing/train_parser.py",
        "recognition/distill_recognizer.py",
        "recognition/training.py",
    }
