"""The recipes of presets/recipes at full size: built, started from a made-up checkpoint, trained, asked; on the CPU.

A made-up checkpoint is the publisher's own network, built by the package that publishes it, with weights by chance.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from torch import nn
from torchvision import models

from benchmarks import recipes
from stages.compute import weights
from stages.core import costs, params
from stages.core.images import encode_png
from stages.core.params import read_yaml
from stages.detection import detector
from stages.faces import parts
from stages.gender import classifier
from stages.inpainting import inpainter
from stages.parsing import parser
from stages.recognition import recognizer
from stages.tools import presets
from stages.training import loop, openmmlab, optimization, pretrained
from tests.conftest import ROOT, drawn_face, face_row, write_table

NAMES = [name.removeprefix("recipes/") for name in recipes.NAMES]
LEAST = {"resnet101_v1c_imagenet": 530, "mit_b2_imagenet": 300, "resnet18_imagenet": 100}
LEAST |= {"mask_rcnn_r50_coco": 301, "inception_v3_imagenet": 470}
# Sides at which a batch is overfitted; the smallest that a network takes, or nearly.
SMALL = {
    "scanet_r101_473": {"train_parser.scanet.side": 65},
    "scanet_r101_112": {"train_parser.scanet.side": 48},
    "segformer_b2": {"train_parser.scanet.side": 64},
    "extractor_r18": {"train_parser.extractor.side": 64},
    "mask_rcnn_crops": {"train_detector.side": 96},
    "mask_rcnn_photos": {"train_detector.side": 96},
    "inception_v3": {"train_gender.network.side": 75},
    "inpainting_gan_256": {"inpainter.side": 64},
    "iresnet18": {"train_recognizer.network.side": 32},
    "iresnet50": {"train_recognizer.network.side": 32},
    "iresnet100": {"train_recognizer.network.side": 32},
}


def faces(folder: Path) -> Path:
    """Return a table with all that any recipe asks for: two women and two men, two photos each."""
    rows = []
    for index in range(8):
        face = face_row(index, identity=f"p{index // 2}")
        labels = parts.from_landmarks(face["landmarks"], 112, 112)
        known = {"labels": encode_png(labels), "labels_by": "landmarks", "sex": ("female", "male")[index // 2 % 2]}
        rows.append({**face, **known, "wears_mask": False})
    return write_table(folder, rows)


def published(name: str) -> Any:
    """Return what the publisher's checkpoint holds, of its names and shapes."""
    if name == "resnet18_imagenet":
        return models.resnet18(weights=None).state_dict()
    if name == "inception_v3_imagenet":
        return models.inception_v3(weights=None, aux_logits=True, init_weights=False).state_dict()
    if name == "mask_rcnn_r50_coco":
        chosen = openmmlab.config("mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco", detector.CONFIGS, "mmdet", "x")
        network = openmmlab.build("mmdet", chosen.model.to_dict())
        return {"meta": {"CLASSES": ("person",), "epoch": 12}, "state_dict": network.state_dict()}
    file = {
        "mit_b2_imagenet": "segformer/segformer_mit-b2_8xb2-160k_ade20k-512x512.py",
        "resnet101_v1c_imagenet": "danet/danet_r101-d8_4xb4-80k_ade20k-512x512.py",
    }[name]
    chosen = openmmlab.config(f"mmseg::{file}", parser.CONFIGS, "mmseg", "x")
    network: Any = openmmlab.build("mmseg", chosen.model.to_dict())
    return {**network.backbone.state_dict(), "fc.weight": torch.zeros(1000, 8), "fc.bias": torch.zeros(1000)}


def made_up(name: str, folder: Path) -> Path:
    """Make up a checkpoint in a folder, under a name with its hash; return the file."""
    torch.manual_seed(5)
    torch.save(published(name), folder / "a.pth")
    digest = hashlib.sha256((folder / "a.pth").read_bytes()).hexdigest()
    return (folder / "a.pth").rename(folder / f"{name}-{digest[:8]}.pth")


def put(name: str) -> dict[str, torch.Tensor]:
    """Make up a checkpoint where `fetch_checkpoint` puts one, under a name with its hash; return its tensors."""
    folder = pretrained.CHECKPOINTS / name
    folder.mkdir(parents=True)
    return weights.load_published(made_up(name, folder), "x")


def asked(name: str, path: Path, side: int) -> None:
    """Ask a trained network of two faces of its size, and look at what it says."""
    pictures = [drawn_face(seed, side)[0] for seed in range(2)]
    if name.startswith(("scanet", "segformer", "extractor")):
        model = "extractor" if name.startswith("extractor") else "scanet"
        labels = parser.load(path, model)(pictures)
        assert [one.shape for one in labels] == [(side, side)] * 2
        assert max(one.max() for one in labels) < (2 if model == "extractor" else 20)
    elif name.startswith("mask_rcnn"):
        assert [found.regions.shape[1:] for found in detector.load(path)(pictures)] == [(side, side)] * 2
    elif name == "inception_v3":
        assert all(0 <= share <= 1 for share in classifier.load(path).female(pictures))
    elif name == "inpainting_gan_256":
        holes = [np.where(np.arange(side)[:, None] > side // 2, np.uint8(255), np.zeros((side, side), np.uint8))] * 2
        assert [image.shape for image in inpainter.load(path)(pictures, holes)] == [(side, side, 3)] * 2
    else:
        embeddings = recognizer.load(path).embed(pictures)
        assert embeddings.shape == (2, 512)
        assert np.allclose(np.linalg.norm(embeddings, axis=1), 1, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_starts_from_a_checkpoint_and_trains_at_full_size(name: str, tmp_path: Path):
    preset = presets.load(f"recipes/{name}", ROOT / "presets")
    for checkpoint in preset.checkpoints:
        put(checkpoint)
    path, found = recipes.train(f"recipes/{name}", faces(tmp_path / "faces"), tmp_path / "run")
    assert all(np.isfinite(value) for value in found["last"].values())
    if preset.checkpoints:
        (checkpoint,) = preset.checkpoints
        assert found["pretrained"]["from"] == checkpoint
        assert found["pretrained"]["matched"] == LEAST[checkpoint]
        of_another = {"mask_rcnn_r50_coco": 6, "inception_v3_imagenet": 2}.get(checkpoint, 0)
        assert found["pretrained"]["of_another_shape"] == of_another
    sides = [value for key, value in params.leaves(preset.params).items() if str(key[-1]).endswith("side")]
    asked(name, path, sides[0])


class CapturedError(Exception):
    """Carries what a stage would have trained."""


def training_of(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[[], nn.Module], Any, Any]:
    """Return what a stage gives to `loop.train`: what builds the model, its samples, and its parts."""

    def stop(build: Any, samples: Any, schedule: Any, **options: Any) -> None:
        raise CapturedError(build, samples, options.get("parts", ()))

    changes = SMALL[name] | recipes.from_scratch(f"recipes/{name}")
    if name == "inpainting_gan_256":
        real, calls = loop.train, []

        def second(*some: Any, **options: Any) -> Any:  # the GAN goes on from the first training
            calls.append(1)
            return real(*some, **options) if len(calls) == 1 else stop(*some, **options)

        monkeypatch.setattr(loop, "train", second)
    else:
        monkeypatch.setattr(loop, "train", stop)
    with pytest.raises(CapturedError) as caught:
        recipes.train(f"recipes/{name}", faces(folder / "faces"), folder / "run", changes)
    return caught.value.args  # type: ignore[return-value]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_a_recipe_falls_on_one_batch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    build, samples, of_parts = training_of(name, tmp_path, monkeypatch)
    torch.manual_seed(0)
    model: Any = revert_sync_batchnorm(build())
    if hasattr(model, "init_weights"):
        model.init_weights()
    model.train()
    options = optimization.options(steps=20, learning_rate=2e-3, weight_decay=0.0, precision="float32", parts=of_parts)[
        "optim_wrapper"
    ]
    kind = options.pop("constructor")
    wrapper = OPTIM_WRAPPER_CONSTRUCTORS.build({"type": kind, "optim_wrapper_cfg": options})(model)
    batch = pseudo_collate([samples[index] for index in range(4)])
    values = []
    for _ in range(20):
        torch.manual_seed(3)  # the same people and proposals are drawn, as far as they are drawn by chance
        said = model.train_step(batch, wrapper)
        values.append(float(said["loss_hole" if of_parts else "loss"].detach()))
    assert np.isfinite(values).all()
    assert np.mean(values[-3:]) < 0.8 * np.mean(values[:3]), values


# ---------------------------------------------------------------- quick looks


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is_and_fits(name: str, tmp_path: Path):
    preset = presets.load(f"recipes/{name}", ROOT / "presets")
    path = recipes.settings(f"recipes/{name}", tmp_path, recipes.from_scratch(f"recipes/{name}"), steps=3, batch=4)
    content = read_yaml(path)
    schedule = costs.schedule(recipes.stage_of(f"recipes/{name}"), content) or {}
    assert (schedule["steps"], schedule["batch_size"]) == (3, 4)
    assert not any(value for key, value in params.leaves(content).items() if key[-1] == "pretrained")
    assert content["checkpoints"] == preset.checkpoints
    assert preset.about.paper
    assert "ublished" in preset.about.prints
    for key, value in preset.params.items():
        if key.endswith(".config"):
            folder = parser.CONFIGS if key.startswith("train_parser") else detector.CONFIGS
            assert (folder / f"{value}.py").is_file()


def test_recipes_add_up_their_checkpoints(tmp_path: Path):
    path = tmp_path / "params.yaml"
    path.write_bytes((ROOT / "params.yaml").read_bytes())
    apply = functools.partial(
        presets.apply, params=path, folder=ROOT / "presets", catalogue=ROOT / "data/catalogue.yaml"
    )
    apply("recipes/extractor_r18")
    apply("recipes/inception_v3")
    assert read_yaml(path)["checkpoints"] == ["resnet18_imagenet", "inception_v3_imagenet"]
    apply("laptop")
    assert read_yaml(path) == read_yaml(ROOT / "params.yaml")
    assert params.read_yaml(ROOT / "params.yaml")["checkpoints"] == []
