"""Embeddings under each condition, the heads that correct them, verification and identification by them."""

import os
import signal
import threading
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from stages.compute import weights
from stages.core import images, params
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.masks import looks, share
from stages.recognition import (
    embed,
    embedders,
    embeddings,
    identify,
    import_recognizer,
    protocol,
    recognizer,
    train_heads,
    verify,
)
from stages.recognition.embeddings import Faces
from tests.conftest import ROOT, face_row, write_table
from tests.test_cluster import wait_for
from tests.test_inpainting import tiny_recognizer

SIZE = 24
ALL = (*protocol.CONDITIONS, protocol.BARE_UPPER)


def faces(condition: str, people: int = 12, photos: int = 4) -> Faces:
    """Return faces whose masked embeddings are turned by one and the same shift, and noisier than bare ones."""
    rng = np.random.default_rng(0)
    centers = np.repeat(rng.normal(size=(people, SIZE)), photos, 0)
    found = centers + 0.4 * rng.normal(size=centers.shape)
    if condition != "bare":
        shift = np.random.default_rng(1).normal(size=SIZE)
        found = 0.6 * found + 1.2 * shift + 0.3 * rng.normal(size=centers.shape)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    names = [f"p{person:02d}" for person in range(people) for _ in range(photos)]
    splits = [("train", "val", "test")[int(name[1:]) % 3] for name in names]
    ids = [f"drawn/{name}/{number % photos}" for number, name in enumerate(names)]
    return Faces(ids, names, splits, [None] * len(ids), found.astype(np.float32))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "dlib.parquet"
    embeddings.write(path, [(condition, faces(condition)) for condition in ALL], SIZE)
    return path


def chosen(model: type, section: str, **changes: object) -> object:
    content = params.read_yaml(ROOT / "params.yaml")
    top = {name: content[name] for name in model.top_level}
    return model(**{**content[section], **top, **changes})


def test_a_table_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whatever is read at a time, and wherever a face was not found."""
    some = {condition: faces(condition) for condition in ALL}
    some["masked"].embeddings[[5, 6, 47]] = np.nan
    some["bare"].folds[3] = 1
    embeddings.write(tmp_path / "e.parquet", [*some.items(), ("bare", some["upper"])], SIZE)
    monkeypatch.setattr(embeddings, "ROWS", 7)
    found = embeddings.read(tmp_path / "e.parquet")
    assert list(found) == list(ALL)
    assert len(found["bare"]) == 2 * len(some["bare"])
    assert found["bare"].face_ids == some["bare"].face_ids + some["upper"].face_ids
    assert (found["bare"].folds[3], found["bare"].folds[4]) == (1, None)
    assert np.flatnonzero(~found["masked"].found).tolist() == [5, 6, 47]
    for condition in ALL[1:]:
        for name in ("face_ids", "identities", "splits", "folds"):
            assert getattr(found[condition], name) == getattr(some[condition], name)
        assert np.array_equal(found[condition].embeddings, some[condition].embeddings, equal_nan=True)


def test_only_the_faces_that_are_wanted_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A condition of which nobody is wanted is there all the same."""
    some = {condition: faces(condition) for condition in ALL}
    some["upper"] = some["upper"].of("test")
    for fold, at in enumerate((5, 2, 9)):
        some["bare"].folds[at] = 2 - fold
    embeddings.write(tmp_path / "e.parquet", some.items(), SIZE)
    monkeypatch.setattr(embeddings, "ROWS", 7)
    assert embeddings.read_folds(tmp_path / "e.parquet") == [0, 1, 2]
    for wanted in (lambda split, _: split == "val", lambda _, fold: fold == 1, lambda *_: False):
        found = embeddings.read(tmp_path / "e.parquet", wanted)
        for condition in ALL:
            expected = some[condition].where(wanted)
            assert found[condition].face_ids == expected.face_ids
            assert found[condition].folds == expected.folds
            assert np.array_equal(found[condition].embeddings, expected.embeddings)
    found = embeddings.read(tmp_path / "e.parquet", lambda split, _: split == "val", ["masked"])
    assert {condition: len(read) for condition, read in found.items()} == {"masked": len(some["masked"].of("val"))}
    for wanted in (None, lambda split, _: split == "test"):
        every, later = (load(tmp_path / "e.parquet", wanted) for load in (embeddings.read, embeddings.OnDisk))
        assert (list(later), len(later), "masked" in later, "other" in later) == (list(every), len(every), True, False)
        for condition, read in later.items():
            assert read.face_ids == every[condition].face_ids
            assert np.array_equal(read.embeddings, every[condition].embeddings)
    with pytest.raises(UnmaskError, match="no such file"):
        embeddings.OnDisk(tmp_path / "other.parquet")


def test_a_table_of_many_small_batches_has_few_groups_of_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each of one condition, so that reading one leaves out the others; faces stay in their order."""
    monkeypatch.setattr(embeddings, "GROUP", 10)
    some = {condition: faces(condition) for condition in ("bare", "masked", "upper")}
    some["upper"] = some["upper"].at([])
    n = len(some["bare"])
    batches = [(name, of.at(range(at, min(at + 3, len(of))))) for at in range(0, n, 3) for name, of in some.items()]
    assert embeddings.write(tmp_path / "e.parquet", batches, SIZE) == 2 * n
    file = pq.ParquetFile(tmp_path / "e.parquet")
    groups = [set(file.read_row_group(group)["condition"].to_pylist()) for group in range(file.num_row_groups)]
    assert all(len(names) <= 1 for names in groups)
    assert len(groups) <= 2 * (n // 10 + 1) + 1
    found = embeddings.read(tmp_path / "e.parquet")
    for condition, expected in some.items():
        if len(expected):
            assert found[condition].face_ids == expected.face_ids
            assert np.array_equal(found[condition].embeddings, expected.embeddings)


def test_an_embedding_with_nan_is_named(tmp_path: Path):
    bad = faces("bare")
    bad.embeddings[5, 3] = np.nan
    with pytest.raises(UnmaskError, match=r"the embedding of drawn/p01/1, bare, is not finite"):
        embeddings.write(tmp_path / "x.parquet", [("bare", bad)], SIZE)
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- the stages


@pytest.fixture
def trained(table: Path, tmp_path: Path) -> Path:
    found = train_heads.train_heads(table, tmp_path / "heads.safetensors", chosen(train_heads.Params, "train_heads"))
    closeness = found["masked"]["cosine_to_bare"]
    assert closeness["mean_shift"] > closeness["none"]
    assert (found["masked"]["faces"], found["masked"]["identities"]) == (16, 4)
    return tmp_path / "heads.safetensors"


def test_heads_bring_masked_faces_back(table: Path, trained: Path, tmp_path: Path):
    few = {"resamples": 100, "interval_pairs": 1000, "fars": [0.5, 0.0001]}
    found = verify.verify(table, trained, Results(tmp_path / "roc"), chosen(verify.Params, "verify", **few))
    by_head = found["series"]
    bare, masked = by_head["none"]["bare-bare"], by_head["none"]["masked-bare"]
    assert bare["pairs"] == {"genuine": 4 * 6, "impostor": 16 * 15 // 2 - 4 * 6}
    assert masked["pairs"] == {"genuine": 2 * 4 * 6, "impostor": 16 * 15 - 2 * 4 * 6}
    assert masked["auc"] < by_head["mean_shift"]["masked-bare"]["auc"] <= bare["auc"] + 0.02
    assert by_head["mean_shift"]["masked-bare"]["interval"]["auc_ahead_of_masked"]["high"] > 0
    assert masked["interval"]["auc_ahead_of_masked"] == {"low": 0.0, "high": 0.0}
    assert masked["interval"]["auc"]["low"] <= masked["auc"] <= masked["interval"]["auc"]["high"]
    assert masked["tar_at_far"]["0.0001"] is None
    assert masked["interval"]["tar_at_0.0001"] is None
    for name, of in (("bare", bare), ("masked", masked)):
        errors = of["at_bare_threshold"]["0.5"]
        assert errors["fnmr"] == pytest.approx(1 - of["tar_at_far"]["0.5"]) or name == "masked"
        assert 0 <= errors["fnmr"] < 1
        assert 0 < errors["fmr"] <= (0.5 if name == "bare" else 1)
    assert masked["at_bare_threshold"]["0.0001"] == {"fmr": None, "fnmr": None}
    assert found["best"]["series"] in by_head["none"]
    assert (tmp_path / "figures/roc.png").stat().st_size > 5000


def test_identification_by_the_same_series(table: Path, trained: Path, tmp_path: Path):
    found = identify.identify(
        table,
        trained,
        Results(tmp_path / "cmc"),
        chosen(identify.Params, "identify", resamples=100, fpirs=[0.5, 0.01]),
    )
    bare = found["series"]["none"]["bare-bare"]
    assert (bare["gallery"], bare["probes"], found["identities"]) == (4, 12, 4)
    assert bare["rank"]["1"] <= bare["rank"]["5"] == 1.0
    assert bare["rank_1_interval"]["low"] <= bare["rank"]["1"] <= bare["rank_1_interval"]["high"]
    masked = found["series"]["none"]["masked-bare"]["rank"]["1"]
    assert masked < found["series"]["mean_shift"]["masked-bare"]["rank"]["1"]
    assert bare["strangers"] == 2 * 3
    for of in found["series"]["none"].values():
        fnir, interval = (of[name]["0.5"] for name in ("fnir_at_fpir", "fnir_interval"))
        assert interval["low"] <= fnir <= interval["high"]
        assert (of["fnir_at_fpir"]["0.01"], of["fnir_interval"]["0.01"]) == (None, None)


def test_the_more_draws_of_strangers_the_less_the_seed_decides():
    bare, masked = (faces(condition, people=60).of("test") for condition in ("bare", "masked"))
    one = protocol.Series("masked-bare", protocol.NO_HEAD, bare, masked)
    groups = identify._groups({*bare.identities})

    def fnir(draws: int, seed: int) -> float:
        settings = chosen(identify.Params, "identify").model_copy(update={"draws": draws, "seed": seed})
        opened = list(identify._open_sets(identify._asked(one, "exact", groups), settings, groups))
        assert len({tuple(search.rank == 0) for search in opened}) == draws
        return identify._mean([search.fnir_at(0.1) for search in opened])

    spread = {draws: np.std([fnir(draws, seed) for seed in range(10)]) for draws in (1, 20)}
    assert 0 < spread[20] < spread[1] / 2


ALL_MASKED = params.load(looks.Looks, "render_masks", ROOT / "params.yaml")
DRAWN = embed.Params(seed=0, render_masks=ALL_MASKED, train_faces=100, masks="drawn", folds=None)


def lay_out(data: Path, dataset: str, photos: list[dict], *, behind: list[str] | None = None) -> None:
    """Write the tables of a dataset: photos; aligned those with landmarks; masked those with a style.

    Args:
        data: folder of all tables.
        dataset: its name.
        photos: rows; `mask_style` says on which one a mask is drawn.
        behind: the face_ids that were found behind their masks; None: all.
    """
    for row in photos:
        row["face_id"] = f"{dataset}/{row['face_id'].split('/', 1)[1]}"
    aligned = [row for row in photos if row["landmarks"] is not None]
    worn = [row for row in aligned if behind is None or row["face_id"] in behind]
    write_table(data / "landmarks" / dataset, photos)
    write_table(data / "aligned" / dataset, aligned)
    for folder in ("masked", "unmasked", "inpainted"):
        for alignment, some in (("oracle", aligned), ("realistic", worn)):
            write_table(data / folder / alignment / dataset, some)


def rows_of(n: int, **changes: object) -> list[dict]:
    return [{**face_row(index), "mask_style": "cloth", "wears_mask": False, **changes} for index in range(n)]


def test_every_face_is_embedded_under_every_condition(dlib_recognizer: Path, tmp_path: Path):
    """Of six faces one is not found in its photo, and one not behind its mask."""
    rows = rows_of(6)
    rows[4]["landmarks"] = None
    rows[3]["wears_mask"] = None
    for row in rows[:4]:
        row["split"] = "test"
    lay_out(tmp_path, "drawn", rows, behind=[row["face_id"] for row in rows if row is not rows[1]])
    found = embed.embed(tmp_path, "drawn", "drawn", dlib_recognizer, tmp_path / "e.parquet", DRAWN)
    realistic, oracle = {"masked", "zeroed", "inpainted", "upper"}, set(protocol.ORACLE.values())
    assert found["faces"] == {
        **dict.fromkeys(("bare", "bare_upper"), 5),
        **dict.fromkeys(realistic, 4),
        **dict.fromkeys(oracle, 4),
    }
    assert found["not_found"] == {
        **dict.fromkeys(("bare", "bare_upper"), 1),
        **dict.fromkeys(realistic, 2),
        **dict.fromkeys(oracle, 0),
    }
    assert (found["unknown_whether_masked"], found["masks_left_out"], found["numbers"]) == (1, 0, 128)
    stored = embeddings.read(tmp_path / "e.parquet")
    masked = dict(zip(stored["masked"].face_ids, stored["masked"].found, strict=True))
    assert masked == {row["face_id"]: n not in {1, 4} for n, row in enumerate(rows)}
    assert dict(zip(stored["bare"].face_ids, stored["bare"].found, strict=True))[rows[4]["face_id"]] == False  # noqa: E712
    bare = dict(zip(stored["bare"].face_ids, stored["bare"].embeddings, strict=True))
    first = stored["masked"].there()
    assert np.allclose(first.embeddings[0], bare[first.face_ids[0]], atol=1e-5)
    upper = stored["upper"].there()
    assert not np.allclose(upper.embeddings[0], bare[upper.face_ids[0]], atol=1e-2)


def test_workers_write_the_bytes_that_one_process_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Also such of a cluster, and though one of these is killed; and by the network of a fold who is of that fold."""
    from distributed import LocalCluster

    torch.manual_seed(0)
    kept, size = tmp_path / "w.safetensors", tiny_recognizer()
    turned = [recognizer._with_turn(size.build(), size.embedding) for _ in range(2)]
    fold_of = {f"p{person}": person % 2 for person in range(5)}
    weights.save(kept, recognizer.joined(size.build(), turned), recognizer.header("arcface", "bare", size, fold_of))
    rows = rows_of(40)
    for row in rows[20:]:
        row["split"] = "test"
    rows[3]["landmarks"] = None
    lay_out(tmp_path, "drawn", rows, behind=[row["face_id"] for row in rows[5:]])
    monkeypatch.setattr(embed, "FACES_A_TASK", embed.BATCH)

    def written(name: str, **settings: str) -> tuple[dict, bytes]:
        for setting, value in settings.items():
            monkeypatch.setenv(f"UNMASK_{setting}", value)
        numbers = embed.embed(tmp_path, "drawn", "drawn", kept, tmp_path / name, DRAWN)
        return numbers, (tmp_path / name).read_bytes()

    one = written("one", WORKERS="1")
    assert written("two", WORKERS="2") == one
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, host="127.0.0.1") as cluster:
        assert written("cluster", SCHEDULER=cluster.scheduler_address) == one
        done: list[Path] = []

        def kill() -> None:
            wait_for(lambda: done or done.extend(Path(".scratch").glob("*/*.npy")))
            os.kill(cluster.workers[0].pid, signal.SIGKILL)
            done.append(Path("killed"))

        killing = threading.Thread(target=kill)
        killing.start()
        assert written("killed") == one
        killing.join()
        assert done[-1].name == "killed"
        assert len(done) < 10, "it was too late: there are 16 tasks"
    assert not list(Path(".scratch").iterdir())
    stored = embeddings.read(tmp_path / "one")["bare"]
    whole, splits = recognizer.load(kept), {row["face_id"]: row["split"] for row in rows}
    pictures = {row["face_id"]: images.decode(row["image"]) for row in rows}
    found = stored.there()
    assert len(found) == 39
    for face_id, name, fold, embedding in zip(
        found.face_ids, found.identities, found.folds, found.embeddings, strict=True
    ):
        of_a_fold = splits[face_id] == "train"
        assert fold == (fold_of[name] if of_a_fold else None)
        assert np.allclose(embedding, whole.embed([pictures[face_id]])[0], atol=1e-5) != of_a_fold


def test_the_test_people_may_be_of_another_dataset_and_wear_real_masks(dlib_recognizer: Path, tmp_path: Path):
    """Of the first dataset at most two faces to train on; of the other its val and test people, masked as they came."""
    learned = [
        {**row, "identity": f"p{index}", "split": split}
        for index, (row, split) in enumerate(zip(rows_of(6), ["train"] * 4 + ["val", "test"], strict=True))
    ]
    lay_out(tmp_path, "learned", learned)
    worn = [
        {**row, "identity": "q", "split": "test", "mask_style": None if mask else "cloth", "wears_mask": mask}
        for row, mask in zip(rows_of(4), [True, False, True, None], strict=True)
    ]
    others = [
        {**row, "identity": name, "split": split, "face_id": f"real/{name}/0"}
        for row, name, split in zip(rows_of(2), ["r", "s"], ["train", "val"], strict=True)
    ]
    lay_out(tmp_path, "real", [*worn, *others])
    settings = DRAWN.model_copy(update={"train_faces": 2, "masks": "real"})
    found = embed.embed(tmp_path, "learned", "real", dlib_recognizer, tmp_path / "e.parquet", settings)
    assert found["faces"] == {**dict.fromkeys(("bare", "bare_upper"), 2 + 3), **dict.fromkeys(ALL[1:-1], 2 + 2)}
    stored = embeddings.read(tmp_path / "e.parquet")
    assert sorted(stored["bare"].splits) == ["test", "test", "train", "train", "val"]
    assert set(stored["masked"].of("test").face_ids) == {worn[0]["face_id"], worn[2]["face_id"]}
    assert set(stored["bare"].of("test").face_ids) == {worn[1]["face_id"], worn[3]["face_id"]}
    assert found["unknown_whether_masked"] == 1
    lay_out(tmp_path, "nobody", [{**row, "wears_mask": False, "mask_style": None} for row in worn])
    with pytest.raises(
        UnmaskError, match=r"nobody has no face of split 'test' to embed under the condition 'masked'; em"
    ):
        embed.embed(tmp_path, "learned", "nobody", dlib_recognizer, tmp_path / "e.parquet", settings)


def test_a_mask_is_asked_for_only_where_the_share_draws_one(dlib_recognizer: Path, tmp_path: Path):
    """So failures are counted among as many photos as masks were to be drawn on."""
    rows = rows_of(12)
    rows[0]["landmarks"] = None
    for row in rows:
        row["split"] = "test" if row["identity"] == "p2" else "train"
    lay_out(tmp_path, "some", rows)
    half = DRAWN.model_copy(update={"render_masks": ALL_MASKED.model_copy(update={"share": 0.5})})
    embed.embed(tmp_path, "some", "some", dlib_recognizer, tmp_path / "e.parquet", half)
    found = set(embeddings.read(tmp_path / "e.parquet")["masked"].face_ids)
    assert found == {row["face_id"] for row in rows if share.is_drawn(row["face_id"], 0.5, 0)}
    assert 0 < len(found) < 12


def test_people_of_the_training_are_told_by_all_their_photos(dlib_recognizer: Path, tmp_path: Path):
    """However few photos of them are embedded."""
    names = ["Ann_Lee", "Bob_Day", "Cy_Fox"]
    lay_out(tmp_path, "learned", [{**row, "identity": names[n % 3]} for n, row in enumerate(rows_of(6))])
    tested = [
        {**row, "identity": ["AnnLee", "CyFox", "Dee_Ray"][n % 3], "split": "test"} for n, row in enumerate(rows_of(6))
    ]
    lay_out(tmp_path, "other", tested)
    few = DRAWN.model_copy(update={"train_faces": 1})
    found = embed.embed(tmp_path, "learned", "other", dlib_recognizer, tmp_path / "e.parquet", few)
    assert found["test_people_seen_in_training"] == 2


def test_a_dataset_without_real_masks_is_none_of_real_masks(dlib_recognizer: Path, tmp_path: Path):
    rows = [{**row, "split": "train" if row["identity"] == "p0" else "test"} for row in rows_of(8)]
    lay_out(tmp_path, "some", rows)
    real = DRAWN.model_copy(update={"masks": "real"})
    with pytest.raises(
        UnmaskError, match=r"has no face of split 'test' to embed under the condition 'masked'; embed\.ma"
    ):
        embed.embed(tmp_path, "some", "some", dlib_recognizer, tmp_path / "e.parquet", real)


@pytest.mark.parametrize("masks", ["drawn", "real"])
def test_one_face_with_a_real_mask_flips_no_table(
    dlib_recognizer: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], masks: str
):
    """What each face is under a condition is its own affair: of eight, two wear real masks and one is unknown."""
    rows = rows_of(8, split="test")
    for index in (1, 6):
        rows[index] |= {"wears_mask": True, "mask_style": None}
    rows[3]["wears_mask"] = None
    lay_out(tmp_path, "some", rows)
    worn = {rows[1]["face_id"], rows[6]["face_id"]}
    bare = {row["face_id"] for row in rows} - worn
    settings = DRAWN.model_copy(update={"masks": masks})
    found = embed.embed(tmp_path, "some", "some", dlib_recognizer, tmp_path / "e.parquet", settings)
    stored = embeddings.read(tmp_path / "e.parquet")
    assert set(stored["bare"].face_ids) == set(stored["bare_upper"].face_ids) == bare
    for condition in ("masked", "zeroed", "inpainted", "upper"):
        assert set(stored[condition].face_ids) == (worn if masks == "real" else bare)
    assert ("masked_oracle" in stored) == (masks == "drawn")
    assert (found["unknown_whether_masked"], found["masks_left_out"]) == (1, 2 if masks == "drawn" else 0)
    said = "some: 2 of 8 faces wear a real mask; embed.masks is drawn, so they are left out"
    assert (said in capsys.readouterr().err) == (masks == "drawn")


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Embeddings of test people of whom each has two bare photos and, other ones, two with a real mask."""
    path = tmp_path / "real.parquet"
    batches = []
    for condition in ALL:
        some = faces(condition)
        bare = condition in {"bare", protocol.BARE_UPPER}
        kept = [n for n, split in enumerate(some.splits) if split != "test" or (n % 4 < 2) == bare]
        batches.append((condition, some.at(kept)))
    embeddings.write(path, batches, SIZE)
    return path


def test_real_masks_are_compared_with_other_photos(real: Path, trained: Path, tmp_path: Path):
    few = {"resamples": 100, "interval_pairs": 1000, "fars": [0.5]}
    found = verify.verify(real, trained, Results(tmp_path / "f"), chosen(verify.Params, "verify", **few))["series"]
    plain = found["none"]
    assert plain["bare-bare"]["pairs"] == {"genuine": 4, "impostor": 8 * 7 // 2 - 4}
    assert plain["masked-bare"]["pairs"] == {"genuine": 4 * 4, "impostor": 64 - 16}
    assert plain["masked-masked"]["pairs"] == {"genuine": 4, "impostor": 8 * 7 // 2 - 4}
    assert found["mean_shift"]["masked-bare"]["auc"] > plain["masked-bare"]["auc"]
    found = identify.identify(
        real, trained, Results(tmp_path / "g"), chosen(identify.Params, "identify", resamples=100)
    )
    masked = found["series"]["none"]["masked-bare"]
    assert (masked["gallery"], masked["probes"], found["missing"]) == (4, 8, 0)


def test_intervals_come_from_some_pairs_and_curves_from_all(table: Path):
    some = embeddings.read(table)
    one, other = embeddings.both(some["bare"].of("test"), some["masked"].of("test"))
    compared = protocol.Series("masked-bare", protocol.NO_HEAD, one, other)
    rng = np.random.default_rng(0)
    rows, columns = verify._drawn(compared, rng, 10_000)
    assert len({*zip(rows.tolist(), columns.tolist(), strict=True)}) == len(rows) == 16 * 15
    assert (rows != columns).all()
    rows, columns = verify._drawn(compared, rng, 20)
    genuine = np.array(other.identities)[rows] == np.array(one.identities)[columns]
    assert (len(rows), int(genuine.sum())) == (20, 10)
    symmetric = protocol.Series("masked-masked", protocol.NO_HEAD, other, other)
    rows, columns = verify._drawn(symmetric, rng, 10_000)
    assert len(rows) == 16 * 15 // 2
    assert (columns > rows).all()


def test_a_recognizer_that_nobody_described_is_named(tmp_path: Path):
    described = import_recognizer.Params.model_validate(
        {"mine": {"kind": "onnx", "file": "no.onnx", "side": 112, "mean": 127.5, "scale": 127.5}}
    )
    with pytest.raises(UnmaskError, match=r"'other', section import_recognizer of params\.yaml has mine"):
        import_recognizer.import_recognizer("other", tmp_path, tmp_path / "w", described)
    with pytest.raises(UnmaskError, match=r"import_recognizer\.mine\.file: there is no"):
        import_recognizer.import_recognizer("mine", tmp_path, tmp_path / "w", described)


def test_a_model_of_ours_comes_back_from_onnx(tmp_path: Path):
    """Exported and imported as any ONNX model, it gives the embeddings that it gave."""
    torch.manual_seed(0)
    network = tiny_recognizer().build().eval()
    model = tmp_path / "mine.onnx"
    example = torch.zeros(2, 3, 32, 32)
    torch.onnx.export(
        network, (example,), str(model), dynamic_shapes=({0: torch.export.Dim("n")},), external_data=False
    )
    described = {"mine": {"kind": "onnx", "file": "mine.onnx", "side": 32, "mean": 0.0, "scale": 255.0}}
    found = import_recognizer.import_recognizer(
        "mine", tmp_path, tmp_path / "w.safetensors", import_recognizer.Params.model_validate(described)
    )
    assert (found["kind"], found["bytes"]) == ("onnx", model.stat().st_size)
    assert (found["layout"], found["input_type"], found["batch"]) == ("nchw", "float32", None)
    rng = np.random.default_rng(0)
    for size in (32, 48):
        some = [rng.integers(0, 256, (size, size, 3), np.uint8) for _ in range(3)]
        expected = recognizer.Recognizer(network, 32).embed(some)
        assert np.allclose(embedders.load(tmp_path / "w.safetensors")(some, [None] * 3), expected, atol=1e-4)


def test_a_file_that_is_no_model_is_told(tmp_path: Path):
    (tmp_path / "no.onnx").write_bytes(b"no model")
    described = {"mine": {"kind": "onnx", "file": "no.onnx", "side": 32, "mean": 0.0, "scale": 255.0}}
    with pytest.raises(UnmaskError, match="it is no ONNX model, or was cut off"):
        import_recognizer.import_recognizer(
            "mine", tmp_path, tmp_path / "w", import_recognizer.Params.model_validate(described)
        )
    assert not (tmp_path / "w").exists()
