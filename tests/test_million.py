"""Made-up people for benchmarks: their landmarks move with their photos, and only planted copies look alike."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks import made_up, million
from stages.core import params, tables
from stages.core.results import Results
from stages.data import clean
from stages.recognition import embeddings
from tests.conftest import ROOT, drawn_face, face_row, write_table


def test_a_point_is_found_where_it_went():
    rng = np.random.default_rng(0)
    angle = np.radians(15)
    matrix = 1.2 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    waves = made_up.Waves.drawn(rng, 4, 1.5), made_up.Waves.drawn(rng, 3, 0.8)
    change = made_up.Change(matrix, np.array([45.5, 55.5]), np.array([6.0, -6.0]), waves)
    points = rng.uniform(-20, 130, (68, 2))
    assert np.abs(change.target(points) - points).max() > 10
    assert change.source(change.target(points)) == pytest.approx(points, abs=1e-6)


def test_clean_finds_the_planted_copy_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images, points = zip(*(drawn_face(seed, gray=True) for seed in range(10)), strict=True)
    known = [made_up.Original(image[..., 0], of, "0_0") for image, of in zip(images, points, strict=True)]
    monkeypatch.setattr(made_up, "originals", lambda: {"s1": known[:5], "s2": known[5:]})
    raw, none = tmp_path / million.DATASET, tmp_path / "none.csv"
    assert made_up.write(raw, 115) == 1
    none.write_text("face_id,reason\n")
    settings = params.load(clean.Params, "clean", ROOT / "params.yaml")
    out, rejected = tmp_path / "out", tmp_path / "rejected.csv"
    found = clean.clean(raw, none, out, rejected, Results(tmp_path / "metrics"), settings)
    assert (found["photos"], found["faces"], found["identities"]) == (116, 115, 12)
    assert found["rejected"] == {"same_look": 1}
    _, line = rejected.read_text().splitlines()
    assert line.startswith("p000009/p000009-09-again.jpg,")
    assert line.endswith(f"as {million.DATASET}/p000009/p000009-09")
    rows = {face["face_id"]: face for face in tables.read(out)}
    first, again = (next(made_up.person(3, 10, [known[:5], known[5:]])) for _ in range(2))
    assert np.array_equal(first[1], again[1])
    assert rows[f"{million.DATASET}/p000003/{first[0]}"]["landmarks"] == pytest.approx(first[2], abs=0.01)


def test_drawn_embeddings_are_of_the_tables_people_and_like_their_own(tmp_path: Path):
    faces = [face_row(index, identity=f"p{index % 3}") for index in range(30)]
    write_table(tmp_path / "data/clean" / million.DATASET, faces)
    million.draw_embeddings(tmp_path)
    table = embeddings.read(tmp_path / million.EMBEDDINGS)
    assert table.keys() == million.NOISE.keys()
    for of in table.values():
        assert sorted(of.face_ids) == sorted(face["face_id"] for face in faces)
        assert np.linalg.norm(of.embeddings, axis=1) == pytest.approx(1, abs=1e-5)
        like = of.embeddings @ of.embeddings.T
        same = np.equal.outer(of.identities, of.identities)
        assert like[same].mean() > 0.3 > like[~same].mean() + 0.2
    million.draw_embeddings(tmp_path)
    again = embeddings.read(tmp_path / million.EMBEDDINGS)
    np.testing.assert_array_equal(again["masked"].embeddings, table["masked"].embeddings)
