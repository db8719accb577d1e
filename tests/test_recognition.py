"""Recognizers: the network, its training, dlib's, and who is nearest."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import scipy.stats
import torch
from pydantic import ValidationError
from torch import nn

from stages.compute import weights
from stages.core import images, params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.results import Results
from stages.faces import dlib_models
from stages.recognition import (
    dlib_embedding,
    embedders,
    folding,
    identification,
    networks,
    recognizer,
    train_masked_recognizer,
    train_recognizer,
    training,
)
from stages.training import loop
from stages.training.trained import Trained
from tests.conftest import ROOT, drawn_face, face_row, write_table


def network(**changes: object) -> networks.Network:
    values = {"side": 32, "layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "embedding": 16, "dropout": 0.0}
    return networks.Network(**{**values, **changes})


def section(**changes: object) -> train_recognizer.Params:
    values = {
        "seed": 0,
        "network": network().model_dump(),
        "pretrained": None,
        "sample_rate": 1.0,
        "norm_softmax": {"scale": 16.0, "folds": None},
        "sphereface": {"margin": 1.7, "scale": 16.0, "folds": None},
        "cosface": {"margin": 0.35, "scale": 16.0, "folds": None},
        "arcface": {"margin": 20.0, "scale": 16.0, "folds": None},
        "schedule": loop.Schedule(
            steps=30, batch_size=8, learning_rate=0.005, weight_decay=0.0, checkpoint_every=10, precision="float32"
        ).model_dump(),
    }
    return train_recognizer.Params(**{**values, **changes})


def train(faces: Path, to: Path, *, masks: str = "bare", loss: str = "arcface", **changes: object) -> dict:
    out, results = to / "w.safetensors", Results(to / "training")
    if masks == "bare":
        return train_recognizer.train_recognizer(loss, faces, out, results, section(**changes))
    recipe = section(**changes).model_dump(exclude={"seed"})
    looks = params.read_yaml(ROOT / "params.yaml")["render_masks"]
    chosen = train_masked_recognizer.Params(seed=0, render_masks=looks, train_recognizer=recipe, mask_prob=1.0)
    templates = ROOT / "data/mask_templates"
    return train_masked_recognizer.train_masked_recognizer(loss, faces, templates, out, results, chosen)


@pytest.mark.parametrize("size", [32, 48, 112])
def test_embeddings_have_length_one_and_know_no_mirror(size: int):
    torch.manual_seed(0)
    one = recognizer.Recognizer(network(side=size).build(), size)
    face, _ = drawn_face(0, 64)
    found = one.embed([face, face[:, ::-1].copy()])
    assert found.shape == (2, 16)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert np.allclose(found[0], found[1], atol=1e-5)


@pytest.mark.parametrize(
    ("loss", "masks"),
    [("arcface", "bare"), ("arcface", "masked"), ("norm_softmax", "bare"), ("cosface", "bare"), ("sphereface", "bare")],
)
def test_faces_of_one_person_come_together(tmp_path: Path, loss: str, masks: str):
    rows = [face_row(person * 7, identity=f"p{person}") for person in range(3) for _ in range(4)]
    for index, face in enumerate(rows):
        face["face_id"] = f"drawn/{face['identity']}/{index:03d}"
    table = write_table(tmp_path / "faces", rows)
    result = train(table, tmp_path, loss=loss, masks=masks)
    assert (result["faces"], result["identities"]) == (12, 3)
    one = recognizer.load(tmp_path / "w.safetensors")
    found = one.embed([images.decode(face["image"]) for face in tables.read(table)])
    identities = [face["identity"] for face in tables.read(table)]
    assert identification.rank_1_of_first(found, found, identities) == 1.0


def test_with_and_without_masks_faces_are_changed_in_the_same_way():
    def unchanged(face: tables.Face, image: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        del face
        rng.random(5)  # as a mask takes some chance
        return image, np.zeros(image.shape[:2], np.uint8)

    faces = [face_row(index) for index in range(4)]
    bare, masked = training.Samples(faces, 32, 0), training.Samples(faces, 32, 0, unchanged, mask_prob=0.5)
    for key in range(12):
        assert torch.equal(bare[key]["inputs"], masked[key]["inputs"])
    assert not torch.equal(bare[0]["inputs"], bare[4]["inputs"])


# ---------------------------------------------------------------- folds

IN_TWO = {"margin": 20.0, "scale": 16.0, "folds": 2}
SHORT = loop.Schedule(
    steps=4, batch_size=4, learning_rate=0.005, weight_decay=0.0, checkpoint_every=2, precision="float32"
).model_dump()


def five_people(to: Path) -> Path:
    return write_table(to / "faces", [face_row(index, identity=f"p{index % 5}") for index in range(20)])


@pytest.mark.parametrize("masks", ["bare", "masked"])
def test_the_network_of_a_fold_never_sees_its_people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, masks: str):
    seen, runs = {}, {}

    def spy(loss: str, recipe: training.Recipe, samples: training.Samples, **options: object) -> Trained:
        name = options["name"].removeprefix(program)
        seen[name] = set(samples.person)
        runs[name] = fit(loss, recipe, samples, **options)
        return runs[name]

    fit = training.fit
    monkeypatch.setattr(training, "fit", spy)
    program = "train_recognizer-arcface" if masks == "bare" else "train_masked_recognizer-arcface"
    train(five_people(tmp_path), tmp_path, masks=masks, arcface=IN_TWO, schedule=SHORT)
    people = {f"p{number}" for number in range(5)}
    fold_of = folding.folds(people, 2)
    others = [{person for person in people if fold_of[person] != fold} for fold in (0, 1)]
    assert seen == {"-fold_0": others[0], "-fold_1": others[1], "": people}
    found = embedders.load_folds(tmp_path / "w.safetensors")
    assert found.fold_of == fold_of
    kept = weights.load(tmp_path / "w.safetensors", recognizer.KIND)[1]
    for name, before in (("-fold_0", "folds.0.network."), ("-fold_1", "folds.1.network."), ("", "")):
        learned = runs[name].model.network.state_dict()
        assert all(torch.equal(kept[before + tensor], value) for tensor, value in learned.items())
        assert not runs[name].work.exists()
    face, _ = drawn_face(0, 64)
    embed = recognizer.Recognizer(runs["-fold_1"].model.network, 32).embed
    faces = [face, face[::-1].copy()]
    cosine = np.prod(embed(faces), 0).sum()
    assert np.prod(found.embed[1](faces, [None] * 2), 0).sum() == pytest.approx(cosine, abs=1e-4)


def test_a_run_that_was_killed_between_folds_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def killed(loss: str, recipe: training.Recipe, samples: training.Samples, **options: object) -> Trained:
        if options["name"].endswith("fold_1"):
            raise KeyboardInterrupt
        return fit(loss, recipe, samples, **options)

    table, fit = five_people(tmp_path), training.fit
    options = {"arcface": IN_TWO, "schedule": SHORT}
    train(table, tmp_path / "whole", **options)
    monkeypatch.setattr(training, "fit", killed)
    with pytest.raises(KeyboardInterrupt):
        train(table, tmp_path / "again", **options)
    monkeypatch.setattr(training, "fit", fit)
    assert list((loop.SCRATCH / "train_recognizer-arcface-fold_0").glob("*/epoch_2.pth"))
    train(table, tmp_path / "again", **options)
    whole, again = ((tmp_path / name / "w.safetensors").read_bytes() for name in ("whole", "again"))
    assert whole == again


def test_folds_leave_the_network_for_new_people_as_it_is(tmp_path: Path):
    table = five_people(tmp_path)
    results, costs = {}, {}
    for folds in (None, 2):
        to = tmp_path / str(folds)
        results[folds] = train(table, to, arcface={**IN_TWO, "folds": folds}, schedule=SHORT)
        costs[folds] = json.loads((to / "costs/training.json").read_text())
    assert results[None] == results[2]
    assert costs[2]["images"] == 3 * costs[None]["images"]
    plain, with_folds = (weights.load(tmp_path / f"{folds}/w.safetensors", recognizer.KIND)[1] for folds in (None, 2))
    assert all(torch.equal(tensor, with_folds[name]) for name, tensor in plain.items())
    assert {name.split(".")[0] for name in with_folds.keys() - plain.keys()} == {"folds"}
    assert recognizer.load(tmp_path / "2/w.safetensors").network.state_dict().keys() == plain.keys()
    assert embedders.load_folds(tmp_path / "None/w.safetensors") is None


def test_a_turned_copy_of_a_network_is_turned_back(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(recognizer, "STILL", 1e-9)  # an untrained network's embeddings hardly differ from each other
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    one, layer = network().build().eval(), nn.Linear(16, 16, bias=False)
    layer.weight.data = torch.from_numpy(scipy.stats.ortho_group.rvs(16, random_state=0)).float()
    copy = nn.Sequential(one, layer)
    noise = rng.integers(0, 256, (60, 32, 32, 3), np.uint8)
    back = recognizer.turned(copy, one, 32, [{"image": images.encode_png(image)} for image in noise[:40]])
    strangers = list(noise[40:])
    original, elsewhere, found = (recognizer.Recognizer(some, 32).embed(strangers) for some in (one, copy, back))
    assert np.abs(elsewhere - original).max() > 0.1
    assert np.allclose(found, original, atol=1e-3)
    assert np.allclose(found @ found.T, elsewhere @ elsewhere.T, atol=1e-4)


def test_noise_decides_nothing_about_a_turn():
    """Of forty directions, embeddings of ten people take ten; the last digits are other ones on each processor."""
    rng = np.random.default_rng(0)
    people, rotation = rng.normal(size=(10, 40)), scipy.stats.ortho_group.rvs(40, random_state=0)
    some = np.repeat(people / np.linalg.norm(people, axis=1, keepdims=True), 5, 0)
    found = recognizer.turn(some @ rotation, some)
    assert np.allclose(some @ rotation @ found, some, atol=2e-3)
    assert np.allclose(found @ found.T, np.eye(40), atol=1e-3)
    assert np.array_equal(found, np.round(found * 2**16) / 2**16)
    noisy = some @ rotation * (1 + 1e-15 * rng.normal(size=some.shape))
    assert np.array_equal(recognizer.turn(noisy, some), found)


@pytest.mark.parametrize(("n", "people"), [(2, 3), (3, 2), (6, 5)])
def test_too_few_people_for_the_folds_are_told(n: int, people: int):
    rows = [face_row(person, identity=f"p{person}") for person in range(people)]
    with pytest.raises(UnmaskError, match=rf"train_recognizer\.arcface\.folds is {n}, but there are {people} people"):
        training.folds("arcface", n, rows)


@pytest.mark.parametrize(("n", "people"), [(2, 4), (3, 3)])
def test_a_fold_of_the_fewest_people(n: int, people: int):
    rows = [face_row(person, identity=f"p{person}") for person in range(people)]
    assert set(training.folds("arcface", n, rows).values()) == set(range(n))


# ---------------------------------------------------------------- losses

LOSSES = {
    "norm_softmax": {"scale": 2.0},
    "sphereface": {"margin": 1.5, "scale": 2.0},
    "cosface": {"margin": 0.5, "scale": 2.0},
    "arcface": {"margin": 30.0, "scale": 2.0},
}
NEUTRAL = {"sphereface": 1.0, "cosface": 1e-6, "arcface": 1e-6}


def vectors(*rows: tuple[float, float, float]) -> torch.Tensor:
    """Return vectors of eight numbers, the least an embedding has, of which all but three are 0."""
    return torch.nn.functional.pad(torch.tensor(rows), (0, 5))


def criterion(loss: str, **changes: float) -> nn.Module:
    """Return a loss for two people, one to the right, one up, whose vectors have other lengths than 1."""
    numbers = {**LOSSES[loss], "folds": None, **changes}
    chosen = section(network=network(embedding=8).model_dump(), **{loss: numbers})
    found = chosen.criterion(loss, 2)
    (weight,) = found.parameters()
    people = vectors((3.0, 0.0, 0.0), (0.0, 0.5, 0.0))
    weight.data = people if weight.shape == people.shape else people.T.contiguous()
    return found


def at(degrees: float, length: float = 7.0) -> torch.Tensor:
    """Return an embedding at an angle to the first person and at 90 degrees to the second one."""
    angle = np.radians(degrees)
    return vectors((float(length * np.cos(angle)), 0.0, float(length * np.sin(angle))))


def loss_at(loss: str, degrees: float, **changes: float) -> float:
    return criterion(loss, **changes)(at(degrees), torch.tensor([0])).item()


def own_cosine(loss: str, degrees: float) -> float:
    """Return what stands for the cosine to the own person, c; the other one's is 0: loss = log(1 + exp(-scale * c))."""
    return -np.log(np.expm1(loss_at(loss, degrees))) / LOSSES[loss]["scale"]


ROOT_3 = np.sqrt(3)


@pytest.mark.parametrize(
    ("loss", "degrees", "expected"),
    [
        ("norm_softmax", 60, 0.5),
        ("norm_softmax", 150, -ROOT_3 / 2),
        ("sphereface", 0, 1.0),
        ("sphereface", 40, 0.5),  # 1.5 * 40 = 60
        ("sphereface", 60, 0.0),
        ("sphereface", 100, -ROOT_3 / 2),
        ("sphereface", 120, -1.0),  # 1.5 * 120 = 180, where it ends
        ("sphereface", 150, -1.0),
        ("sphereface", 180, -1.0),
        ("cosface", 60, 0.0),
        ("cosface", 150, -ROOT_3 / 2 - 0.5),
        ("arcface", 30, 0.5),
        ("arcface", 60, 0.0),
        ("arcface", 120, -ROOT_3 / 2),
        ("arcface", 180, -1 - np.pi / 12),  # beyond 180 - 30: cos(angle) - margin * sin(margin)
    ],
)
def test_a_loss_is_that_of_its_paper(loss: str, degrees: float, expected: float):
    assert own_cosine(loss, degrees) == pytest.approx(expected, abs=1e-5)
    assert loss_at(loss, degrees) == pytest.approx(np.log(1 + np.exp(-2 * expected)), abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_the_mean_over_faces_whatever_their_length(loss: str):
    """A face between the two people, at 30 degrees to the second one, its own, and one at 60 to the first one."""
    faces = torch.cat([vectors((0.1, 0.1 * 3**0.5, 0.0)), at(60, length=0.3)])
    own = {"norm_softmax": ROOT_3 / 2, "sphereface": np.sqrt(0.5), "cosface": ROOT_3 / 2 - 0.5, "arcface": 0.5}[loss]
    first = np.log(np.exp(2 * own) + np.exp(2 * 0.5)) - 2 * own
    expected = (first + np.log(1 + np.exp(-2 * (0.5 if loss == "norm_softmax" else 0.0)))) / 2
    assert criterion(loss)(faces, torch.tensor([1, 0])).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_never_falls_with_the_angle(loss: str):
    cosines = [own_cosine(loss, degrees) for degrees in range(181)]
    assert np.diff(cosines).max() < 1e-4
    assert cosines[0] > cosines[60] > cosines[119] > -1
    assert min(cosines) > {"cosface": -1.51, "arcface": -1.27}.get(loss, -1.0001)


@pytest.mark.parametrize("loss", NEUTRAL)
@pytest.mark.parametrize("degrees", [20, 60, 90, 110])
def test_a_larger_margin_costs_more(loss: str, degrees: float):
    costs = [loss_at(loss, degrees, margin=LOSSES[loss]["margin"] * factor) for factor in (0.8, 0.9, 1, 1.1)]
    assert min(np.diff(costs)) > 1e-3


@pytest.mark.parametrize("loss", NEUTRAL)
@pytest.mark.parametrize("degrees", [0, 20, 60, 90, 120, 150, 179])
def test_without_its_margin_a_loss_is_a_softmax(loss: str, degrees: float):
    cost = loss_at(loss, degrees, margin=NEUTRAL[loss])
    assert cost == pytest.approx(loss_at("norm_softmax", degrees), abs=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_larger_scale_is_stricter(loss: str):
    """A face that is nearer to its own person costs less, one that is nearer to another one costs more."""
    assert loss_at(loss, 20, scale=4.0) < loss_at(loss, 20, scale=2.0)
    assert loss_at(loss, 100, scale=4.0) > loss_at(loss, 100, scale=2.0)


def test_a_margin_of_sphereface_need_not_be_whole():
    margins = (1.0, 1.3, 1.7, 2.0)
    losses = [loss_at("sphereface", 50, margin=margin) for margin in margins]
    assert losses == pytest.approx([np.log(1 + np.exp(-2 * np.cos(np.radians(50 * one)))) for one in margins], abs=1e-5)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        criterion("sphereface", margin=0.5)


@pytest.mark.parametrize("degrees", [0, 1, 60, 130, 180])
def test_sphereface_draws_a_face_to_its_person_from_everywhere(degrees: float):
    face = at(degrees).requires_grad_()
    loss = criterion("sphereface")
    loss(face, torch.tensor([0])).backward()
    (weight,) = loss.parameters()
    assert torch.isfinite(face.grad).all()
    assert torch.isfinite(weight.grad).all()
    if degrees in {60, 130}:
        moved = at(degrees) - face.grad
        assert moved[0, 0] / moved.norm() > np.cos(np.radians(degrees)) + 1e-3


def test_bad_options_and_one_person_alone_are_named(tmp_path: Path):
    table = write_table(tmp_path / "faces", [face_row(index, identity="p") for index in range(3)])
    with pytest.raises(UnmaskError, match="has 1 people in split 'train'"):
        train(table, tmp_path)
    with pytest.raises(UnmaskError, match="--loss is 'l2'"):
        train(table, tmp_path, loss="l2")


def test_the_network_in_torch_is_dlibs(orl_photo: Callable[[str], Pixels]):
    chips = [cv2.resize(orl_photo(name), (150, 150)) for name in ("s1/1", "s2/1")]
    path = dlib_models.model_file(dlib_embedding.WEIGHTS)
    of_dlib = np.array(dlib.face_recognition_model_v1(path).compute_face_descriptor(chips))
    with torch.inference_mode():
        of_torch = dlib_embedding.network()(torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float())
    assert np.allclose(of_torch.numpy(), of_dlib, atol=1e-5)


def test_other_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "w.dat").write_bytes(b"no network")
    monkeypatch.setattr(dlib_embedding, "model_file", lambda _: tmp_path / "w.dat")
    with pytest.raises(UnmaskError, match="is not dlib's ResNet-29"):
        dlib_embedding.network.__wrapped__()


def test_dlibs_embedding_tells_drawn_people_apart():
    (one, points), (other, _) = drawn_face(0), drawn_face(5)
    noisy = np.clip(one.astype(int) + 3, 0, 255).astype(np.uint8)
    found = dlib_embedding.embed([one, noisy, other], [points] * 3)
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert found[0] @ found[1] > found[0] @ found[2]
    assert dlib_embedding.embed([], []).shape == (0, 128)


def test_rank_1_asks_every_photo_but_the_first():
    gallery = np.float32([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8], [0.9, 0.1]])
    # a's first and b's first are enrolled; of the others, one of a's is nearer to b.
    assert identification.rank_1_of_first(gallery, gallery, ["a", "a", "b", "b", "b"]) == pytest.approx(2 / 3)
    assert identification.rank_1_of_first(gallery[:2], gallery[:2], ["a", "b"]) is None
