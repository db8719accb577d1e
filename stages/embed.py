"""Embed every face with one recognizer: bare, masked, with the mask zeroed, inpainted, and the upper half alone.

python -m stages.embed --faces data/aligned/orl --masked data/masked/orl --zeroed data/unmasked/orl \
    --inpainted data/inpainted/orl --weights models/recognizer-dlib.safetensors --out data/embeddings/dlib.parquet \
    --metrics metrics/embed-dlib.json
"""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from stages.common import images, tables
from stages.common.command import run_stage
from stages.common.errors import UnmaskError
from stages.common.images import Pixels
from stages.common.params import StageParams
from stages.common.tables import Face
from stages.faces.removal import upper_half
from stages.recognition import embedders, embeddings

BATCH = 32


class Params(StageParams):
    """There is nothing to choose."""


def embed(
    faces: Path, masked: Path, zeroed: Path, inpainted: Path, weights: Path, out: Path, params: Params
) -> dict[str, Any]:
    """Write embeddings of length 1; that of a face and that of its mirror image are added up.

    Args:
        faces: a table of bare aligned faces.
        masked: the same with drawn masks.
        zeroed: the same, the masks that were found set to 0.
        inpainted: the same, filled in.
        weights: a recognizer.
        out: the table of embeddings to write, see `stages.recognition.embeddings`.
        params: empty.

    Returns:
        How many faces there are under each condition, how many have no landmarks and were left out, and how many
        numbers an embedding has.

    Raises:
        UnmaskError: a condition has no face, or an embedding is not finite.
    """
    del params
    find = embedders.load(weights)
    sources: dict[str, tuple[Path, Callable[[Pixels], Pixels] | None]] = {
        "bare": (faces, None),
        "masked": (masked, None),
        "zeroed": (zeroed, None),
        "inpainted": (inpainted, None),
        "upper": (masked, upper_half),
        embeddings.BARE_UPPER: (faces, upper_half),
    }
    left_out: Counter[str] = Counter()
    done: Counter[str] = Counter()

    def batches() -> Iterator[tuple[str, embeddings.Faces]]:
        for condition, (table, change) in sources.items():
            rows = _rows(table, condition, left_out)
            while batch := list(itertools.islice(rows, BATCH)):
                pictures = [images.decode(face["image"]) for face in batch]
                changed = [change(picture) for picture in pictures] if change else pictures
                found = find(changed, [face["landmarks"] for face in batch])
                columns = ([face[name] for face in batch] for name in ("face_id", "identity", "split"))
                done[condition] += len(batch)
                yield condition, embeddings.Faces(*columns, found)
            if not done[condition]:
                raise UnmaskError(f"{table} has no face to embed under the condition {condition!r}")

    stream = batches()
    first = next(stream)
    size = first[1].embeddings.shape[1]
    embeddings.write(out, itertools.chain([first], stream), size)
    return {"faces": dict(done), "without_landmarks": left_out["bare"], "numbers": int(np.int64(size))}


def _rows(table: Path, condition: str, left_out: Counter[str]) -> Iterator[Face]:
    """Yield faces with landmarks; of the bare ones all, of the others those on which a mask was drawn."""
    wanted = ["face_id", "identity", "split", "image", "landmarks"]
    bare = condition in {"bare", embeddings.BARE_UPPER}
    for face in tables.read(table, wanted if bare else [*wanted, "mask_style"]):
        if face["landmarks"] is None:
            left_out[condition] += 1
        elif bare or face["mask_style"] is not None:
            yield face


if __name__ == "__main__":
    run_stage("embed")
