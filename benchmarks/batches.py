"""Faces a second and core of `inpaint`, `remove_masks` and `embed`: one face at a time, and in batches.

python -m benchmarks.batches [faces]

The faces are ORL's (default: 100). Networks have the size of params.yaml and random weights, so no `dvc repro` is
needed; the parser's last layer is made to see a mask everywhere, so every face is filled. Both ways run in turn in one
process, on one thread, three times; the least processor time counts, which other programs lengthen least.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

from benchmarks.orl import repeated
from stages.compute import device, weights
from stages.core import images, params, tables
from stages.core.results import Results
from stages.faces import parts
from stages.gender import classifier, train_gender
from stages.inpainting import inpaint, inpainter
from stages.parsing import parser
from stages.recognition import embed, import_recognizer
from stages.removal import remove_masks
from stages.training import openmmlab

ROOT = Path(__file__).parents[1]
PARAMS = ROOT / "params.yaml"
SIDE = 112  # pixels
TURNS = 3


def write_faces(folder: Path, n: int) -> Path:
    """Write a table of `n` faces that look aligned, and wear a mask as far as the table says."""
    angle = np.linspace(0, 2 * np.pi, 68, endpoint=False)
    points = np.stack([SIDE / 2 + 30 * np.cos(angle), 60 + 35 * np.sin(angle)], 1).astype(np.float32)
    region = np.zeros((SIDE, SIDE), np.uint8)
    region[60:] = 255
    found: dict[int, list[tables.Face]] = {}
    for copy, person, number, data in repeated(n):
        identity = f"{person}-{copy}"
        face = {
            "face_id": f"orl/{identity}/{number}",
            "identity": identity,
            "sex": None,
            "split": "test",
            "image": images.encode_png(np.asarray(cv2.resize(images.decode(data), (SIDE, SIDE)), np.uint8)),
            "landmarks": points,
            "mask": images.encode_png(region),
            "mask_style": "surgical",
        }
        found.setdefault(tables.part_of(identity, tables.MIN_PARTS), []).append(face)
    folder.mkdir()
    for part, rows in found.items():
        rows.sort(key=lambda face: face["face_id"])
        tables.write_part(folder / tables.part_name(part), rows, list(rows[0]))
    return folder


def write_models(folder: Path) -> dict[str, Path]:
    """Write networks with random weights."""
    torch.manual_seed(0)
    model = parser.config("scanet", {})
    scanet: Any = openmmlab.build("mmseg", model)
    torch.nn.init.constant_(scanet.decode_head.conv_seg.bias[parts.MASK : parts.MASK + 1], 1e3)
    about: dict[str, Any] = {"name": "scanet", "classes": [*map(str, range(20))], "size": SIDE, "model": model}
    files = {name: folder / f"{name}.safetensors" for name in ("parser", "gender", "shared", "dlib")}
    weights.save(files["parser"], scanet, {"kind": parser.KIND, **about})
    network = params.load(train_gender.Params, "train_gender", PARAMS).network
    sexes = classifier.Networks({"all": network.build()})
    weights.save(files["gender"], sexes, {"kind": classifier.KIND, "network": network.model_dump(), "fold_of": {}})
    section = params.read_yaml(PARAMS)["inpainter"]
    sizes = {name: section[name] for name in ("patch", "channels", "discriminator_channels")}
    about = {**sizes, "size": section["side"]}
    weights.save(files["shared"], inpainter.Networks(about), {"kind": inpainter.KIND, **about})
    described = import_recognizer.Params.model_validate({"dlib": {"kind": "dlib"}})
    import_recognizer.import_recognizer("dlib", folder, files["dlib"], described)
    return files


def stages(folder: Path, n: int) -> dict[str, Callable[[Path], object]]:
    """Return what runs each stage, given the folder to write to; `embed` looks at each face six times."""
    faces, files = write_faces(folder / "faces", n), write_models(folder)
    removing = params.load(remove_masks.Params, "remove_masks", PARAMS)
    filling = params.load(inpaint.Params, "inpaint", PARAMS)
    embedding = params.load(embed.Params, "embed", PARAMS)
    found = files["parser"], files["parser"]  # the detector is not asked
    unmasked = folder / "unmasked"
    remove_masks.remove_masks(faces, *found, unmasked, Results(folder / "f"), removing)
    return {
        "remove_masks": lambda to: remove_masks.remove_masks(faces, *found, to / "out", Results(to / "f"), removing),
        "inpaint": lambda to: inpaint.inpaint(
            faces, unmasked, files["gender"], files["shared"], to / "out", Results(to / "f"), filling
        ),
        "embed": lambda to: embed.embed(faces, faces, faces, faces, files["dlib"], to / "e.parquet", embedding),
    }


def seconds(work: Callable[[Path], object], at_once: int) -> float:
    """Return the processor time that a stage takes, its networks loaded, with so many pixels at once."""
    with tempfile.TemporaryDirectory() as to, mock.patch.dict(device.AT_ONCE, cpu=at_once):
        start = time.process_time()
        work(Path(to))
        return time.process_time() - start


def main(n: int) -> None:
    """Measure and print."""
    os.environ |= {"UNMASK_WORKERS": "1", "UNMASK_DEVICE": "cpu"}
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print("| stage | faces a second, one at a time | in batches | times as fast |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, work in stages(Path(folder), n).items():
            seconds(work, 1)  # loads the networks
            one, many = (
                min(values)
                for values in zip(
                    *((seconds(work, 1), seconds(work, device.AT_ONCE["cpu"])) for _ in range(TURNS)), strict=True
                )
            )
            print(f"| {name} | {n / one:.1f} | {n / many:.1f} | {one / many:.2f} |", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
