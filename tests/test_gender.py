"""The gender classifier: networks, folds, scores with intervals, training, and the search for its numbers."""

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from stages.core import images, intervals, params, tables
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.gender import classifier, evaluate_gender, train_gender, training, tune_gender
from stages.training import loop
from tests.conftest import ROOT, face_row, write_table


def network(**changes: object) -> classifier.Network:
    return classifier.Network(**{"name": "resnet10", "side": 32, "pretrained": None, "frozen": False, **changes})


def section(**changes: object) -> train_gender.Params:
    schedule = loop.Schedule(
        steps=16, batch_size=8, learning_rate=0.002, weight_decay=0.0, checkpoint_every=8, precision="float32"
    )
    values = {
        "seed": 0,
        "render_masks": params.read_yaml(ROOT / "params.yaml")["render_masks"],
        "network": network().model_dump(),
        "mask_prob": 0.0,
        "folds": 2,
        "schedule": schedule.model_dump(),
    }
    return train_gender.Params(**{**values, **changes})


def person(number: int, photos: int = 3) -> list[tables.Face]:
    """Return photos of a person: women bright, men dark, which is easy to learn."""
    sex = "female" if number % 2 else "male"
    rows = [face_row(10 * number + index, identity=f"p{number}") for index in range(photos)]
    for row in rows:
        image = images.decode(row["image"]) // 3 + (150 if sex == "female" else 0)
        row |= {"sex": sex, "split": "test" if number > 5 else "train", "image": images.encode_png(image)}
    return rows


@pytest.fixture
def faces(tmp_path: Path) -> dict[str, Path]:
    rows = [face for number in range(8) for face in person(number)]
    masked = [{**face, "mask": images.encode_png(np.full((112, 112), 255, np.uint8))} for face in rows]
    masked[0]["mask"] = None
    return {"bare": write_table(tmp_path / "bare", rows), "masked": write_table(tmp_path / "masked", masked)}


def evaluate(faces: dict[str, Path], to: Path) -> dict:
    """Judge the networks that `train` wrote into a folder."""
    chosen = evaluate_gender.Params(seed=0, resamples=100)
    weights, results = to / "w.safetensors", Results(to / "evaluation")
    return evaluate_gender.evaluate_gender(faces["bare"], faces["masked"], weights, results, chosen)


def train(faces: Path, to: Path, **changes: object) -> dict:
    return train_gender.train_gender(
        faces,
        ROOT / "data/mask_templates",
        to / "w.safetensors",
        Results(to / "training"),
        section(**changes),
    )


def test_it_learns_and_is_judged_by_people_it_did_not_see(
    faces: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    result = train(faces["bare"], tmp_path)
    assert result["identities"] == {"female": 3, "male": 3}
    _, fold_of = classifier.load_all(tmp_path / "w.safetensors")
    assert fold_of.keys() == {f"p{number}" for number in range(8)}
    for fold in (0, 1):  # two women and two men in each
        people = [int(name[1:]) % 2 for name, where in fold_of.items() if where == fold]
        assert sorted(people) == [0, 0, 1, 1]
    found = evaluate(faces, tmp_path)
    assert found["folds"]["bare"]["balanced_accuracy"] == 1.0
    assert found["folds"]["bare"]["images"] == 24
    assert found["folds"]["masked"]["images"] == 23  # one got no mask
    interval = found["folds"]["bare"]["interval"]
    assert (interval["low"], interval["high"]) == (pytest.approx(intervals.clopper_pearson(1.0, 8).low), 1.0)
    assert found["folds"]["bare"]["confusion"] == [[12, 0], [0, 12]]
    assert found["test_people"]["bare"]["images"] == 6
    assert "prove next to nothing" in found["warning"]
    assert not list(Path(".scratch").rglob("*.pth"))
    monkeypatch.setenv("UNMASK_WORKERS", "2")
    assert evaluate(faces, tmp_path) == found


def test_the_scores_to_choose_by_hold_no_test_person(faces: dict[str, Path], tmp_path: Path):
    """The table has the sexes of the test people wrong, so that they alone are called wrong."""
    train(faces["bare"], tmp_path)
    other = {"female": "male", "male": "female"}
    for condition, table in faces.items():
        rows = list(tables.read(table))
        swapped = [{**face, "sex": other[face["sex"]]} if face["split"] == "test" else face for face in rows]
        faces[condition] = write_table(tmp_path / "swapped" / condition, swapped)
    found = evaluate(faces, tmp_path)
    assert found["folds"]["bare"]["balanced_accuracy"] == pytest.approx(18 / 24)
    assert found["test_people"]["bare"]["balanced_accuracy"] == 0.0
    assert found["val"]["identities"] == {"female": 3, "male": 3}
    assert found["val"]["folds"]["bare"]["balanced_accuracy"] == 1.0
    assert found["val"]["folds"]["bare"]["confusion"] == [[9, 0], [0, 9]]
    assert found["val"]["folds"]["masked"]["images"] == 17  # one got no mask
    for condition, table in faces.items():
        rows = [{**face, "split": "test"} for face in tables.read(table)]
        faces[condition] = write_table(tmp_path / "all-tested" / condition, rows)
    assert evaluate(faces, tmp_path)["val"] is None


def test_one_sex_or_nobody_known_is_an_error(tmp_path: Path):
    men = [face for number in (0, 2, 4) for face in person(number)]
    with pytest.raises(UnmaskError, match="folds is 2, but of one sex there are 0 people"):
        train(write_table(tmp_path / "men", men), tmp_path)
    nobody = [{**face, "sex": None} for face in men]
    with pytest.raises(UnmaskError, match="says of nobody whether it is a woman or a man"):
        train(write_table(tmp_path / "nobody", nobody), tmp_path)
    with pytest.raises(UnmaskError, match="all male"):
        classifier.class_weights(men)


def test_each_sex_counts_the_same():
    rows = [{"sex": "female"}] * 2 + [{"sex": "male"}] * 6
    assert classifier.class_weights(rows) == [2.0, pytest.approx(2 / 3)]
    assert training.balanced_accuracy(["female", "male", "male", "male"], [True, False, True, False]) == pytest.approx(
        (1 + 1 / 3) / 2
    )


# ---------------------------------------------------------------- pretrained weights


def test_inception_starts_from_a_file_and_learns_its_last_layer_alone(tmp_path: Path):
    torch.manual_seed(0)
    original = models.inception_v3(weights=None, aux_logits=True, init_weights=False)
    torch.save(original.state_dict(), tmp_path / "inception.pth")
    chosen = network(name="inception_v3", side=75, pretrained=str(tmp_path / "inception.pth"), frozen=True)
    start = chosen.start()
    built = start(chosen.build())
    assert start.report["pretrained"]["matched"] == 470
    assert start.report["pretrained"]["of_another_shape"] == 2
    assert [name for name, weight in built.named_parameters() if weight.requires_grad] == ["fc.weight", "fc.bias"]
    assert built.fc.out_features == 2
    assert torch.equal(built.Mixed_7c.branch1x1.conv.weight, original.Mixed_7c.branch1x1.conv.weight)
    model = classifier.Training(built, [1.0, 1.0], frozen=True).train()
    assert not model.network.training
    assert model([torch.zeros(3, 75, 75, dtype=torch.uint8)], [], "tensor").shape == (1, 2)


def test_inception_sees_pixels_as_its_weights_were_trained_on():
    """torchvision's own, with weights of ImageNet, turns its normalization into -1 to 1."""
    torch.manual_seed(0)
    built = network(name="inception_v3", side=75).build().eval()
    theirs = models.inception_v3(weights=None, aux_logits=True, init_weights=False, transform_input=True).eval()
    seen = []
    for one in (built, theirs):
        one.Conv2d_1a_3x3.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        one(classifier.normalized(torch.full((1, 3, 75, 75), 255, dtype=torch.uint8)))
    assert torch.allclose(seen[0], torch.ones(1, 3, 75, 75), atol=1e-5)
    assert torch.equal(seen[0], seen[1])


def test_bad_weights_are_named(tmp_path: Path):
    with pytest.raises(UnmaskError, match="nothing to freeze"):
        network(frozen=True).build()
    with pytest.raises(UnmaskError, match=r"train_gender\.network\.pretrained: there is no file"):
        network(pretrained=str(tmp_path / "none.pth")).start()
    small = network()
    torch.save(models.inception_v3(weights=None, init_weights=False).state_dict(), tmp_path / "other.pth")
    with pytest.raises(UnmaskError, match=r"0 of 62 tensors matched.* another network"):
        network(pretrained=str(tmp_path / "other.pth")).start()(small.build())
    with pytest.raises(UnmaskError, match="75 pixels at least"):
        network(name="inception_v3", side=64).build()


# ---------------------------------------------------------------- the search


def search(faces: dict[str, Path], history: Path, trials: int, **space: dict) -> dict:
    chosen = tune_gender.Params(
        seed=0,
        render_masks=section().render_masks,
        train_gender=training.Training(**section().model_dump(exclude={"seed", "render_masks"})),
        trials=trials,
        storage="sqlite:///.scratch/tune.db",
        space=space or {"schedule.learning_rate": {"low": 0.0005, "high": 0.005, "log": True}},
    )
    return tune_gender.tune_gender(faces["bare"], faces["masked"], ROOT / "data/mask_templates", history, chosen)


def test_a_search_goes_on_where_it_stopped(faces: dict[str, Path], tmp_path: Path):
    assert search(faces, tmp_path / "h.csv", 1)["trials"] == 1
    result = search(faces, tmp_path / "h.csv", 2)
    assert result["trials"] == 2
    with (tmp_path / "h.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["trial"] for line in lines] == ["0", "1"]
    assert float(lines[-1]["best"]) == pytest.approx(result["best"]["balanced_accuracy"], abs=1e-4)
    assert 0.0005 <= float(lines[0]["schedule.learning_rate"]) <= 0.005


def test_a_trial_that_was_killed_goes_on_with_its_own_numbers_alone(
    faces: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Each of two folds takes 16 steps and has a checkpoint after 8."""
    step, steps = classifier.Training.train_step, 0

    def counted(self: classifier.Training, data: object, optim_wrapper: object) -> dict:
        nonlocal steps
        steps += 1
        if steps == killed_at:
            raise KeyboardInterrupt
        return step(self, data, optim_wrapper)

    monkeypatch.setattr(classifier.Training, "train_step", counted)
    killed_at = 12
    with pytest.raises(KeyboardInterrupt):
        search(faces, tmp_path / "h.csv", 1)
    killed_at, steps = 0, 0
    other = {"schedule.learning_rate": {"low": 0.0006, "high": 0.005, "log": True}}
    assert search(faces, tmp_path / "other.csv", 1, **other)["best"]["trial"] == 0  # the number of the killed one
    assert steps == 32
    steps = 0
    search(faces, tmp_path / "h.csv", 1)
    assert steps == 24


def test_a_search_takes_no_look_at_the_test_people(
    faces: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fit, judge, seen = training.fit, training.judge, list[tables.Face]()

    def watched_fit(rows: list[tables.Face], *args: object, **options: object) -> object:
        seen.extend(rows)
        return fit(rows, *args, **options)

    def watched_judge(network: classifier.Classifier, some: list[tuple[tables.Face, bytes]]) -> list[bool]:
        seen.extend(face for face, _ in some)
        return judge(network, some)

    monkeypatch.setattr(training, "fit", watched_fit)
    monkeypatch.setattr(training, "judge", watched_judge)
    search(faces, tmp_path / "h.csv", 1)
    assert {face["identity"] for face in seen} == {f"p{number}" for number in range(6)}
    assert {face["split"] for face in seen} == {"train"}


def test_a_search_needs_an_extra(faces: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UnmaskError, match=r"a search needs Optuna: pip install '\.\[tune\]'"):
        search(faces, tmp_path / "h.csv", 1)


def test_a_space_that_does_not_fit_is_named(faces: dict[str, Path], tmp_path: Path):
    where = {"low": 0.1, "high": 0.9, "log": False}
    with pytest.raises(UnmaskError, match=r"'schedule\.rate' is no number"):
        search(faces, tmp_path / "h.csv", 1, **{"schedule.rate": where})
    with pytest.raises(UnmaskError, match=r"'masked' is no number .*; it is called mask_prob now"):
        search(faces, tmp_path / "h.csv", 1, masked=where)
    with pytest.raises(UnmaskError, match=r"space\.mask_prob: train_gender does not allow 1\.5"):
        search(faces, tmp_path / "h.csv", 1, mask_prob={**where, "high": 1.5})
