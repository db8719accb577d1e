"""distill_recognizer: a copy of any recognizer learns, its teacher does not; its file is one like the teacher's."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from stages.compute import weights
from stages.core import params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.results import Results
from stages.faces import alignment
from stages.faces.landmarks import five_points
from stages.landmarks import align_faces
from stages.recognition import (
    distill_recognizer,
    distillation,
    dlib_embedding,
    embedders,
    import_recognizer,
    networks,
    onnx_models,
    onnx_networks,
    recognizer,
    teachers,
)
from stages.tools import export_onnx
from stages.tools.exporting import comparison, onnx_file
from tests.conftest import ROOT, drawn_face, face_row, write_table

SIDE = 112  # of an aligned face
# Of the tiny network: not the statistics of its batch norm, nor slopes, which onnx2torch takes for constants.
LEARNS = {"first", "second", "scale", "offset", "matrix", "bias"}


def chosen(**changes: object) -> distill_recognizer.Params:
    content = params.read_yaml(ROOT / "params.yaml")
    schedule = {**content["distill_recognizer"]["schedule"], "steps": 2, "batch_size": 2, "checkpoint_every": 1}
    shared = {name: content[name] for name in ("seed", "render_masks", "align_faces")}
    return distill_recognizer.Params.model_validate(
        {**content["distill_recognizer"], "schedule": schedule, "bare_loss": 1.0, **shared, **changes}
    )


def distill(tmp_path: Path, teacher: Path, **changes: object) -> dict:
    rows = [
        {**face_row(index, identity=f"p{index // 2}"), "split": "train" if index < 4 else "val"} for index in range(8)
    ]
    table = write_table(tmp_path / "faces", rows)
    templates, masked = ROOT / "data/mask_templates", tmp_path / "masked.safetensors"
    return distill_recognizer.distill_recognizer(
        table, templates, teacher, masked, Results(tmp_path / "copy"), chosen(**changes)
    )


def align(points: np.ndarray) -> alignment.Matrix:
    return alignment.arcface_transform(points, SIDE)


def test_a_copy_learns_and_is_a_recognizer_like_its_teacher(dlib_recognizer: Path, tmp_path: Path):
    result = distill(tmp_path, dlib_recognizer)
    assert (result["faces"], result["identities"], result["val"]["faces"]) == (4, 2, 4)
    before, after = (weights.load(file, recognizer.KIND) for file in (dlib_recognizer, tmp_path / "masked.safetensors"))
    precision = json.loads((tmp_path / "costs/copy.json").read_text())["precision"]
    assert after[0] == {**before[0], "precision": precision, "distilled": True}
    # The people it learned from are no strangers to it, as all people are to its teacher.
    assert embedders.knows_nobody(dlib_recognizer)
    assert not embedders.knows_nobody(tmp_path / "masked.safetensors")
    assert before[1].keys() == after[1].keys()
    assert not torch.equal(before[1]["first.weight"], after[1]["first.weight"])
    face, points = drawn_face(1)
    one, other = (embedders.load(file)([face], [points]) for file in (dlib_recognizer, tmp_path / "masked.safetensors"))
    assert 0.9 < float((one * other).sum()) < 1 - 1e-9


def test_a_copy_of_a_recognizer_trained_here_has_no_folds(tmp_path: Path):
    torch.manual_seed(0)
    network = networks.Network(side=32, layers=[1, 1, 1, 1], channels=[8, 8, 16, 16], embedding=16, dropout=0.5)
    own, folds = tmp_path / "own.safetensors", {"p0": 0, "p1": 1}
    fold = nn.Sequential()
    weights.save(own, recognizer.joined(network.build(), [fold]), recognizer.header("arcface", "bare", network, folds))
    distill(tmp_path, own)
    before, after = (weights.load(file, recognizer.KIND) for file in (own, tmp_path / "masked.safetensors"))
    assert "fold_of" in before[0]
    assert after[0].keys() == before[0].keys() - {"fold_of"} | {"distilled", "precision"}
    assert embedders.load_folds(tmp_path / "masked.safetensors") is None
    moved = {name for name, tensor in before[1].items() if not torch.equal(tensor, after[1][name])}
    assert "head.3.weight" in moved
    assert not any("running" in name or "num_batches" in name for name in moved)  # statistics stay


def training(bare_weight: float = 3.0, relation_weight: float = 0.0) -> distillation.Training:
    network = dlib_embedding.network().requires_grad_(True)
    return distillation.Training(network, 150, bare_weight, relation_weight)


def loss(of: distillation.Training, changed: torch.Tensor, bare: torch.Tensor, *, masked: bool = True) -> float:
    """Return the loss of faces (n, 3, side, side), changed and bare ones."""
    sample = type("Sample", (), {"masked": masked})
    return float(of(list(torch.stack([changed, bare], 1)), [sample] * len(bare), mode="loss")["loss"])


def chips() -> torch.Tensor:
    """Return three faces, (3, 3, side, side)."""
    return torch.from_numpy(np.stack([dlib_embedding.chip(*drawn_face(index)) for index in range(3)])).permute(
        0, 3, 1, 2
    )


def test_where_nothing_is_changed_there_is_nothing_to_learn():
    faces, copy = chips(), training()
    for relation_weight in (0.0, 1.0):
        assert loss(training(relation_weight=relation_weight), faces, faces) == pytest.approx(0, abs=1e-5)
    masked, bare = (loss(copy, faces * 0, faces, masked=masked) for masked in (True, False))
    assert masked > 0.001
    assert bare == pytest.approx(3 * masked)
    assert all(weight.requires_grad for weight in copy.network.parameters())
    assert not any(weight.requires_grad for weight in copy.teacher.parameters())
    assert not any(part.training for part in copy.train().modules())


def test_a_face_shall_be_as_like_the_last_faces_as_its_teacher_says(monkeypatch: pytest.MonkeyPatch):
    """By hand: the divergence of two softmaxes over the cosines with the last four faces."""
    monkeypatch.setattr(distillation, "REMEMBERED", 4)
    plain, both = training(), training(relation_weight=2.0)
    faces = chips()
    first = [loss(both, faces.flip(0), faces), loss(plain, faces.flip(0), faces)]
    second = [loss(both, faces // 2, faces[[1, 2, 0]]), loss(plain, faces // 2, faces[[1, 2, 0]])]
    with torch.no_grad():
        bare, dark = (nn.functional.normalize(both.teacher(some.float())).double() for some in (faces, faces // 2))
    for (whole, own), found, wanted, known in (
        (first, bare.flip(0), bare, bare),
        (second, dark, bare[[1, 2, 0]], bare[[2, 0, 2, 1]]),
    ):
        by_copy, by_teacher = ((some @ known.T / 0.1).softmax(1) for some in (found, wanted))
        apart = float((by_teacher * (by_teacher / by_copy).log()).sum(1).mean())
        assert apart > 0.0001
        assert whole - own == pytest.approx(2 * apart, rel=1e-3)


# ---------------------------------------------------------------- samples


def darker(face: tables.Face, image: Pixels, rng: np.random.Generator) -> Pixels:
    return image // 2


def samples(mask_prob: float) -> distillation.Samples:
    cut = dlib_embedding.chip
    return distillation.Samples([face_row(0)], darker, align, SIDE, cut, mask_prob, seed=0)


def test_samples_are_drawn_anew_and_always_the_same():
    some = samples(1.0)
    inputs = some[0]["inputs"]
    assert inputs.shape == (2, 3, 150, 150)
    assert torch.equal(inputs, some[0]["inputs"])
    assert not torch.equal(inputs[0], some[1]["inputs"][0])
    bare = np.asarray(some[1]["inputs"][1])  # what the teacher sees is the photo, or its mirror image
    assert any(np.array_equal(inputs[1], one) for one in (bare, bare[..., ::-1]))
    assert np.asarray(inputs[0]).mean() < np.asarray(inputs[1]).mean()
    assert some[0]["data_samples"].masked


def test_a_bare_face_is_rehearsed_as_it_is():
    for key in range(3):
        sample = samples(0.0)[key]
        assert torch.equal(sample["inputs"][0], sample["inputs"][1])
        assert not sample["data_samples"].masked


@pytest.mark.parametrize("factor", [1, 4])
def test_the_part_around_a_face_is_enough_of_a_photo(factor: int):
    face, points = drawn_face(0, 112 * factor)
    photo = np.full((400 * factor, 500 * factor, 3), 90, np.uint8)
    photo[150 * factor : 150 * factor + len(face), 200 * factor : 200 * factor + len(face)] = face
    points = points + np.float32([200, 150]) * factor
    part, moved = distillation.near(photo, points, align, SIDE)
    assert max(part.shape) < 2 * 2.3 * SIDE
    whole, near = (alignment.warp(image, align(some), SIDE) for image, some in ((photo, points), (part, moved)))
    inner = np.abs(cv2.GaussianBlur(whole, (0, 0), 2).astype(int) - cv2.GaussianBlur(near, (0, 0), 2))[8:-8, 8:-8]
    assert inner.mean() < 1.5


def test_landmarks_are_as_far_off_as_behind_masks():
    """Behind drawn masks of ORL they are 3 pixels off, metrics/mask_photos-orl.json."""
    _, points = drawn_face(0, 224)
    rng = np.random.default_rng(0)
    off = []
    for _ in range(200):
        moved = distillation.misplaced(points, align(points), SIDE, rng)
        five = [five_points(some) for some in (moved, points)]
        off.append(np.linalg.norm(five[0] - five[1], axis=1).mean() * alignment.scale_of(align(points)))
    assert 2 < np.mean(off) < 4


# ---------------------------------------------------------------- what of it is kept


class Weighing(nn.Module):
    """Embeds faces (n, 3, 2, 2) by two of their channels."""

    def __init__(self, angle: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([np.cos(angle), np.sin(angle)], dtype=torch.float32))

    def forward(self, faces: torch.Tensor) -> torch.Tensor:
        return faces.mean((2, 3))[:, :2] * self.weight


class Rate:
    """A curve with one rate, or with another one where hardly anybody is accepted."""

    def __init__(self, rate: float, strict: float | None = None) -> None:
        self.rate, self.strict = rate, rate if strict is None else strict

    def tar_at(self, far: float) -> float:
        return self.rate if far >= 0.01 else self.strict

    def decidability(self) -> float:
        return self.rate


def as_it_is(face: Pixels, points: np.ndarray) -> Pixels:
    return face


def test_two_networks_are_mixed_by_their_weights():
    one, other = Weighing(0.0), Weighing(np.pi / 2)
    for share in (0.0, 0.25, 1.0):
        assert torch.allclose(distillation.mixed(one, other, share).weight, torch.tensor([1 - share, share]), atol=1e-6)
    assert torch.allclose(one.weight, torch.tensor([1.0, 0.0]), atol=1e-6)


def test_people_of_val_choose_how_much_is_kept(monkeypatch: pytest.MonkeyPatch):
    """Masked faces gain up to a share of 0.6, bare ones lose from 0.5 on."""

    def scores(network: Weighing, *_: object) -> list[Any]:
        share = float(network.weight.detach()[1])
        rates = (0.99 - max(0.0, share - 0.5) / 10, 0.7 + min(share, 0.6) / 10)
        return [Rate(rate) for rate in rates]

    monkeypatch.setattr(distillation, "scores", scores)
    rows = [face_row(index) for index in range(8)]
    val = distillation.Samples(rows, darker, align, SIDE, as_it_is, 1.0, 0)
    one, other = Weighing(0.0), Weighing(np.pi / 2)
    for allowed, share in ((0.0, 0.5), (0.011, 0.6), (1.0, 0.6)):
        network, said = distill_recognizer._mixed(one, other, val, allowed)
        assert said["share"] == share
        assert float(network.weight.detach()[1]) == pytest.approx(share, abs=1e-6)
        assert said["val"]["mixed"]["masked"] == pytest.approx(0.7 + share / 10)
    # What bare faces lose shows at FAR 0.001 alone: half of it counts.
    monkeypatch.setattr(
        distillation,
        "scores",
        lambda network, *_: [Rate(1.0, 1 - float(network.weight.detach()[1]) / 10), Rate(float(network.weight[1]))],
    )
    assert distill_recognizer._mixed(one, other, val, 0.011)[1]["share"] == 0.2
    nobody = distillation.Samples([], darker, align, SIDE, as_it_is, 1.0, 0)
    assert distill_recognizer._mixed(one, other, nobody, 0.0) == (other, {"share": 1.0, "val": {"faces": 0}})


def test_scores_of_faces_have_known_answers():
    def face(first: int, second: int) -> Pixels:
        return np.full((2, 2, 3), (first, second, 0), np.uint8)

    bare = [face(100, 0), face(90, 10), face(0, 100), face(10, 90)]
    masked = [face(0, 50), face(5, 50), face(50, 0), face(50, 5)]  # each looks like the other person
    network = Weighing(np.pi / 4)
    of_bare, of_masked = distillation.scores(network, bare, masked, ["a", "a", "b", "b"])
    assert (of_bare.auc(), of_masked.auc()) == (1.0, 0.0)
    assert of_bare.accepted_genuine[-1] == 4
    assert of_bare.accepted_impostor[-1] == 8


# ---------------------------------------------------------------- ONNX


@pytest.fixture
def imported(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that imports an ONNX model."""
    pytest.importorskip("onnx2torch")

    def work(model: Any, **described: Any) -> Path:
        (tmp_path / "mine.onnx").write_bytes(model.SerializeToString())
        described = {"kind": "onnx", "file": "mine.onnx", "mean": 127.5, "scale": 128.0, **described}
        section = import_recognizer.Params.model_validate({"mine": described})
        out = tmp_path / "recognizer-mine.safetensors"
        import_recognizer.import_recognizer("mine", tmp_path, out, section)
        return out

    return work


def network_of(path: Path) -> onnx_networks.Network:
    return teachers.load(path).network


@pytest.mark.parametrize("length_1", [False, True])
@pytest.mark.parametrize("opset", [18, 20, 22])
def test_an_onnx_model_becomes_a_network(imported: Callable[..., Path], opset: int, length_1: bool):
    from tests import onnx_files

    network = network_of(imported(onnx_files.network(opset, length_1=length_1)))
    found = {place.tensor for place in network.places.values()}
    assert found == LEARNS
    assert [place.tensor for place in network.places.values() if place.transposed] == ["matrix"]
    assert not any(part.training for part in network.modules())


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_a_copy_of_an_onnx_model_replaces_it(imported: Callable[..., Path], tmp_path: Path, channels: str):
    from tests import onnx_files

    onnx = pytest.importorskip("onnx")
    teacher = imported(onnx_files.network(), channels=channels)
    result = distill(tmp_path, teacher)
    copy = tmp_path / "masked.safetensors"
    before, after = (weights.load(file, recognizer.KIND) for file in (teacher, copy))
    assert {**before[0], "distilled": True}.items() <= after[0].items()
    models = [onnx.load_model_from_string(state["file"].numpy().tobytes()) for _, state in (before, after)]
    learned = [
        {one.name: onnx.numpy_helper.to_array(one) for one in model.graph.initializer}
        | {name: onnx.numpy_helper.to_array(one) for name, one in onnx_models.constants(model).items()}
        for model in models
    ]
    changed = {name for name, value in learned[0].items() if not np.array_equal(value, learned[1][name])}
    assert changed == LEARNS
    assert result["parameters"] == sum(learned[0][name].size for name in LEARNS)
    for model in models:  # all else is as it was
        del model.graph.initializer[:]
        for node in model.graph.node:
            if node.op_type == "Constant":
                del node.attribute[:]
    assert models[0] == models[1]

    out = tmp_path / "copy.onnx"
    graph = export_onnx.export_onnx(copy, out, align_faces.Params(template="arcface", side=SIDE))
    assert out.read_bytes() == after[1]["file"].numpy().tobytes()
    session, taught = onnx_file.Session(out, 1), onnx_file.Session(tmp_path / "mine.onnx", 1)
    for one, other in (
        (session.session.get_inputs(), taught.session.get_inputs()),
        (session.session.get_outputs(), taught.session.get_outputs()),
    ):
        assert [(x.name, x.shape, x.type) for x in one] == [(x.name, x.shape, x.type) for x in other]
    assert comparison.compare(graph, session, [face_row(0), face_row(5)], 1).differences["embedding"] < 1e-5
    card = json.loads(out.with_suffix(".json").read_text())
    assert card["opset"] == 17
    assert json.loads(card["import_recognizer"])["channels"] == channels
    face, points = drawn_face(1)
    one, other = (embedders.load(file)([face], [points]) for file in (teacher, copy))
    assert float((one * other).sum()) > 0.5
    assert not np.array_equal(one, other)


def test_slopes_that_stay_give_what_torch_gives():
    faces = torch.linspace(-3, 3, 2 * 3 * 4 * 4).reshape(2, 3, 4, 4).requires_grad_()
    slopes = torch.tensor([0.25, -0.5, 2.0])
    one, other = onnx_networks._PReLU()(faces, slopes.reshape(3, 1, 1)), nn.functional.prelu(faces, slopes)
    assert torch.equal(one, other)
    assert torch.allclose(*(torch.autograd.grad(found.square().sum(), faces)[0] for found in (one, other)))


def test_what_is_no_network_that_can_learn_is_told(imported: Callable[..., Path]):
    from tests import onnx_files
    from tests.onnx_files import node

    other = imported(onnx_files.model(after=[node("Shrink", "embedding", "other", lambd=0.1)], last="other"))
    with pytest.raises(
        UnmaskError, match=r"recognizer-mine\.safetensors cannot be taught: .* operator Shrink of version 9"
    ):
        teachers.load(other)
    half = imported(onnx_files.network(dtype=np.float16))
    with pytest.raises(UnmaskError, match="cannot be taught: no weights were found"):
        teachers.load(half)


def test_weights_that_are_used_twice_stay(imported: Callable[..., Path]):
    from tests import onnx_files
    from tests.onnx_files import node

    square = onnx_files.weight(12, 12)
    twice = [node("Gemm", ("embedding", "square"), "once"), node("Gemm", ("once", "square"), "other")]
    network = network_of(imported(onnx_files.model(after=twice, last="other", tensors={"square": square})))
    assert {place.tensor for place in network.places.values()} == {"matrix", "bias"}
    assert sum(weight.requires_grad for weight in network.parameters()) == 2
