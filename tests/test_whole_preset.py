"""Preset `celebamask-hq` from its plan to its figures, on few photos in the publishers' layouts, made up of ORL's.

The parsers are those of the recipes at full size and start from made-up checkpoints; all trainings take two steps.
"""

import json
import math
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from stages.compute import weights
from stages.core import params, tables
from stages.core.images import Pixels, encode_png
from stages.data.sources import checks
from stages.faces import parts
from stages.landmarks import boxes, dlib
from tests.conftest import commit, copy_repository, edit_params, make_small, run, served
from tests.test_datasets import write, zip_of
from tests.test_recipes import LEAST, made_up

PRESET = "celebamask-hq"
STARTS = {"scanet": "resnet101_v1c_imagenet", "extractor": "resnet18_imagenet"}
TRAIN, VAL, TEST = 0, 162771, 182638  # where CelebA's splits begin
# People of ORL whose photos are CelebAMask-HQ's and FaceOcc's here; others of whom ORL's own table has two each.
CELEBRITIES = [(f"s{number}", TRAIN + number) for number in range(11, 19)]
CELEBRITIES += [("s19", VAL), ("s20", VAL + 1), ("s21", TEST), ("s22", TEST + 1), ("s23", TEST + 2)]
OCCLUDED = ["s24", "s25"]
WOMEN, MEN = ["s8", "s10", "s32", "s35"], ["s1", "s2", "s3", "s4", "s5", "s6"]
SIDE = 256  # of a photo, pixels; label maps have half of it

pytestmark = pytest.mark.slow  # minutes of processor time


def portrait(photo: Pixels) -> tuple[Pixels, Pixels]:
    """Return a square photo in color, RGB (SIDE, SIDE, 3), and the map of its parts, half as large."""
    height, width = photo.shape[:2]
    border = (140 - height) // 2, (141 - height) // 2, (140 - width) // 2, (141 - width) // 2
    image = cv2.copyMakeBorder(photo, *border, cv2.BORDER_REPLICATE)
    image = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) * [1, 0.85, 0.75], np.uint8)
    points = dlib.points(image, boxes.find(image, short_side=SIDE, long_side=SIDE)[0])
    return image, parts.from_landmarks(points / 2, SIDE // 2, SIDE // 2)


def jpeg(image: Pixels) -> bytes:
    return cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def white(region: Any) -> bytes:
    """Return a label map as both publishers have them: RGB, 255 where the part is."""
    return encode_png(np.repeat(np.where(region, np.uint8(255), np.uint8(0))[..., None], 3, 2))


def celebamask_hq(read: Callable[[str], Pixels]) -> dict[str, bytes]:
    """Return the files that its publisher offers: the archive, and CelebA's list of who is who."""
    mapping = "idx orig_idx    orig_file\n"
    attributes = f"{len(CELEBRITIES)}\nBald Male Young\n"
    people, files = "", dict[str, bytes]()
    for index, (person, place) in enumerate(CELEBRITIES):
        image, labels = portrait(read(f"{person}/1"))
        files[f"CelebA-HQ-img/{index}.jpg"] = jpeg(image)
        for number in set(np.unique(labels).tolist()) - {0}:
            name = f"CelebAMask-HQ-mask-anno/{index // 2000}/{index:05d}_{parts.CLASSES[number]}.png"
            files[name] = white(labels == number)
        mapping += f"{index:<8}{place:<12}{place + 1:06d}.jpg\n"
        attributes += f"{index}.jpg -1  1  1\n"
        people += f"{place + 1:06d}.jpg {100 + index}\n"
    files |= {"CelebA-HQ-to-CelebA-mapping.txt": mapping.encode()}
    files |= {"CelebAMask-HQ-attribute-anno.txt": attributes.encode()}
    archive = zip_of({f"CelebAMask-HQ/{name}": content for name, content in files.items()})
    return {"CelebAMask-HQ.zip": archive, "identity_CelebA.txt": people.encode()}


def faceocc(read: Callable[[str], Pixels]) -> dict[str, bytes]:
    """Return its archive: test photos whose lower face a bar hides, what is left of the face, and an occluder."""
    files = {"FaceOcc/CelebAHQ/0.png": cv2.imencode(".png", np.full((8, 8, 4), 200, np.uint8))[1].tobytes()}
    for person in OCCLUDED:
        image, labels = portrait(read(f"{person}/1"))
        visible = cv2.resize(parts.visible_face(labels), (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)
        hidden = slice(SIDE * 5 // 8, SIDE * 6 // 8)
        image[hidden], visible[hidden] = (40, 60, 30), 0
        files |= {f"FaceOcc/COFW_test/img/{person}.jpg": jpeg(image)}
        files |= {f"FaceOcc/COFW_test/mask/{person}.png": white(visible)}
    return {"FaceOcc.zip": zip_of(files)}


def drop(repository: Path, dataset: str, files: dict[str, bytes]) -> None:
    """Put files into the drop folder, and into the records that they are a sample."""
    write(repository / "data/incoming" / dataset, files)
    records = checks.Records(repository / f"data/checksums/{dataset}.csv")
    for name in files:
        records.add(name, checks.content(repository / "data/incoming" / dataset / name), "made up")


def of_two_steps(presets: Path) -> None:
    """Shorten the schedules of the preset, of its base and of its recipes, and nothing else of them."""
    for name in ("laptop", "recipes/scanet_r101_112", "recipes/extractor_r18"):
        text = (presets / f"{name}.yaml").read_text()
        text, n = re.subn(r"(\.schedule\.(?:steps|batch_size|checkpoint_every)): \d+", r"\1: 2", text)
        assert n >= 3
        (presets / f"{name}.yaml").write_text(text)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a copy of this repository, the publishers' files beside it, whose terms are accepted."""
    folder = tmp_path_factory.mktemp("whole")
    repository = copy_repository(folder / "unmask")
    (repository / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(repository / "metrics")  # of the default run
    of_two_steps(repository / "presets")
    left_out = [f"s{number}" for number in range(1, 41) if f"s{number}" not in WOMEN + MEN]
    lines = "".join(f"orl/{person}/{number:02d},not needed\n" for person in left_out for number in range(1, 11))
    (repository / "data/curation/orl.csv").write_text(f"face_id,reason\n{lines}")
    edit_params(repository, accept_terms=["celebamask_hq", "faceocc"])
    (folder / "published").mkdir()
    with served(folder / "published") as address:
        catalogue = repository / "models/catalogue.yaml"
        text = catalogue.read_text()
        for checkpoint in STARTS.values():
            path = made_up(checkpoint, folder / "published")
            name, size, begins = path.name, path.stat().st_size, path.stem.rpartition("-")[2]
            entry = f"name: {name}\n      url: {address}/{name}\n      bytes: {size}\n      sha256_begins: {begins}\n"
            text, n = re.subn(
                rf"(\n{checkpoint}:\n(?:  .*\n)*?    - )name: (?:.*\n)*?      sha256_begins: \w+\n", rf"\1{entry}", text
            )
            assert n == 1
        catalogue.write_text(text)
        yield repository


def test_the_plan_says_what_it_takes(repository: Path):
    before = (repository / "params.yaml").read_bytes()
    said = run(sys.executable, "-m", "stages.tools.plan", f"--preset={PRESET}", cwd=repository).stdout
    assert (repository / "params.yaml").read_bytes() == before
    rows = {line.split()[0]: line for line in said.splitlines() if line}
    for model, millions in (("scanet", "67.3 M"), ("extractor", "14.3 M")):
        assert rows[f"train_parser@{model}"].split(maxsplit=1)[1].startswith(millions)
    for training in ("train_detector", "train_recognizer@arcface", "train_gender", "train_inpainter@male"):
        assert training in rows
    assert "was not measured" not in said
    assert "  celebamask_hq: 30,000 photos, 3.2 GB" in said
    for checkpoint in STARTS.values():
        assert f"  {checkpoint}: " in said
    assert "Terms to accept: none" in said
    assert said.endswith(f"presets {PRESET} && dvc repro\n")


def test_it_runs_whole(repository: Path, orl_photo: Callable[[str], Pixels]):
    drop(repository, "celebamask_hq", celebamask_hq(orl_photo))
    drop(repository, "faceocc", faceocc(orl_photo))
    said = run(sys.executable, "-m", "stages.tools.presets", PRESET, cwd=repository).stdout
    assert "train_parser.scanet.config: scanet -> scanet_r101_112" in said
    parsers = params.read_yaml(repository / "params.yaml")["train_parser"]
    make_small(repository)
    edit_params(repository, train_parser=parsers)  # these stay the recipes'
    commit(repository, "few photos, two steps")
    run("dvc", "repro", cwd=repository)

    folder = repository / "metrics"
    metrics = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    stages = params.read_yaml(repository / "dvc.lock")["stages"]
    assert {name.replace("@", "-", 1) for name in stages} >= metrics.keys()
    for keys, value in params.leaves(metrics).items():
        assert not isinstance(value, float) or math.isfinite(value), keys
    found = metrics["clean-celebamask_hq"]
    assert {split: of["faces"] for split, of in found["splits"].items()} == {"train": 8, "val": 2, "test": 3}
    assert found["unexplained"] == 0
    assert metrics["fetch-celebamask_hq"]["files"][0]["from"] == "drop folder"
    assert tables.count(repository / "data/inpainted/realistic/celebamask_hq") == len(CELEBRITIES)
    for model, checkpoint in STARTS.items():
        assert metrics[f"fetch_checkpoint-{checkpoint}"]["files"][0]["from"] == "download"
        trained = metrics[f"train_parser-{model}"]
        assert trained["faces"] == 8
        assert trained["labels_by"] == {"publisher": 8}
        assert trained["pretrained"]["from"] == checkpoint
        assert trained["pretrained"]["matched"] == LEAST[checkpoint]
        assert metrics[f"evaluate_parser-{model}"]["images"] >= 3
    assert metrics["evaluate_parser-scanet"]["as_published"]["images"] == 3
    assert metrics["evaluate_parser-extractor"]["as_published"]["images"] == len(OCCLUDED)
    for model, checkpoint in STARTS.items():
        (path,) = (repository / "models/checkpoints" / checkpoint).iterdir()
        begun = weights.load_published(path, "x")["layer4.1.conv1.weight"]
        state = weights.load(repository / f"models/parser-{model}.safetensors", "parser")[1]
        assert torch.allclose(state["backbone.layer4.1.conv1.weight"], begun, atol=2e-3)  # two steps from there
    assert run("dvc", "status", cwd=repository).stdout.strip() == "Data and pipelines are up to date."
