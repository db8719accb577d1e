"""Propose photos for review that may show somebody else than their label says; by hand, as a person must look.

python -m stages.data.review_identities --faces data/aligned/lfw --weights models/recognizer-dlib.safetensors \
    --rejected data/rejected/lfw.csv --out data/review/lfw.csv --figure data/review/lfw.png

Write yes or no into the column `accept` of the file, then leave the accepted photos out of the dataset:

python -m stages.data.accept_review --reviewed data/review/lfw.csv --curation data/curation/lfw.csv
"""

import functools
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.core import images, tables, text
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import write_csv
from stages.core.params import StageParams
from stages.core.tables import Face
from stages.data import inspection
from stages.figures import sheets
from stages.recognition import embedders, identity_errors

BATCH = 32
SHOWN = 15  # proposals on the sheet, a row each
COLUMNS = ["accept", "face_id", "reason", "own", "other", "nearest"]


class Params(StageParams):
    """Section `review_identities:` of params.yaml."""

    share: float = Field(gt=0, le=1)
    """Of the photos that are proposed."""


def review_identities(
    faces: Path, weights: Path, out: Path, figure: Path, params: Params, rejected: Path | None = None
) -> dict[str, Any]:
    """Write the photos that fit their label least, the most doubtful first.

    A photo is doubtful by how much nearer its embedding is to the mean of another person than to its own person's
    other photos (median cosine). Before these come the photos that were there under another person's name, too.

    Args:
        faces: a table of aligned faces.
        weights: a recognizer; for people with masks one that has learned to see through them.
        out: the CSV file to write: `accept` (empty, to be filled in), `face_id`, `reason`, and in cosines `own`,
            `other`, and who is `nearest`. Nothing is written over a file that a person has begun to fill in.
        figure: a contact sheet: the photo, two more of its person, two of the nearest other one.
        params: section `review_identities`.
        rejected: the CSV file of what `clean` left out. Of a photo under two names it kept the first one; once that is
            accepted as wrong, it keeps the other.

    Returns:
        How many photos there are, proposed, under two names, nearer to another person than to their own, and such that
        nothing can be said of: a person's only photo, or one without landmarks.

    Raises:
        UnmaskError: there are fewer than two people with landmarks, `out` has been filled in, or there is no file
            `rejected`.
    """
    if out.exists() and any(row["accept"] for row in text.table(text.read(out), str(out), COLUMNS)):
        raise UnmaskError(f"{out} has answers in it: accept them with stages.data.accept_review, or delete it")
    other_names = _other_names(rejected)
    rows = list(tables.read(faces, ["face_id", "identity", "landmarks"]))
    kept = [face for face in rows if face["landmarks"] is not None]
    people = np.unique([face["identity"] for face in kept]) if kept else np.zeros(0, str)
    if len(people) < 2:
        raise UnmaskError(f"{faces} has {len(people)} people with landmarks: there is nobody to compare them with")
    found = identity_errors.doubts(embedded(faces, weights), [face["identity"] for face in kept])
    order = np.argsort(-found.doubt, kind="stable")[: max(1, round(params.share * len(kept)))]
    twice = [index for index, face in enumerate(kept) if face["face_id"] in other_names]
    doubtful = [index for index in order.tolist() if np.isfinite(found.doubt[index])]
    proposed = [*twice, *(index for index in doubtful if index not in twice)]
    lines = []
    for index in proposed:
        face_id = kept[index]["face_id"]
        reason = "nearer to another person" if found.doubt[index] > 0 else "far from the person's other photos"
        if face_id in other_names:
            reason = f"the same photo as {' and '.join(other_names[face_id])}"
        cosines = ["" if np.isnan(value[index]) else f"{value[index]:.4f}" for value in (found.own, found.other)]
        lines.append(["", face_id, reason, *cosines, people[found.nearest[index]]])
    write_csv(out, COLUMNS, lines)
    _draw(faces, figure, [(kept[index], str(people[found.nearest[index]])) for index in proposed[:SHOWN]])
    return {
        "faces": len(rows),
        "proposed": len(proposed),
        "under_two_names": len(twice),
        "nearer_to_another_person": int((found.doubt > 0).sum()),
        "only_photo": int(np.isnan(found.own).sum()),
        "without_landmarks": len(rows) - len(kept),
    }


def _other_names(rejected: Path | None) -> dict[str, list[str]]:
    """Return by face_id the photos that were kept, and under which face_ids of other people each was there, too."""
    found: dict[str, list[str]] = {}
    if rejected is None:
        return found
    if not rejected.is_file():
        raise UnmaskError(f"there is no file {rejected}: `clean` writes it")
    for row in text.table(text.read(rejected), str(rejected), ["face_id", "reason", "detail"]):
        if row["reason"].endswith(inspection.ANOTHER_PERSON):
            found.setdefault(row["detail"].removeprefix(inspection.AS), []).append(row["face_id"])
    return found


def embedded(faces: Path, weights: Path) -> NDArray[np.float32]:
    """Return the embeddings of a table's faces with landmarks, in their order, (n, d) of length 1."""
    work = functools.partial(_of_part, weights=weights.absolute())
    parts = tables.map_parts(work, faces, needs=["image", "landmarks"], label="embeddings")
    return np.concatenate([some for found in parts for some in found])


_recognizer = functools.cache(embedders.load)  # once in a worker


def _of_part(faces: Path, weights: Path) -> list[NDArray[np.float32]]:
    find = _recognizer(weights)
    rows = (face for face in tables.read(faces, ["image", "landmarks"]) if face["landmarks"] is not None)
    found = []
    while batch := list(itertools.islice(rows, BATCH)):
        found.append(find([images.decode(face["image"]) for face in batch], [face["landmarks"] for face in batch]))
    return found


def _draw(faces: Path, figure: Path, proposed: list[tuple[Face, str]]) -> None:
    wanted = {name for face, nearest in proposed for name in (face["identity"], nearest)}
    of_person: dict[str, dict[str, bytes]] = {name: {} for name in wanted}
    for face in tables.read(faces, ["face_id", "identity", "image"]):
        if face["identity"] in wanted:
            of_person[face["identity"]][face["face_id"]] = face["image"]
    pictures, captions = [], []
    for face, nearest in proposed:
        own = of_person[face["identity"]]
        others = [data for face_id, data in own.items() if face_id != face["face_id"]]
        photo = images.decode(own[face["face_id"]])
        blank = np.full_like(photo, 255)
        pictures.append(photo)
        for group in (others, list(of_person[nearest].values())):
            pictures += [*(images.decode(data) for data in group[:2]), blank, blank][:2]
        captions += [face["face_id"].split("/", 1)[1], *[face["identity"]] * 2, *[nearest] * 2]
    title = "In doubt: the photo, two of its person, two of the nearest other one"
    sheets.write(figure, sheets.contact_sheet(pictures, captions, columns=5, title=title))


if __name__ == "__main__":
    run_stage("data.review_identities")
