"""Recognizers: the network, its training, dlib's, and who is nearest."""

from collections.abc import Callable
from pathlib import Path

import cv2
import dlib
import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from stages.core import images, params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.results import Results
from stages.faces import dlib_models
from stages.recognition import (
    dlib_embedding,
    identification,
    networks,
    recognizer,
    train_masked_recognizer,
    train_recognizer,
    training,
)
from stages.training import loop
from tests.conftest import ROOT, drawn_face, face_row, write_table


def network(**changes: object) -> networks.Network:
    values = {"side": 32, "layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16], "embedding": 16, "dropout": 0.0}
    return networks.Network(**{**values, **changes})


def section(**changes: object) -> train_recognizer.Params:
    values = {
        "seed": 0,
        "network": network().model_dump(),
        "norm_softmax": {"scale": 16.0},
        "sphereface": {"margin": 1.7, "scale": 16.0},
        "cosface": {"margin": 0.35, "scale": 16.0},
        "arcface": {"margin": 20.0, "scale": 16.0},
        "schedule": loop.Schedule(
            steps=30, batch_size=8, learning_rate=0.005, weight_decay=0.0, checkpoint_every=10, precision="float32"
        ).model_dump(),
    }
    return train_recognizer.Params(**{**values, **changes})


def train(faces: Path, to: Path, *, masks: str = "bare", loss: str = "arcface") -> dict:
    out, results = to / "w.safetensors", Results(to / "training")
    if masks == "bare":
        return train_recognizer.train_recognizer(loss, faces, out, results, section())
    recipe = section().model_dump(exclude={"seed"})
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
    chosen = section(network=network(embedding=8).model_dump(), **{loss: LOSSES[loss] | changes})
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
