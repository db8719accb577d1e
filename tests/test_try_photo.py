"""What all networks say of a person's own photos; networks are stood in for, faces are searched for really."""

import io
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from stages.core import images, params
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces import alignment, parts
from stages.faces.alignment import Align
from stages.inpainting.filled import Filled
from stages.landmarks import worn
from stages.landmarks.search import Search, all_faces
from stages.photos import folders
from stages.removal.finder import Crop
from stages.tools import try_photo as stage
from stages.tools.portrait import files, gallery, sheet
from stages.tools.portrait.portrait import Tools, portrait_of, portraits
from tests.conftest import ROOT, drawn_face, run
from tests.stand_ins import FILLED, SEARCH, brightness, green, known, stand_ins

Photo = Callable[[str], Pixels]
PARAMS = params.load(stage.Params, "try_photo", ROOT / "params.yaml")


@pytest.fixture
def tools() -> Tools:
    return stand_ins()


@pytest.fixture
def large(orl_photo: Photo) -> Pixels:
    return cv2.resize(orl_photo("s1/1"), None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)


def masked(photo: Pixels) -> Pixels:
    photo = photo.copy()
    photo[200:320, 60:220] = (0, 255, 0)
    return photo


@pytest.fixture
def _sees_through(monkeypatch: pytest.MonkeyPatch, large: Pixels) -> None:
    """Search for faces in the bare photo where it is masked: nobody would find one behind a green rectangle."""
    find = all_faces

    def look(photo: Pixels, search: Search) -> object:
        return find(large if photo.shape == large.shape and green(photo).any() else photo, search)

    monkeypatch.setattr("stages.tools.portrait.portrait.all_faces", look)


# ---------------------------------------------------------------- faces


def test_every_face_is_found_the_largest_first_in_the_photos_own_pixels(orl_photo: Photo):
    photo = np.full((500, 800, 3), 128, np.uint8)
    photo[100:324, 50:234] = cv2.resize(orl_photo("s1/1"), (184, 224), interpolation=cv2.INTER_CUBIC)
    photo[50:442, 400:722] = cv2.resize(orl_photo("s2/1"), (322, 392), interpolation=cv2.INTER_CUBIC)
    found = all_faces(photo, SEARCH)
    middles = [one.points.mean(0) for one in found]
    assert len(found) == 2
    assert 450 < middles[0][0] < 650
    assert 100 < middles[1][0] < 190
    huge = cv2.resize(photo, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)
    again = all_faces(huge, SEARCH)
    assert len(again) == 2
    for one, other in zip(found, again, strict=True):
        assert np.abs(other.points / 4 - one.points).mean() < 4


def test_a_wall_shows_nobody(tools: Tools):
    assert portraits(np.full((100, 110, 3), 120, np.uint8), tools) == []


@pytest.mark.usefixtures("_sees_through")
def test_a_mask_is_removed_and_filled_in_and_the_person_looked_up_by_the_upper_half(tools: Tools, large: Pixels):
    one = portraits(masked(large), tools)[0]
    assert one is not None
    assert one.worn.by[-1] == "region"
    assert one.worn.share == (one.crop.region > 0).mean()
    assert (one.removed[one.crop.region > 0] == 0).all()
    inner = np.zeros_like(one.crop.region)  # at its edges, it goes over into the photo
    inner[4:-4] = cv2.erode(one.to_fill, np.ones((9, 9), np.uint8))[4:-4]
    assert (one.filled[inner > 0] == FILLED).all()
    outside = one.to_fill == 0
    assert np.array_equal(one.filled[outside], one.crop.image[outside])
    assert (one.labels == parts.MASK).any()
    assert (one.sex, one.generator, one.compared) == ("female", "female", "upper")
    # A black lower half points along the first axis, and the upper halves' embeddings are those in reverse.
    assert [person.identity for person in one.nearest] == ["p2", "p1"]


def test_a_bare_face_stays_as_it_is(tools: Tools, large: Pixels):
    one = portraits(large, tools)[0]
    assert one is not None
    assert not one.worn
    assert one.worn.probability < worn.WORN
    assert one.generator is None
    assert np.array_equal(one.removed, one.crop.image)
    assert np.array_equal(one.filled, one.crop.image)
    assert one.compared == "bare"
    assert one.nearest[0].identity == "p1"  # as bright above as below


@pytest.mark.parametrize(
    ("probability", "painted", "says"),
    [
        (0.9, False, ("classifier",)),
        (0.9, True, ("classifier", "region")),
        (0.5, True, ("region",)),
        (0.5, False, ()),
        (0.01, True, ()),
    ],
)
def test_a_region_says_so_only_if_the_classifier_thinks_it_possible(
    tools: Tools, probability: float, painted: bool, says: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
):
    face, points = drawn_face()
    if painted:
        face[60:110] = (0, 255, 0)
    monkeypatch.setattr(worn, "probabilities", lambda *_: [probability])
    one = portrait_of(face, points, "drawn", tools)
    assert one is not None
    assert one.worn.by == says
    assert (one.generator is not None) == (painted and bool(says))


def test_only_the_region_changes_in_the_photo(large: Pixels):
    region = np.zeros((112, 112), np.uint8)
    region[60:90, 30:80] = 255
    matrix = np.array([[0.5, 0, -10], [0, 0.5, -20]])
    crop = Crop(np.zeros((112, 112, 3), np.uint8), region, matrix, drawn_face()[1])
    laid = Filled(np.full((112, 112, 3), 200, np.uint8), matrix, crop.region_in(large), "shared").laid_into(large)
    changed = (laid != large).any(2)
    assert changed[165:215, 85:175].mean() > 0.95
    assert not changed[:155].any()
    assert not changed[:, 185:].any()


# ---------------------------------------------------------------- what is not known


@pytest.mark.parametrize(
    ("female", "said"), [(0.95, "female"), (0.05, "male"), (0.5, None), (0.79, None), (0.21, None), (None, None)]
)
def test_a_sex_that_is_unsure_is_not_said_and_the_shared_generator_fills(
    tools: Tools, female: float | None, said: str | None, monkeypatch: pytest.MonkeyPatch
):
    face, points = drawn_face()
    face[60:110] = (0, 255, 0)
    monkeypatch.setattr(worn, "probabilities", lambda *_: [0.9])
    one = portrait_of(face, points, "drawn", replace(tools, female=None if female is None else lambda _: female))
    assert one is not None
    assert (one.sex, one.generator) == (said, said or "shared")
    shown = stage.described(one)["sex"]
    assert shown == (None if female is None else {"said": said or "unsure", "female": female})
    caption = sheet.row(face, "a.png", "face 1", one, None)[sheet.FACE][1]
    assert ("unsure" in caption) is (said is None and female is not None)


# ---------------------------------------------------------------- gallery


def test_the_nearest_people_are_each_named_once():
    face = np.zeros((112, 112, 3), np.uint8)
    face[:56] = 200
    points = drawn_face()[1]
    people = known().nearest(face, points, compared="bare", n=9)
    assert [(one.identity, one.photo) for one in people] == [
        ("p0", "p0/000.png"),
        ("p1", "p1/004.png"),
        ("p2", "p2/008.png"),
    ]
    assert people[0].cosine == pytest.approx(np.cos(np.radians(10)), abs=0.01)


def test_a_stranger_has_no_match_and_that_is_said(tools: Tools):
    """Of people below the threshold, none is shown; the cosine of the nearest one says how far it was."""
    face, points = drawn_face()
    assert tools.gallery is not None
    tools.gallery.thresholds = {"bare": 0.99, "upper": 0.999}
    one = portrait_of(face, points, "drawn", tools)
    assert one is not None
    assert [person.match for person in one.nearest] == [person.cosine >= 0.99 for person in one.nearest]
    tools.gallery.thresholds = {"bare": 1.1, "upper": 1.1}
    one = portrait_of(face, points, "drawn", tools)
    assert one is not None
    assert stage.described(one)["match"] is None
    row = sheet.row(face, "a.png", "face 1", one, tools.gallery)
    assert [caption for what, (_, caption) in row.items() if what.startswith(sheet.PERSON)] == [
        f"no match, nearest {one.nearest[0].cosine:.3f}"
    ]


def test_a_column_that_no_face_needs_is_left_out(tools: Tools):
    face, points = drawn_face()
    bare = portrait_of(face, points, "drawn", replace(tools, gallery=None))
    assert bare is not None
    row = sheet.row(face, "a.png", "face 1", bare, None)
    assert list(row) == [sheet.PHOTO, sheet.FACE, sheet.PARTS]
    compared = sheet.row(face, "a.png", "face 1", portrait_of(face, points, "drawn", tools), tools.gallery)
    assert list(compared)[3:] == ["person 1", "person 2"]
    narrow, wide = (sheet.drawn(rows, "x").shape[1] for rows in ([row], [row, compared]))
    assert 3 * sheet.SIDE < narrow < 4 * sheet.SIDE
    assert 5 * sheet.SIDE < wide < 6 * sheet.SIDE


def test_people_are_those_of_a_folder_and_what_is_left_out_is_counted(tmp_path: Path, large: Pixels):
    """A folder a person, or one photo that is called by the person; a wall, a text and a mask are nobody."""
    folder = tmp_path / "people"
    (folder / "Ann").mkdir(parents=True)
    (folder / "Ann/1.png").write_bytes(images.encode_png(large))
    (folder / "Bob.png").write_bytes(images.encode_png(large[:, ::-1]))
    (folder / "wall.png").write_bytes(images.encode_png(np.full((100, 110, 3), 120, np.uint8)))
    (folder / "notes.txt").write_text("no photo")
    align = params.load(Align, "align_faces", ROOT / "params.yaml")
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    thresholds = {"bare": 0.9}
    found = gallery.load(folder, brightness, SEARCH, align, thresholds)
    assert list(zip(found.people, found.names, strict=True)) == [("Ann", "Ann/1.png"), ("Bob", "Bob.png")]
    assert found.left_out == {"no_face": 1, "unreadable": 1}
    assert found.picture("Bob.png").shape == (112, 112, 3)
    (folder / "Ann/1.png").unlink()
    (folder / "Bob.png").unlink()
    with pytest.raises(UnmaskError, match=r"no photo of a bare face to compare with \(1 "):
        gallery.load(folder, brightness, SEARCH, align, thresholds)
    with pytest.raises(UnmaskError, match="there is no folder"):
        gallery.load(tmp_path / "gone", brightness, SEARCH, align, thresholds)


# ---------------------------------------------------------------- files


def jpeg(photo: Pixels, orientation: int | None = None) -> bytes:
    data, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(photo).save(data, "JPEG", quality=95, exif=exif)
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("empty.jpg", b"", "is empty: copy or download it again"),
        ("phone.heic", b"\0\0\0\x24ftypheic\0\0\0\0mif1", "cannot be read as a photo (no image, or a damaged one)"),
        ("film.jpg", b"\0\0\0\x20ftypisom\0\0", "is a video"),
        ("notes.png", b"no photo at all", "cannot be read as a photo (a text and no photo)"),
        ("scan.jpg", b"%PDF-1.7\n", "is PDF"),
        ("half.jpg", jpeg(np.full((200, 200, 3), 99, np.uint8))[:700], "cannot be read as a photo"),
        ("noise.gif", bytes(range(256)), "cannot be read as a photo"),
    ],
)
def test_what_is_no_photo_is_named_with_what_to_do(tmp_path: Path, name: str, data: bytes, says: str):
    (tmp_path / name).write_bytes(data)
    refused = files.read(tmp_path / name)
    assert isinstance(refused, files.Refused)
    assert refused.why.startswith((tmp_path / name).as_posix())
    assert says in refused.why
    assert "\n" not in refused.why


def test_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(folders, "MAX_PIXELS", 10_000)
    (tmp_path / "a.jpg").write_bytes(jpeg(np.zeros((101, 100, 3), np.uint8)))
    refused = files.read(tmp_path / "a.jpg")
    assert isinstance(refused, files.Refused)
    assert (refused.reason, "100x101 pixels" in refused.why) == ("too_large", True)


def test_a_photo_taken_sideways_is_read_upright(tmp_path: Path, large: Pixels):
    (tmp_path / "a.jpg").write_bytes(jpeg(np.rot90(large).copy(), orientation=6))
    upright = files.read(tmp_path / "a.jpg")
    assert isinstance(upright, np.ndarray)
    assert upright.shape == large.shape
    assert np.abs(upright.astype(int) - large).mean() < 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_named(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "a.jpg").chmod(0)
    assert isinstance(refused := files.read(tmp_path / "a.jpg"), files.Refused)
    assert refused.reason == "not_allowed"


# ---------------------------------------------------------------- the tool


@pytest.fixture
def folder(tmp_path: Path, large: Pixels) -> Path:
    folder = tmp_path / "photos"
    (folder / "trip").mkdir(parents=True)
    for name, image in (
        ("masked", masked(large)),
        ("trip/bare", large),
        ("wall", np.full((100, 110, 3), 120, np.uint8)),
    ):
        (folder / f"{name}.png").write_bytes(images.encode_png(image))
    (folder / "notes.txt").write_text("no photo")
    (folder / ".hidden").write_text("nor looked at")
    return folder


@pytest.fixture
def _stand_in(tools: Tools, monkeypatch: pytest.MonkeyPatch, _sees_through: None) -> None:
    monkeypatch.setattr(stage, "load_tools", lambda *_: tools)


def test_people_are_compared_by_a_recognizer_of_the_models_or_a_released_one(
    orl_photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(ROOT)
    align = Align(template="arcface", side=112)
    faces, points = [], []
    for name in ("s1/1", "s1/2", "s2/1"):
        photo = orl_photo(name)
        found = all_faces(photo, SEARCH)[0].points
        faces.append(alignment.warp(photo, align.matrix(found), align.side))
        points.append(alignment.apply(align.matrix(found), found))
    released, own = (stage.recognizer(name, tmp_path)(faces, points) for name in ("dlib-masked", "dlib"))
    assert all(one[0] @ one[1] > one[0] @ one[2] for one in (released, own))
    assert np.abs(released - own).max() > 0.01
    source = ROOT / "models/released/recognizer-dlib-masked.safetensors"
    (tmp_path / "recognizer-mine.safetensors").write_bytes(source.read_bytes())
    assert np.array_equal(stage.recognizer("mine", tmp_path)(faces, points), released)
    with pytest.raises(UnmaskError, match=r"recognizer-other\.safetensors: no such file"):
        stage.recognizer("other", tmp_path)


@pytest.mark.usefixtures("_stand_in")
def test_a_folder_becomes_a_picture_and_a_json(folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    numbers = stage.try_photo(folder, out, PARAMS)
    assert sorted(path.name for path in out.iterdir()) == ["try.json", "try.png"]
    said = json.loads(Path(numbers["json"]).read_text())
    by_file = {photo["file"]: photo for photo in said["photos"]}
    assert list(by_file) == ["masked.png", "trip/bare.png", "wall.png"]
    assert [len(photo["faces"]) for photo in by_file.values()] == [1, 1, 0]
    (face,) = by_file["masked.png"]["faces"]
    assert face["mask"]["worn"] is True
    assert "region" in face["mask"]["said_by"]
    assert face["filled_by"] == "female"
    assert [person["identity"] for person in face["nearest"]] == ["p2", "p1"]
    assert by_file["trip/bare.png"]["faces"][0]["mask"]["worn"] is False
    assert [(one["file"], one["reason"]) for one in said["unreadable"]] == [("notes.txt", "unreadable")]
    assert (numbers["files"], numbers["faces"], numbers["masked"], numbers["unreadable"]) == (4, 2, 1, 1)
    picture = images.decode(Path(numbers["picture"]).read_bytes())
    assert picture.shape[0] > 3 * 160  # a row for each face, and one for the wall
    assert picture.shape[1] > 8 * 160  # six of the masked face, two people
    (out / "try.json").write_text("of an earlier run")
    stage.try_photo(folder / "wall.png", out, PARAMS)
    assert json.loads((out / "try.json").read_text())["faces"] == 0


@pytest.mark.usefixtures("_stand_in")
def test_more_faces_than_the_picture_takes_are_said(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = images.decode(Path(stage.try_photo(folder, tmp_path / "a", PARAMS)["picture"]).read_bytes())
    monkeypatch.setattr(stage, "SHOWN", 1)
    numbers = stage.try_photo(folder, tmp_path / "b", PARAMS)
    assert numbers["faces"] == 2
    assert images.decode(Path(numbers["picture"]).read_bytes()).shape[0] < whole.shape[0]
    assert len(json.loads((tmp_path / "b/try.json").read_text())["photos"]) == 3


@pytest.mark.usefixtures("_stand_in")
def test_the_users_own_files_stay(folder: Path, tmp_path: Path):
    with pytest.raises(UnmaskError, match=r"already holds '\.hidden'"):
        stage.try_photo(folder / "wall.png", folder, PARAMS)
    assert (folder / "masked.png").exists()


def test_nothing_half_written_is_left(folder: Path, tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stage, "load_tools", lambda *_: tools)
    monkeypatch.setattr(stage.metrics, "write", full)
    with pytest.raises(OSError, match="No space"):
        stage.try_photo(folder / "wall.png", tmp_path / "out", PARAMS)
    assert sorted(path.name for path in tmp_path.iterdir() if "out" in path.name) == []


def command(*arguments: object) -> str:
    """Return the line with which the program ends."""
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    with pytest.raises(SystemExit) as ended:
        run_stage("tools.try_photo", [str(argument) for argument in arguments])
    assert "\n" not in str(ended.value)
    return str(ended.value)


def test_errors_are_one_line_with_a_remedy(folder: Path, tmp_path: Path):
    out = ("--out", tmp_path / "out")
    assert "notes.txt cannot be read as a photo (a text" in command("--photos", folder / "notes.txt", *out)
    assert "no such file or folder; give a photo" in command("--photos", tmp_path / "gone.jpg", *out)
    (tmp_path / "nothing").mkdir()
    assert "holds no files: put photos into it" in command("--photos", tmp_path / "nothing", *out)
    missing = command("--photos", folder, *out, "--models", tmp_path / "none")
    assert "parser-scanet.safetensors: no such file; `dvc repro` trains it" in missing
    assert not (tmp_path / "out").exists()


def test_make_try_asks_for_a_photo():
    shown = run("make", "-n", "try", "PHOTO=my photo.jpg", cwd=ROOT).stdout
    assert "say which: make try PHOTO=my/photo.jpg" in shown
    assert '--photos="$PHOTO" --out="${OUT:-build/try}"' in shown  # test_repository.py runs it
