"""Which weights decay: matrices and kernels of each network, and nothing else."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.optim import OptimWrapperDict, build_optim_wrapper
from torch import nn

from stages.core import params
from stages.detection import detector
from stages.gender import classifier, train_gender
from stages.inpainting.gan import InpaintingGAN
from stages.inpainting.inpainter import Networks
from stages.parsing import parser
from stages.recognition import heads, train_recognizer
from stages.recognition import training as of_recognizer
from stages.training import openmmlab, optimization
from tests.conftest import ROOT
from tests.tiny_gan import SIZES, network

DECAY = 0.05


def section(model: Any, name: str) -> Any:
    content = params.read_yaml(ROOT / "params.yaml")
    return params.check(
        model, {**content[name], **{key: content[key] for key in model.top_level}}, ROOT / "params.yaml"
    )


def recognizer(loss: str) -> nn.Module:
    recipe = section(train_recognizer.Params, "train_recognizer")
    return of_recognizer.Training(recipe.network.build(), recipe.criterion(loss, 5))


def gender() -> nn.Module:
    return classifier.Training(section(train_gender.Params, "train_gender").network.build(), [1.0, 1.0], frozen=False)


def inpainter() -> nn.Module:
    both = Networks(SIZES)
    return InpaintingGAN(both.generator, both.discriminator, None, network().losses, ema_momentum=0.1)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "arcface": lambda: recognizer("arcface"),
    "sphereface": lambda: recognizer("sphereface"),
    "gender": gender,
    "scanet": lambda: openmmlab.build("mmseg", parser.config("scanet", {})),
    "extractor": lambda: openmmlab.build("mmseg", parser.config("extractor", {})),
    "detector": lambda: openmmlab.build("mmdet", detector.config("mask_rcnn_r18").model.to_dict()),
    "inpainter": inpainter,
}
DO_NOT = {  # some of those that must not
    "sphereface": {"criterion.people"},
    "arcface": {"criterion.W", "network.stem.1.weight", "network.stem.2.weight", "network.head.3.bias"},
    "gender": {"network.bn1.weight", "network.bn1.bias", "network.fc.bias"},
    "scanet": {"decode_head.spatial.1.gamma.scale", "decode_head.channel.1.gamma.scale", "backbone.fine.bn.weight"},
    "extractor": {"decode_head.conv_seg.bias", "backbone.fine.bn.bias"},
    "detector": {"rpn_head.rpn_cls.bias", "neck.lateral_convs.0.bn.weight"},
    "inpainter": {"generator.last.3.bias", "discriminator.steps.0.bias"},
}


def weights_of_sums(model: nn.Module) -> set[str]:
    """Return the names of the kernels and matrices of convolutions and linear layers."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    layers = {name: layer for name, layer in model.named_modules() if isinstance(layer, kinds)}
    normed = {name for name, layer in layers.items() if hasattr(layer, "parametrizations")}  # spectrally
    return {f"{name}.parametrizations.weight.original" if name in normed else f"{name}.weight" for name in layers}


@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_and_matrices_decay_and_nothing_else(name: str):
    model = NETWORKS[name]()
    names = {id(weight): of for of, weight in model.named_parameters()}
    trained = {of for of in names.values() if not of.startswith("averaged.")}
    parts = ("generator", "discriminator") if name == "inpainter" else ()
    options = optimization.options(steps=10, learning_rate=0.1, weight_decay=DECAY, precision="float32", parts=parts)
    wrapper: Any = build_optim_wrapper(model, options["optim_wrapper"])
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    groups = [group for one in wrappers for group in one.optimizer.param_groups]
    decay = {names[id(weight)]: group["weight_decay"] for group in groups for weight in group["params"]}
    assert decay.keys() == trained
    assert {of for of, value in decay.items() if value == DECAY} == weights_of_sums(model) & trained
    assert {decay[of] for of in DO_NOT[name]} == {0.0}


def test_where_nothing_is_to_learn_the_matrices_of_a_head_decay_alone():
    faces = np.repeat(np.eye(2, dtype=np.float32), 2, axis=0)  # two photos of each of two people, masks change nothing
    numbers: Any = {"hidden": 3, "steps": 2, "learning_rate": 0.1, "margin": 0.0, "seed": 0}
    head = heads.unmasking(faces, faces, list("aabb"), weight_decay=2.0, **numbers)
    torch.manual_seed(0)
    untrained = heads.Unmasking(2, 3)
    assert torch.allclose(head.first.weight, untrained.first.weight * (1 - 0.1 * 2.0) * (1 - 0.05 * 2.0))
    assert torch.equal(head.first.bias, untrained.first.bias)
