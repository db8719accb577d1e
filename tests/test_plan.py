"""What a preset takes is said before anything runs: `make plan`."""

import resource
import shutil
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from stages.core import params, tables
from stages.core.errors import UnmaskError
from stages.data.sources import catalogue
from stages.recognition.networks import Network
from stages.tools import plan, presets
from stages.tools.planning import made_up, rehearsal
from stages.tools.planning.rehearsal import Measured, Rehearsals
from tests.conftest import ROOT, edit_params, run
from tests.test_datasets import write

DEFAULT = params.read_yaml(ROOT / "params.yaml")
OF_A_SECOND = Measured(2_000_000, 15.0, 1.0, 1000.0, "float32", "cpu", 2)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return what a plan reads, with small networks, and go there."""
    for name in ("dvc.yaml", "params.yaml", "presets", "data/catalogue.yaml", "models/catalogue.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    for folder in ("data/mask_templates", "data/occluders"):
        (tmp_path / folder).mkdir()
    small = {"side": 32, "layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "embedding": 8, "dropout": 0.0}
    edit_params(tmp_path, train_recognizer__network=small)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_steps_of_a_training_are_measured(repository: Path, tmp_path_factory: pytest.TempPathFactory):
    """By what its stage does with the network of the params; torch counts as much as in a step by hand."""
    content = params.read_yaml(repository / "params.yaml")
    rehearsals = Rehearsals(tmp_path_factory.mktemp("plan"), content, {"orl": 20})
    names = [stage.name for stage in rehearsals.trainings]
    assert names[:3] == ["train_parser@scanet", "train_parser@extractor", "train_detector"]
    assert {"train_recognizer@arcface", "train_gender", "train_inpainter@male"} < set(names)
    stage = next(stage for stage in rehearsals.trainings if stage.name == "train_recognizer@norm_softmax")
    found = rehearsals.measure(stage)
    network = Network.model_validate(content["train_recognizer"]["network"]).build()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(16, 3, 32, 32)).sum().backward()
    people = 6 * 16 * 8 * 20  # of the loss: 16 embeddings of 8 numbers, 20 people, forward and twice backward
    assert found.gflops == pytest.approx((counter.get_total_flops() + people) / 16 / 1e9, rel=0.01)
    assert found.parameters == sum(weight.numel() for weight in network.parameters())
    assert 0 < found.step_seconds < 10
    begun_with = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # where Linux begins to count in a child
    assert 100 < found.memory_mb < 5000 + begun_with
    assert not (repository / "metrics").exists()
    broken = Rehearsals(tmp_path_factory.mktemp("broken"), {**content, "seed": -1}, {})
    with pytest.raises(UnmaskError, match=r"seed: -1 is not allowed"):
        broken.measure(next(one for one in broken.trainings if one.name == stage.name))


def test_all_else_of_the_params_stays():
    short = rehearsal.shortened(DEFAULT, 7)
    assert params.read_yaml(ROOT / "params.yaml") == DEFAULT
    left = params.leaves(DEFAULT)
    changed = {keys for keys, value in params.leaves(short).items() if left.get(keys, value) != value}
    assert {keys[-1] for keys in changed} == {"steps", "checkpoint_every", "folds", "looks"}
    recipe = {"train_parser": {"scanet": {"config": str(ROOT / "dvc.yaml"), "pretrained": "x", "schedule": {}}}}
    started = rehearsal.shortened(recipe, 2)["train_parser"]["scanet"]
    assert started["pretrained"] is None
    assert Path(started["config"]).is_absolute()
    assert (
        short["train_gender"]["schedule"] | {"steps": 80, "checkpoint_every": 20} == DEFAULT["train_gender"]["schedule"]
    )
    assert short["train_parser"]["scanet"]["schedule"]["steps"] == 7
    assert short["recognizers"] == DEFAULT["recognizers"]


def test_networks_for_folds_are_counted():
    names = ("train_recognizer@norm_softmax", "train_masked_recognizer@arcface", "train_gender", "train_parser@scanet")
    assert [rehearsal.networks(name, DEFAULT) for name in names] == [1, 4, 5, 1]


def test_of_a_recipe_the_trainings_that_it_changes_are_measured(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
):
    """And those whose weights they ask: the GAN's identity loss asks a recognizer."""
    inpainters = ["pretrain_inpainter", "train_shared_inpainter", "train_inpainter@female", "train_inpainter@male"]
    rehearsals = Rehearsals(tmp_path_factory.mktemp("plan"), DEFAULT, {})
    for recipe, names in {
        "extractor_r18": ["train_parser@extractor"],
        "mask_rcnn_photos": ["train_detector"],
        "iresnet18": [f"train_{kind}" for kind in ("recognizer@norm_softmax", "recognizer@arcface")]
        + ["train_masked_recognizer@arcface"],
        "inpainting_gan_256": ["train_recognizer@norm_softmax", *inpainters],
    }.items():
        found = rehearsals.touched(presets.load(f"recipes/{recipe}").params)
        assert [stage.name for stage in found] == names


def test_hours_here_are_measured_and_those_of_gpus_computed():
    one = plan.Training("train_gender", 5, 80, 16, OF_A_SECOND)
    assert one.here == 400
    assert one.on("A100") == pytest.approx(5 * 80 * 16 * 15e9 / (plan.EFFICIENCY * 312e12))
    lines = plan.table([one, plan.Training("train_detector", 1, 520, 8, None, "no such config")])
    assert lines[0].split()[:2] == ["training", "weights"]
    assert lines[1].split()[1:8] == ["2.0", "M", "15", "16", "1.0", "GB", "5"]
    assert "6 min 40 s" in lines[1]
    assert "6 min 40 s" in lines[3]
    assert lines[4] == "train_detector was not measured: no such config"


def test_what_is_fetched_and_kept_is_added_up(repository: Path):
    known = catalogue.load(repository / "data/catalogue.yaml")
    models = catalogue.load(repository / "models/catalogue.yaml")
    datasets = {name: known[name] for name in ("orl", "celebamask_hq", "mlfw")}
    lines = plan.download(datasets, {name: models[name] for name in ("opencv_sface", "resnet18_imagenet")})
    assert lines == [
        "Download: 3.2 GB, as far as it is stated",
        "  orl: 400 photos, comes with a package",
        "  celebamask_hq: 30,000 photos, 3.2 GB",
        "  mlfw: of unknown size; got by hand: MLFW.zip",
        "  opencv_sface: 38.7 MB",
        "  resnet18_imagenet: 46.8 MB",
    ]
    starts = {"resnet18_imagenet": models["resnet18_imagenet"]}
    write(repository / "data/incoming", {"celebamask_hq/CelebAMask-HQ.zip": b"", "mlfw/MLFW.zip": b""})
    assert plan.download(datasets, {})[2:] == [
        "  celebamask_hq: 30,000 photos, 3.4 MB",
        "  mlfw: lies in the drop folder",
    ]
    (repository / "data/raw/celebamask_hq").mkdir(parents=True)
    (repository / "models/checkpoints/resnet18_imagenet").mkdir(parents=True)
    lines = plan.download(datasets, starts)
    assert [lines[0], lines[2], lines[4]] == [
        "Download: nothing of a stated size",
        "  celebamask_hq: 30,000 photos, is here",
        "  resnet18_imagenet: is here",
    ]
    trained = plan.Training("train_gender", 5, 80, 16, OF_A_SECOND)
    said = plan.disk([trained], datasets, starts, {"orl": 8, "celebamask_hq": 8}, 100)
    tables_of = 2 * (3153930546 + 3424458) + 8 * (30000 + 400) * 100 * 100 * plan.BYTES_A_PIXEL
    assert f"3.2 GB of downloads, {tables_of / 1e9:.1f} GB of tables, 88.0 MB of weights and checkpoints" in said
    assert "without mlfw" in said
    assert ": 46.8 MB of downloads, 0.0 kB of tables" in plan.disk([], {}, starts, {}, 100)


def test_models_to_start_from_and_terms_are_named(repository: Path):
    models = catalogue.load(repository / "models/catalogue.yaml")
    content = {**DEFAULT, "recognizers": {**DEFAULT["recognizers"], "pretrained": ["dlib", "sface"]}}
    content["train_parser"] = {"scanet": {"pretrained": "mit_b2_imagenet"}}
    found = plan._models(content, models)
    assert list(found) == ["mit_b2_imagenet", "opencv_sface"]
    asked = presets.not_accepted({"accept_terms": ["celeba"]}, found)
    assert list(asked) == ["mit_b2_imagenet"]
    assert presets.not_accepted({"accept_terms": ["mit_b2_imagenet"]}, found) == {}
    assert "nothing commercial" in plan.terms(asked)[1]
    assert plan.terms({}) == ["Terms to accept: none"]


def test_a_plan_changes_nothing_and_names_all(repository: Path, monkeypatch: pytest.MonkeyPatch):
    before = (repository / "params.yaml").read_bytes()
    monkeypatch.setattr(Rehearsals, "measure", lambda *_: OF_A_SECOND)
    said = "\n".join(plan.plan("lfw"))
    assert (repository / "params.yaml").read_bytes() == before
    left = {path.name for path in repository.iterdir()}
    assert left == {"data", "dvc.yaml", "models", "params.yaml", "presets"}
    assert said.startswith("lfw: Real color photos.")
    for stage in ("train_parser@scanet", "distill_recognizer@dlib", "train_shared_inpainter"):
        assert f"\n{stage} " in said
    assert "computed and not measured" in said
    assert "  celebamask_hq: Its agreement allows" in said


def test_an_unknown_preset_is_one_line(repository: Path):
    done = run(
        sys.executable, "-m", "stages.tools.plan", "--preset=phone", cwd=repository, check=False, PYTHONPATH=str(ROOT)
    )
    assert done.returncode == 1
    assert done.stderr.startswith("plan: there is no preset 'phone'; presets has celebamask-hq, crmfrd, laptop")
    assert done.stderr.count("\n") == 1


def test_a_made_up_table_is_one(tmp_path: Path):
    made_up.table(tmp_path / "faces", 40, 64)
    made_up.table(tmp_path / "faces", 6, 48)
    faces = list(tables.read(tmp_path / "faces"))
    assert sorted(face["sex"] for face in faces) == ["female"] * 3 + ["male"] * 3
    assert len({face["identity"] for face in tables.bare(tmp_path / "faces", ["identity", "image"], "train")}) == 6
    for face in faces:
        assert face["landmarks"].shape == (68, 2)
        assert face["landmarks"].max() < 48
