"""Weights that trainings start from: fetched from a server that the test runs, checked, mapped by name and shape."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.model import BaseModule
from pytorch_metric_learning import losses
from torch import Tensor, nn

from stages.compute import weights
from stages.core.errors import UnmaskError
from stages.core.params import read_yaml
from stages.data import fetch_checkpoint
from stages.data.sources import catalogue
from stages.detection import detector
from stages.parsing import parser
from stages.recognition import networks, partial_fc, sphereface
from stages.training import openmmlab, pretrained
from tests.conftest import ROOT, served

PARAM = "train_parser.extractor.pretrained"


class Small(BaseModule):
    """An encoder, called as OpenMMLab does, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 2)
        self.drawn = 0

    def init_weights(self) -> None:
        """Count how often weights are drawn."""
        self.drawn += 1


def encoder(channels: int = 4) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, channels, 3), nn.BatchNorm2d(channels), nn.Linear(3, 9)).state_dict()


def saved(name: str, content: Any) -> Path:
    path = Path(name)
    torch.save(content, path)
    return path


def hashed(path: Path) -> Path:
    """Rename a file as its publisher would, by the start of its sha256."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return path.rename(path.with_name(f"{path.stem}-{digest[:8]}{path.suffix}"))


class Runs:
    """What a pickle may do to whoever loads it."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch was_here",)


# ---------------------------------------------------------------- mapped by name and shape


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"meta": {"epoch": 12}, "state_dict": state},
        lambda state: {"model": {f"module.{name}": value for name, value in state.items()}},
        lambda state: {f"backbone.{name}": value for name, value in state.items()},
    ],
)
def test_an_encoder_is_filled_and_the_rest_is_reported(wrap: Any, capsys: pytest.CaptureFixture[str]):
    start = pretrained.Start(str(saved("a.pth", wrap(encoder()))), PARAM, 6)
    network: Any = start(Small())
    assert torch.equal(network.backbone[0].weight, encoder()["0.weight"])
    assert network.drawn == 1  # before it is filled
    assert start.report == {
        "pretrained": {
            "from": "a.pth",
            "matched": 6,
            "of_another_shape": 0,
            "missing": 2,
            "not_used": 2,
        }
    }
    assert f"{PARAM}: a.pth: 6 of 8 tensors matched; of another shape: none; missing: head" in capsys.readouterr().err
    assert start.files == [Path("a.pth")]


def test_without_one_nothing_happens():
    start = pretrained.Start(None, PARAM, 6)
    network: Any = start(Small())
    assert (network.drawn, start.report, start.files) == (0, {}, [])


def test_safetensors_are_read_too():
    weights.save(Path("a.safetensors"), nn.Sequential(nn.Conv2d(3, 4, 3)), {"kind": "x"})
    start = pretrained.Start("a.safetensors", PARAM, 2)
    start(Small())
    assert start.report["pretrained"]["matched"] == 2


# ---------------------------------------------------------------- what may be wrong


def test_a_checkpoint_of_another_shape_is_an_error_that_names_tensors():
    start = pretrained.Start(str(saved("wide.pth", encoder(8))), PARAM, 6)
    with pytest.raises(UnmaskError) as error:
        start(Small())
    for words in (
        f"{PARAM}: wide.pth: 0 of 8 tensors matched",
        "of another shape: backbone.0.weight [8, 3, 3, 3], here [4, 3, 3, 3]",
        "The recipe asks for 6 at least: the checkpoint is of another network",
    ):
        assert words in str(error.value)


def test_half_of_the_encoder_is_enough_where_no_recipe_says_more():
    state = encoder()
    half = {name: state[name] for name in ("0.weight", "0.bias", "1.weight")}
    pretrained.Start(str(saved("half.pth", half)), PARAM, None)(Small())
    del half["1.weight"]
    with pytest.raises(UnmaskError, match="asks for 3 at least"):
        pretrained.Start(str(saved("less.pth", half)), PARAM, None)(Small())


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_one_that_was_cut_off_is_an_error(old_format: bool, share: float):
    torch.save(encoder(), "a.pth", _use_new_zipfile_serialization=not old_format)
    content = Path("a.pth").read_bytes()
    Path("a.pth").write_bytes(content[: int(len(content) * share)])
    with pytest.raises(UnmaskError, match=rf"{PARAM}: a\.pth, .* bytes, cannot be read as weights: it is cut off"):
        pretrained.Start("a.pth", PARAM, 6)


@pytest.mark.parametrize("old_format", [False, True])
@pytest.mark.parametrize("wrap", [lambda code: code, lambda code: {"state_dict": encoder(), "hook": code}])
def test_code_is_refused_and_not_run(old_format: bool, wrap: Any):
    torch.save(wrap(Runs()), "a.pth", _use_new_zipfile_serialization=not old_format)
    with pytest.raises(UnmaskError, match=rf"{PARAM}: a\.pth holds code, \w+\.system, which is not run"):
        pretrained.Start("a.pth", PARAM, 6)
    assert not Path("was_here").exists()


def test_one_of_another_hash_than_its_name_says_is_an_error():
    path = hashed(saved("a.pth", encoder()))
    pretrained.Start(str(path), PARAM, 6)
    saved(str(path), encoder(8))
    with pytest.raises(UnmaskError, match=rf"the sha256 of {path} begins with \w{{8}}, its name says {path.stem[2:]}"):
        pretrained.Start(str(path), PARAM, 6)


def test_what_is_no_checkpoint_is_an_error():
    for content in (3, [1, 2], {"epoch": 3}, {"state_dict": {}}):
        with pytest.raises(UnmaskError, match="holds no state dict"):
            pretrained.Start(str(saved("a.pth", content)), PARAM, 6)
    Path("text.pth").write_text("no weights")
    with pytest.raises(UnmaskError, match="cannot be read as weights"):
        pretrained.Start("text.pth", PARAM, 6)
    with pytest.raises(UnmaskError, match=rf"{PARAM}: there is no file some/a\.pth"):
        pretrained.Start("some/a.pth", PARAM, 6)
    with pytest.raises(
        UnmaskError, match=r"models/checkpoints/resnet18_imagenet holds no files.* add resnet18_imagenet"
    ):
        pretrained.Start("resnet18_imagenet", PARAM, 6)


# ---------------------------------------------------------------- fetched as data are

ENTRY = """\
small:
  title: A small encoder
  homepage: https://example.org/small
  license: free
  terms: null
  expected: {{}}
  layout: a state dict
  files:
    - name: {name}
      url: {url}/{name}
      sha256_begins: {begins}
      mebibytes: {mebibytes}
      checksum_by: its publisher, in the file's name
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """Serve the folder `published`."""
    (tmp_path / "published").mkdir()
    with served(tmp_path / "published") as address:
        yield address


def fetched(url: str, name: str, mebibytes: float) -> dict[str, Any]:
    begins = Path(name).stem.rpartition("-")[2]
    entry = ENTRY.format(url=url, name=name, begins=begins, mebibytes=mebibytes)
    Path("catalogue.yaml").write_text(entry)
    Path("models").mkdir(exist_ok=True)
    params = fetch_checkpoint.Params(accept_terms=[])
    out = pretrained.CHECKPOINTS / "small"
    return fetch_checkpoint.fetch_checkpoint(Path("catalogue.yaml"), Path("checksums/small.csv"), out, params)


def mebibytes(path: Path) -> float:
    return round(path.stat().st_size / 2**20, 3)


def test_a_checkpoint_is_fetched_and_a_training_starts_from_it_by_name(server: str, tmp_path: Path):
    path = hashed(saved(str(tmp_path / "published/small.pth"), encoder()))
    result = fetched(server, path.name, mebibytes(path))
    assert (result["tensors"], result["files"][0]["from"]) == (9, "download")
    start = pretrained.Start("small", PARAM, 6)
    network: Any = start(Small())
    assert torch.equal(network.backbone[0].weight, encoder()["0.weight"])
    assert start.report["pretrained"]["from"] == "small"
    assert not Path("checksums/small.csv").exists()  # its publisher states a checksum


def test_it_may_lie_in_the_drop_folder(tmp_path: Path):
    path = hashed(saved(str(tmp_path / "small.pth"), encoder()))
    drop = Path("data/incoming/small")
    drop.mkdir(parents=True)
    path.rename(drop / path.name)
    result = fetched("http://127.0.0.1:9", path.name, mebibytes(drop / path.name))
    assert result["files"][0]["from"] == "drop folder"


def test_what_was_published_otherwise_is_not_taken(server: str, tmp_path: Path):
    path = hashed(saved(str(tmp_path / "published/small.pth"), encoder()))
    size = mebibytes(path)
    with pytest.raises(UnmaskError, match=rf"small-\w+\.pth .* it has {size:.3f} MiB, published were 9\.0"):
        fetched(server, path.name, 9.0)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UnmaskError, match=r"its sha256 is \w+, published was one that begins with"):
        fetched(server, path.name, size)
    assert not (pretrained.CHECKPOINTS / "small").exists()


def test_code_is_found_before_any_training(server: str, tmp_path: Path):
    path = hashed(saved(str(tmp_path / "published/small.pth"), {"state_dict": encoder(), "hook": Runs()}))
    with pytest.raises(UnmaskError, match=r"checkpoints: small: .* holds code"):
        fetched(server, path.name, mebibytes(path))
    assert not (pretrained.CHECKPOINTS / "small").exists()
    assert not Path("was_here").exists()


def test_the_catalogue_names_the_checkpoints_that_recipes_start_from():
    entries = catalogue.load(ROOT / "models/catalogue.yaml")
    asked = set()
    for path in (ROOT / "presets/recipes").glob("*.yaml"):
        recipe = read_yaml(path)
        asked |= set(recipe.get("checkpoints", []))
        named = {value for key, value in recipe["params"].items() if key.endswith("pretrained")}
        named |= {
            value["pretrained"]
            for value in recipe["params"].values()
            if isinstance(value, dict) and "pretrained" in value
        }
        assert named == set(recipe.get("checkpoints", []))
    without_input = {name for name, entry in entries.items() if entry.input is None}
    assert asked == without_input
    for name in asked:
        (file,) = entries[name].files
        assert file.sha256_begins
        assert file.url.endswith(f"/{file.name}")


# ---------------------------------------------------------------- any config of theirs


def test_a_config_of_mmseg_gets_our_classes_and_no_weights_of_its_own():
    name = "mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py"
    model = parser.changed(parser.read_config(name, 20, "x"), {})
    assert model["decode_head"]["num_classes"] == 20
    assert model["backbone"]["init_cfg"] is None
    assert "download" not in str(model)
    network = openmmlab.build("mmseg", model)
    picture = torch.zeros(96, 96, 3, dtype=torch.uint8).numpy()
    (labels,) = parser.Parser(network, tuple(map(str, range(20))), 64)([picture])
    assert labels.shape == (96, 96)


def test_a_config_of_mmdet_gets_our_class_and_what_we_do_to_images():
    chosen = detector.config("mmdet::mask_rcnn/mask-rcnn_r18_fpn_8xb8-amp-lsj-200e_coco")
    heads = chosen.model.roi_head
    assert (heads.bbox_head.num_classes, heads.mask_head.num_classes) == (1, 1)
    assert chosen.train_pipeline == detector.config("mask_rcnn_r18").train_pipeline
    assert "batch_augments" not in chosen.model.data_preprocessor
    assert "torchvision://" not in str(chosen.model)


def test_a_file_of_the_users_is_taken():
    name = "mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py"
    Path("mine.py").write_text(f"_base_ = {name!r}\nmodel = dict(decode_head=dict(channels=32))\n")
    model = parser.changed(parser.read_config("mine.py", 2, "x"), {})
    assert (model["decode_head"]["channels"], model["decode_head"]["num_classes"]) == (32, 2)
    assert (model["auxiliary_head"]["num_classes"], model["pretrained"]) == (2, None)


def test_a_file_of_the_users_beside_ours_is_named_by_its_path_and_dvc_sees_it(monkeypatch: pytest.MonkeyPatch):
    """By its bare name it is one of ours, which must have the right number of classes already."""
    folder = Path("stages/parsing/configs")
    folder.mkdir(parents=True)
    monkeypatch.setattr(parser, "CONFIGS", folder.absolute())
    name = "mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py"
    (folder / "mine.py").write_text(f"_base_ = {name!r}\n")
    assert parser.read_config(f"{folder}/mine.py", 2, "x").model.decode_head.num_classes == 2
    with pytest.raises(UnmaskError, match="num_classes is 19, the labels have 2 classes"):
        parser.read_config("mine", 2, "x")
    stages = read_yaml(ROOT / "dvc.yaml")["stages"]
    assert folder.as_posix() in stages["train_parser"]["deps"]
    assert detector.CONFIGS.relative_to(ROOT).as_posix() in stages["train_detector"]["deps"]


def test_weights_of_classes_become_those_of_ours():
    model = {"head": {"num_classes": 3, "loss": [{"class_weight": [2.0] * 3 + [0.1]}, {"class_weight": [2.0] * 3}]}}
    openmmlab.set_classes(model, 2)
    assert model["head"]["num_classes"] == 2
    assert [loss["class_weight"] for loss in model["head"]["loss"]] == [[1.0, 1.0, 0.1], [1.0, 1.0]]


@pytest.mark.parametrize(
    ("read", "name", "message"),
    [
        ("parser", "scanett", "train_parser.scanet.config: 'scanett' is not allowed: one of .*scanet_r101"),
        ("parser", "mmseg::nothing.py", "is not allowed"),
        ("parser", "mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco", "is not allowed"),
        ("parser", "mmseg::_base_/schedules/schedule_20k.py", "has no `model`"),
        ("parser", "mmseg::point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024.py", "none or several"),
        ("parser", "broken.py", "broken.py cannot be read as a config"),
        ("detector", "mmdet::retinanet/retinanet_r50_fpn_1x_coco", "finds boxes alone"),
        ("detector", "mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py", "is not allowed"),
    ],
)
def test_configs_that_cannot_be_taken(read: str, name: str, message: str):
    Path("broken.py").write_text("model = dict(")
    readers = {"parser": lambda: parser.read_config(name, 20, "train_parser.scanet.config")}
    with pytest.raises(UnmaskError, match=message):
        readers.get(read, lambda: detector.config(name))()


# ---------------------------------------------------------------- recognizers


def test_arcface_torchs_names_become_ours():
    """Its own names, made from the layout that its iresnet.py has."""
    network = networks.IResNet([1, 2, 1, 1], [4, 8, 8, 8], 16, 32, 0.0)
    state = network.state_dict()
    theirs = {
        "stem.0": "conv1",
        "stem.1": "bn1",
        "stem.2": "prelu",
        "head.0": "bn2",
        "head.3": "fc",
        "head.4": "features",
    }
    blocks = ["layer1.0", "layer2.0", "layer2.1", "layer3.0", "layer4.0"]
    inside = ["bn1", "conv1", "bn2", "prelu", "conv2", "bn3"]
    for number, block in enumerate(blocks):
        theirs |= {f"blocks.{number}.path.{index}": f"{block}.{name}" for index, name in enumerate(inside)}
        theirs |= {f"blocks.{number}.shortcut.{index}": f"{block}.downsample.{index}" for index in (0, 1)}
    renamed = {}
    for name, value in state.items():
        part, _, last = name.rpartition(".")
        renamed[f"{theirs[part]}.{last}"] = value
    found = networks.from_arcface_torch(renamed)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], state[name]) for name in state)
    assert networks.from_arcface_torch(state) is state


MARGINS = {
    "arcface": lambda: losses.ArcFaceLoss(50, 8, margin=28.6, scale=16.0),
    "cosface": lambda: losses.CosFaceLoss(50, 8, margin=0.35, scale=16.0),
    "norm_softmax": lambda: losses.NormalizedSoftmaxLoss(50, 8, temperature=1 / 16),
    "sphereface": lambda: sphereface.SphereFace(50, 8, margin=1.7, scale=16.0),
}


@pytest.mark.parametrize("name", MARGINS)
def test_all_people_sampled_are_the_whole_loss_and_fewer_are_a_part(name: str):
    torch.manual_seed(0)
    whole = MARGINS[name]()
    embeddings, people = torch.randn(6, 8), torch.tensor([3, 49, 3, 0, 20, 7])
    sampled = partial_fc.Sampled(whole, 1.0)(embeddings, people)
    assert torch.allclose(sampled, whole(embeddings, people), rtol=1e-5)
    part = partial_fc.Sampled(MARGINS[name](), 0.2)
    loss = part(embeddings, people)
    loss.backward()
    (vectors,) = part.parameters()
    touched = vectors.grad.abs().sum(1 - part.axis) > 0
    assert touched.sum() == 10
    assert touched[people.unique()].all()


def test_people_are_drawn_anew_and_those_in_the_batch_always():
    torch.manual_seed(0)
    people = torch.tensor([5, 5, 90])
    draws = [partial_fc.drawn(100, people, 0.1) for _ in range(50)]
    assert all(len(one) == 10 and {5, 90} <= set(one.tolist()) for one in draws)
    assert len({tuple(one.tolist()) for one in draws}) > 40
    assert torch.cat(draws).unique().numel() > 90
    assert torch.equal(partial_fc.drawn(100, torch.arange(40), 0.1), torch.arange(40))
