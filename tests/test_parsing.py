"""The parsers: networks, samples, scores, training and evaluation on drawn faces."""

import functools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm

from stages.compute import weights
from stages.core import images, params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.results import Results
from stages.data import clean
from stages.faces import alignment, parts, regions
from stages.masks.looks import Looks, masked
from stages.parsing import evaluate_parser, networks, parser, photo_samples, samples, scores, train_parser
from stages.training import openmmlab
from tests.conftest import ROOT, face_row, write_table

LOOKS = params.load(Looks, "render_masks", ROOT / "params.yaml")

# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("size", [112, 64, 100])
@pytest.mark.parametrize(("name", "classes"), [("scanet", 20), ("extractor", 2)])
def test_a_network_gives_a_class_to_every_pixel_at_any_size(name: str, classes: int, size: int):
    torch.manual_seed(0)
    network = openmmlab.build("mmseg", parser.config(name, {}))
    one = parser.Parser(network, tuple(map(str, range(classes))), 112)
    picture = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    labels = one([picture, picture])
    assert [label.shape for label in labels] == [(size, size)] * 2
    assert labels[0].dtype == np.uint8
    assert labels[0].max() < classes
    assert np.array_equal(labels[0], labels[1])


def test_the_inputs_are_normalized_in_evaluation():
    """What FaceExtraction's evaluation left out: a prediction through the whole of mmseg is the same."""
    torch.manual_seed(0)
    network = openmmlab.build("mmseg", parser.config("extractor", {}))
    one = parser.Parser(network, ("a", "b"), 112)
    picture = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    sample = parser.sample(picture, np.zeros((112, 112), np.uint8), "a/b/c")
    sample["data_samples"].set_metainfo({"ori_shape": (112, 112)})
    with torch.inference_mode():
        result = one.network.test_step({"inputs": [sample["inputs"]], "data_samples": [sample["data_samples"]]})
    assert np.array_equal(one([picture])[0], result[0].pred_sem_seg.data[0].byte().numpy())


def test_the_class_of_a_pixel_is_the_likeliest():
    torch.manual_seed(0)
    one = parser.Parser(openmmlab.build("mmseg", parser.config("extractor", {})), ("a", "b"), 112)
    pictures = list(np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), np.uint8))
    shares = [np.stack(pair) for pair in zip(*(one.likely(pictures, of) for of in (0, 1)), strict=True)]
    assert [(share.shape, share.dtype) for share in shares] == [((2, 96, 96), np.float32)] * 2
    assert np.allclose(np.sum(shares, 1), 1, atol=1e-6)
    assert all(np.array_equal(share.argmax(0), labels) for share, labels in zip(shares, one(pictures), strict=True))


@pytest.mark.parametrize(("attention", "edge"), [(True, True), (False, True), (True, False)])
def test_scanet_without_its_parts(attention: bool, edge: bool):
    torch.manual_seed(0)
    config = parser.config("scanet", {"decode_head.attention": attention, "decode_head.edge": edge})
    network = openmmlab.build("mmseg", config).train()
    names = " ".join(name for name, _ in network.named_parameters())
    assert ("gamma" in names) == attention
    assert ("edge" in names) == edge
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    labels = np.random.default_rng(0).integers(0, 20, (2, 64, 64), np.uint8)
    batch = [
        parser.sample(image, label, f"t/p/{i}") for i, (image, label) in enumerate(zip(pictures, labels, strict=True))
    ]
    network = revert_sync_batchnorm(network)
    data = network.data_preprocessor(pseudo_collate(batch), True)
    losses = network(**data, mode="loss")
    assert ("decode.loss_edge" in losses) == edge
    total = sum(value for name, value in losses.items() if "loss" in name)
    total.backward()
    assert all(
        p.grad is not None for name, p in network.named_parameters() if "conv_seg" not in name or "decode" in name
    )


def test_edges_are_where_the_class_changes():
    labels = torch.zeros(1, 1, 5, 5)
    labels[..., 2, 2] = 7
    expected = torch.zeros(5, 5)
    expected[1:4, 1:4] = 1
    assert torch.equal(networks.edges(labels)[0, 0], expected)
    assert not networks.edges(torch.full((1, 1, 4, 4), 9.0)).any()


# ---------------------------------------------------------------- scores


def test_confusion_and_scores_have_known_answers():
    truth = np.array([[0, 0, 1, 1], [2, 2, 255, 255]], np.uint8)
    found = np.array([[0, 1, 1, 1], [2, 0, 1, 0]], np.uint8)
    counts = scores.confusion(truth, found, 4)
    assert counts.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    result = scores.from_confusion(counts, ("background", "a", "b", "c"))
    assert result["f1"] == {"a": pytest.approx(4 / 5), "b": pytest.approx(2 / 3)}
    assert result["mean_f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert result["mean_iou"] == pytest.approx((1 / 3 + 2 / 3 + 1 / 2) / 3)
    assert result["pixel_accuracy"] == pytest.approx(4 / 6)
    assert result["absent"] == ["c"]


def test_classes_that_are_taken_together_are_not_confused_with_each_other():
    names = ("background", "l_eye", "r_eye", "nose")
    counts = np.array([[5, 1, 0, 0], [1, 2, 3, 0], [0, 0, 1, 2], [0, 0, 0, 4]])
    found = scores.merged(counts, names, {"eyes": ("l_eye", "r_eye"), "nose": ("nose",)})
    assert found == {"eyes": pytest.approx(2 * 6 / (9 + 7)), "nose": pytest.approx(2 * 4 / (4 + 6))}
    assert scores.merged(np.diag([3, 0, 0, 1]), names, {"eyes": ("l_eye", "r_eye")}) == {}
    assert {name for group in parts.MERGED.values() for name in group} < set(parts.CLASSES)


def test_a_perfect_map_scores_1_and_counts_add_up():
    rng = np.random.default_rng(0)
    maps = [rng.integers(0, 5, (9, 9), np.uint8) for _ in range(3)]
    pooled = sum(scores.confusion(one, one, 5) for one in maps)
    assert pooled.sum() == 3 * 81
    assert scores.from_confusion(pooled, "abcde")["mean_f1"] == 1.0


@pytest.mark.parametrize(
    ("truth", "found", "message"),
    [
        (np.full((2, 2), 5, np.uint8), np.zeros((2, 2), np.uint8), "class 5, known are 0 to 2"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), "cannot be compared"),
    ],
)
def test_maps_that_cannot_be_scored(truth: Pixels, found: Pixels, message: str):
    with pytest.raises(UnmaskError, match=message):
        scores.confusion(truth, found, 3)


def test_nothing_to_score_is_an_error_and_not_nan():
    with pytest.raises(UnmaskError, match="nothing to score"):
        scores.from_confusion(np.diag([5, 0, 0]), ("background", "a", "b"))


def test_regions_have_known_answers():
    truth = np.array([[True, True, False, False]])
    found = np.array([[True, False, True, False]])
    assert regions.scores(truth, found) == {"iou": 1 / 3, "recall": 0.5, "precision": 0.5, "accuracy": 0.5}
    none = np.zeros((1, 4), bool)
    assert regions.scores(none, none) == {"iou": 1.0, "recall": 1.0, "precision": 1.0, "accuracy": 1.0}
    assert regions.scores(truth, none)["iou"] == 0.0


# ---------------------------------------------------------------- samples


def rows(n: int = 12) -> list[tables.Face]:
    faces = []
    for index in range(n):
        face = face_row(index)
        labels = parts.from_landmarks(face["landmarks"], 112, 112)
        split = "train" if index < 8 else "test"
        faces.append({**face, "split": split, "labels": images.encode_png(labels), "labels_by": "landmarks"})
    return faces


def untouched(face: tables.Face, image: Pixels, labels: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    return image, labels


def test_a_sample_depends_on_seed_round_and_face_alone():
    faces = rows(4)
    one, other = samples.Samples(faces, untouched, 96, seed=0), samples.Samples(faces, untouched, 96, seed=1)
    first = [one[key]["inputs"] for key in range(8)]
    again = [samples.Samples(faces, untouched, 96, seed=0)[key]["inputs"] for key in reversed(range(8))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[4])
    assert not torch.equal(first[0], other[0]["inputs"])
    assert first[0].shape == (3, 96, 96)
    assert one[5]["data_samples"].face_id == "drawn/p0/001"


def test_image_and_labels_move_together(monkeypatch: pytest.MonkeyPatch):
    """An image whose gray value is its class still shows it after the geometry, apart from mixed pixels at borders."""
    monkeypatch.setattr(samples, "relight", lambda image, _: image)
    labels = np.repeat(np.repeat(np.array([[0, 1], [4, 5]], np.uint8), 56, 0), 56, 1)
    image = np.repeat((labels * 40)[..., None], 3, 2)
    mirrored = 0
    for seed in range(20):
        moved, truth = samples.augment(image, labels, 112, np.random.default_rng(seed))
        shown = np.asarray(moved)[..., 0] // 40
        straight, swapped = (shown == truth).mean(), (parts.FLIPPED[shown] == truth).mean()
        assert max(straight, swapped) > 0.93
        mirrored += swapped > straight
    assert 3 < mirrored < 17


# ---------------------------------------------------------------- training and evaluation


def stage_params(tmp_path: Path, **changes: object) -> train_parser.Params:
    content = params.read_yaml(ROOT / "params.yaml")
    section = content["train_parser"]
    for model in ("scanet", "extractor"):
        section[model]["side"] = 64
        section[model]["schedule"] |= {"steps": 2, "batch_size": 2, "checkpoint_every": 1, "precision": "float32"}
    section |= {"seed": 0, "render_masks": content["render_masks"]}
    section["scanet"] |= changes
    return params.check(train_parser.Params, section, ROOT / "params.yaml")


@pytest.fixture
def tables_of_faces(tmp_path: Path) -> dict[str, Path]:
    """Return a table of labeled faces, the same with masks, and empty folders of templates and occluders."""
    bare = rows()
    looks = train_parser.Params.model_fields  # the masks of the real section
    assert "render_masks" in looks
    section = stage_params(tmp_path).render_masks
    masked = []
    for face in bare:
        rng = np.random.default_rng(0)
        _, image, region = section.draw(images.decode(face["image"]), face["landmarks"], "0_0", rng, {})
        masked.append({**face, "image": images.encode_png(image), "mask": images.encode_png(region)})
    (tmp_path / "none").mkdir()
    faces = write_table(tmp_path / "labeled", bare)
    return {
        "faces": faces,
        "masked": write_table(tmp_path / "masked", masked),
        "photos": faces,
        "occluded": faces,
        "templates": tmp_path / "none",
        "occluders": tmp_path / "none",
    }


def train(model: str, inputs: dict[str, Path], out: Path, chosen: train_parser.Params) -> dict:
    only = {name: inputs[name] for name in ("faces", "templates", "occluders")}
    return train_parser.train_parser(
        model, **only, out=out / f"{model}.safetensors", results=Results(out / "training"), params=chosen
    )


def evaluate(
    model: str, inputs: dict[str, Path], out: Path, split: str = "test", *, as_published: bool = False
) -> dict:
    looks = params.read_yaml(ROOT / "params.yaml")["render_masks"]
    values = {"seed": 0, "render_masks": looks, "split": split, "timed_images": 2, "as_published": as_published}
    return evaluate_parser.evaluate_parser(
        model,
        **inputs,
        weights=out / f"{model}.safetensors",
        results=Results(out / "evaluation"),
        params=params.check(evaluate_parser.Params, values, ROOT / "params.yaml"),
    )


@pytest.mark.parametrize("model", ["scanet", "extractor"])
def test_a_parser_is_trained_and_scored(model: str, tables_of_faces: dict[str, Path], tmp_path: Path):
    numbers = train(model, tables_of_faces, tmp_path, stage_params(tmp_path))
    assert numbers["faces"] == 8
    assert numbers["identities"] == 2
    assert numbers["labels_by"] == {"landmarks": 8}
    costs = json.loads((tmp_path / "costs/training.json").read_text())
    measured = {"seconds", "images_per_second", "step_seconds", "peak_memory_mb"}
    assert costs.keys() == measured | {"images", "device", "threads", "precision"}
    result = evaluate(model, tables_of_faces, tmp_path)
    assert result["images"] == (8 if model == "scanet" else 4)
    assert result["labels_by"] == {"landmarks": 4}
    if model == "scanet":
        assert result.keys() >= {"bare", "masked", "all"}
        assert "mask" in result["masked"]["f1"]
        assert "mask" in result["bare"]["absent"]
    else:
        assert 0 <= result["all"]["iou"] <= 1
        assert result["all"]["images"] == 4
    assert (tmp_path / "figures/evaluation-confusion.png").stat().st_size > 1000
    again = tmp_path / "again"
    again.mkdir()
    train(model, tables_of_faces, again, stage_params(tmp_path))
    assert (again / f"{model}.safetensors").read_bytes() == (tmp_path / f"{model}.safetensors").read_bytes()


@pytest.mark.parametrize("model", ["scanet", "extractor"])
def test_the_people_to_choose_by_have_scores_of_their_own(
    model: str, tables_of_faces: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Whatever it is shown, the parser finds skin: right on the val people, and on half of the others' pixels."""

    class Stub:
        classes = parts.NAMES if model == "scanet" else ("hidden", "face")

        def __call__(self, pictures: list[Pixels]) -> list[Pixels]:
            return [np.ones(picture.shape[:2], np.uint8) for picture in pictures]

    monkeypatch.setattr(evaluate_parser, "_parser", lambda *_: Stub())
    monkeypatch.setattr(evaluate_parser.drawn, "occlude", hiding_nothing)
    skin = np.ones((112, 112), np.uint8)
    half = np.pad(skin[:56], ((0, 56), (0, 0)))
    faces = []
    for index, split in enumerate(["train"] * 2 + ["test"] * 4 + ["val"] * 3):
        labels = images.encode_png(skin if split == "val" else half)
        by = "publisher" if split == "val" else "landmarks"
        faces.append({**face_row(index, identity=split), "split": split, "labels": labels, "labels_by": by})
    inputs = tables_of_faces | {
        "faces": write_table(tmp_path / "faces", faces),
        "masked": write_table(tmp_path / "unmasked", [{**face, "mask": None} for face in faces]),
    }
    result = evaluate(model, inputs, tmp_path)
    val = result["val"]
    assert val.keys() == result.keys() - {"split", "val"}
    assert (result["images"], result["labels_by"]) == (4, {"landmarks": 4})
    assert (val["images"], val["labels_by"]) == (3, {"publisher": 3})
    score, of_test, best = ("mean_f1", 2 / 3, 1) if model == "scanet" else ("iou", 0.5, 1)
    assert result["all"][score] == pytest.approx(of_test)
    assert val["all"][score] == best
    assert evaluate(model, inputs, tmp_path, split="val") == {**val, "split": "val"}
    unlabeled = [{**face, "labels": None, "labels_by": None} if face["split"] == "val" else face for face in faces]
    inputs["faces"] = write_table(tmp_path / "unlabeled", unlabeled)
    assert evaluate(model, inputs, tmp_path) == {**result, "val": None}


def hiding_nothing(image: Pixels, *_: object, **__: object) -> tuple[str, Pixels, Pixels]:
    return "nothing", image, np.zeros(image.shape[:2], np.uint8)


def test_weights_of_another_model_are_refused(tables_of_faces: dict[str, Path], tmp_path: Path):
    network = openmmlab.build("mmseg", parser.config("extractor", {}))
    about = {"kind": "parser", "name": "extractor", "classes": ["a", "b"], "size": 112}
    weights.save(tmp_path / "scanet.safetensors", network, {**about, "model": parser.config("extractor", {})})
    with pytest.raises(UnmaskError, match="holds weights of extractor, not of scanet"):
        evaluate("scanet", tables_of_faces, tmp_path)
    config = parser.config("extractor", {"decode_head.num_classes": 3})
    weights.save(tmp_path / "extractor.safetensors", network, {**about, "model": config})
    with pytest.raises(UnmaskError, match=r"is from another config: tensor .*conv_seg"):
        evaluate("extractor", tables_of_faces, tmp_path)


# ---------------------------------------------------------------- as the papers do it


class SaysSkin:
    """A parser that takes the left half of every picture for skin, or the visible face."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self.classes = classes

    def __call__(self, pictures: list[Pixels]) -> list[Pixels]:
        found = [np.zeros(picture.shape[:2], np.uint8) for picture in pictures]
        for labels in found:
            labels[:, : labels.shape[1] // 2] = 1
        return found


def cleaned(dataset: str, files: dict[str, Pixels | str], folder: Path) -> Path:
    """Return the table that `clean` makes of a publisher's files."""
    for name, content in files.items():
        path = folder / "raw" / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else images.encode_png(content))
    (folder / "curation.csv").write_text("face_id,reason\n")
    section = {**params.read_yaml(ROOT / "params.yaml")["clean"], "near_duplicates": None, "min_side": 8}
    clean.clean(
        folder / "raw" / dataset,
        folder / "curation.csv",
        folder / dataset,
        folder / "rejected.csv",
        Results(folder / "clean"),
        params.check(clean.Params, section, ROOT / "params.yaml"),
    )
    return folder / dataset


def marked(*places: tuple[slice, slice], size: int = 16) -> Pixels:
    """Return a black map (size, size) that is white in some places."""
    picture = np.zeros((size, size), np.uint8)
    for place in places:
        picture[place] = 255
    return picture


def photo(seed: int, size: int = 16) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)


def test_celebamask_hq_is_scored_by_its_official_split(
    tables_of_faces: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In the publisher's layout: CelebA's lists make photo 7 a test photo, 3 one to choose by."""
    root = "CelebAMask-HQ/"
    mapping = "idx    orig_idx    orig_file\n"
    mapping += "".join(f"{i}         {n}           {n + 1}.jpg\n" for i, n in ((0, 5), (3, 182637), (7, 182638)))
    files: dict[str, Pixels | str] = {f"{root}CelebA-HQ-to-CelebA-mapping.txt": mapping}
    for index in (0, 3, 7):
        files[f"{root}CelebA-HQ-img/{index}.jpg"] = photo(index)
        for part, place in (("skin", np.s_[:, :12]), ("l_eye", np.s_[:4, :4]), ("hair", np.s_[12:, :])):
            files[f"{root}CelebAMask-HQ-mask-anno/0/{index:05d}_{part}.png"] = marked(place)
    table = cleaned("celebamask_hq", files, tmp_path)
    assert {face["face_id"][-5:]: face["split"] for face in tables.read(table)} == {
        "00000": "train",
        "00003": "val",
        "00007": "test",
    }
    monkeypatch.setattr(evaluate_parser, "_parser", lambda *_: SaysSkin(parts.NAMES))
    found = evaluate("scanet", tables_of_faces | {"photos": table}, tmp_path, as_published=True)["as_published"]
    assert found["images"] == 1
    # Skin: 12 columns of 12 rows, without the eye, is 128 pixels; found are 8 columns, 128 pixels, 80 of them skin.
    assert found["f1"] == {"skin": pytest.approx(2 * 80 / (128 + 128)), "l_eye": 0.0, "hair": 0.0}
    assert found["mean_f1"] == pytest.approx(2 * 80 / 256 / 3)
    assert found["merged_f1"] == {"eyes": 0.0}
    assert found["absent"][-1] == "mask"
    assert len(found["absent"]) + len(found["f1"]) + 1 == len(parts.NAMES)


def test_cofw_is_scored_photo_by_photo(
    tables_of_faces: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """In FaceOcc's layout, its test photos of COFW: masks are 255 where the face is visible."""
    visible = {"a": np.s_[:, :4], "b": np.s_[:, 4:12]}
    files: dict[str, Pixels | str] = {}
    for seed, (name, place) in enumerate(visible.items()):
        files[f"FaceOcc/COFW_test/img/{name}.jpg"] = photo(seed)
        files[f"FaceOcc/COFW_test/mask/{name}.png"] = marked(place)
    table = cleaned("faceocc", files, tmp_path)
    monkeypatch.setattr(evaluate_parser, "_parser", lambda *_: SaysSkin(("hidden", "face")))
    monkeypatch.setattr(evaluate_parser.drawn, "occlude", hiding_nothing)
    found = evaluate("extractor", tables_of_faces | {"occluded": table}, tmp_path, as_published=True)
    # Found are columns 0 to 7 of 16; visible are 0 to 3 of a, and 4 to 11 of b.
    assert found["as_published"] == {
        "images": 2,
        "iou": pytest.approx((1 / 2 + 1 / 3) / 2),
        "accuracy": pytest.approx((0.75 + 0.5) / 2),
        "recall": pytest.approx((1 + 0.5) / 2),
        "precision": pytest.approx((0.5 + 0.5) / 2),
    }
    assert "as_published" not in evaluate("extractor", tables_of_faces, tmp_path)
    with pytest.raises(UnmaskError, match=r"has no photo in split 'val' with labels .* evaluate_parser\.as_published"):
        evaluate(
            "extractor",
            tables_of_faces | {"faces": val_only(tmp_path), "occluded": table},
            tmp_path,
            "val",
            as_published=True,
        )


def val_only(tmp_path: Path) -> Path:
    return write_table(tmp_path / "val", [{**face, "split": "val"} for face in rows()])


def test_no_face_to_train_or_score_is_said(tables_of_faces: dict[str, Path], tmp_path: Path):
    bare = [{**face, "split": "test"} for face in rows()]
    faces = write_table(tmp_path / "only-test", bare)
    with pytest.raises(UnmaskError, match="only-test has no face in split 'train' with labels and landmarks"):
        train("scanet", {**tables_of_faces, "faces": faces}, tmp_path, stage_params(tmp_path))
    train("extractor", tables_of_faces, tmp_path, stage_params(tmp_path))
    with pytest.raises(UnmaskError, match="no face in split 'val'"):
        evaluate("extractor", tables_of_faces, tmp_path, split="val")


def test_an_unknown_model_or_class_is_named(tables_of_faces: dict[str, Path], tmp_path: Path):
    with pytest.raises(UnmaskError, match="--model is 'unet', it must be one of scanet, extractor"):
        train("unet", tables_of_faces, tmp_path, stage_params(tmp_path))
    bad = [{**face, "labels": images.encode_png(np.full((112, 112), 33, np.uint8))} for face in rows()]
    faces = write_table(tmp_path / "bad", bad)
    with pytest.raises(UnmaskError, match="bad, face drawn/p0/000: its label map has the unknown class 33"):
        train("scanet", {**tables_of_faces, "faces": faces}, tmp_path, stage_params(tmp_path))


def test_rare_classes_weigh_more(tmp_path: Path):
    values = train_parser.class_weights(rows(), untouched, seed=0, power=0.5)
    by_name = dict(zip(parts.NAMES, values, strict=True))
    assert by_name["mouth"] > by_name["nose"] > by_name["skin"]
    assert by_name["hat"] == 1.0
    assert set(train_parser.class_weights(rows(), untouched, seed=0, power=0.0)) == {1.0}


def test_a_config_with_other_classes_is_refused(
    tables_of_faces: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    wrong = tmp_path / "configs/scanet.py"
    wrong.parent.mkdir()
    base = parser.CONFIGS / "scanet.py"
    wrong.write_text(f"_base_ = '{base}'\nmodel = dict(decode_head=dict(num_classes=7))\n")
    monkeypatch.setattr(parser, "CONFIGS", wrong.parent)
    with pytest.raises(UnmaskError, match=r"scanet.py: num_classes is 7, the labels have 20 classes"):
        train("scanet", tables_of_faces, tmp_path, stage_params(tmp_path))


def test_soft_f1_has_known_answers():
    labels = torch.tensor([[[0, 0, 1, 255]]])
    sure = torch.full((1, 3, 1, 4), -50.0)
    sure[0, 0, 0, :2] = sure[0, 1, 0, 2:] = 50
    assert networks.soft_f1(sure, labels) == pytest.approx(0, abs=1e-6)
    # Class 2 is absent and counts for nothing; even logits give each class a third of each of the 3 pixels.
    f1 = [2 * (2 / 3) / (2 + 1), 2 * (1 / 3) / (1 + 1)]
    assert networks.soft_f1(torch.zeros(1, 3, 1, 4), labels) == pytest.approx(1 - sum(f1) / 2)


# ---------------------------------------------------------------- photos


def photo_row(index: int) -> tables.Face:
    """Return a photo of twice the size, with labels."""
    face = face_row(index)
    image = np.asarray(cv2.resize(images.decode(face["image"]), (224, 224)), np.uint8)
    points = (face["landmarks"] + 0.5) * 2 - 0.5
    labels = parts.from_landmarks(points, 224, 224)
    return {
        **face,
        "split": "train",
        "image": images.encode_png(image),
        "landmarks": points,
        "labels": images.encode_png(labels),
        "labels_by": "publisher",
    }


def test_a_window_holds_both_crops_of_the_finder():
    """Cut out of the window where nothing is changed by chance, the aligned face is the one of the photo."""
    face = photo_row(0)
    (window,) = photo_samples.windows([face], 112)
    matrix = alignment.arcface_transform(face["landmarks"], 112)
    for one in (matrix, alignment.lower(matrix, 112)):
        corners = np.array([[0, 0], [111, 0], [0, 111], [111, 111]], np.float32)
        in_photo = alignment.apply(cv2.invertAffineTransform(one), corners)
        there = alignment.apply(photo_samples.in_window(matrix, 112), in_photo)
        assert there.min() > 0
        assert there.max() < 112 * photo_samples.WINDOW * photo_samples.DETAIL - 1
    aligned = alignment.apply(matrix, face["landmarks"])
    expected = (aligned + photo_samples.MARGIN * 112 + 0.5) * photo_samples.DETAIL - 0.5
    assert np.abs(window["landmarks"] - expected).max() < 1e-2


def test_what_is_drawn_before_a_face_is_labeled_as_what_it_is():
    rng = np.random.default_rng(0)
    (window,) = photo_samples.windows([photo_row(1)], 112)
    image, labels = images.decode(window["image"]), images.decode_gray(window["labels"])
    draw = functools.partial(masked, looks=LOOKS, own={})
    shares = {"beard_prob": 0.3, "draw": draw}
    for _ in range(20):
        bare = photo_samples.changed(window, image, labels, rng, mask_prob=0.0, **shares)
        assert not (bare[1] == parts.MASK).any()
    seen = [photo_samples.changed(window, image, labels, rng, mask_prob=1.0, **shares) for _ in range(20)]
    for changed, found in seen:
        mask = found == parts.MASK
        assert mask.mean() > 0.005  # one on a small chin
        assert np.abs(changed[mask].astype(int) - image[mask]).mean() > 1
    assert len({(found == parts.MASK).sum() for _, found in seen}) > 15  # each is of another cut


def test_somebody_who_stands_before_a_face_is_background():
    """The face goes on around the other head, and below it nothing is left of what it hides."""
    window, other = photo_samples.windows([photo_row(index) for index in (1, 2)], 112)
    image = images.decode(window["image"])
    shape = image.shape[:2]
    labels, picture = np.full(shape, parts.MASK, np.uint8), np.full((*shape, 3), 250, np.uint8)
    other |= {"image": images.encode_png(picture)}
    hidden = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        seen, found = photo_samples.behind(other, image, labels, window["landmarks"], rng)
        region = found == parts.HIDDEN
        hidden.append(region.mean())
        assert set(np.unique(found)) <= {parts.HIDDEN, parts.MASK}
        kernel = np.ones((45, 45), np.uint8)
        far = cv2.dilate(np.uint8(region), kernel) == 0
        assert np.array_equal(seen[far], image[far])
        deep = cv2.erode(np.uint8(region), kernel) > 0
        assert not deep.any() or np.ptp(seen[deep]) < 6  # of one shade, as the other head is
    assert 0.03 < np.mean(hidden) < 0.5
    assert len(set(hidden)) > 15


def test_photo_samples_have_the_size_asked_for_and_are_the_same_each_time():
    rows = list(photo_samples.windows([photo_row(index) for index in range(3)], 64))
    change = functools.partial(
        photo_samples.changed, mask_prob=0.7, beard_prob=0.3, draw=functools.partial(masked, looks=LOOKS, own={})
    )
    one, same = (photo_samples.PhotoSamples(rows, change, 64, 5) for _ in range(2))
    for key in range(9):
        first, second = one[key], same[key]
        assert first["inputs"].shape == (3, 64, 64)
        assert torch.equal(first["inputs"], second["inputs"])
        labels = first["data_samples"].gt_sem_seg.data
        assert labels.max() <= parts.MASK
        assert torch.equal(labels, second["data_samples"].gt_sem_seg.data)


def test_real_masks_are_shown_as_they_are():
    real = {**photo_row(7), "face_id": "worn/7/0", "wears_mask": True}
    image = images.decode(real["image"])
    labels = images.decode_gray(real["labels"])
    change = functools.partial(
        photo_samples.changed, mask_prob=1.0, beard_prob=1.0, draw=functools.partial(masked, looks=LOOKS, own={})
    )
    rng = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        for share in ("TONED", "GLASSES", "COLLAR", "OVER_MASK"):
            patch.setattr(photo_samples, share, 0)
        same = change(real, image, labels, rng)
    np.testing.assert_array_equal(same[0], image)
    np.testing.assert_array_equal(same[1], labels)


def test_a_share_of_the_samples_shows_real_masks():
    rows, real = ([{**photo_row(index), "face_id": f"{kind}/p/{index}"} for index in range(2)] for kind in ("a", "b"))

    def unchanged(face: tables.Face, image: Pixels, labels: Pixels, rng: np.random.Generator) -> tuple[Pixels, Pixels]:
        return image, labels

    seen = photo_samples.PhotoSamples(
        list(photo_samples.windows(rows, 64)), unchanged, 64, 5, list(photo_samples.windows(real, 64))
    )
    names = [seen[key]["data_samples"].face_id for key in range(200)]
    assert np.mean([name.startswith("b/") for name in names]) == pytest.approx(photo_samples.REAL, abs=0.1)
    assert set(names) == {row["face_id"] for row in rows + real}


def test_a_table_of_real_masks_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(UnmaskError, match=r"train_parser\.scanet\.real: .*worn is no face table"):
        list(train_parser._real(tmp_path / "worn"))


def test_photos_without_labels_are_refused(tmp_path: Path):
    table = write_table(tmp_path / "photos", [{**face_row(0), "split": "train"}])
    with pytest.raises(UnmaskError, match="has no labels by its publisher"):
        list(train_parser._photos(table))
    with pytest.raises(UnmaskError, match="name the table of photos by --photos"):
        list(train_parser._photos(None))
