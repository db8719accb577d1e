"""Geometry of faces and masks: known answers, round trips, properties."""

import csv

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.faces import alignment, face_type, landmarks
from stages.faces.warp import ThinPlateSpline
from stages.masks import rendering, shapes
from stages.masks.rendering import Look, Template
from stages.masks.styles import STYLES
from tests.conftest import SHARED, drawn_face, drawn_landmarks

PEER = SHARED / "peers" / "face_mask_generator"


def rotated(points: np.ndarray, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.radians(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (points @ turn.T + shift).astype(np.float32)


def turned(points: np.ndarray, yaw: float) -> np.ndarray:
    """Return the landmarks of a head turned to one side: a face on a cylinder, seen from the front."""
    middle, radius = 56.0, 40.0
    angle = np.arcsin(np.clip((points[:, 0] - middle) / radius, -1, 1)) + yaw
    return np.stack([middle + radius * np.sin(angle), points[:, 1]], 1).astype(np.float32)


# ---------------------------------------------------------------- landmarks


def test_flip_twice_is_the_same():
    points = drawn_landmarks()
    np.testing.assert_allclose(landmarks.flip(landmarks.flip(points, 112), 112), points, atol=1e-4)
    assert sorted(landmarks.FLIP) == list(range(68))


def test_a_flipped_face_is_the_face_in_the_mirror():
    points = drawn_landmarks()
    mirrored = landmarks.flip(points, 113)  # the drawn face is symmetric about x = 56
    for part in (landmarks.JAW, landmarks.LEFT_BROW, landmarks.NOSE_BASE, landmarks.LEFT_EYE, landmarks.OUTER_LIP):
        np.testing.assert_allclose(mirrored[part].mean(0), points[part].mean(0), atol=1.5)


def test_jaw_points():
    points = drawn_landmarks()
    np.testing.assert_array_equal(landmarks.jaw_point(points, 0), points[0])
    np.testing.assert_array_equal(landmarks.jaw_point(points, 16), points[16])
    np.testing.assert_allclose(landmarks.jaw_point(points, 3.25), points[3] * 0.75 + points[4] * 0.25, rtol=1e-6)


@given(st.floats(-30, 30), st.floats(0.3, 5), st.floats(-50, 50), st.floats(-50, 50))
def test_yaw_and_size_do_not_mind_tilt_and_place(degrees: float, scale: float, x: float, y: float):
    points = turned(drawn_landmarks(), 0.3)
    moved = rotated(points, degrees, scale, (x, y))
    assert landmarks.yaw(moved) == pytest.approx(landmarks.yaw(points), abs=0.05)
    straight = rotated(points, 0, scale, (x, y))
    assert landmarks.face_size(straight) == pytest.approx(scale * landmarks.face_size(points), rel=1e-4)


def test_yaw_grows_with_the_turn_and_knows_the_side():
    yaws = [landmarks.yaw(turned(drawn_landmarks(), turn)) for turn in (-0.6, -0.3, 0, 0.3, 0.6)]
    assert yaws == sorted(yaws)
    assert yaws[2] == pytest.approx(0, abs=0.02)
    assert yaws[0] == pytest.approx(-yaws[4], abs=0.02)


# ---------------------------------------------------------------- alignment


@given(st.floats(-180, 180), st.floats(0.05, 20), st.floats(-500, 500), st.floats(-500, 500))
def test_similarity_finds_what_was_done(degrees: float, scale: float, x: float, y: float):
    points = drawn_landmarks()
    moved = rotated(points, degrees, scale, (x, y))
    matrix = alignment.similarity(points, moved)
    np.testing.assert_allclose(alignment.apply(matrix, points), moved, atol=0.01 * scale + 1e-3)
    assert alignment.scale_of(matrix) == pytest.approx(scale, rel=1e-3)


def test_similarity_never_mirrors():
    points = drawn_landmarks()
    matrix = alignment.similarity(points, points * [-1, 1])
    assert np.linalg.det(matrix[:, :2]) > 0


def test_the_arcface_template_maps_to_itself_at_any_size():
    for size in (112, 56, 224):
        template = (alignment.ARCFACE_112 + 0.5) * size / 112 - 0.5
        points = np.zeros((68, 2), np.float32)
        points[landmarks.LEFT_EYE], points[landmarks.RIGHT_EYE] = template[0], template[1]
        points[[landmarks.NOSE_TIP, landmarks.MOUTH_LEFT, landmarks.MOUTH_RIGHT]] = template[2:]
        np.testing.assert_allclose(alignment.arcface_transform(points, size), [[1, 0, 0], [0, 1, 0]], atol=1e-4)


def test_ffhq_crop_by_hand():
    # Eyes at (40, 50) and (60, 50), mouth corners at (45, 70) and (55, 70): the half side is max(2*20, 1.8*20) = 40
    # around (50, 52), so the crop is x from 10 to 90 and y from 12 to 92.
    points = np.zeros((68, 2), np.float32)
    points[landmarks.LEFT_EYE], points[landmarks.RIGHT_EYE] = (40, 50), (60, 50)
    points[landmarks.MOUTH_LEFT], points[landmarks.MOUTH_RIGHT] = (45, 70), (55, 70)
    matrix = alignment.ffhq_transform(points, 160)
    corners = alignment.apply(matrix, np.array([[10, 12], [90, 92], [50, 52]], np.float32))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [159.5, 159.5], [79.5, 79.5]], atol=1e-3)


def test_coinciding_landmarks_are_an_error():
    for transform in (alignment.arcface_transform, alignment.ffhq_transform):
        with pytest.raises(alignment.DegenerateLandmarksError):
            transform(np.ones((68, 2), np.float32), 112)


@pytest.mark.parametrize("scale", [0.2, 0.5, 1.0, 3.0])
def test_landmarks_move_with_the_image(scale: float):
    image = np.zeros((200, 200), np.uint8)
    cv2.circle(image, (80, 120), 12, 255, -1)
    points = np.array([[80, 120]], np.float32)
    matrix = np.array([[scale, 0, 5.3], [0, scale, -7.1]])
    size = int(200 * scale) + 20
    warped = alignment.warp(image, matrix, size)
    y, x = np.indices(warped.shape)
    center = np.array([(x * warped.astype(float)).sum(), (y * warped.astype(float)).sum()]) / warped.sum(dtype=float)
    np.testing.assert_allclose(center, alignment.apply(matrix, points)[0], atol=0.15)


def test_shrinking_averages():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 255
    small = alignment.warp(stripes, np.array([[0.25, 0, 0], [0, 0.25, 0]]), 100)
    assert small[5:-5, 5:-5].std() < 5  # interpolation alone would give moire
    labels = alignment.warp(
        np.full((40, 40), 17, np.uint8), np.array([[0.4, 0.1, 3], [-0.1, 0.4, 5]]), 20, nearest=True
    )
    assert set(np.unique(labels)) == {0, 17}


# ---------------------------------------------------------------- face type


def test_face_types():
    rng = np.random.default_rng(0)
    image = np.clip(drawn_face(0)[0] + rng.normal(0, 15, (112, 112, 3)), 0, 255).astype(np.uint8)
    blurred = cv2.GaussianBlur(image, (0, 0), 3)
    frontal, profile = drawn_landmarks(), turned(drawn_landmarks(), 0.9)
    thresholds = {"profile_above": 0.6, "blurred_below": 0.13}
    assert face_type.face_type(image, frontal, **thresholds) == "0_0"
    assert face_type.face_type(blurred, frontal, **thresholds) == "0_1"
    assert face_type.face_type(image, profile, **thresholds) == "1_0"
    assert face_type.face_type(blurred, profile, **thresholds) == "1_1"


def test_sharpness_does_not_mind_contrast_or_size():
    image = drawn_face(3, 224)[0]
    points = drawn_landmarks(224)
    want = face_type.sharpness(image, points)
    assert face_type.sharpness((image // 2 + 30).astype(np.uint8), points) == pytest.approx(want, rel=0.1)
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    assert face_type.sharpness(large, (points + 0.5) * 2 - 0.5) == pytest.approx(want, rel=0.15)
    assert face_type.sharpness(np.full((50, 50, 3), 9, np.uint8), drawn_landmarks(50)) == 0


@pytest.mark.parametrize("place", [(-500, -500), (500, 500), (-60, 0)])
def test_a_face_outside_the_image_has_a_type(place: tuple[int, int]):
    image = drawn_face()[0]
    points = (drawn_landmarks() + place).astype(np.float32)
    assert face_type.face_type(image, points, profile_above=0.6, blurred_below=0.13) in face_type.FACE_TYPES


# ---------------------------------------------------------------- warp


def test_thin_plate_spline_goes_through_its_points():
    rng = np.random.default_rng(0)
    source, target = rng.uniform(0, 100, (9, 2)), rng.uniform(-1, 1, (9, 2))
    np.testing.assert_allclose(ThinPlateSpline(source, target)(source), target, atol=1e-8)


def test_three_points_give_an_affine_map():
    source = np.array([[0, 0], [10, 0], [0, 10]])
    affine = ThinPlateSpline(source, source @ [[2, 1], [0, 3]] + [5, -4])
    probe = np.array([[3.0, 7.0], [-20.0, 40.0]])
    np.testing.assert_allclose(affine(probe), probe @ [[2, 1], [0, 3]] + [5, -4], atol=1e-8)


def test_dense_map_is_the_map_of_each_pixel():
    places = np.random.default_rng(1).uniform(0, 60, (14, 2))
    spline = ThinPlateSpline(places, np.sin(places / 25))
    x, y = np.meshgrid(np.arange(61), np.arange(47))
    exact = spline(np.stack([x, y], -1).reshape(-1, 2)).T.reshape(2, 47, 61)
    assert np.abs(spline.dense(61, 47) - exact).max() < 0.01
    assert ThinPlateSpline([[0, 0], [1, 0], [0, 1]], [[0, 0], [1, 0], [0, 1]]).dense(1, 1).shape == (2, 1, 1)


@pytest.mark.parametrize("points", [[[0, 0], [1, 1], [2, 2]], [[3, 3], [3, 3], [3, 3]]])
def test_points_on_a_line_are_an_error(points: list[list[int]]):
    with pytest.raises(ValueError, match="on a line or coincide"):
        ThinPlateSpline(np.array(points), np.zeros((3, 2)))


# ---------------------------------------------------------------- masks


def look(style: str, position: str = "proper", **more: object) -> Look:
    return Look(style, position, (150, 190, 220), **more)


EVERY_LOOK = [("polygon", "proper", "plain")] + [
    (style, position, texture)
    for style in STYLES
    for position in shapes.POSITIONS
    for texture in STYLES[style].textures
]


@pytest.mark.parametrize(("style", "position", "texture"), EVERY_LOOK)
@pytest.mark.parametrize("yaw", [-0.8, 0.0, 0.5])
def test_what_the_mask_does_not_cover_is_unchanged(style: str, position: str, texture: str, yaw: float):
    image = drawn_face(4)[0]
    points = turned(drawn_landmarks(), yaw)
    kept = image.copy()
    masked, region = rendering.draw(
        image, points, look(style, position, texture=texture), "0_0", np.random.default_rng(0)
    )
    assert (image == kept).all()
    assert set(np.unique(region)) == {0, 255}
    near = cv2.dilate(region, np.ones((7, 7)))  # the soft edge
    assert (masked[near == 0] == image[near == 0]).all()
    assert (masked[region > 0] != image[region > 0]).any(-1).mean() > 0.9
    assert 0.01 < (region > 0).mean() < 0.5


def test_positions_leave_nose_and_mouth_free():
    image, points = drawn_face(5)
    nose, mouth, chin = points[30].astype(int), points[62].astype(int), (points[8] - [0, 4]).astype(int)
    for style in STYLES:
        covers = {}
        for position in shapes.POSITIONS:
            region = rendering.draw(image, points, look(style, position), "0_0", np.random.default_rng(0))[1]
            covers[position] = [bool(region[y, x]) for x, y in (nose, mouth, chin)]
        assert covers == {
            "proper": [True, True, True],
            "below_nose": [False, True, True],
            "chin": [False, False, True],
        }, style


def test_a_gray_photo_gets_a_gray_mask():
    image, points = drawn_face(6, gray=True)
    for style in ("polygon", *STYLES):
        masked, _ = rendering.draw(image, points, look(style), "0_0", np.random.default_rng(0))
        assert np.ptp(masked, axis=-1).max() == 0, style


def test_a_mask_takes_the_light_of_the_face():
    image, points = drawn_face(7)
    ramp = np.linspace(0.4, 1.6, 112)[None, :, None]
    lit = np.clip(image * ramp, 0, 255).astype(np.uint8)  # from the right
    for style in STYLES:
        masked, region = rendering.draw(lit, points, look(style), "0_0", np.random.default_rng(0))
        gray = masked.mean(-1)
        left, right = region.astype(bool).copy(), region.astype(bool).copy()
        left[:, 50:], right[:, :62] = False, False
        assert gray[right].mean() > 1.15 * gray[left].mean(), style
    bright = rendering.draw(np.full_like(image, 210), points, look("kn95"), "0_0", np.random.default_rng(0))
    dark = rendering.draw(np.full_like(image, 40), points, look("kn95"), "0_0", np.random.default_rng(0))
    assert dark[0][dark[1] > 0].mean() < 0.8 * bright[0][bright[1] > 0].mean()


@pytest.mark.parametrize("size", [48, 64, 500])
def test_masks_scale_with_the_face(size: int):
    shares = []
    for side in (112, size):
        image, points = drawn_face(8, side)
        shares.append((rendering.draw(image, points, look("surgical"), "0_0", np.random.default_rng(0))[1] > 0).mean())
    assert shares[1] == pytest.approx(shares[0], rel=0.12)


@pytest.mark.parametrize("style", ["polygon", *STYLES])
@pytest.mark.parametrize("shift", [(0, 60), (70, 0), (-400, 0), (0, 5000)])
def test_a_face_partly_or_wholly_outside_the_image(style: str, shift: tuple[int, int]):
    image, points = drawn_face(9)
    masked, region = rendering.draw(
        image, (points + shift).astype(np.float32), look(style), "0_1", np.random.default_rng(0)
    )
    assert masked.shape == image.shape
    if max(np.abs(shift)) >= 400:
        assert (masked == image).all()
        assert not region.any()


def test_a_blurred_face_gets_a_softer_edge():
    image, points = drawn_face(10, 224)
    edges = []
    for kind in ("0_0", "0_1"):
        masked, region = rendering.draw(image, points, look("cloth", softness=1.0), kind, np.random.default_rng(0))
        touched = (masked != image).any(-1)
        edges.append((touched & (region == 0)).sum())
    assert edges[1] > 1.5 * edges[0]


def test_random_looks_follow_their_weights():
    rng = np.random.default_rng(0)
    colors = {style: [(1, 2, 3), (4, 5, 6)] for style in ("surgical", "cloth")}
    looks = [
        rendering.random_look(rng, {"polygon": 0, "surgical": 1, "cloth": 3}, {"proper": 1, "chin": 1}, colors, 0.5)
        for _ in range(2000)
    ]
    assert {one.style for one in looks} == {"surgical", "cloth"}
    assert np.mean([one.style == "cloth" for one in looks]) == pytest.approx(0.75, abs=0.04)
    assert np.mean([one.position == "chin" for one in looks]) == pytest.approx(0.5, abs=0.04)
    assert {one.texture for one in looks if one.style == "cloth"} == set(STYLES["cloth"].textures)


def test_a_template_lands_on_its_landmarks():
    image, points = drawn_face(11)
    picture = np.zeros((60, 100, 4), np.uint8)
    picture[5:55, 5:95] = (250, 20, 20, 255)
    pins = np.array([[5, 5], [94, 5], [94, 54], [5, 54]], np.float32)
    masked, region = rendering.draw_template(image, points, Template(picture, pins, (2, 14, 10, 6)))
    inside = cv2.fillConvexPoly(np.zeros_like(region), points[[2, 14, 10, 6]].round().astype(np.int32), 255)
    iou = ((region > 0) & (inside > 0)).sum() / ((region > 0) | (inside > 0)).sum()
    assert iou > 0.9
    assert (masked[cv2.dilate(region, np.ones((5, 5))) == 0] == image[cv2.dilate(region, np.ones((5, 5))) == 0]).all()
    red, green, _ = masked[region > 0].mean(0)
    assert red > 5 * green


def test_a_template_on_a_line_is_an_error():
    with pytest.raises(ValueError, match="on a line"):
        Template(np.zeros((9, 9, 4), np.uint8), np.array([[0, 0], [1, 1], [2, 2]], np.float32), (0, 8, 16))


# ---------------------------------------------------------------- Face_Mask_Generator's polygons


def test_polygon_by_hand():
    """A frontal polygon is the jaw from 1 to 15 and the nose bridge; coordinates are cut to whole pixels."""
    points = np.full((68, 2), 50, np.float32)
    points[1:16] = [10, 90]
    points[1], points[15], points[28] = (10.9, 20.9), (90.9, 20.9), (50.9, 20.9)
    points[8] = (50.9, 80.9)
    points[2:8], points[9:15] = (10.9, 80.9), (90.9, 80.9)
    region, _ = shapes.polygon(points, "0_0", 100, 100)
    assert (region[20:81, 10:91] == 255).all()
    assert (region > 0).sum() == 61 * 81


def test_a_profile_to_the_right_mirrors_one_to_the_left():
    left = turned(drawn_landmarks(), -0.9) * 8  # large, since coordinates are cut to whole pixels
    right = landmarks.flip(left, 896)
    one, _ = shapes.polygon(left, "1_0", 896, 896)
    other = shapes.polygon(right, "1_0", 896, 896)[0][:, ::-1]
    assert ((one > 0) & (other > 0)).sum() / ((one > 0) | (other > 0)).sum() > 0.97


@pytest.mark.skipif(not PEER.is_dir(), reason="the samples of Face_Mask_Generator are not beside the checkout")
@pytest.mark.parametrize("name", ["1.jpg", "2.jpg", "3.jpg"])
def test_polygon_is_face_mask_generators(name: str):
    """The region that the original blackened, read off its own output: what is black there and was not before."""
    with (PEER / "test.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["image_name"] == name)
    points = np.array([[float(row[f"part_{i}_{axis}"]) for axis in "xy"] for i in range(68)], np.float32)
    photo, expected = (cv2.imread(str(folder / name))[..., ::-1] for folder in (PEER, PEER / "expected"))
    masked, region = rendering.draw(photo, points, Look("polygon"), row["face_type"], np.random.default_rng(0))
    # JPEG turned black into nearly black; where the photo itself is dark, the two cannot be told apart.
    tellable = photo.max(-1) > 60
    theirs, ours = (expected.max(-1) < 45) & tellable, (region > 0) & tellable
    assert (theirs & ours).sum() / (theirs | ours).sum() >= 0.99
    # Packed as JPEG as the original did, the whole pictures are equal to the last pixel.
    packed = cv2.imencode(".jpg", masked[..., ::-1])[1]
    assert (cv2.imdecode(packed, cv2.IMREAD_COLOR)[..., ::-1] == expected).all()
