"""Inpainting: networks, the GAN's training, what is filled in, the ways to compare with, and the stages."""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torchmetrics.functional.image import structural_similarity_index_measure

from stages.compute import weights
from stages.core import images, params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.results import Results
from stages.faces import regions
from stages.faces.alignment import Align
from stages.gender import classifier
from stages.inpainting import (
    baselines,
    evaluate_inpainting,
    inpaint,
    inpainter,
    light,
    networks,
    pretrain_inpainter,
    samples,
    scores,
    train_inpainter,
    train_shared_inpainter,
)
from stages.inpainting.gan import InpaintingGAN, structure
from stages.inpainting.lpips import Lpips
from stages.recognition import networks as recognition_networks
from stages.recognition import recognizer
from stages.removal.finder import Crop
from stages.removal.judge import Judge
from tests.conftest import (
    ROOT,
    TWO_PROCESSES,
    drawn_face,
    face_row,
    run,
    two_dask_workers,
    workers,
    write_table,
)
from tests.tiny_gan import ABOUT, SIZES, halves, hole, network, schedule, train


def picture(seed: int = 0, height: int = 32, width: int = 32) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def untrained(size: int = 32) -> inpainter.Inpainter:
    torch.manual_seed(0)
    return inpainter.Inpainter(networks.Generator(4, size), Align(template="arcface", side=size))


# ---------------------------------------------------------------- networks


def test_the_mean_face_takes_the_light_of_what_is_visible():
    face = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images_ = torch.cat([0.5 * face + 0.2, face])
    regions_ = torch.zeros(2, 1, 16, 16)
    regions_[:, :, 8:] = 1
    behind = torch.where(regions_ > 0, torch.rand(1), images_)  # what lies in the hole does not matter
    assert torch.allclose(networks.fitted(face, behind, regions_), images_, atol=1e-4)


@pytest.mark.parametrize("visible", [None, 0.7])
def test_the_mean_face_stays_as_it_is_where_nothing_tells_the_light(visible: float | None):
    """Nothing is visible, or a part of the mean face without contrast."""
    face = torch.full((1, 3, 16, 16), 0.5)
    face[:, :, 8:] = torch.rand(8, 16, generator=torch.Generator().manual_seed(0))
    region = torch.ones(1, 1, 16, 16)
    if visible is not None:
        region[:, :, :4] = 0
    image = torch.full((1, 3, 16, 16), visible or 0.0)
    assert torch.equal(networks.fitted(face, image, region), face)


@pytest.mark.parametrize("patch", [2, 4])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (30, 41), (8, 8), (9, 64)])
def test_the_generator_takes_any_size_and_does_not_see_into_the_hole(height: int, width: int, patch: int):
    torch.manual_seed(0)
    generator = networks.Generator(4, 32, patch)
    image, region = torch.rand(1, 3, height, width), torch.zeros(1, 1, height, width)
    region[:, :, 2:, 3:] = 1
    with torch.no_grad():
        made = generator(image, region)
        other = generator(torch.where(region > 0, 0.3, image), region)
    assert made.shape == (1, 3, height, width)
    assert torch.equal(made, other)


def reach(said: Callable[[torch.Tensor], torch.Tensor]) -> int:
    """Return how many columns of an image the middle pixel of what is said of it depends on."""
    image = torch.full((1, 3, 512, 512), 0.5, requires_grad=True)
    output = said(image)
    output[..., output.shape[2] // 2, output.shape[3] // 2].sum().backward()
    return int((image.grad.abs().sum((0, 1, 2)) > 0).sum())


def test_where_more_pixels_go_in_together_the_networks_see_as_much_farther():
    region = torch.zeros(1, 1, 512, 512)

    def added(image: torch.Tensor, patch: int) -> torch.Tensor:
        """Return what the U-Net adds to the mean face, whose light is that of the whole image."""
        torch.manual_seed(0)
        generator = networks.Generator(4, 32, patch)
        torch.nn.init.normal_(generator.last[-1].weight)
        return generator(image, region) - networks.fitted(generator.mean_face, image, region)

    def judged(image: torch.Tensor, patch: int) -> torch.Tensor:
        return networks.Discriminator(4, patch)(image, region)[0]

    near, far = (reach(functools.partial(added, patch=patch)) for patch in (2, 4))
    assert far == pytest.approx(2 * near, rel=0.1)
    assert [reach(functools.partial(judged, patch=patch)) for patch in (2, 4)] == [46, 94]


def test_the_discriminator_judges_patches_and_hands_out_features():
    verdict, features = networks.Discriminator(4)(torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64))
    assert verdict.shape[:2] == (2, 1)
    assert [feature.shape[1] for feature in features] == [4, 8, 16]


# ---------------------------------------------------------------- filling


@pytest.mark.parametrize("shape", [(32, 32), (48, 48), (20, 20), (33, 47)])
def test_nothing_changes_outside_the_region(shape: tuple[int, int]):
    face, region = picture(1, *shape), hole(*shape)
    filled = untrained()([face], [region])[0]
    assert filled.shape == face.shape
    assert np.array_equal(filled[region == 0], face[region == 0])
    assert not np.array_equal(filled[region > 0], face[region > 0])


def test_a_gray_photo_stays_gray_and_a_face_without_region_stays_as_it_is():
    gray = np.repeat(picture(2)[..., :1], 3, 2)
    none = np.zeros((32, 32), np.uint8)
    filled, same = untrained()([gray, gray], [hole(), none])
    assert images.is_gray(filled)
    assert np.array_equal(same, gray)


def test_a_face_that_is_all_hole_and_one_with_two_holes_are_filled():
    everything, two = np.full((32, 32), 255, np.uint8), np.zeros((32, 32), np.uint8)
    two[:6, :6] = two[20:, 20:] = 255
    whole, parts = untrained()([picture(3), picture(3)], [everything, two])
    assert whole.std() < picture(3).std()  # nothing of the input is left
    assert np.array_equal(parts[two == 0], picture(3)[two == 0])


def test_what_lies_in_the_hole_does_not_leak_at_another_size():
    face, region = picture(4, 48, 48), hole(48, 48)
    painted = np.where((region > 0)[..., None], np.uint8(255), face)
    one = untrained()
    assert np.array_equal(one([face], [region])[0], one([painted], [region])[0])


def test_a_region_is_widened_on_all_sides():
    region = np.zeros((50, 100), np.uint8)
    region[20:30, 40:60] = 255
    wide = regions.widened(region, 3)
    rows, columns = np.nonzero(wide)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (17, 32, 37, 62)
    assert np.array_equal(regions.widened(region, 0.4), region)


# ---------------------------------------------------------------- what else can fill


def test_the_fitted_mean_is_right_about_a_relit_mean_face():
    face = np.round(drawn_face(0, 64)[0].astype(np.float64) * 0.5 + 40).astype(np.uint8)
    known = baselines.Known([drawn_face(0, 64)[0]])
    region = hole(64, 64)
    masked = np.where((region > 0)[..., None], np.uint8(0), face)
    assert np.abs(known.fitted_means([masked], [region])[0].astype(int) - face).max() <= 1
    assert np.abs(known.mean_face(masked, region).astype(int) - face).max() > 5


def test_the_nearest_face_is_the_one_that_looks_alike_where_it_is_visible():
    faces = [picture(seed) for seed in range(4)]
    known = baselines.Known(faces)
    masked = np.where((hole() > 0)[..., None], np.uint8(9), faces[2])
    assert np.array_equal(known.nearest(masked, hole()), faces[2])


def test_telea_continues_what_is_around():
    flat, region = np.full((32, 32, 3), 77, np.uint8), np.zeros((32, 32), np.uint8)
    region[10:20, 12:22] = 255
    masked = np.where((region > 0)[..., None], np.uint8(0), flat)
    assert np.abs(baselines.telea(masked, region).astype(int) - flat).max() <= 2


# ---------------------------------------------------------------- scores


def test_scores_of_an_equal_image():
    equal = scores.compare(picture(), picture(), hole() > 0)
    assert equal == {"psnr": 100.0, "hole_psnr": 100.0, "ssim": 1.0, "hole_ssim": 1.0, "sharpness": 1.0}


def test_psnr_is_that_of_the_mean_square_and_the_holes_is_of_the_hole_alone():
    photo, region = np.full((32, 32, 3), 100, np.uint8), hole() > 0
    result = photo.copy()
    result[region] += 5
    found = scores.compare(result, photo, region)
    assert found["hole_psnr"] == pytest.approx(20 * np.log10(255 / 5))
    assert found["psnr"] == pytest.approx(20 * np.log10(255 / 5) - 10 * np.log10(region.mean()))


def test_a_blurred_hole_is_less_sharp_and_less_similar():
    photo, _ = drawn_face(1, 64)
    region = hole(64, 64) > 0
    flat = np.where(region[..., None], photo[region].mean(0).astype(np.uint8), photo)
    found = scores.compare(flat, photo, region)
    assert found["sharpness"] < 0.5
    assert found["hole_ssim"] < found["ssim"] < 1


def test_lpips_takes_alexnet_from_a_file(tmp_path: Path):
    torch.manual_seed(0)
    alexnet = torchvision.models.alexnet(weights=None)
    torch.save(alexnet.state_dict(), tmp_path / "alexnet.pth")
    lpips = Lpips(tmp_path / "alexnet.pth")
    photo, _ = drawn_face(0, 64)
    near, far = np.clip(photo.astype(int) + 5, 0, 255).astype(np.uint8), picture(0, 64, 64)
    same, close, distant = lpips([photo] * 3, [photo, near, far])
    assert same == 0
    assert 0 < close < distant
    assert torch.equal(dict(lpips.network.net.slice3.named_children())["6"].weight, alexnet.features[5 + 1].weight)


def test_bad_weights_of_alexnet_are_named(tmp_path: Path):
    with pytest.raises(UnmaskError, match="there is no file"):
        Lpips(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(UnmaskError, match="cannot be read as weights"):
        Lpips(tmp_path / "text.pth")
    torch.save({"fc.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UnmaskError, match=r"holds no AlexNet: features\.0 is missing"):
        Lpips(tmp_path / "other.pth")


# ---------------------------------------------------------------- training


def test_a_gan_learns_and_reports_each_loss():
    trained, _ = train(40)
    first, last = trained.rows[0], trained.rows[-1]
    assert last["loss_hole"] < first["loss_hole"]
    names = ("hole", "context", "structure", "adversarial", "features", "discriminator")
    assert {f"loss_{name}" for name in names} <= last.keys()
    assert "loss_identity" not in last


def test_a_blend_lies_between_two_faces():
    one, other = np.full((8, 8, 3), 100, np.uint8), np.full((16, 16, 3), 200, np.uint8)
    assert np.array_equal(samples.blend(one, other, 0.75), np.full((8, 8, 3), 125))


def test_a_sample_depends_on_seed_and_key_alone_and_shows_one_face_twice():
    for key in (0, 7, 100):
        first, again = halves()[key], halves()[key]
        assert torch.equal(first["inputs"], again["inputs"])
        photo, region = first["data_samples"].photo, first["data_samples"].region
        assert region.any()
        visible = ~region.expand_as(photo)
        # Around the hole the masked photo is the photo, but for rounding, and for the border of what it shows.
        assert ((first["inputs"].int() - photo.int()).abs()[visible] <= 2).float().mean() > 0.9
    assert not torch.equal(halves()[0]["inputs"], halves()[6]["inputs"])


def test_by_pixels_alone_the_discriminator_is_not_touched():
    torch.manual_seed(0)
    weights_ = network().losses.pixels_alone()
    assert {name for name, weight in weights_ if weight} == {"hole", "context"}
    trained, _ = train(2, **dict(weights_))
    assert {name for name in trained.rows[0] if "_" in name} == {"loss_hole", "loss_context"}


def test_the_structure_is_close_to_the_scores_ssim():
    """Of smooth pictures the windows' shape makes no great difference."""
    photo = torch.from_numpy(drawn_face(0, 64)[0]).permute(2, 0, 1)[None].float().mean(1, keepdim=True) / 255
    noise = torch.rand(photo.shape, generator=torch.Generator().manual_seed(0))
    for other, tolerance in ((photo, 1e-5), (photo * 0.8, 0.02), (photo * 0.7 + noise * 0.3, 0.05), (noise, 0.05)):
        expected = float(structural_similarity_index_measure(photo, other, data_range=1.0))
        assert float(structure(photo, other).mean()) == pytest.approx(expected, abs=tolerance)


def test_the_recognizer_of_the_identity_loss_stays_as_it_was():
    torch.manual_seed(0)
    one = recognizer.Recognizer(tiny_recognizer().build(), 32)
    before = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    trained, _ = train(2, one, identity=1.0)
    assert 0 < trained.rows[0]["loss_identity"] < 2
    gan: InpaintingGAN = trained.model
    assert all(torch.equal(tensor, before[name]) for name, tensor in gan.recognizer.state_dict().items())


def test_a_gan_that_was_stopped_ends_with_the_same_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.chdir(tmp_path)
    trained, whole = train(6)
    trained.forget()
    step, calls = InpaintingGAN.train_step, []

    def stopping(self: InpaintingGAN, data: object, optim_wrapper: object) -> dict:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return step(self, data, optim_wrapper)

    monkeypatch.setattr(InpaintingGAN, "train_step", stopping)
    with pytest.raises(KeyboardInterrupt):
        train(6)
    monkeypatch.setattr(InpaintingGAN, "train_step", step)
    resumed, again = train(6)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor), name
    assert resumed.rows == trained.rows


def test_two_processes_train_a_gan_as_one(tmp_path: Path):
    found = []
    for name, torchrun in (("one", ()), ("two", TWO_PROCESSES)):
        (tmp_path / name).mkdir()
        program = [sys.executable, *torchrun, "-m", "tests.tiny_gan", "w.safetensors"]
        run(*program, cwd=tmp_path / name, PYTHONPATH=str(ROOT), OMP_NUM_THREADS="1")
        found.append(load_file(tmp_path / name / "w.safetensors"))
    one, two = found
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        assert torch.allclose(two[name], tensor, atol=5e-4), name


def test_a_loss_that_is_not_finite_stops_the_training(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(networks.Generator, "forward", lambda self, x, _: x * float("nan") + self.last[-1].bias[0])
    with pytest.raises(UnmaskError, match=r"loss is nan at step 1, on the batch drawn/"):
        train(2)


def tiny_recognizer() -> recognition_networks.Network:
    return recognition_networks.Network(side=32, layers=[1, 1, 1, 1], channels=[4, 4, 4, 8], embedding=8, dropout=0.0)


# ---------------------------------------------------------------- stages


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return untrained weights as the stages write them."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    paths = {
        name: folder / f"{name}.safetensors"
        for name in ("shared", "pretrained", "female", "male", "gender", "recognizer")
    }
    same = inpainter.Networks(SIZES)
    for name in ("shared", "pretrained", "female", "male"):
        weights.save(paths[name], same, ABOUT)
    small = classifier.Network(name="resnet10", side=32, pretrained=None, frozen=False)
    about = {"kind": classifier.KIND, "network": small.model_dump(mode="json"), "fold_of": {}}
    weights.save(paths["gender"], classifier.Networks({"all": small.build()}), about)
    about = {"kind": recognizer.KIND, "network": tiny_recognizer().model_dump()}
    weights.save(paths["recognizer"], tiny_recognizer().build(), about)
    return paths


def rows(*, masked: bool) -> list[tables.Face]:
    found = []
    for index in range(8):
        face = face_row(index, gray=index % 4 == 0)
        sex = "female" if face["identity"] == "p0" else "male"
        face |= {"sex": sex, "split": "train" if index < 4 else "test"}
        if masked:
            face |= {"mask": images.encode_png(hole(112, 112)) if index else None, "mask_style": "cloth"}
            if index:
                region = hole(112, 112) > 0
                image = np.where(region[..., None], np.uint8(200), images.decode(face["image"]))
                face["image"] = images.encode_png(image)
        found.append(face)
    return found


@pytest.fixture
def faces(tmp_path: Path) -> dict[str, Path]:
    return {
        "bare": write_table(tmp_path / "bare", rows(masked=False)),
        "masked": write_table(tmp_path / "masked", rows(masked=True)),
    }


def run_inpaint(
    faces: Path, models: dict[str, Path], out: Path, unmasked: Path = Path("none"), **changes: object
) -> dict:
    chosen = inpaint.Params(**{"region_from": "truth", "dilation": 1.0, "sex_from": "known"} | changes)
    given = {name: models[name] for name in ("gender", "shared", "female", "male") if name in models}
    return inpaint.inpaint(faces, unmasked, out=out, results=Results(out.parent / "f"), params=chosen, **given)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 8)])
def test_a_convolution_of_doubled_features_needs_no_doubled_features(height: int, width: int):
    torch.manual_seed(0)
    x, weight = torch.randn(2, 3, height, width), torch.randn(4, 3, 3, 3)
    doubled = torch.nn.functional.interpolate(x, scale_factor=2)
    expected = torch.nn.functional.conv2d(doubled, weight, padding=1)
    assert torch.allclose(networks.enlarged(x, weight), expected, atol=1e-5)


def test_inpaint_fills_masks_alone_with_the_generator_of_the_sex(
    faces: dict[str, Path], models: dict[str, Path], tmp_path: Path
):
    result = run_inpaint(faces["masked"], models, tmp_path / "out")
    assert result["filled"] == 7
    assert result["inpainters"] == {"female": 3, "male": 4, "shared": 0}
    for before, after in tables.joined(
        faces["masked"],
        tmp_path / "out",
        ["face_id", "image", "mask", "sex"],
        ["face_id", "image", "found_mask", "inpainter"],
    ):
        image, filled = images.decode(before["image"]), images.decode(after["image"])
        region = images.decode_gray(after["found_mask"]) > 0
        assert np.array_equal(filled[~region], image[~region])
        assert images.is_gray(filled) == images.is_gray(image)
        assert after["inpainter"] == (before["sex"] if before["mask"] else None)
        assert region.any() == (before["mask"] is not None)


def test_inpaint_fills_what_remove_masks_found(faces: dict[str, Path], models: dict[str, Path], tmp_path: Path):
    found = np.zeros((112, 112), np.uint8)
    found[70:90, 40:70] = 255
    some = [
        {**face, "found_mask": images.encode_png(found * (face["face_id"] > "drawn/p0/001"))}
        for face in rows(masked=True)
    ]
    result = run_inpaint(
        faces["masked"],
        models,
        tmp_path / "out",
        write_table(tmp_path / "unmasked", some),
        region_from="remove_masks",
        dilation=2.0,
    )
    assert result["filled"] == 6
    for face in tables.read(tmp_path / "out"):
        wider = regions.widened(found, 2.0) * (face["face_id"] > "drawn/p0/001")
        assert np.array_equal(images.decode_gray(face["found_mask"]), wider)
        assert (face["inpainter"] is None) == (not wider.any())


def test_regions_of_other_faces_are_refused(faces: dict[str, Path], models: dict[str, Path], tmp_path: Path):
    some = [{**face, "found_mask": face["mask"]} for face in rows(masked=True)]
    for name, others in (("fewer", some[:-1]), ("more", [*some, {**some[0], "face_id": "drawn/p0/009"}])):
        unmasked = write_table(tmp_path / name, others)
        with pytest.raises(UnmaskError, match=rf"{name}/part-\d+\.parquet has other faces than .*masked/part-"):
            run_inpaint(faces["masked"], models, tmp_path / "out", unmasked, region_from="remove_masks")
    with pytest.raises(UnmaskError, match="no face table"):
        run_inpaint(faces["masked"], models, tmp_path / "out", tmp_path / "gone", region_from="remove_masks")
    with pytest.raises(UnmaskError, match="no column 'found_mask'"):
        run_inpaint(faces["masked"], models, tmp_path / "out", faces["masked"], region_from="remove_masks")
    assert not (tmp_path / "out").exists()


def test_inpaint_asks_the_classifier_or_nobody(faces: dict[str, Path], models: dict[str, Path], tmp_path: Path):
    result = run_inpaint(faces["masked"], models, tmp_path / "asked", sex_from="predicted")
    by = result["inpainters"]
    assert by["female"] + by["male"] == 7
    result = run_inpaint(faces["masked"], models, tmp_path / "nobody", sex_from="nobody")
    assert result["inpainters"]["shared"] == 7


def test_a_sex_without_a_generator_gets_the_shared_one(faces: dict[str, Path], models: dict[str, Path], tmp_path: Path):
    some = {name: path for name, path in models.items() if name != "female"}
    assert run_inpaint(faces["masked"], some, tmp_path / "out")["inpainters"] == {"female": 0, "male": 4, "shared": 3}


def test_a_generator_whose_file_is_missing_is_named(faces: dict[str, Path], models: dict[str, Path], tmp_path: Path):
    some = {**models, "male": tmp_path / "gone.safetensors"}
    with pytest.raises(UnmaskError, match=r"gone\.safetensors: no such file"):
        run_inpaint(faces["masked"], some, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_of_photos_has_no_truth_and_no_known_sex(models: dict[str, Path], tmp_path: Path):
    (tmp_path / "photos").mkdir()
    for name, value in (("region_from", "truth"), ("sex_from", "known")):
        chosen = inpaint.Params(**{"region_from": "remove_masks", "dilation": 1.0, "sex_from": "nobody", name: value})
        with pytest.raises(UnmaskError, match=rf"inpaint\.{name} is '{value}'"):
            inpaint.photos_folder(tmp_path / "photos", tmp_path / "out", chosen)


@pytest.mark.parametrize(("certain", "by"), [(0.5, "female"), (1.0, "shared")])
def test_of_photos_a_face_whose_sex_is_unsure_gets_the_shared_generator(
    models: dict[str, Path], certain: float, by: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(classifier.Classifier, "female", lambda _, faces: [0.99] * len(faces))
    judge = Judge(worn_threshold=0.7, possible_threshold=0.5, min_share=0.1, certain_sex=certain)
    generators = {name: models[name] for name in ("shared", "female", "male")}
    faces, holes = [drawn_face()[0]], [np.pad(np.full((30, 40), 255, np.uint8), ((70, 12), (36, 36)))]
    ((filled, name),) = inpaint.Filler(models["gender"], generators, judge)(faces, holes, [None])
    assert name == by
    assert np.array_equal(filled[:70], faces[0][:70])


def evaluate(faces: dict[str, Path], models: dict[str, Path], folder: Path, split: str = "test") -> dict:
    """Score what `run_inpaint` wrote into `out` of a folder."""
    chosen = evaluate_inpainting.Params(seed=0, split=split, known_faces=3, resamples=100, alexnet=None)
    inputs = faces["bare"], faces["masked"], folder / "out", models["shared"], models["pretrained"]
    return evaluate_inpainting.evaluate_inpainting(*inputs, Results(folder / "f"), chosen)


def test_the_table_of_ways_to_fill(faces: dict[str, Path], models: dict[str, Path], tmp_path: Path):
    run_inpaint(faces["masked"], models, tmp_path / "out")
    result = evaluate(faces, models, tmp_path)
    assert (result["images"], result["identities"], result["pixels_changed_outside"]) == (4, 1, 0)
    assert {"masked", "mean_face", "fitted_mean", "telea", "nearest_face", "l1_alone", "ours"} <= result["ways"].keys()
    ways = result["ways"]
    assert all(way.keys() == ways["ours"].keys() for way in ways.values())
    # The same weights in three files, so the same pixels.
    assert ways["ours"] == ways["shared_gan"] == ways["l1_alone"]
    assert result["hole_psnr_ahead_of"]["l1_alone"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    assert result["hole_psnr_by_style"]["ours"] == {"cloth": ways["ours"]["hole_psnr"]}
    assert ways["ours"]["identity"] < 1
    assert -1 < result["identity_of_another_photo"] < 1
    assert result["identity_of_others"] is None  # there is one person
    assert (tmp_path / "figures/f.png").stat().st_size > 1000
    with pytest.raises(UnmaskError, match="no face with a drawn mask and landmarks in split 'val'"):
        evaluate(faces, models, tmp_path, "val")


def test_workers_score_what_was_filled_in_as_one_process_does(models: dict[str, Path], tmp_path: Path):
    """Faces of one part and of several, and people of both splits; also workers of a cluster."""
    people = {name: [] for name in ("bare", "masked")}
    for name, some in people.items():
        for index, face in enumerate(rows(masked=name == "masked")):
            split = ("train", "test", "val")[index % 3]
            some.append({**face, "identity": split, "face_id": f"drawn/{split}/{index:03d}", "split": split})
    folders = {name: write_table(tmp_path / name, some) for name, some in people.items()}
    run_inpaint(folders["masked"], models, tmp_path / "out")
    found = []
    for where in (workers(1), workers(2), two_dask_workers()):
        with where:
            found.append((evaluate(folders, models, tmp_path), (tmp_path / "figures/f.png").read_bytes()))
    assert found[0] == found[1] == found[2]
    assert (found[0][0]["images"], found[0][0]["val"]["images"]) == (3, 2)
    assert not list(Path(".scratch").glob("*/known.npy"))


def test_the_people_to_choose_by_have_scores_of_their_own(models: dict[str, Path], tmp_path: Path):
    """Masks change the photo of a val person by 10 of 255, those of others by 20: so hole PSNR is known."""
    region = hole(112, 112)
    bare = []
    for index, split in enumerate(["train"] * 2 + ["test"] * 3 + ["val"] * 2):
        bare.append({**face_row(index, identity=split), "sex": "male", "split": split})
    masked = []
    for face in bare:
        image, by = images.decode(face["image"]).astype(int), 10 if face["split"] == "val" else 20
        image = np.where(region[..., None] > 0, np.where(image < 128, image + by, image - by), image).astype(np.uint8)
        mask = {"mask": images.encode_png(region), "mask_style": "cloth" if face["split"] == "test" else "n95"}
        masked.append({**face, "image": images.encode_png(image), **mask})
    folders = {"bare": write_table(tmp_path / "bare", bare), "masked": write_table(tmp_path / "masked", masked)}
    run_inpaint(folders["masked"], models, tmp_path / "out")
    result = evaluate(folders, models, tmp_path)
    val = result["val"]
    assert val.keys() == result.keys() - {"split", "val"}
    assert (result["images"], val["images"], val["identities"]) == (3, 2, 1)
    assert result["ways"]["masked"]["hole_psnr"] == pytest.approx(20 * np.log10(255 / 20))
    assert val["ways"]["masked"]["hole_psnr"] == pytest.approx(20 * np.log10(255 / 10))
    assert val["hole_psnr_by_style"]["masked"].keys() == {"n95"}
    assert evaluate(folders, models, tmp_path, "val") == {**val, "split": "val"}
    for name, faces in (("bare", bare), ("masked", masked)):
        tested = [face for face in faces if face["split"] != "val"]
        folders[name] = write_table(tmp_path / "tested" / name, tested)
    run_inpaint(folders["masked"], models, tmp_path / "tested/out")
    assert evaluate(folders, models, tmp_path / "tested") == {**result, "val": None}


def test_the_cosine_with_the_truth_has_a_scale():
    embeddings = np.float32([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]])
    own, others = evaluate_inpainting.mean_cosines(embeddings, ["a", "a", "b", "c"])
    assert own == pytest.approx(0.6)  # of one pair
    assert others == pytest.approx((0 - 1 + 0.8 - 0.6 + 0) / 5)
    assert evaluate_inpainting.mean_cosines(embeddings[:2], ["a", "b"]) == (None, pytest.approx(0.6))


def test_faces_that_are_missing_at_the_end_are_not_dropped(
    faces: dict[str, Path], models: dict[str, Path], tmp_path: Path
):
    fewer = write_table(tmp_path / "fewer", rows(masked=True)[:6])
    run_inpaint(fewer, models, tmp_path / "out")
    with pytest.raises(UnmaskError, match="are not of the same faces: run inpaint again"):
        evaluate(faces, models, tmp_path)


def test_training_of_the_shared_one_and_of_one_sex(
    faces: dict[str, Path], models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made, seeds = samples.Samples.__init__, []

    def recorded(self: samples.Samples, *args: object, seed: int, **rest: object) -> None:
        seeds.append(seed)
        made(self, *args, seed=seed, **rest)

    monkeypatch.setattr(samples.Samples, "__init__", recorded)
    common = {
        "faces": faces["bare"],
        "templates": ROOT / "data/mask_templates",
        "recognizer": models["recognizer"],
        "results": Results(tmp_path / "training"),
    }
    section = {
        "align_faces": {"template": "arcface", "side": 112},
        "seed": 0,
        "render_masks": params.read_yaml(ROOT / "params.yaml")["render_masks"],
        "inpainter": network(identity=0.5).model_dump(),
        "schedule": schedule(2).model_dump(),
    }
    pretrained, shared = tmp_path / "pretrained.safetensors", tmp_path / "shared.safetensors"
    without = {name: value for name, value in common.items() if name != "recognizer"}
    result = pretrain_inpainter.pretrain_inpainter(
        **without, out=pretrained, params=pretrain_inpainter.Params(pretrained=None, **section)
    )
    assert (result["faces"], result["identities"]) == (4, 1)
    assert result["last"].keys() == {"loss", "loss_hole", "loss_context"}
    result = train_shared_inpainter.train_shared_inpainter(
        **common, pretrained=pretrained, out=shared, params=train_shared_inpainter.Params(**section)
    )
    assert (result["faces"], result["identities"]) == (4, 1)
    assert result["last"].keys() >= {"loss_structure", "loss_adversarial", "loss_features", "loss_identity"}
    female = functools.partial(
        train_inpainter.train_inpainter,
        **common,
        shared=shared,
        out=tmp_path / "sex.safetensors",
        params=train_inpainter.Params(**section, without_faces="error"),
    )
    assert female("female")["identities"] == 1
    assert len(set(seeds)) == 3  # no training sees once more what the one before has seen
    _, mean = weights.load(pretrained, inpainter.KIND)
    _, before = weights.load(shared, inpainter.KIND)
    _, after = weights.load(tmp_path / "sex.safetensors", inpainter.KIND)
    assert torch.equal(before["generator.mean_face"], mean["generator.mean_face"])
    assert torch.equal(before["generator.mean_face"], after["generator.mean_face"])
    assert not torch.equal(before["generator.last.3.bias"], after["generator.last.3.bias"])
    with pytest.raises(UnmaskError, match=r"no bare male face .* in split 'train'.*shared goes on without"):
        female("male")
    as_shared = train_inpainter.Params(**section, without_faces="shared")
    assert female("male", params=as_shared) == {"faces": 0, "identities": 0}
    assert (tmp_path / "sex.safetensors").read_bytes() == shared.read_bytes()
    assert common["results"].curve.read_text() == "step,loss_hole\n"
    with pytest.raises(UnmaskError, match="must be one of female, male"):
        female("other")
    assert json.loads((tmp_path / "costs/training.json").read_text())["seconds"] > 0


# ---------------------------------------------------------------- light


class Gray:
    """Fills a hole with 100, and remembers what it saw."""

    align = Align(template="arcface", side=112)

    def __call__(self, faces: list[Pixels], holes: list[Pixels]) -> list[Pixels]:
        self.saw = faces[0]
        return [np.where((hole > 0)[..., None], np.uint8(100), face) for face, hole in zip(faces, holes, strict=True)]


@pytest.mark.parametrize(("brightest", "gain"), [(250, 1), (200, 1), (100, 2), (50, 4), (20, 10), (5, 16), (0, 16)])
def test_a_dark_face_is_filled_as_a_lit_one_is(brightest: int, gain: float, monkeypatch: pytest.MonkeyPatch):
    points = drawn_face()[1]
    photo = np.full((112, 112, 3), brightest, np.uint8)
    photo[:, 80:] //= 2  # one side in the shade
    photo[:20] = (90, 120, 255)  # a bright sky, which is no face
    photo[40:48, 30:80] = 0  # nor are dark glasses
    region = np.zeros((112, 112), np.uint8)
    region[70:100, 30:80] = 255
    photo[region > 0] = 255  # nor is a white mask
    gray = Gray()
    monkeypatch.setattr(inpaint, "_generator", lambda _: gray)
    crop = Crop(photo, region, np.eye(2, 3), points)
    found = inpaint.Filler(None, {"shared": Path("shared")}).in_photo(photo, crop, region)
    lit = min(255, round(brightest * gain))
    assert gray.saw[60, 40].tolist() == [lit] * 3
    assert abs(gray.saw[2, 2].astype(int) - lit).max() <= 0.2 * lit  # no sky is seen, but skin, some of it in the shade
    filled = found.laid_into(photo)
    assert abs(filled[85, 50].astype(int) - 100 / gain).max() <= 1
    assert np.array_equal(filled[region == 0], photo[region == 0])


def test_of_a_face_that_is_not_seen_nobody_knows_the_light():
    face, points = drawn_face()
    for seen in ((points, np.full((112, 112), 255, np.uint8)), (points + 1000, np.zeros((112, 112), np.uint8))):
        lit, gain = light.lit(face // 4, *seen)
        assert np.array_equal(lit, face // 4)
        assert gain == 1
