"""What is compared with what, who chooses, and what failures and published lists come to: checked by hand."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.metrics import roc_auc_score

from stages.core import intervals, replicates
from stages.core.errors import UnmaskError
from stages.core.results import Results
from stages.figures import plots
from stages.recognition import embeddings, folding, heads, identify, protocol, train_heads, verify
from stages.recognition.embeddings import Faces
from tests.test_remedies import ALL, SIZE, chosen, faces

FEW = {"resamples": 100, "interval_pairs": 1000, "fars": [0.5, 0.1]}


def untouched(_: str, __: str, some: np.ndarray) -> np.ndarray:
    """Stand in for heads that correct nothing."""
    return some


def tables(**changed: Faces) -> dict[str, Faces]:
    return {condition: changed.get(condition, faces(condition)) for condition in ALL}


def write(folder: Path, table: Mapping[str, Faces]) -> tuple[Path, Path]:
    """Write embeddings, and the heads that learn from them."""
    path, weights = folder / "e.parquet", folder / "heads.safetensors"
    embeddings.write(path, table.items(), SIZE)
    train_heads.train_heads(path, weights, chosen(train_heads.Params, "train_heads"))
    return path, weights


def verified(folder: Path, table: Mapping[str, Faces], **changes: object) -> dict:
    return verify.verify(
        *write(folder, table), Results(folder / "v"), chosen(verify.Params, "verify", **FEW, **changes)
    )


def identified(folder: Path, table: Mapping[str, Faces], **changes: object) -> dict:
    settings = chosen(identify.Params, "identify", resamples=100, **changes)
    return identify.identify(*write(folder, table), Results(folder / "i"), settings)


def without(some: Faces, *gone: int) -> Faces:
    """Return faces of which those at some indices were not found."""
    found = some.embeddings.copy()
    found[list(gone)] = np.nan
    return some.with_embeddings(found)


# ---------------------------------------------------------------- series


def test_every_series_is_named_by_its_probe_and_reference():
    table = tables() | {name: faces("masked") for name in protocol.ORACLE.values()}
    found = list(protocol.series(table, untouched))
    assert len({(one.head, one.name) for one in found}) == len(found)
    for one in found:
        probe, reference = one.name.split("-")
        assert one.probes.face_ids == table[probe].face_ids
        assert one.references.face_ids == table[reference].face_ids
        assert (one.references is one.probes) == (probe == reference)
        assert protocol.is_remedy(one.name) == (probe in protocol.CONDITIONS[1:] and probe != reference)
    assert sum("_oracle" in one.name for one in found) == 4
    assert not any("_oracle" in one.name for one in protocol.series(tables(), untouched))


def test_own_photos_are_found_wherever_they_stand():
    some = faces("bare")
    one = protocol.Series("masked-bare", protocol.NO_HEAD, some.at([3, 1, 2]), some.at([0, 1, 2, 3]))
    assert one.own.tolist() == [-1, 1, 2, 0]


def test_folds_are_even_and_fixed_by_the_names():
    people = {f"p{number}" for number in range(20)}
    found = folding.folds(people, 3)
    assert found == folding.folds(sorted(people, reverse=True), 3)
    assert sorted(list(found.values()).count(fold) for fold in range(3)) == [6, 7, 7]


# ---------------------------------------------------------------- many pairs


def test_impostor_pairs_are_drawn_where_there_are_too_many(tmp_path: Path):
    """And each FAR says on how many it rests; one of few is told where pairs allow."""
    table = {condition: faces(condition, people=36) for condition in ALL}
    photos, genuine = 12 * 4, 12 * 4 * 3
    few = {**FEW, "rare_fars": [0.001, 0.0001]}
    every = verify.verify(*write(tmp_path, table), Results(tmp_path / "v"), chosen(verify.Params, "verify", **few))
    paths = tmp_path / "e.parquet", tmp_path / "heads.safetensors"
    drawn = verify.verify(*paths, Results(tmp_path / "v"), chosen(verify.Params, "verify", **few, impostor_pairs=1000))
    one, whole = (found["series"]["none"]["masked-bare"] for found in (drawn, every))
    impostors = photos**2 - photos - genuine
    assert whole["pairs"] == {"genuine": genuine, "impostor": impostors}
    assert "drawn" not in whole
    assert list(whole["tar_at_far"]) == ["0.5", "0.1", "0.001"]
    assert list(one["tar_at_far"]) == ["0.5", "0.1"]  # no pair may be accepted at 0.001
    assert one["pairs"]["genuine"] == genuine
    assert 850 < one["pairs"]["impostor"] <= 1000
    assert one["impostors_at_far"]["0.1"] == int(0.1 * one["pairs"]["impostor"])
    assert one["drawn"]["from"] == impostors
    error = one["drawn"]["far_error"]["0.1"]
    left = 1 - one["pairs"]["impostor"] / impostors
    assert error == pytest.approx(np.sqrt(0.9 / 0.1 / one["pairs"]["impostor"] * left), rel=0.01)
    assert one["auc"] == pytest.approx(whole["auc"], abs=0.05)
    assert one["auc"] != whole["auc"]


def test_where_intervals_are_of_too_few_pairs_for_a_far_no_difference_is_told(tmp_path: Path):
    """Of 1,000 pairs 144 are genuine: none of the 856 others may be accepted, but two of the 2,112 that there are."""
    table = {condition: faces(condition, people=36) for condition in ALL}
    found = verified(tmp_path, table, rare_fars=[0.001])["series"]["none"]["inpainted-bare"]
    assert found["impostors_at_far"]["0.001"] == 2
    interval = found["interval"]
    assert interval["tar_at_0.001_ahead_of_masked"] is None
    assert interval["tar_at_0.1_ahead_of_masked"] is not None
    assert interval["tar_at_0.001"]["low"] <= found["tar_at_far"]["0.001"] <= interval["tar_at_0.001"]["high"]
    values = replicates.read(tmp_path / "replicates/v.parquet")
    assert "series.none.inpainted-bare.tar_at_far.0.1" in values
    assert "series.none.inpainted-bare.tar_at_far.0.001" not in values


def test_what_is_kept_of_a_series_does_not_grow_with_its_scores():
    """Its counts alone are 34 MB, and a big run has hundreds of series."""
    table = {condition: faces(condition, people=36) for condition in ALL}
    compared = verify.compare([(table, untouched)], chosen(verify.Params, "verify", **FEW))
    assert len(compared) > 20
    assert len(pickle.dumps(compared)) < 2_000_000


def test_a_line_with_more_points_than_are_seen_is_drawn_by_fewer():
    """Everywhere in the picture, what is drawn is what the line has there, up to the width of a pixel."""
    rng = np.random.default_rng(5)
    far, tar = (np.concatenate([[0], np.sort(rng.random(100_000) ** power)]) for power in (4, 0.2))
    few = plots.thinned((far, tar))
    assert len(few[0]) < 10_000
    assert (few[0][0], few[1][0]) == (0, 0)
    for place in np.geomspace(plots.LOWEST_FAR, 1, 97):
        right = place * 1.002
        drawn = few[1][few[0] <= right].max()
        assert tar[far <= place].max() <= drawn <= tar[far <= right].max()
    assert plots.thinned(few) is few


def test_error_rates_at_the_bare_threshold_are_of_the_same_people(tmp_path: Path):
    """Each group's threshold is that of its own bare faces; without bare pairs there is none."""
    params = chosen(verify.Params, "verify", **FEW)
    groups = [({condition: faces(condition, people=n) for condition in ALL}, None) for n in (20, 36)]
    both = verify.scored(verify.compare(groups, params), params)[0]["none"]["masked-bare"]["at_bare_threshold"]
    alone = [
        verify.scored(verify.compare([one], params), params)[0]["none"]["masked-bare"]["at_bare_threshold"]
        for one in groups
    ]
    for far in ("0.5", "0.1"):
        for rate in ("fmr", "fnmr"):
            assert both[far][rate] == pytest.approx(np.mean([one[far][rate] for one in alone]))
    lonely = ({**groups[0][0], "bare": faces("bare", people=20).at([0, 4, 8, 12])}, None)
    found = verify.scored(verify.compare([lonely], params), params)[0]["none"]
    assert "bare-bare" not in found
    assert found["masked-masked"]["at_bare_threshold"]["0.1"] == {"fmr": None, "fnmr": None}


@pytest.mark.parametrize("n", [0, -1])
def test_no_impostor_pairs_is_no_choice(n: int):
    with pytest.raises(ValidationError, match="impostor_pairs"):
        chosen(verify.Params, "verify", impostor_pairs=n)


# ---------------------------------------------------------------- failures


def test_a_face_that_is_not_found_is_rejected_and_told(tmp_path: Path):
    table = tables()
    tested = [n for n, split in enumerate(table["masked"].splits) if split == "test"]
    table["masked"] = without(table["masked"], *tested[:4])
    whole = verified(tmp_path, tables())["series"]["none"]["masked-bare"]
    found = verified(tmp_path, table)["series"]["none"]["masked-bare"]
    assert found["not_found"] == {"references": 0.0, "probes": 4 / 16}
    assert found["pairs"] == whole["pairs"]
    bare, masked = table["bare"].of("test"), table["masked"].of("test")
    cosines = masked.embeddings[4:] @ bare.embeddings.T
    same = np.array([[a == b for b in bare.identities] for a in masked.identities[4:]])
    apart = np.arange(16)[None] != np.arange(4, 16)[:, None]
    assert found["compared"]["auc"] == pytest.approx(roc_auc_score(same[apart], cosines[apart]), abs=1e-4)
    for far in ("0.5", "0.1"):
        assert found["tar_at_far"][far] <= 12 / 16
        assert found["tar_at_far"][far] < found["compared"]["tar_at_far"][far]
    assert found["auc"] < found["compared"]["auc"]
    assert whole["compared"]["auc"] == whole["auc"]
    assert whole["not_found"] == {"references": 0.0, "probes": 0.0}


def test_where_faces_are_not_found_an_interval_is_of_people_drawn_anew(tmp_path: Path):
    """A lost pair has no score that would say how alike the others are."""
    found = verified(tmp_path, tables(masked=without(faces("masked"), 8)))["series"]["none"]["masked-bare"]
    values = replicates.read(tmp_path / "replicates/v.parquet")["series.none.masked-bare.auc"].values
    expected = intervals.share(found["auc"], values, 4)
    assert found["interval"]["auc"] == pytest.approx(expected._asdict(), abs=1e-4)


def test_nobody_is_identified_by_a_face_that_was_not_found(tmp_path: Path):
    """Of four people one cannot be enrolled; of another one the second photo is, as the first one has no face."""
    table = tables()
    tested = [n for n, split in enumerate(table["bare"].splits) if split == "test"]
    table["bare"] = without(table["bare"], *tested[:4], tested[4])
    table["masked"] = without(table["masked"], tested[15])
    found = identified(tmp_path, table)["series"]["none"]["masked-bare"]
    assert (found["gallery"], found["probes"]) == (4, 12)
    assert found["not_found"] == {"gallery": 1 / 4, "probes": pytest.approx(1 / 12)}
    # Three probes are of whom nobody could enroll, one was not found: eight of twelve could be compared.
    assert found["rank"]["1"] == pytest.approx(found["compared"]["rank"]["1"] * 8 / 12)
    assert found["rank"]["10"] == pytest.approx(8 / 12)
    assert found["compared"]["rank"]["10"] == 1.0


# ---------------------------------------------------------------- who chooses


def in_folds(table: Mapping[str, Faces]) -> dict[str, Faces]:
    """Return faces whose people to train on are in two folds, of networks with spaces of their own."""
    fold_of = folding.folds(set(table["bare"].of("train").identities), 2)
    turned = np.linalg.qr(np.random.default_rng(3).normal(size=(SIZE, SIZE)))[0].astype(np.float32)
    result = {}
    for condition, some in table.items():
        folds = [fold_of.get(name) for name in some.identities]
        found = np.where(np.array([fold == 1 for fold in folds])[:, None], some.embeddings @ turned, some.embeddings)
        result[condition] = Faces(some.face_ids, some.identities, some.splits, folds, found)
    return result


def test_nothing_is_compared_between_two_folds(tmp_path: Path):
    table = in_folds(tables())
    found = verified(tmp_path, table)
    val = found["val"]
    assert (val["identities"], val["groups"]) == (8, 3)
    scores, same = [], []
    for split, fold in (("train", 0), ("train", 1), ("val", None)):
        bare, masked = (
            some.at([n for n, at in enumerate(zip(some.splits, some.folds, strict=True)) if at == (split, fold)])
            for some in (table["bare"], table["masked"])
        )
        apart = ~np.eye(len(bare), dtype=bool)
        scores.append((masked.embeddings @ bare.embeddings.T)[apart])
        same.append(np.array([[a == b for b in bare.identities] for a in masked.identities])[apart])
    of_masked = val["series"]["none"]["masked-bare"]
    both = sum(int(one.sum()) for one in same), sum(int((~one).sum()) for one in same)
    assert of_masked["pairs"] == dict(zip(("genuine", "impostor"), both, strict=True))
    aucs = [roc_auc_score(one, some) for one, some in zip(same, scores, strict=True)]
    assert of_masked["auc"] == pytest.approx(np.mean(aucs), abs=1e-4)
    apart = [
        (some[one].mean() - some[~one].mean()) / np.sqrt((some[one].var() + some[~one].var()) / 2)
        for one, some in zip(same, scores, strict=True)
    ]
    assert of_masked["decidability"] == pytest.approx(np.mean(apart), abs=1e-3)
    best = found["best"]
    remedies = {
        (head, name): of["decidability"]
        for head, by_name in val["series"].items()
        for name, of in by_name.items()
        if protocol.is_remedy(name)
    }
    assert (best["head"], best["series"]) == max(remedies, key=remedies.get)
    assert best["by"] == "val"
    of_rank = identified(tmp_path, table)["val"]
    assert (of_rank["identities"], of_rank["groups"]) == (8, 3)
    assert of_rank["series"]["none"]["masked-bare"]["probes"] == 8 * 3


def test_people_of_the_tested_dataset_choose(tmp_path: Path):
    """Where recognizers learn from another dataset, neither its folds nor its people of split val have a say."""
    table = in_folds(tables())
    for condition, some in table.items():
        ids = [
            f"other{name[5:]}" if split != "train" else name
            for name, split in zip(some.face_ids, some.splits, strict=True)
        ]
        table[condition] = Faces(ids, some.identities, some.splits, some.folds, some.embeddings)
    assert verified(tmp_path, table)["val"]["groups"] == 1
    tested = {condition: some.of("test") for condition, some in table.items()}
    groups = list(protocol.to_choose_by(tmp_path / "e.parquet", tested, "test"))
    assert [fold for fold, _ in groups] == [None]
    assert set(groups[0][1]["bare"].splits) == {"val"}


def test_where_all_are_tested_one_half_chooses_for_the_other(tmp_path: Path):
    table = {
        condition: Faces(
            some.face_ids,
            some.identities,
            [("train", "test")[split != "train"] for split in some.splits],
            some.folds,
            some.embeddings,
        )
        for condition, some in tables().items()
    }
    found = verified(tmp_path, table)
    assert found["val"] is None
    best = found["best"]
    assert best["by"] == "cross-validation"
    assert len(best["chosen"]) == protocol.PARTS
    assert best["auc"] > found["series"]["none"]["masked-bare"]["auc"]
    halves = list(protocol.rotated({f"p{number}" for number in range(9)}))
    assert all(inside.isdisjoint(others) for inside, others in halves)
    assert set.union(*(inside for inside, _ in halves)) == {f"p{number}" for number in range(9)}
    assert identified(tmp_path, table)["val"] is None


def test_replicates_are_of_the_people_drawn(tmp_path: Path):
    found = verified(tmp_path, in_folds(tables()))
    kept = replicates.read(tmp_path / "replicates/v.parquet")
    for prefix, of, people in (("", found, 4), ("val.", found["val"], 8)):
        one = kept[f"{prefix}series.none.masked-bare.auc"]
        assert (one.drawing.people, len(one.values)) == (people, 100)
        interval = of["series"]["none"]["masked-bare"]["interval"]["auc"]
        assert interval["low"] < np.nanmean(one.values) < interval["high"]
    identified(tmp_path, in_folds(tables()))
    assert "val.series.none.masked-bare.rank.1" in replicates.read(tmp_path / "replicates/i.parquet")


# ---------------------------------------------------------------- published lists


def test_replicates_of_other_people_are_told_apart(tmp_path: Path):
    """Among all tested people is drawn, so that two runs that ask about others have the same draws all the same."""
    probes, drawn = tmp_path / "probes.csv", []
    for people in (("p02", "p05"), ("p08", "p11")):
        probes.write_text("".join(f"{person}/{photo}.png\n" for person in people for photo in (1, 2)))
        identified(tmp_path, tables(), probes=probes)
        drawn.append(replicates.read(tmp_path / "replicates/i.parquet")["series.none.masked-bare.rank.1"])
    one, other = drawn
    assert one.drawing == other.drawing
    assert one.drawing.people == 4
    assert not np.array_equal(one.values, other.values)
    probes.write_text("p02/1.png\np02/2.png\n")  # one person alone: what others would give, nobody knows
    identified(tmp_path, tables(), probes=probes)
    assert np.isnan(replicates.read(tmp_path / "replicates/i.parquet")["series.none.masked-bare.rank.1"].values).all()


@pytest.fixture
def real() -> dict[str, Faces]:
    """Return test people of whom each has two bare photos (0 and 1) and, other ones, two with a real mask (2 and 3)."""
    found = {}
    for condition in ALL:
        some = faces(condition)
        bare = condition in {"bare", protocol.BARE_UPPER}
        found[condition] = some.at([n for n, split in enumerate(some.splits) if split != "test" or (n % 4 < 2) == bare])
    return found


LISTED = [
    ("p02/0", "p02/1", 1),
    ("p02/2", "p02/0", 1),
    ("p05/3", "p05/2", 1),
    ("p08/1", "p08/3", 1),
    ("p02/0", "p05/1", 0),
    ("p02/2", "p05/0", 0),
    ("p02/3", "p05/3", 0),
    ("p08/0", "p11/2", 0),
]


def a_list(folder: Path, listed: list[tuple[str, str, int]]) -> Path:
    path = folder / "pairs.csv"
    path.write_text("".join(["Input,Target,Label\n", *(f"{a}.png,{b}.png,{label}\n" for a, b, label in listed)]))
    return path


def test_a_list_is_scored_as_published(real: dict[str, Faces], tmp_path: Path):
    """Every pair once, each photo as it comes; beside it the split by who wears a mask."""
    found = verified(tmp_path, real, pairs=a_list(tmp_path, LISTED))
    assert {name for of in found["series"].values() for name in of} == set(protocol.LISTS.values())
    one = found["series"]["none"]["list"]
    assert one["pairs"] == {"genuine": 4, "impostor": 4}
    assert {name: of["pairs"] for name, of in one["by_masks"].items()} == {
        "bare-bare": {"genuine": 1, "impostor": 1},
        "masked-bare": {"genuine": 2, "impostor": 2},
        "masked-masked": {"genuine": 1, "impostor": 1},
    }
    every = embeddings.together(real["masked"], real["bare"])
    index = {name.split("/", 1)[1]: place for place, name in enumerate(every.face_ids)}
    cosines = [every.embeddings[index[a]] @ every.embeddings[index[b]] for a, b, _ in LISTED]
    assert one["auc"] == pytest.approx(roc_auc_score([label for *_, label in LISTED], cosines))
    assert one["impostors_at_far"] == {"0.5": 2, "0.1": 0}
    assert one["tar_at_far"]["0.1"] is None
    assert (found["listed"], found["missing"]) == (8, 0)
    assert found["best"]["series"] in protocol.LISTS.values()  # chosen by all pairs of the people of split val
    assert protocol.in_list("masked-masked") is None
    with pytest.raises(UnmaskError, match=r"pairs\.csv: no series of photos has pairs of both kinds"):
        verified(tmp_path, real, pairs=a_list(tmp_path, LISTED[:3]))


def test_listed_photos_that_are_not_there_are_rejected(real: dict[str, Faces], tmp_path: Path):
    pairs = a_list(tmp_path, [*LISTED, ("p02/0", "p99/1", 0), ("p05/0", "p05/9", 1)])
    with pytest.raises(
        UnmaskError,
        match=r"verify\.pairs: of 10 lines 2 name a photo that is not there, the first is p99/1; with verify\.missing",
    ):
        verified(tmp_path, real, pairs=pairs)
    found = verified(tmp_path, real, pairs=pairs, missing="count")
    one = found["series"]["none"]["list"]
    assert (found["listed"], found["missing"]) == (10, 2)
    assert one["pairs"] == {"genuine": 5, "impostor": 5}
    alone = verified(tmp_path, real, pairs=a_list(tmp_path, LISTED))["series"]["none"]["list"]
    assert one["compared"]["auc"] == alone["auc"]
    assert one["by_masks"] == alone["by_masks"]  # a pair of which one is not there is neither bare nor masked
    assert one["auc"] < alone["auc"]


def test_a_list_on_drawn_masks_asks_about_the_second_photo(tmp_path: Path):
    pairs = a_list(
        tmp_path, [("p02/0", "p02/1", 1), ("p02/0", "p05/0", 0), ("p05/1", "p05/2", 1), ("p08/0", "p11/0", 0)]
    )
    one = verified(tmp_path, tables(), pairs=pairs)["series"]["none"]["masked-bare"]
    bare, masked = (
        {name[6:]: of for name, of in zip(some.face_ids, some.embeddings, strict=True)}
        for some in (faces("bare"), faces("masked"))
    )
    genuine = [bare["p02/0"] @ masked["p02/1"], bare["p05/1"] @ masked["p05/2"]]
    impostor = [bare["p02/0"] @ masked["p05/0"], bare["p08/0"] @ masked["p11/0"]]
    assert one["auc"] == pytest.approx(roc_auc_score([1, 1, 0, 0], genuine + impostor))
    assert "by_masks" not in one


def test_a_gallery_by_its_list_and_of_all_bare_photos(real: dict[str, Faces], tmp_path: Path):
    gallery, probes = tmp_path / "gallery.csv", tmp_path / "probes.csv"
    gallery.write_text("".join(f"p{person:02d}/2.png\n" for person in (2, 5, 8, 11)))
    probes.write_text("p02/3.png\np05/3.png\np08/0.png\np99/0.png\n")
    found = identified(tmp_path, real, gallery=gallery, probes=probes, missing="count")
    assert found["missing"] == 1
    one = found["series"]["none"]["list"]
    assert (one["gallery"], one["probes"]) == (4, 4)
    assert one["all_bare"]["gallery"] == 4 * 2 - 1  # p08/0 is asked about
    bare = real["bare"].of("test")
    others = bare.at([n for n, name in enumerate(bare.face_ids) if not name.endswith("p08/0")])
    every = embeddings.together(real["masked"], real["bare"])
    index = {name.split("/", 1)[1]: place for place, name in enumerate(every.face_ids)}
    right = 0
    for name in ("p02/3", "p05/3", "p08/0"):
        nearest = int(np.argmax(others.embeddings @ every.embeddings[index[name]]))
        right += others.identities[nearest] == name[:3]
    assert one["all_bare"]["rank"]["1"] == pytest.approx(right / 3)
    only = identified(tmp_path, real)["series"]["none"]["masked-bare"]
    assert (only["gallery"], only["probes"]) == (4, 8)
    gallery.write_text("p02/0.png\np02/0.png\n")
    with pytest.raises(UnmaskError, match="names p02/0 twice"):
        identified(tmp_path, real, gallery=gallery)


def test_a_probe_list_alone_enrolls_bare_photos(real: dict[str, Faces], tmp_path: Path):
    probes = tmp_path / "probes.csv"
    probes.write_text("p02/3.png\np05/1.png\n")
    one = identified(tmp_path, real, probes=probes)["series"]["none"]["list"]
    assert (one["gallery"], one["probes"]) == (4, 2)
    probes.write_text("p02/0.png\np05/0.png\n")  # which else would be enrolled themselves
    same = tables()
    found = identified(tmp_path, same, probes=probes)["series"]["none"]["bare-bare"]
    bare = same["bare"].of("test")
    index = {name.split("/", 1)[1]: place for place, name in enumerate(bare.face_ids)}
    gallery = bare.at([index[name] for name in ("p02/1", "p05/1", "p08/0", "p11/0")])
    right = [
        gallery.identities[int(np.argmax(gallery.embeddings @ bare.embeddings[index[f"{name}/0"]]))] == name
        for name in ("p02", "p05")
    ]
    assert found["rank"]["1"] == np.mean(right)


def test_heads_correct_what_is_not_there_to_nothing(tmp_path: Path):
    _, weights = write(tmp_path, tables())
    found = heads.load(weights).correct("masked", "unmasking", without(faces("masked"), 2).embeddings)
    assert np.isnan(found[2]).all()
    assert np.isfinite(np.delete(found, 2, 0)).all()
