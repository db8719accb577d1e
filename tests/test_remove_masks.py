"""Masks are taken off face tables and photos, by a parser or a detector."""

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from stages.core import images, params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.results import Results
from stages.faces import alignment, parts, regions
from stages.faces.alignment import Align
from stages.inpainting import inpaint
from stages.landmarks.behind_masks import Found
from stages.landmarks.search import Search
from stages.removal import cutting, finder, judge, refinement, released
from stages.removal.remove_masks import Params, photos_folder, read_pairs, remove_masks
from tests.conftest import ROOT, drawn_face, face_row, write_table
from tests.stand_ins import Shade

BAND = slice(60, 100)  # rows that the stand-in takes for a mask


class Sees:
    """Stands for a trained parser: a mask is where the image is pure green, as drawn by `green`."""

    def __call__(self, pictures: list[Pixels]) -> list[Pixels]:
        """Return label maps."""
        return [np.where((p[..., 1] > 180) & (p[..., 0] < 70), np.uint8(parts.MASK), np.uint8(1)) for p in pictures]

    def likely(self, pictures: list[Pixels], of: int) -> list[finder.Likely]:
        """Return 1 where a label map has a class, else 0."""
        return [np.float32(labels == of) for labels in self(pictures)]


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finder, "_parser", lambda _: Sees())


def green(image: Pixels) -> tuple[Pixels, Pixels]:
    """Return an image with a green band over the mouth, and its region."""
    region = np.zeros(image.shape[:2], np.uint8)
    region[BAND, 30:80] = 255
    image = image.copy()
    image[region > 0] = (0, 255, 0)
    return image, region


def chosen(**changes: object) -> Params:
    return Params(**{"by": "parser", "score_threshold": 0.5, "dilation": 0.0, **changes})


def table(tmp_path: Path) -> Path:
    rows = []
    for index in range(8):
        face = face_row(index)
        image, region = green(images.decode(face["image"]))
        row = {**face, "split": "test", "mask": None}
        if index % 2 == 0:
            row |= {"image": images.encode_png(image), "mask": images.encode_png(region)}
        rows.append(row)
    return write_table(tmp_path / "masked", rows)


def run(faces: Path, tmp_path: Path, **options: object) -> dict:
    nothing = tmp_path / "w.safetensors"
    return remove_masks(
        faces, nothing, nothing, tmp_path / "out", Results(tmp_path / "results"), **{"params": chosen(), **options}
    )


def test_masks_of_a_table_become_0_and_nothing_else_changes(tmp_path: Path):
    faces = table(tmp_path)
    numbers = run(faces, tmp_path)
    for before, after in tables.joined(
        faces, tmp_path / "out", ["face_id", "image", "mask"], ["face_id", "image", "found_mask"]
    ):
        image, removed = images.decode(before["image"]), images.decode(after["image"])
        region = images.decode_gray(after["found_mask"])
        assert np.array_equal(region, images.decode_gray(before["mask"]) if before["mask"] else np.zeros_like(region))
        assert (removed[region > 0] == 0).all()
        assert np.array_equal(removed[region == 0], image[region == 0])
    assert numbers["mask_found"] == 4
    assert numbers["splits"] == {"test": {"mean_iou": 1.0, "masks": 4, "missed": 0, "found_on_bare_faces": 0}}
    assert numbers["mean_share_removed"] == pytest.approx(40 * 50 / 112**2)


def test_growing_widens_the_region(tmp_path: Path):
    run(table(tmp_path), tmp_path, params=chosen(dilation=2.0))
    regions = [images.decode_gray(face["found_mask"]) for face in tables.read(tmp_path / "out")]
    assert regions[0][56, 50] == 0
    assert regions[0][58, 50] == regions[0][101, 50] == 255
    assert not regions[1].any()


def test_only_mask_and_no_mask_at_all_are_valid(tmp_path: Path):
    full = np.zeros((112, 112, 3), np.uint8)
    full[...] = (0, 255, 0)
    rows = [
        {**face_row(0), "image": images.encode_png(full)},
        {**face_row(1), "image": images.encode_png(np.zeros((112, 112, 3), np.uint8))},
    ]
    numbers = run(write_table(tmp_path / "faces", rows), tmp_path)
    assert numbers["mask_found"] == 1
    assert numbers["mean_share_removed"] == 1.0
    assert "splits" in numbers


def test_pairs_have_both_masks_removed_from_both(tmp_path: Path):
    faces = table(tmp_path)
    (tmp_path / "pairs.csv").write_text("drawn/p0/000,drawn/p0/001\ndrawn/p0/001,drawn/p0/003\n")
    run(faces, tmp_path, pairs=tmp_path / "pairs.csv", pairs_out=tmp_path / "pairs")
    first, second = (images.decode((tmp_path / f"pairs/00001_{place}.png").read_bytes()) for place in (1, 2))
    assert (first[BAND, 30:80] == 0).all()
    assert (second[BAND, 30:80] == 0).all()
    untouched = images.decode((tmp_path / "pairs/00002_1.png").read_bytes())
    assert np.array_equal(untouched, images.decode(face_row(1)["image"]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("drawn/p0/000,drawn/p9/999", r"pairs.csv, line 1: there is no face 'drawn/p9/999'"),
        ("drawn/p0/000", "line 1: expected two names, got 1"),
        ("\n\ndrawn/p0/000;drawn/p0/001;1", "line 3: expected two names, got 3"),
        ('drawn/p0/000,drawn/p0/001\n"drawn/p0/000,drawn/p0/001', "line 2: .*look at the quotes"),
        ("file1,file2\n", "is empty: expected two names on each line"),
    ],
)
def test_pairs_that_cannot_be_are_refused_before_anything_is_computed(tmp_path: Path, line: str, message: str):
    (tmp_path / "pairs.csv").write_text(line + "\n")
    with pytest.raises(UnmaskError, match=message):
        run(table(tmp_path), tmp_path, pairs=tmp_path / "pairs.csv", pairs_out=tmp_path / "pairs")
    assert not (tmp_path / "pairs").exists()
    assert not (tmp_path / "out").exists()


def test_a_list_and_a_folder_for_its_pairs_belong_together(tmp_path: Path):
    faces = table(tmp_path)
    (tmp_path / "pairs.csv").write_text("drawn/p0/000,drawn/p0/001\n")
    for options in ({"pairs": tmp_path / "pairs.csv"}, {"pairs_out": tmp_path / "pairs"}):
        with pytest.raises(UnmaskError, match="give both"):
            run(faces, tmp_path, **options)
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs/mine.txt").touch()
    with pytest.raises(UnmaskError, match=r"already holds 'mine\.txt'"):
        run(faces, tmp_path, pairs=tmp_path / "pairs.csv", pairs_out=tmp_path / "pairs")
    assert not (tmp_path / "out").exists()


FILES = {
    "a.jpg": "a",
    "a": "a",
    "trip/josé.png": "trip/josé",
    "trip/josé": "trip/josé",
    "b.jpg": "b.jpg",
    "b.png": "b.png",
}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    "content",
    [
        "a.jpg,trip/josé.png\n",
        "a;trip/josé\r\n",
        "a.jpg\ttrip\\josé\r",
        "./a.jpg,./trip/../trip/josé.png",
        "photos/a.jpg,photos/trip/josé.png",
        '"photos\\a.jpg"; "trip/josé.png";;',
        "a.jpg trip/josé.png\n",
    ],
)
def test_pairs_of_files_are_read_however_they_are_written(tmp_path: Path, content: str, encoding: str):
    """Names are of the folder, or lead there from the list."""
    (tmp_path / "pairs.csv").write_bytes(content.encode(encoding))
    expected = {1: ("a", "trip/josé")}
    assert read_pairs(tmp_path / "pairs.csv", FILES, tmp_path / "photos") == expected
    separator = next(one for one in "\t;, " if one in content)
    (tmp_path / "pairs.csv").write_bytes(f"file1{separator}file2\n\n{content}".encode(encoding))
    assert read_pairs(tmp_path / "pairs.csv", FILES, tmp_path / "photos") == {3: expected[1]}


def test_a_name_without_suffix_that_two_files_have_is_nobodys(tmp_path: Path):
    (tmp_path / "pairs.csv").write_text("b.png,b.jpg\nb,a\n")
    with pytest.raises(UnmaskError, match="line 2: there is no face 'b'"):
        read_pairs(tmp_path / "pairs.csv", FILES, tmp_path / "photos")
    (tmp_path / "pairs.csv").write_text("../a.jpg,a.jpg\n")
    with pytest.raises(UnmaskError, match=r"line 1: there is no face '\.\./a\.jpg'"):
        read_pairs(tmp_path / "pairs.csv", FILES, tmp_path / "photos")


def test_photos_of_a_folder(tmp_path: Path, orl_photo, monkeypatch: pytest.MonkeyPatch):
    """A masked face, a bare one, no face, and no image: each is said, and only the mask is changed."""
    for name in ("params.yaml",):
        (Path.cwd() / name).write_text((ROOT / name).read_text())
    folder = tmp_path / "photos"
    folder.mkdir()
    large = cv2.resize(orl_photo("s1/1"), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    masked = large.copy()
    masked[200:290, 70:210] = (0, 255, 0)
    for name, image in (("masked", masked), ("bare", large), ("wall", np.full((200, 300, 3), 120, np.uint8))):
        (folder / f"{name}.png").write_bytes(images.encode_png(image))
    (folder / "notes.txt").write_text("no image")

    # The green band hides what the detector of faces needs: it is shown the bare photo.
    find = finder.all_faces
    monkeypatch.setattr(
        finder, "all_faces", lambda photo, search: find(large if photo.shape == large.shape else photo, search)
    )
    nothing = tmp_path / "w.safetensors"
    pairs, pairs_out = tmp_path / "pairs.csv", tmp_path / "pairs"
    pairs.write_text("photos\\masked.png;photos/bare.png\nbare;wall\n")
    numbers = photos_folder(folder, tmp_path / "out", chosen(), nothing, nothing, pairs, pairs_out)
    assert numbers["pairs"] == {"written": 1, "without_face": 1}
    assert sorted(path.name for path in pairs_out.iterdir()) == ["00001_1.png", "00001_2.png"]
    assert numbers["outcomes"] == {"unmasked": 1, "no_mask": 1, "no_face": 1, "unreadable": 1}
    with (tmp_path / "out/index.csv").open() as file:
        lines = {row["file"]: row for row in csv.DictReader(file)}
    assert lines["masked.png"]["outcome"] == "unmasked"
    assert lines["wall.png"]["faces"] == "0"
    removed = images.decode((tmp_path / "out/unmasked/masked.png").read_bytes())
    assert (removed[210:280, 80:200] == 0).mean() > 0.95
    assert np.array_equal(removed[:190], masked[:190])
    assert np.array_equal(images.decode((tmp_path / "out/unmasked/bare.png").read_bytes()), large)
    assert images.decode((tmp_path / "out/triptychs/masked.png").read_bytes()).shape[1] == 3 * large.shape[1] + 8


@pytest.mark.parametrize(
    ("probability", "share", "what"),
    [(0.95, 0.3, "unmasked"), (0.95, 0.0, "mask_not_found"), (0.6, 0.3, "unmasked"), (0.1, 0.3, "no_mask")],
)
def test_a_face_is_touched_only_if_it_wears_a_mask(
    tmp_path: Path, probability: float, share: float, what: str, monkeypatch: pytest.MonkeyPatch
):
    """Whatever a network takes for the region of a mask, and whichever tool it is."""
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    face, points = drawn_face()
    band = face.copy()
    band[112 - round(share * 112) :] = (0, 255, 0)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.png").write_bytes(images.encode_png(band))
    monkeypatch.setattr(finder, "all_faces", lambda *_: [Found(points, "drawn")])
    monkeypatch.setattr(judge.worn_masks, "probabilities", lambda _, faces: [probability] * len(faces))
    monkeypatch.setattr(inpaint, "_generator", lambda _: Shade(7))
    filling = inpaint.Params(region_from="remove_masks", dilation=0.0, sex_from="predicted")
    for name, result in (
        ("unmasked", photos_folder(tmp_path / "photos", tmp_path / "removed", chosen())),
        ("inpainted", inpaint.photos_folder(tmp_path / "photos", tmp_path / "filled", filling)),
    ):
        folder = {"unmasked": "removed", "inpainted": "filled"}[name]
        after = images.decode((tmp_path / folder / name / "a.png").read_bytes())
        assert result["outcomes"] == {name if what == "unmasked" else what: 1}
        assert (after != band).any() is np.bool_(what == "unmasked")


# ---------------------------------------------------------------- at the photo's own resolution


def blob(side: int) -> np.ndarray:
    """Return a mask-like region, bool."""
    y, x = np.mgrid[:side, :side] / side
    return (np.abs(x - 0.5) < 0.3 - 0.2 * np.abs(y - 0.6)) & (np.abs(y - 0.6) < 0.2)


@pytest.mark.parametrize("side", [200, 900])
def test_an_edge_moves_to_that_of_the_photo(side: int):
    """What a coarse crop saw comes closer to the truth, whatever the size of the photo; elsewhere nothing changes."""
    truth = blob(side)
    noise = np.random.default_rng(0).normal(0, 4, (side, side, 3))
    photo = np.clip(np.where(truth[..., None], (120, 160, 200), (200, 150, 130)) + noise, 0, 255).astype(np.uint8)
    coarse = cv2.resize(truth.astype(np.uint8) * 255, (28, 28), interpolation=cv2.INTER_AREA)
    coarse = np.where(coarse > 127, np.uint8(255), np.uint8(0))
    stairs = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_NEAREST)
    found = refinement.refined(photo, stairs, side / 28)
    before, after = (regions.scores(truth, some > 0)["iou"] for some in (stairs, found))
    assert before < 0.95
    assert after > 0.99
    assert set(np.unique(found)) == {0, 255}
    far = cv2.dilate(truth.astype(np.uint8), np.ones((3, 3)), iterations=round(side / 10)) == 0
    assert not found[far].any()
    assert not refinement.refined(photo, np.zeros_like(stairs), 3).any()


def test_a_region_is_cut_out_by_the_colors_of_the_photo():
    """Of what a network is unsure, a beard below a mask is left out, and a part of the mask is taken in."""
    truth, beard = np.zeros((112, 112), bool), np.zeros((112, 112), bool)
    truth[60:95, 25:87], beard[95:108, 35:77] = True, True
    photo = np.full((112, 112, 3), (200, 150, 130), np.float64)
    photo[:25] = photo[beard] = (40, 30, 25)  # hair and beard
    photo[truth] = (150, 190, 220)
    photo = np.clip(photo + np.random.default_rng(0).normal(0, 5, photo.shape), 0, 255).astype(np.uint8)
    likely = np.where(truth, np.float32(0.8), np.float32(0))
    likely[65:90, 45:82], likely[60:95, 25:40], likely[beard] = 1, 0.1, 0.2
    found = cutting.cut(photo, likely, np.eye(2, 3))
    there = alignment.laid_back(found, cutting.frame(112), truth.shape) > 127
    assert regions.scores(truth, there)["iou"] > 0.95
    assert regions.scores(truth, likely >= 0.2)["iou"] < 0.7
    assert np.array_equal(cutting.cut(photo, likely, np.eye(2, 3)), found)


@pytest.mark.parametrize("likely", [0.0, 0.1, 0.5, 1.0])
def test_where_nothing_tells_colors_apart_what_is_likely_decides(likely: float):
    photo = np.full((112, 112, 3), 90, np.uint8)
    found = cutting.cut(photo, np.full((112, 112), likely, np.float32), np.eye(2, 3))
    assert found.shape == (round(1.2 * cutting.SIDE),) * 2
    inner = found[60:-60, 60:-60]
    assert (inner == (255 if likely >= cutting.CLEAR else 0)).all()


def test_an_edge_that_the_photo_does_not_show_stays_where_it_was_found():
    region = np.where(blob(150), np.uint8(255), np.uint8(0))
    found = refinement.refined(np.full((150, 150, 3), 90, np.uint8), region, 4)
    assert regions.scores(region > 0, found > 0)["iou"] > 0.95


def test_a_torn_region_is_mended():
    """Cracks, holes and crumbs go; both pieces beside a hand stay; what is whole does not change."""
    whole = np.zeros((140, 112), np.uint8)
    whole[60:139, 20:90] = 255
    assert np.array_equal(refinement.mended(whole), whole)
    torn = whole.copy()
    torn[80:82, 20:60] = 0  # a crack
    torn[100:112, 50:62] = 0  # a hole
    torn[5:9, 5:9] = 255  # a crumb
    assert np.array_equal(refinement.mended(torn), whole)
    hand = whole.copy()
    hand[60:139, 45:57] = 0
    assert np.array_equal(refinement.mended(hand), hand)
    assert not refinement.mended(np.zeros_like(whole)).any()


def test_a_face_and_its_mirror_image_are_looked_at_and_agree(monkeypatch: pytest.MonkeyPatch):
    """What is seen in one of both looks counts; the region lies as in the face, not as in its mirror image."""
    face, points = drawn_face()
    monkeypatch.setattr(finder, "probabilities", lambda _, faces, __: [0.99] * len(faces))

    def left(faces: Sequence[Pixels]) -> list[finder.Likely]:
        likely = np.zeros((112, 112), np.float32)
        likely[:, :40] = 0.8
        return [likely] * len(faces)

    settings = {name: params.load(model, name, ROOT / "params.yaml") for name, model in SETTINGS.items()}
    (crop,) = finder.crops_of(face, [points], left, *settings.values())
    assert crop is not None
    assert crop.region[90, 37] == crop.region[90, 111 - 37] == 255
    assert not crop.region[90, 45:67].any()


def test_where_two_crops_show_a_pixel_both_are_asked(monkeypatch: pytest.MonkeyPatch):
    """The chin, unsure in the aligned face, is the mask's if the lower crop is sure, and not if that denies it."""
    face, points = drawn_face()
    monkeypatch.setattr(finder, "probabilities", lambda _, faces, __: [0.99] * len(faces))
    settings = {name: params.load(model, name, ROOT / "params.yaml") for name, model in SETTINGS.items()}

    def chin(below: float) -> bool:
        def find(faces: Sequence[Pixels]) -> list[finder.Likely]:
            likely = np.full((112, 112), below, np.float32)
            if len(looks) == 0:  # the aligned face
                likely[:90], likely[90:] = 1, 0.02
            else:
                likely[:62] = 1
            looks.append(len(faces))
            return [likely] * len(faces)

        looks: list[int] = []
        (crop,) = finder.crops_of(face, [points], find, *settings.values())
        assert crop is not None
        assert looks == [2, 2]
        assert crop.region[70, 50]
        return bool(crop.region[105, 50])

    assert chin(0.9)
    assert not chin(0.0)


@pytest.mark.parametrize("scale", [1, 3])
def test_a_mask_goes_on_below_the_aligned_face_and_ends_with_the_outline(scale: int, monkeypatch: pytest.MonkeyPatch):
    """An aligned face ends at the chin: the strip of the mask below it is found, and a scarf of its color is not."""
    face, points = drawn_face()
    large = cv2.resize(face, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    large = cv2.copyMakeBorder(large, 40, 160, 80, 80, cv2.BORDER_REPLICATE)
    points = (points * 2 + (80, 40)).astype(np.float32)
    photo = cv2.resize(large, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    points = (points + 0.5) * scale - 0.5
    chin = points[8, 1]
    truth = np.zeros(photo.shape[:2], bool)
    jaw = points[3:14] + np.float32((0, 4 * scale))
    truth = cv2.fillPoly(np.zeros(photo.shape[:2], np.uint8), [np.round(jaw).astype(np.int32)], 255) > 0
    photo[truth] = (0, 255, 0)
    photo[round(chin + 60 * scale) :] = (0, 255, 0)  # far below the chin
    monkeypatch.setattr(finder, "all_faces", lambda *_: [Found(points, "drawn")])
    monkeypatch.setattr(judge.worn_masks, "probabilities", lambda _, faces: [0.99] * len(faces))
    settings = {name: params.load(model, name, ROOT / "params.yaml") for name, model in SETTINGS.items()}
    find = chosen().finder(Path("parser"), Path("detector"))
    (crop,) = finder.crops(photo, find, *settings.values())
    assert crop is not None
    found, alone = crop.region_in(photo) > 0, replace(crop, whole=None).region_in(photo) > 0
    assert regions.scores(truth, found)["recall"] > 0.97
    assert regions.scores(truth, found)["iou"] > 0.9
    assert regions.scores(truth, alone)["recall"] < regions.scores(truth, found)["recall"]
    assert not found[round(chin + 40 * scale) :].any()


SETTINGS = {"find_landmarks.search": Search, "align_faces": Align, "try_photo": judge.Judge}


@pytest.mark.parametrize(("align", "seen_to"), [(("arcface", 112), 104), (("ffhq", 256), 122)])
def test_a_generator_sees_a_face_as_it_has_learned_and_what_lies_beyond_goes_on(align: tuple[str, int], seen_to: int):
    """ArcFace's crop ends at the chin, that of FFHQ below the mask."""
    photo = np.full((150, 112, 3), (200, 150, 130), np.uint8)
    photo[70:125, 30:80] = (0, 255, 0)
    region = np.zeros((112, 112), np.uint8)
    region[70:, 30:80] = 255
    matrix = cutting.frame(112)
    whole = cv2.warpAffine(np.pad(region, ((0, 13), (0, 0)), mode="edge"), matrix, (404, 488))
    crop = finder.Crop(photo[:112], region, np.eye(2, 3), drawn_face()[1], whole=whole)
    filler = inpaint.Filler(None, {"shared": Path("shared")})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inpaint, "_generator", lambda _: Shade(7, Align(template=align[0], side=align[1])))
        filled, everywhere, by = inpaint.filled_in(photo, [crop, None], filler, 1.0)
    assert by == ["shared"]
    assert (filled[72:seen_to, 32:78] == 7).all()
    assert not (filled == (0, 255, 0)).all(2).any()  # no thread of the mask is left
    assert align[0] == "ffhq" or (filled[118:124, 35:75] > 7).all()
    assert np.array_equal(filled[everywhere == 0], photo[everywhere == 0])


def test_models_that_are_not_named_are_released_ones_with_their_own_settings(tmp_path: Path):
    Path("params.yaml").write_text("align_faces: {template: ffhq, side: 256}\n")
    assert released.weights("detector") == Path("models/released/detector.safetensors")
    assert released.weights("detector", Path("models/mine.safetensors")) == Path("models/mine.safetensors")
    assert released.settings(Align, "align_faces", tmp_path).side == 256
    (tmp_path / "params.yaml").write_text("align_faces: {template: arcface, side: 112}\n")
    assert released.settings(Align, "align_faces", tmp_path).side == 112


def test_the_drawn_face_is_what_the_helpers_say():
    image, _ = drawn_face()
    assert not (Sees()([image])[0] == parts.MASK).any()
    assert params.load(Params, "remove_masks", ROOT / "params.yaml").by in {"parser", "detector"}
