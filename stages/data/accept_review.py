"""Leave out of a dataset the photos that a person has rejected in a review; see `stages.data.review_identities`.

python -m stages.data.accept_review --reviewed data/review/lfw.csv --curation data/curation/lfw.csv
"""

import csv
from pathlib import Path
from typing import Any

from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import write_csv
from stages.core.params import StageParams


class Params(StageParams):
    """There is nothing to choose."""


def accept_review(reviewed: Path, curation: Path, params: Params) -> dict[str, Any]:
    """Add the photos whose proposal was accepted to a curation file, which `clean` reads.

    Args:
        reviewed: the CSV file of a review, `accept` filled in with yes or no; empty is no.
        curation: the CSV file with `face_id` and `reason` to add them to.
        params: empty.

    Returns:
        How many were accepted, rejected and left open, and how many of the accepted ones stood there already.

    Raises:
        UnmaskError: a file is missing or has other columns, or an answer is neither yes nor no; nothing is changed.
    """
    del params
    proposals = _read(reviewed, ["accept", "face_id", "reason"])
    kept = {row["face_id"]: row["reason"] for row in _read(curation, ["face_id", "reason"])}
    answers = [row["accept"].strip().lower() for row in proposals]
    for number, answer in enumerate(answers, 2):
        if answer not in {"yes", "no", ""}:
            said = proposals[number - 2]["accept"]
            raise UnmaskError(f"{reviewed}, line {number}: accept is {said!r}, expected yes, no or nothing")
    accepted = {
        row["face_id"]: row["reason"] for row, answer in zip(proposals, answers, strict=True) if answer == "yes"
    }
    new = {face_id: reason for face_id, reason in accepted.items() if face_id not in kept}
    write_csv(curation, ["face_id", "reason"], [*kept.items(), *sorted(new.items())])
    return {
        "accepted": len(accepted),
        "rejected": answers.count("no"),
        "open": answers.count(""),
        "already_there": len(accepted) - len(new),
    }


def _read(path: Path, columns: list[str]) -> list[dict[str, str]]:
    if not path.is_file():
        raise UnmaskError(f"there is no file {path}")
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if list(reader.fieldnames or [])[: len(columns)] != columns:
            raise UnmaskError(f"{path}: the first line must begin with {','.join(columns)}")
        return list(reader)


if __name__ == "__main__":
    run_stage("data.accept_review")
