"""distill_recognizer: a copy of dlib's network learns, its teacher does not; the file is a recognizer like dlib's."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stages.compute import weights
from stages.core import params, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.results import Results
from stages.recognition import distill_recognizer, distillation, dlib_embedding, embedders, recognizer
from tests.conftest import ROOT, drawn_face, face_row, write_table
from tests.test_inpainting import tiny_recognizer


def chosen(**changes: object) -> distill_recognizer.Params:
    content = params.read_yaml(ROOT / "params.yaml")
    schedule = {**content["distill_recognizer"]["schedule"], "steps": 2, "batch_size": 2, "checkpoint_every": 1}
    values = {**content["distill_recognizer"], "schedule": schedule, "seed": 0, "render_masks": content["render_masks"]}
    return distill_recognizer.Params.model_validate({**values, **changes})


def distill(tmp_path: Path, dlib_recognizer: Path) -> dict:
    table = write_table(tmp_path / "faces", [{**face_row(index), "split": "train"} for index in range(4)])
    templates, masked = ROOT / "data/mask_templates", tmp_path / "masked.safetensors"
    return distill_recognizer.distill_recognizer(
        table, templates, dlib_recognizer, masked, Results(tmp_path / "copy"), chosen()
    )


def test_a_copy_learns_and_is_a_recognizer_like_its_teacher(dlib_recognizer: Path, tmp_path: Path):
    result = distill(tmp_path, dlib_recognizer)
    assert (result["faces"], result["identities"]) == (4, 1)
    before, after = (weights.load(file, recognizer.KIND) for file in (dlib_recognizer, tmp_path / "masked.safetensors"))
    precision = json.loads((tmp_path / "costs/copy.json").read_text())["precision"]
    assert after[0] == {**before[0], "precision": precision, "distilled": True}
    # The people it learned from are no strangers to it, as all people are to its teacher.
    assert embedders.knows_nobody(dlib_recognizer)
    assert not embedders.knows_nobody(tmp_path / "masked.safetensors")
    assert before[1].keys() == after[1].keys()
    assert not torch.equal(before[1]["first.weight"], after[1]["first.weight"])
    face, points = drawn_face(1)
    one, other = (embedders.load(file)([face], [points]) for file in (dlib_recognizer, tmp_path / "masked.safetensors"))
    assert 0.9 < float((one * other).sum()) < 1 - 1e-9


def test_where_nothing_is_changed_there_is_nothing_to_learn():
    face = torch.from_numpy(dlib_embedding.chip(*drawn_face(0))).permute(2, 0, 1)
    training = distillation.Training(dlib_embedding.network())
    assert float(training([torch.stack([face, face])], [None], mode="loss")["loss"]) == pytest.approx(0, abs=1e-5)
    assert float(training([torch.stack([face * 0, face])], [None], mode="loss")["loss"]) > 0.001
    assert all(weight.requires_grad for weight in training.network.parameters())
    assert not any(weight.requires_grad for weight in training.teacher.parameters())


def test_samples_are_drawn_anew_and_always_the_same():
    def darker(face: tables.Face, image: Pixels, rng: np.random.Generator) -> Pixels:
        del face, rng
        return image // 2

    some = distillation.Samples([face_row(0)], darker, seed=0)
    inputs = some[0]["inputs"]
    assert inputs.shape == (2, 3, 150, 150)
    assert torch.equal(inputs, some[0]["inputs"])
    assert not torch.equal(inputs[0], some[1]["inputs"][0])
    assert torch.equal(inputs[1], some[1]["inputs"][1])  # what the teacher sees is the photo
    assert np.asarray(inputs[0]).mean() < np.asarray(inputs[1]).mean()


def test_only_dlibs_network_can_be_taught(tmp_path: Path):
    own = tmp_path / "own.safetensors"
    network = tiny_recognizer()
    weights.save(own, network.build(), {"kind": recognizer.KIND, "network": network.model_dump()})
    with pytest.raises(UnmaskError, match="is not dlib's network"):
        distill(tmp_path, own)
