"""Heads: what each does to embeddings, and whom those of a fold learn from."""

from pathlib import Path

import numpy as np
import pytest
import torch

from stages.compute import weights
from stages.core.errors import UnmaskError
from stages.core.seeding import generator
from stages.recognition import embeddings, folding, heads, protocol, train_heads
from stages.recognition.embeddings import Faces

SIZE = 24
FOLDS = 3
NUMBERS = {"hidden": 4, "steps": 1, "learning_rate": 0.1, "weight_decay": 0.0, "margin": 0.1}


def faces(condition: str, *, folds: int | None = None) -> Faces:
    """Return four photos of each of twelve people; masked embeddings are turned by one and the same shift, and noisier.

    The people are to be trained on, in so many folds.
    """
    rng = np.random.default_rng(0)
    people, photos = 12, 4
    found = np.repeat(rng.normal(size=(people, SIZE)), photos, 0)
    found += 0.4 * rng.normal(size=found.shape)
    if condition != "bare":
        found = 0.6 * found + 1.2 * np.random.default_rng(1).normal(size=SIZE) + 0.3 * rng.normal(size=found.shape)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    names = [f"p{person:02d}" for person in range(people) for _ in range(photos)]
    fold_of = folding.folds(set(names), folds) if folds else {}
    ids = [f"drawn/{name}/{number % photos}" for number, name in enumerate(names)]
    return Faces(ids, names, ["train"] * len(ids), [fold_of.get(name) for name in names], found.astype(np.float32))


def test_an_untrained_unmasking_network_changes_nothing():
    some = faces("masked").embeddings
    assert np.allclose(heads.apply(heads.Unmasking(SIZE, 8), some), some, atol=1e-6)


def test_many_embeddings_are_corrected_as_few_are(monkeypatch: pytest.MonkeyPatch):
    some, head = faces("masked").embeddings, heads.mean_shift(faces("bare").embeddings, faces("masked").embeddings)
    at_once = heads.apply(head, some)
    monkeypatch.setattr(heads, "AT_ONCE", 7)
    assert np.allclose(heads.apply(head, some), at_once, atol=1e-6)
    assert heads.apply(head, some[:0]).shape == (0, SIZE)


def test_a_mean_shift_takes_the_shift_away():
    bare, masked = faces("bare").embeddings, faces("masked").embeddings
    corrected = heads.apply(heads.mean_shift(bare, masked), masked)
    assert np.allclose(np.linalg.norm(corrected, axis=1), 1, atol=1e-5)
    assert (bare * corrected).sum(1).mean() > (bare * masked).sum(1).mean() + 0.2


def test_the_loss_is_restrained_once_strangers_are_far_enough():
    anchors, positives, negatives = (torch.tensor([[value, 0.0]]) for value in (0.0, 0.5, 0.7))
    # Strangers are 0.49 away, bare ones lie 0.04 apart: those count.
    assert float(heads.self_restrained(anchors, positives, negatives, 0.1)) == pytest.approx(0.25 - 0.04 + 0.1)
    far = torch.tensor([[2.0, 0.0]])
    # Strangers are 1 away, bare ones lie 2.25 apart: a plain triplet loss, 0.25 - 1 + 0.1 < 0.
    assert float(heads.self_restrained(torch.tensor([[1.0, 0.0]]), positives, far, 0.1)) == 0.0


def test_photos_of_the_same_person_and_of_others_are_all_drawn_alike_often():
    people = ["b", "a", "b", "c", "b", "a"]
    draw, rng = heads.Triplets(people), generator(5, "triplets")
    seen = np.zeros((2, 6, 6), int)
    for _ in range(6000):
        anchor, positive, negative = draw(rng, 100)
        assert anchor.tolist() == list(range(6))
        seen[0, anchor, positive] += 1
        seen[1, anchor, negative] += 1
    same = np.array(people)[:, None] == np.array(people)
    for counts, wanted in zip(seen, (same, ~same), strict=True):
        expected = 6000 * wanted / wanted.sum(1, keepdims=True)
        assert not counts[~wanted].any()
        assert np.abs(counts - expected).max() < 5 * np.sqrt(6000) / 2


def test_of_many_photos_so_many_are_drawn_as_a_step_may_have():
    """Of 300,000 all pairs would be a table of 90 GB."""
    people = [f"p{index // 3}" for index in range(300_000)]
    anchor, positive, negative = heads.Triplets(people)(generator(5, "triplets"), 4096)
    assert len(set(anchor.tolist())) == 4096
    assert (anchor // 3 == positive // 3).all()
    assert (anchor // 3 != negative // 3).all()
    assert 0.6 < (anchor != positive).mean() < 0.73


def test_one_person_alone_teaches_no_unmasking():
    one = faces("bare").at([0, 1, 2])
    with pytest.raises(UnmaskError, match="at least two people"):
        heads.unmasking(one.embeddings, one.embeddings, one.identities, seed=0, **NUMBERS)


# ---------------------------------------------------------------- the stage


def fit(to: Path, changed: int | None = None, *, folds: int | None = FOLDS) -> tuple[heads.Heads, dict]:
    """Return the heads that the stage writes, and its numbers; the masked embeddings of fold `changed` are others."""
    batches = {condition: faces(condition, folds=folds) for condition in protocol.CONDITIONS}
    masked = batches["masked"]
    others = np.where(np.array(masked.folds)[:, None] == changed, masked.embeddings[::-1], masked.embeddings)
    batches["masked"] = masked.with_embeddings(others if changed is not None else masked.embeddings)
    embeddings.write(to / "e.parquet", batches.items(), SIZE)
    chosen = train_heads.Params(seed=0, unmasking=train_heads.Unmasking(**NUMBERS))
    found = train_heads.train_heads(to / "e.parquet", to / "heads.safetensors", chosen)
    return heads.load(to / "heads.safetensors"), found


def same(one: heads.Heads, other: heads.Heads, fold: int | None) -> bool:
    """Tell whether both have the same heads for masked faces of a fold."""
    some = faces("masked").embeddings
    pairs = [[found.correct("masked", name, some, fold) for found in (one, other)] for name in protocol.HEADS]
    return all(np.array_equal(*pair) for pair in pairs)


def test_the_heads_of_a_fold_learn_from_the_others_alone(tmp_path: Path):
    one, other = fit(tmp_path)[0], fit(tmp_path, changed=1)[0]
    assert same(one, other, 1)
    assert not any(same(one, other, fold) for fold in (0, 2, None))


def test_the_heads_for_new_people_learn_from_all(tmp_path: Path):
    (one, numbers), (other, others) = fit(tmp_path), fit(tmp_path, folds=None)
    assert all(of["cross_fitted"] for of in numbers.values())
    assert {name: {**of, "cross_fitted": False} for name, of in numbers.items()} == others
    assert numbers["masked"]["identities"] == 12
    assert same(one, other, None)
    assert [folds_in_header(tmp_path, folds) for folds in (FOLDS, None)] == [FOLDS, 0]


def folds_in_header(to: Path, folds: int | None) -> int:
    fit(to, folds=folds)
    return weights.load(to / "heads.safetensors", heads.KIND)[0]["folds"]


def test_a_face_without_an_embedding_stays_one(tmp_path: Path):
    found, _ = fit(tmp_path)
    some = faces("masked").embeddings
    some[[3, 7]] = np.nan
    for name in protocol.HEADS:
        for fold in (None, *range(FOLDS)):
            corrected = found.correct("masked", name, some, fold)
            assert np.isnan(corrected[[3, 7]]).all()
            assert np.isfinite(np.delete(corrected, [3, 7], 0)).all()


def test_a_condition_without_faces_is_named(tmp_path: Path):
    batches = [(condition, faces(condition)) for condition in protocol.CONDITIONS]
    lost = batches[2][1]
    batches[2] = ("zeroed", lost.with_embeddings(np.full_like(lost.embeddings, np.nan)))
    embeddings.write(tmp_path / "e.parquet", batches, SIZE)
    chosen = train_heads.Params(seed=0, unmasking=train_heads.Unmasking(**NUMBERS))
    with pytest.raises(UnmaskError, match=r"e\.parquet has no face in split 'train' that is there bare and zeroed"):
        train_heads.train_heads(tmp_path / "e.parquet", tmp_path / "heads.safetensors", chosen)
