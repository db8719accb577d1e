"""Occluders: what is drawn on a face covers what it says, and follows from the seed."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.core import params
from stages.core.errors import UnmaskError
from stages.core.seeding import generator
from stages.masks import occluders
from stages.masks.looks import Looks, Positions
from tests.conftest import ROOT, drawn_face

LOOKS = params.load(Looks, "render_masks", ROOT / "params.yaml")


def occlude(seed: int, *, gray: bool = False, pictures: tuple = ()) -> tuple:
    image, points = drawn_face(3, gray=gray)
    rng = generator(seed)
    return image, *occluders.occlude(image, points, "0_0", rng, looks=LOOKS, own={}, pictures=pictures)


def test_every_kind_is_drawn_and_most_cover_the_face():
    drawn = [occlude(seed) for seed in range(80)]
    assert {kind for _, kind, _, _ in drawn} == set(occluders.KINDS)
    assert np.mean([(region > 0).any() for *_, region in drawn]) > 0.9
    assert all(set(np.unique(region)) <= {0, 255} for *_, region in drawn)


def test_the_region_is_where_the_image_changed():
    for seed in range(40):
        image, kind, hidden, region = occlude(seed)
        changed = np.abs(hidden.astype(int) - image).max(2) > 0
        # Half covered pixels around the region change, too; no other does.
        near = cv2.dilate(region, np.ones((7, 7), np.uint8)) > 0
        assert not (changed & ~near).any() or kind in {"mask", "picture", "hand", "patch", "scarf", "microphone"}
        assert (changed[region > 0]).mean() > 0.8 if region.any() else True


def test_the_seed_decides_and_the_input_is_not_touched():
    first, second = occlude(7), occlude(7)
    assert first[1] == second[1]
    assert np.array_equal(first[2], second[2])
    assert np.array_equal(first[0], drawn_face(3)[0])


def test_a_gray_photo_stays_gray():
    for seed in range(20):
        _, _, hidden, _ = occlude(seed, gray=True)
        assert np.array_equal(hidden[..., 0], hidden[..., 1])
        assert np.array_equal(hidden[..., 0], hidden[..., 2])


def test_pasting_has_known_answers():
    image = np.full((2, 2, 3), (10, 20, 30), np.uint8)
    layer = np.zeros((2, 2, 4), np.float32)
    layer[0, 0] = (100, 0, 0, 1)
    layer[0, 1] = (110, 120, 130, 0.5)
    layer[1, 0] = (255, 255, 255, 0.25)
    pasted, region = occluders.paste(image, layer)
    assert pasted[0, 0].tolist() == [100, 0, 0]
    assert pasted[0, 1].tolist() == [60, 70, 80]
    assert pasted[1, 1].tolist() == [10, 20, 30]
    assert region.tolist() == [[255, 255], [0, 0]]


def test_own_pictures_are_used(tmp_path: Path):
    picture = np.zeros((40, 30, 4), np.uint8)
    picture[5:35, 5:25] = (0, 0, 255, 255)  # BGRA: red
    (tmp_path / "more").mkdir()
    cv2.imwrite(str(tmp_path / "more/red.png"), picture)
    pictures = occluders.read_pictures(tmp_path)
    assert len(pictures) == 1
    assert pictures[0][20, 10].tolist() == [255, 0, 0, 255]
    kinds = [occlude(seed, pictures=tuple(pictures)) for seed in range(30)]
    own = [(hidden, region) for _, kind, hidden, region in kinds if kind == "picture" and (region > 0).sum() > 50]
    assert 5 < len(own) < 25
    red = [np.median(hidden[region > 0], 0) for hidden, region in own]
    assert np.mean([color[0] > color[2] + 50 for color in red]) > 0.5  # a quarter gets another texture


def test_a_picture_without_alpha_is_named(tmp_path: Path):
    cv2.imwrite(str(tmp_path / "flat.png"), np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(UnmaskError, match=r"flat.png must be an 8-bit PNG with an alpha channel"):
        occluders.read_pictures(tmp_path)


def test_landmarks_on_a_line_are_no_error():
    image, points = drawn_face(3)
    points[:, 1] = 50
    for seed in range(30):
        _, _, region = occluders.occlude(image, points, "0_0", generator(seed), looks=LOOKS, own={})
        assert region.shape == (112, 112)


def test_looks_to_train_on_show_rare_ones_more_often():
    flat = LOOKS.model_copy(update={"styles": {"surgical": 9.0, "n95": 1.0, "cloth": 0.0}}).flattened()
    assert flat.styles == {"surgical": 3.0, "n95": 1.0, "cloth": 0.0}
    before, after = LOOKS.positions, flat.positions
    assert after.chin / after.proper == pytest.approx((before.chin / before.proper) ** 0.5)


def test_masks_in_trainings_may_be_worn_otherwise():
    properly = Positions(proper=4, below_nose=0, chin=0)
    chosen = LOOKS.model_copy(update={"positions_in_training": properly})
    assert chosen.in_training().positions == properly
    assert dict(chosen.flattened().positions) == {"proper": 2, "below_nose": 0, "chin": 0}
    assert LOOKS.in_training() == LOOKS
    assert chosen.positions == LOOKS.positions
