"""docs/adding-a-dataset.md is followed to the letter, in a clone, with some of ORL's photos for friends."""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from stages.core import tables
from stages.core.images import Pixels, encode_png
from tests.conftest import ROOT, commit, copy_repository, run

GUIDE = ROOT / "docs/adding-a-dataset.md"
PEOPLE = {"anna": 1, "ben": 2, "cleo": 3}


def blocks() -> list[tuple[str, str, str]]:
    """Return language, file and content of each block of code."""
    found = re.findall(r"```(\w+) ?([^\n]*)\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL)
    assert len(found) >= 7
    return found


def packed(orl_photo: Callable[[str], Pixels]) -> bytes:
    """Return a zip of five photos of each friend; one of Anna's shows Ben."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, number in PEOPLE.items():
            for photo in range(1, 6):
                wrong = (name, photo) == ("anna", 5)
                source = "s2/9" if wrong else f"s{number}/{photo}"
                archive.writestr(f"{name}/{photo}.png", encode_png(orl_photo(source)))
        archive.writestr("anna/broken.jpg", b"no photo")
    return buffer.getvalue()


@pytest.mark.slow  # a minute of processor time
def test_the_guide_works(orl_photo: Callable[[str], Pixels], tmp_path: Path):
    repository = copy_repository(tmp_path / "unmask")
    commit(repository, "as cloned")
    (tmp_path / "friends.zip").write_bytes(packed(orl_photo))
    for language, file, content in blocks():
        if language == "sh":
            for command in content.replace("\\\n", " ").strip().splitlines():
                if "accept_review" in command:
                    answer(repository / "data/review/friends.csv")
                run("bash", "-c", command, cwd=repository, FRIENDS=str(tmp_path / "friends.zip"))
        elif file == "params.yaml":
            key = content.split(":")[0]
            before = (repository / file).read_text()
            after = re.sub(rf"^{key}:.*\n(- .*\n)*", content, before, flags=re.MULTILINE)
            assert after != before
            (repository / file).write_text(after)
        else:
            with (repository / file).open("a", encoding="utf-8") as opened:
                opened.write(content)
    metrics = json.loads((repository / "metrics/clean-friends.json").read_text())
    assert (metrics["faces"], metrics["identities"], metrics["unexplained"]) == (14, 3, 0)
    assert metrics["rejected"] == {"curated": 1, "unreadable": 1}
    kept = [face["face_id"] for face in tables.read(repository / "data/masked/oracle/friends", ["face_id"])]
    assert "friends/anna/5" not in kept
    assert "friends/ben/5" in kept
    assert (repository / "data/checksums/friends.csv").is_file()


def answer(review: Path) -> None:
    """Accept the first proposal, which must be the photo that shows somebody else."""
    with review.open(newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert rows[0]["face_id"] == "friends/anna/5"
    rows[0]["accept"] = "yes"
    with review.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
