"""review_identities and accept_review: wrong labels are proposed first, and what a person accepts is left out."""

import csv
from pathlib import Path

import numpy as np
import pytest

from stages.core.errors import UnmaskError
from stages.data import accept_review, review_identities
from stages.recognition.identity_errors import doubts
from tests.conftest import face_row, write_table


def people(n: int, photos: int, seed: int = 0) -> tuple[np.ndarray, list[str]]:
    rng = np.random.default_rng(seed)
    found = np.repeat(rng.normal(size=(n, 32)), photos, 0) + 0.5 * rng.normal(size=(n * photos, 32))
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found.astype(np.float32), [f"p{number:03d}" for number in range(n) for _ in range(photos)]


def test_known_answer():
    embeddings = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [0.6, 0.8]], np.float32)
    found = doubts(embeddings, ["a", "a", "b", "b", "a"])
    assert found.own.tolist() == pytest.approx([0.8, 0.8, 1, 1, 0.6])
    assert found.nearest.tolist() == [1, 1, 0, 0, 1]
    assert found.other[4] == pytest.approx(0.8)
    assert int(np.argmax(found.doubt)) == 4


def test_a_persons_only_photo_is_never_in_doubt():
    found = doubts(np.eye(3, dtype=np.float32), ["a", "b", "b"])
    assert np.isnan(found.own[0])
    assert found.doubt[0] == -np.inf


@pytest.mark.parametrize("seed", range(5))
def test_planted_errors_come_first(seed: int):
    embeddings, identities = people(60, 8, seed)
    rng = np.random.default_rng(seed)
    planted = rng.permutation(len(identities))[:10]
    for place in planted:
        identities[place] = rng.choice([name for name in set(identities) if name != identities[place]])
    first = np.argsort(-doubts(embeddings, identities).doubt)[:24]
    assert np.isin(planted, first).mean() >= 0.9


@pytest.fixture
def reviewed(dlib_recognizer: Path, tmp_path: Path) -> tuple[Path, dict]:
    """A review of drawn faces, of which one has another person's label."""
    rows = [face_row(index % 3, identity=f"p{index % 3}") for index in range(12)]
    for index, row in enumerate(rows):
        row["face_id"] = f"drawn/{row['identity']}/{index:02d}"
    rows[11]["identity"], rows[11]["face_id"] = "p0", "drawn/p0/11"  # shows p2
    rows[0]["landmarks"] = None
    table = write_table(tmp_path / "faces", rows)
    chosen = review_identities.Params(share=0.2)
    result = review_identities.review_identities(
        table, dlib_recognizer, tmp_path / "review.csv", tmp_path / "sheet.png", chosen
    )
    return tmp_path / "review.csv", result


def answer(file: Path, *answers: str) -> None:
    with file.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    for row, word in zip(rows, answers, strict=False):
        row["accept"] = word
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, review_identities.COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def test_a_wrong_label_is_proposed_and_left_out(reviewed: tuple[Path, dict], tmp_path: Path):
    file, result = reviewed
    assert result == {
        "faces": 12,
        "proposed": 2,
        "under_two_names": 0,
        "nearer_to_another_person": 1,
        "only_photo": 0,
        "without_landmarks": 1,
    }
    with file.open(newline="") as opened:
        first = next(csv.DictReader(opened))
    assert (first["face_id"], first["reason"], first["nearest"]) == ("drawn/p0/11", "nearer to another person", "p2")
    assert (tmp_path / "sheet.png").stat().st_size > 3000
    curation = tmp_path / "curation.csv"
    curation.write_text("face_id,reason\ndrawn/p1/01,blurred\n")
    answer(file, "Yes", "no")
    said = accept_review.accept_review(file, curation, accept_review.Params())
    assert said == {"accepted": 1, "rejected": 1, "open": 0, "already_there": 0}
    expected = "face_id,reason\ndrawn/p1/01,blurred\ndrawn/p0/11,nearer to another person\n"
    assert curation.read_text() == expected
    assert accept_review.accept_review(file, curation, accept_review.Params())["already_there"] == 1
    assert curation.read_text() == expected


def test_a_photo_under_two_names_is_proposed_first(dlib_recognizer: Path, tmp_path: Path):
    rows = [face_row(index % 3, identity=f"p{index % 3}") for index in range(9)]
    for index, row in enumerate(rows):
        row["face_id"] = f"drawn/{row['identity']}/{index:02d}"
    rows.append({**face_row(5, identity="p7"), "face_id": "drawn/p7/0"})  # a person's only photo
    table = write_table(tmp_path / "faces", sorted(rows, key=lambda row: row["face_id"]))
    rejected = tmp_path / "rejected.csv"
    rejected.write_text(
        "file,face_id,reason,detail\n"
        "a.jpg,drawn/p1/99,same_look,as drawn/p1/01\n"
        "b.jpg,drawn/p9/0,same_bytes_as_another_person,as drawn/p7/0\n"
        "c.jpg,drawn/p8/0,same_look_as_another_person,as drawn/p2/02\n"
        "d.jpg,drawn/p9/1,same_bytes_as_another_person,as drawn/p2/02\n"
    )
    out, chosen = tmp_path / "review.csv", review_identities.Params(share=0.1)
    found = review_identities.review_identities(table, dlib_recognizer, out, tmp_path / "s.png", chosen, rejected)
    assert (found["proposed"], found["under_two_names"]) == (3, 2)
    with out.open(newline="") as opened:
        *twice, third = csv.DictReader(opened)
    by_id = {row["face_id"]: row for row in twice}
    assert {face_id: row["reason"] for face_id, row in by_id.items()} == {
        "drawn/p2/02": "the same photo as drawn/p8/0 and drawn/p9/1",
        "drawn/p7/0": "the same photo as drawn/p9/0",
    }
    assert by_id["drawn/p7/0"]["own"] == ""
    assert -1 < float(by_id["drawn/p7/0"]["other"]) <= 1
    assert third["reason"] == "far from the person's other photos"
    with pytest.raises(UnmaskError, match=r"there is no file none\.csv"):
        review_identities.review_identities(table, dlib_recognizer, out, tmp_path / "s.png", chosen, Path("none.csv"))


def test_answers_are_not_written_over(reviewed: tuple[Path, dict], tmp_path: Path):
    file, _ = reviewed
    answer(file, "no")
    with pytest.raises(UnmaskError, match="has answers in it"):
        review_identities.review_identities(
            tmp_path / "faces",
            tmp_path / "w.safetensors",
            file,
            tmp_path / "s.png",
            review_identities.Params(share=0.2),
        )


def test_an_unclear_answer_changes_nothing(reviewed: tuple[Path, dict], tmp_path: Path):
    file, _ = reviewed
    answer(file, "perhaps")
    curation = tmp_path / "curation.csv"
    curation.write_text("face_id,reason\n")
    with pytest.raises(UnmaskError, match=r"line 2: accept is 'perhaps', expected yes, no or nothing"):
        accept_review.accept_review(file, curation, accept_review.Params())
    assert curation.read_text() == "face_id,reason\n"
    with pytest.raises(UnmaskError, match="there is no file"):
        accept_review.accept_review(tmp_path / "none.csv", curation, accept_review.Params())
    with pytest.raises(UnmaskError, match="the first line must be accept,face_id,reason"):
        accept_review.accept_review(curation, curation, accept_review.Params())


def test_one_person_cannot_be_compared(tmp_path: Path):
    table = write_table(tmp_path / "faces", [face_row(index, identity="p") for index in range(3)])
    with pytest.raises(UnmaskError, match="has 1 people with landmarks"):
        review_identities.review_identities(
            table, tmp_path / "w", tmp_path / "r.csv", tmp_path / "s.png", review_identities.Params(share=0.5)
        )
    assert not (tmp_path / "r.csv").exists()
