"""The detector: COCO files and scores, samples, training and evaluation on drawn faces."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.compute import weights
from stages.core import images, params, tables
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.detection import coco, detector, evaluate_detector, train_detector
from stages.detection.coco import Example, Found
from stages.masks import render_masks
from stages.training import openmmlab
from tests.conftest import ROOT, drawn_face, face_row, run, two_dask_workers, workers, write_table


def square(left: int, top: int, side: int) -> np.ndarray:
    region = np.zeros((40, 40), np.uint8)
    region[top : top + side, left : left + side] = 255
    return region


def example(name: str, *regions: np.ndarray) -> Example:
    return Example(name, np.full((40, 40, 3), 90, np.uint8), regions)


def found(*regions: np.ndarray, scores: tuple[float, ...] = ()) -> Found:
    boxes = []
    for region in regions:
        y, x = np.nonzero(region)
        boxes.append((x.min(), y.min(), x.max() + 1, y.max() + 1))
    certain = scores or tuple(1 - 0.1 * index for index in range(len(regions)))
    masks = np.stack([region > 0 for region in regions]) if regions else np.zeros((0, 40, 40), bool)
    return Found(np.array(boxes, np.float32).reshape(-1, 4), np.array(certain, np.float32), masks)


# ---------------------------------------------------------------- scores


def average_precision(examples: list[Example], found: list[Found]) -> dict:
    return coco.average_precision([coco.outlined(*one) for one in zip(examples, found, strict=True)])


def test_average_precision_has_known_answers():
    examples = [example("a/b/1", square(5, 5, 20)), example("a/b/2", square(10, 10, 20))]
    perfect = [found(square(5, 5, 20)), found(square(10, 10, 20))]
    assert average_precision(examples, perfect)["segm"] == pytest.approx({"ap": 1, "ap50": 1, "ap75": 1})
    # 20x20 against 20x16 has IoU 0.8: right up to a threshold of 0.80, that is at 7 of 10.
    smaller = [found(region) for region in (square(5, 5, 20).copy(), square(10, 10, 20).copy())]
    for one in smaller:
        rows = np.nonzero(one.regions[0].any(1))[0]
        one.regions[0][rows[:4]] = False
    scores = average_precision(examples, smaller)
    assert scores["segm"]["ap"] == pytest.approx(0.7)
    assert scores["box"]["ap"] == pytest.approx(1.0)


def test_a_false_alarm_and_a_miss_cost():
    examples = [example("a/b/1", square(5, 5, 20)), example("a/b/2")]
    right = found(square(5, 5, 20), scores=(0.6,))
    alarm = found(square(0, 0, 10), scores=(0.9,))
    assert average_precision(examples, [right, alarm])["segm"]["ap"] == pytest.approx(0.5)
    assert average_precision(examples, [found(), found()])["segm"] == {"ap": 0.0, "ap50": 0.0, "ap75": 0.0}


def test_without_masks_there_is_no_score():
    assert average_precision([example("a/b/1")], [found(square(0, 0, 9))]) == {}


def test_coco_files_are_read_by_mmdet(tmp_path: Path):
    masks = coco.write(
        [example("a/b/1/0", square(5, 6, 20)), example("a/b/2/0"), example("a/c/1/0", square(1, 1, 9))], tmp_path
    )
    assert masks == 2
    content = json.loads((tmp_path / coco.ANNOTATIONS).read_text())
    assert [entry["file_name"] for entry in content["images"]] == ["a/b/1/0.png", "a/b/2/0.png", "a/c/1/0.png"]
    assert content["annotations"][0]["bbox"] == [5, 6, 20, 20]
    assert content["annotations"][0]["area"] == 400
    pipeline = detector.config("mask_rcnn_r18").train_pipeline
    samples = detector.Samples(tmp_path, pipeline, 64, seed=0)
    assert len(samples) >= 2
    sample = samples[0]
    assert sample["data_samples"].face_id == "a/b/1/0"
    assert sample["inputs"].shape == (3, 64, 64)


# ---------------------------------------------------------------- samples


def test_a_sample_depends_on_seed_and_key_and_its_box_fits_its_mask(tmp_path: Path):
    coco.write([example(f"a/b/{index}/0", square(5 + index, 6, 20)) for index in range(4)], tmp_path)
    pipeline = detector.config("mask_rcnn_r18").train_pipeline
    samples = detector.Samples(tmp_path, pipeline, 64, seed=0)
    again = detector.Samples(tmp_path, pipeline, 64, seed=0)
    for key in (0, 3, 6, 41):
        one, other = samples[key], again[key]
        assert torch.equal(one["inputs"], other["inputs"])
        instances = one["data_samples"].gt_instances
        assert len(instances) == 1
        y, x = np.nonzero(instances.masks.masks[0])
        assert instances.bboxes.tensor[0].tolist() == pytest.approx(
            [x.min(), y.min(), x.max() + 1, y.max() + 1], abs=1.5
        )
    assert not torch.equal(samples[0]["inputs"], samples[4]["inputs"])


# ---------------------------------------------------------------- the network


def test_unknown_configs_and_other_classes_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    names = "mask_rcnn_r18, mask_rcnn_r18_small, mask_rcnn_r50"
    with pytest.raises(UnmaskError, match=f"'yolo' is not allowed: one of {names}"):
        detector.config("yolo")
    wrong = tmp_path / "wrong.py"
    base = detector.CONFIGS / "mask_rcnn_r18.py"
    wrong.write_text(f"_base_ = '{base}'\nmodel = dict(roi_head=dict(mask_head=dict(num_classes=3)))\n")
    monkeypatch.setattr(detector, "CONFIGS", tmp_path)
    with pytest.raises(UnmaskError, match=r"wrong.py: num_classes is 3, the data have 1 class"):
        detector.config("wrong")


def test_the_detector_alone_brings_all_that_its_configs_name():
    """In a process of its own: what registers itself may have been imported here by something else."""
    script = "from stages.detection import detector; from stages.training import openmmlab\n"
    script += "openmmlab.build('mmdet', detector.config('mask_rcnn_r18').model.to_dict())"
    assert run(sys.executable, "-c", script, cwd=ROOT).returncode == 0


def test_both_configs_build():
    for name in ("mask_rcnn_r18", "mask_rcnn_r50"):
        network = openmmlab.build("mmdet", detector.config(name).model.to_dict())
        assert network.roi_head.mask_head.num_classes == 1


def test_images_without_a_face_of_any_size_are_no_error():
    torch.manual_seed(0)
    one = detector.Detector(openmmlab.build("mmdet", detector.config("mask_rcnn_r18").model.to_dict()), 64)
    pictures = [np.zeros((112, 112, 3), np.uint8), np.zeros((50, 80, 3), np.uint8)]
    for picture, result in zip(pictures, one(pictures), strict=True):
        assert result.regions.shape[1:] == picture.shape[:2]
        assert len(result.boxes) == len(result.scores) == len(result.regions)
        assert (np.diff(result.scores) <= 0).all()


# ---------------------------------------------------------------- the stages


def stage_params(**changes: object) -> train_detector.Params:
    content = params.read_yaml(ROOT / "params.yaml")
    section = content["train_detector"] | {"seed": 0, "render_masks": content["render_masks"], "side": 64, "looks": 1}
    section["schedule"] |= {"steps": 2, "batch_size": 2, "checkpoint_every": 1}
    return params.check(train_detector.Params, section | changes, ROOT / "params.yaml")


def rows() -> list[tables.Face]:
    return [{**face_row(index), "split": "train" if index < 8 else "test"} for index in range(12)]


def train(faces: Path, out: Path) -> dict:
    (out / "none").mkdir(exist_ok=True)
    paths = {"out": out / "d.safetensors", "results": Results(out / "training")}
    return train_detector.train_detector(faces, out / "none", **paths, params=stage_params())


def evaluate(faces: Path, out: Path, split: str = "test") -> dict:
    chosen = evaluate_detector.Params(split=split, score_threshold=0.5)
    return evaluate_detector.evaluate_detector(faces, out / "d.safetensors", Results(out / "evaluation"), chosen)


def masked(*, some: bool = True) -> list[tables.Face]:
    looks = stage_params().render_masks
    faces = []
    for index, face in enumerate(rows()):
        bare = {**face, "mask": None, "mask_style": None, "mask_position": None}
        if some and index % 2 == 0:
            look, image, region = looks.draw(
                images.decode(face["image"]), face["landmarks"], "0_0", np.random.default_rng(index), {}
            )
            bare |= {"image": images.encode_png(image), "mask": images.encode_png(region)}
            bare |= {"mask_style": look.style, "mask_position": look.position}
        faces.append(bare)
    return faces


def test_a_detector_is_trained_and_scored(tmp_path: Path):
    numbers = train(write_table(tmp_path / "faces", rows()), tmp_path)
    assert (numbers["faces"], numbers["identities"], numbers["images"]) == (8, 2, 8)
    assert not list(Path(".scratch").rglob("*.png"))
    result = evaluate(write_table(tmp_path / "masked", masked()), tmp_path)
    assert (result["faces"], result["masks"]) == (4, 2)
    assert set(result["segm"]) == {"ap", "ap50", "ap75"}
    assert 0 <= result["mask_iou"]["mean"] <= 1


def test_the_people_to_choose_by_have_scores_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever it is shown, the detector finds the same square: the mask of the val people, half that of the others."""
    region = square(4, 4, 20)
    larger = region | np.roll(region, 20, axis=1)
    monkeypatch.setattr(evaluate_detector, "_detector", lambda _: lambda pictures: [found(region) for _ in pictures])
    monkeypatch.setenv("UNMASK_WORKERS", "1")  # others would not know of that
    faces = []
    for index, split in enumerate(["train"] * 2 + ["test"] * 4 + ["val"] * 3):
        mask = None if index == 2 else images.encode_png(region if split == "val" else larger)
        picture = {"image": images.encode_png(np.full((40, 40, 3), 90, np.uint8)), "mask": mask}
        look = {"mask_style": mask and "cloth", "mask_position": mask and "proper"}
        faces.append({**face_row(index, identity=split), "split": split, **picture, **look})
    table = write_table(tmp_path / "masked", faces)
    result = evaluate(table, tmp_path)
    val = result["val"]
    assert val.keys() == result.keys() - {"split", "val"}
    assert (result["faces"], result["masks"], result["found_on_bare_faces"]) == (4, 3, 1)
    assert (val["faces"], val["masks"], val["found_on_bare_faces"]) == (3, 3, 0)
    assert result["mask_iou"]["mean"] == pytest.approx(0.5)
    assert val["mask_iou"] == {"mean": 1.0, "by_style": {"cloth": 1.0}, "by_position": {"proper": 1.0}}
    assert (val["segm"]["ap"], result["segm"]["ap75"]) == (pytest.approx(1), 0)
    assert evaluate(table, tmp_path, split="val") == {**val, "split": "val"}
    nobody = write_table(tmp_path / "nobody", [face for face in faces if face["split"] != "val"])
    assert evaluate(nobody, tmp_path) == {**result, "val": None}


def test_whole_photos_are_scored_as_docs_recipes_says(tmp_path: Path):
    """Masks are drawn on photos of several sizes, in which a face is a part, and looked for there."""
    photos = []
    for index, face in enumerate(rows()):
        image = np.full((150 + index, 120, 3), 90, np.uint8)
        picture, points = drawn_face(index, 64)
        image[40:104, 20 + index : 84 + index] = picture
        place = {"image": images.encode_png(image), "landmarks": points + np.float32([20 + index, 40])}
        photos.append({**face, **place, "wears_mask": False})
    chosen = params.load(render_masks.Params, "render_masks", ROOT / "params.yaml")
    drawn = Results(tmp_path / "drawing")
    (tmp_path / "none").mkdir()
    table = write_table(tmp_path / "photos", photos)
    assert render_masks.render_masks(table, tmp_path / "none", tmp_path / "masked", drawn, chosen)["masked"] == 12
    numbers = train(table, tmp_path)
    assert numbers["images"] == 8
    result = evaluate(tmp_path / "masked", tmp_path)
    assert (result["faces"], result["masks"]) == (4, 4)
    assert 0 <= result["mask_iou"]["mean"] <= 1


def test_workers_score_a_detector_as_one_process_does(tmp_path: Path):
    """Also those of a cluster."""
    train(write_table(tmp_path / "faces", rows()), tmp_path)
    people = [{**face, "split": "test" if index % 3 else "val"} for index, face in enumerate(masked())]
    table = write_table(tmp_path / "masked", people)
    found = []
    for where in (workers(1), workers(2), two_dask_workers()):
        with where:
            found.append((evaluate(table, tmp_path), (tmp_path / "figures/evaluation.png").read_bytes()))
    assert found[0] == found[1] == found[2]
    assert found[0][0]["faces"] == 8


def test_a_dataset_without_masks_has_an_empty_but_valid_result(tmp_path: Path):
    train(write_table(tmp_path / "faces", rows()), tmp_path)
    result = evaluate(write_table(tmp_path / "bare", masked(some=False)), tmp_path)
    assert result["masks"] == 0
    assert "segm" not in result
    assert result["mask_iou"] == {"by_style": {}, "by_position": {}}
    assert json.dumps(result, allow_nan=False)


def test_no_face_to_train_or_score_is_said(tmp_path: Path):
    faces = write_table(tmp_path / "faces", [{**face, "split": "test"} for face in rows()])
    with pytest.raises(UnmaskError, match="faces has no bare face with landmarks in split 'train'"):
        train(faces, tmp_path)
    about = {"kind": "detector", "size": 64, "model": detector.config("mask_rcnn_r18").model.to_dict()}
    weights.save(tmp_path / "d.safetensors", openmmlab.build("mmdet", about["model"]), about)
    with pytest.raises(UnmaskError, match="no face in split 'val'"):
        evaluate(write_table(tmp_path / "masked", masked()), tmp_path, split="val")
