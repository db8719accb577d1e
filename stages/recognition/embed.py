"""Embed every face with one recognizer: bare, masked, with the mask zeroed, inpainted, and the upper half alone.

python -m stages.recognition.embed --faces data/aligned/orl --masked data/masked/orl --zeroed data/unmasked/orl \
    --inpainted data/inpainted/orl --weights models/recognizer-dlib.safetensors --out data/embeddings/dlib.parquet \
    --results metrics/embed-dlib
"""

import itertools
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import StageParams
from stages.core.seeding import fraction
from stages.core.tables import Face
from stages.faces.removal import upper_half
from stages.recognition import embedders, embeddings

BATCH = 32


class Params(StageParams):
    """Section `embed:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    train_faces: int = Field(ge=1)
    """Of the people to train on, at most so many faces, drawn by chance: only `train_heads` learns from them."""
    real_masks_from: float = Field(ge=0, le=1)
    """Of a dataset's faces; if fewer wear real masks, drawn ones are evaluated."""


def embed(  # noqa: PLR0913 -- four tables of each of two datasets
    faces: Path,
    masked: Path,
    zeroed: Path,
    inpainted: Path,
    weights: Path,
    out: Path,
    params: Params,
    test_faces: Path | None = None,
    test_masked: Path | None = None,
    test_zeroed: Path | None = None,
    test_inpainted: Path | None = None,
) -> dict[str, Any]:
    """Write embeddings of length 1; that of a face and that of its mirror image are added up.

    If the test people are of another dataset, the four tables of that one are given, too: of these the split `test`
    is taken, of the first four the others. A face that wears a real mask is never a bare one. If at least
    `real_masks_from` of a table's faces wear real masks, these are its masked ones, else those on which one was drawn.

    Args:
        faces: a table of bare aligned faces.
        masked: the same with drawn masks.
        zeroed: the same, the masks that were found set to 0.
        inpainted: the same, filled in.
        weights: a recognizer.
        out: the table of embeddings to write, see `stages.recognition.embeddings`.
        params: section `embed`.
        test_faces: like `faces`, of the dataset to test on.
        test_masked: like `masked`.
        test_zeroed: like `zeroed`.
        test_inpainted: like `inpainted`.

    Returns:
        How many faces there are under each condition, how many of the masked ones wear a real mask, how many real masks
        were left out as drawn ones are evaluated, how many faces have no landmarks and were left out, and how many
        numbers an embedding has.

    Raises:
        UnmaskError: a condition has no face, or an embedding is not finite.
    """
    find = embedders.load(weights)
    datasets = [(Tables(faces, masked, zeroed, inpainted), tables.SPLITS)]
    if test_faces and test_masked and test_zeroed and test_inpainted and test_faces != faces:
        others = Tables(test_faces, test_masked, test_zeroed, test_inpainted)
        datasets = [(datasets[0][0], ("train", "val")), (others, ("test",))]
    numbers: Counter[str] = Counter()
    done: Counter[str] = Counter()

    def batches() -> Iterator[tuple[str, embeddings.Faces]]:
        for source, splits in datasets:
            real, drawn = _real_masks(source.faces, params, numbers), _drawn(source.faces, splits, params)
            for condition, (table, change) in source.conditions().items():
                rows = _rows(table, condition, real, drawn, numbers)
                before = done[condition]
                while batch := list(itertools.islice(rows, BATCH)):
                    pictures = [images.decode(face["image"]) for face in batch]
                    changed = [change(picture) for picture in pictures] if change else pictures
                    found = find(changed, [face["landmarks"] for face in batch])
                    columns = ([face[name] for face in batch] for name in ("face_id", "identity", "split"))
                    done[condition] += len(batch)
                    yield condition, embeddings.Faces(*columns, found)
                if done[condition] == before:
                    raise UnmaskError(f"{table} has no face to embed under the condition {condition!r}")

    stream = batches()
    first = next(stream)
    size = first[1].embeddings.shape[1]
    embeddings.write(out, itertools.chain([first], stream), size)
    return {
        "faces": dict(done),
        "real_masks": numbers["real masks"],
        "real_masks_left_out": numbers["real masks left out"],
        "without_landmarks": numbers["bare without landmarks"],
        "numbers": int(np.int64(size)),
    }


@dataclass(frozen=True)
class Tables:
    """The tables of a dataset: aligned faces, and the same masked, with the mask's pixels at 0, and filled in."""

    faces: Path
    masked: Path
    zeroed: Path
    inpainted: Path

    def conditions(self) -> dict[str, tuple[Path, Callable[[Pixels], Pixels] | None]]:
        """Return by condition the table, and how its images are changed."""
        return {
            "bare": (self.faces, None),
            "masked": (self.masked, None),
            "zeroed": (self.zeroed, None),
            "inpainted": (self.inpainted, None),
            "upper": (self.masked, upper_half),
            embeddings.BARE_UPPER: (self.faces, upper_half),
        }


def _real_masks(faces: Path, params: Params, numbers: Counter[str]) -> bool:
    """Tell whether the masks of a dataset that are evaluated are real ones."""
    if "wears_mask" not in tables.columns(faces):
        return False
    worn = Counter(bool(face["wears_mask"]) for face in tables.read(faces, ["wears_mask"]))
    if not worn[True] or worn[True] >= params.real_masks_from * worn.total():
        return worn[True] > 0
    numbers["real masks left out"] += worn[True]
    print(
        f"{faces}: {worn[True]} of {worn.total()} faces wear a real mask, less than embed.real_masks_from "
        f"({params.real_masks_from:g}): drawn masks are evaluated, and these faces are left out",
        file=sys.stderr,
    )
    return False


def _drawn(faces: Path, splits: Sequence[str], params: Params) -> set[str]:
    """Return the face_ids of the splits wanted, of split `train` at most `train_faces`."""
    ids: dict[str, list[str]] = {split: [] for split in tables.SPLITS}
    for face in tables.read(faces, ["face_id", "split"]):
        ids[face["split"]].append(face["face_id"])
    ids["train"].sort(key=lambda face_id: fraction(params.seed, "embed", face_id))
    ids["train"] = ids["train"][: params.train_faces]
    return {face_id for split in splits for face_id in ids[split]}


def _rows(table: Path, condition: str, real: bool, drawn: set[str], numbers: Counter[str]) -> Iterator[Face]:
    """Yield faces with landmarks: those that wear no mask; or those that wear a real one, or on which one was drawn."""
    bare = condition in {"bare", embeddings.BARE_UPPER}
    by = "wears_mask" if bare or real else "mask_style"
    wanted = ["face_id", "identity", "split", "image", "landmarks"]
    wanted += [by] if by == "mask_style" or by in tables.columns(table) else []
    for face in tables.read(table, wanted):
        if face["face_id"] not in drawn or bool(face.get(by)) == bare:
            continue
        if face["landmarks"] is None:
            numbers[f"{condition} without landmarks"] += 1
            continue
        numbers["real masks"] += int(real and condition == "masked")
        yield face


if __name__ == "__main__":
    run_stage("recognition.embed")
