"""Leave out of a dataset the photos that a person has rejected in a review; see `stages.data.review_identities`.

python -m stages.data.accept_review --reviewed data/review/lfw.csv --curation data/curation/lfw.csv
"""

from pathlib import Path
from typing import Any

from stages.core import text
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import StageParams
from stages.data import curation as curated

# What people write, and spreadsheets for true and false.
YES, NO = {"yes", "y", "x", "true", "1"}, {"no", "n", "false", "0"}


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
    kept = curated.read(curation)
    proposals = text.table(text.read(reviewed, kept), str(reviewed), ["accept", *curated.COLUMNS], unique="face_id")
    answers = [_answer(proposal["accept"], f"{reviewed}, line {proposal.line}") for proposal in proposals]
    accepted = {
        proposal["face_id"]: proposal["reason"]
        for proposal, answer in zip(proposals, answers, strict=True)
        if answer == "yes"
    }
    new = {face_id: reason for face_id, reason in accepted.items() if face_id not in kept}
    curated.write(curation, {**kept, **dict(sorted(new.items()))})
    return {
        "accepted": len(accepted),
        "rejected": answers.count("no"),
        "open": answers.count(""),
        "already_there": len(accepted) - len(new),
    }


def _answer(said: str, where: str) -> str:
    word = said.casefold()
    if word not in {*YES, *NO, ""}:
        raise UnmaskError(f"{where}: accept is {said!r}, expected yes, no or nothing")
    return "yes" if word in YES else "no" if word in NO else ""


if __name__ == "__main__":
    run_stage("data.accept_review")
