"""Put two recognizers side by side: scores are weighted sums, with the weights that people of split `val` choose.

python -m stages.recognition.fuse_recognizers --first models/recognizer-dlib-masked.safetensors \
    --second models/recognizer-mine-masked.safetensors --embeddings data/embeddings \
    --out models/recognizer-dlib-masked+mine-masked.safetensors \
    --results metrics/fuse_recognizers-dlib-masked+mine-masked
"""

from pathlib import Path
from typing import Any

import numpy as np

from stages.compute import weights
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import StageParams
from stages.recognition import embedders, fusion, protocol, recognizer, verification
from stages.recognition import embeddings as stored

BEFORE = "recognizer-"  # of the name of a recognizer's file
FAR = 0.01
DIGITS = 6  # of a decidability; beyond them, rounding would choose
WEIGHTS = tuple(round(0.05 * step, 2) for step in range(1, 20))  # of the first recognizer, tried


class Params(StageParams):
    """This stage has none."""


def fuse_recognizers(first: Path, second: Path, embeddings: Path, out: Path, params: Params) -> dict[str, Any]:
    """Write two recognizers as one, whose scores are weighted sums of both.

    Args:
        first: a recognizer that is compared, recognizer-<name>.safetensors.
        second: another one.
        embeddings: folder of the tables that `embed` wrote with them, <name>.parquet.
        out: the recognizer to write.
        params: none.

    Returns:
        The weights, and on split `val` the decidability of masked and bare faces, and their TAR at FAR 0.01: of the
        first one, of the second one, and of both.

    Raises:
        UnmaskError: there is no such recognizer or table, one of them is of two itself, or split `val` has no faces to
            choose by.
    """
    del params
    names = [path.stem.removeprefix(BEFORE) for path in (first, second)]
    loaded = [weights.load(path, recognizer.KIND) for path in (first, second)]
    for path, (about, _) in zip((first, second), loaded, strict=True):
        if embedders.FUSED in about:
            raise UnmaskError(f"recognizers.fused: {path} is of two recognizers itself")
    tables = [protocol.of_split(embeddings / f"{name}.parquet", "val") for name in names]
    weight, found = chosen(*tables)
    if not found:
        raise UnmaskError(
            f"recognizers.fused: split 'val' of {embeddings} has no two people with bare and masked photos by whom "
            f"weights could be chosen; see clean.split"
        )
    parts = [{"name": name, "about": _alone(about)} for name, (about, _) in zip(names, loaded, strict=True)]
    states = [
        {name: tensor for name, tensor in state.items() if not name.startswith(recognizer.FOLDS)} for _, state in loaded
    ]
    both = [weight, 1 - weight]
    weights.save(out, fusion.Side(states), {"kind": recognizer.KIND, embedders.FUSED: parts, "weights": both})
    return {
        "weights": dict(zip(names, both, strict=True)),
        "val": {names[0]: found[1.0], names[1]: found[0.0], "both": found[weight]},
    }


def chosen(first: protocol.Table, second: protocol.Table) -> tuple[float, dict[float, dict[str, float | None]]]:
    """Return the weight of the first of two recognizers with which masked faces are told best from bare ones.

    It is the one with the highest decidability of split `val`, by which remedies are chosen, too; among equals the one
    nearest to a half.

    Args:
        first: faces of split `val` by condition, embedded by the first recognizer.
        second: the same faces by the second one.

    Returns:
        The weight, and by weight (0 and 1 are the recognizers alone) the decidability and the TAR at FAR 0.01. There
        is none, and the weight is a half, where nobody's faces are there to be compared.
    """
    bare, masked = (stored.both(first[name], second[name]) for name in ("bare", "masked"))
    found: dict[float, dict[str, float | None]] = {}
    index = {face_id: number for number, face_id in enumerate(bare[0].face_ids)}
    own = np.array([index.get(face_id, -1) for face_id in masked[0].face_ids], np.int64)
    for weight in (0.0, *WEIGHTS, 1.0):
        known, asked = (
            fusion.joined([one.embeddings for one in pair], (weight, 1 - weight)) for pair in (bare, masked)
        )
        if not len(known) or not len(asked):
            break
        people = (bare[0].identities, masked[0].identities)
        if (curve := verification.of_all_pairs(known, asked, people, own).compared()) is None:
            break
        found[weight] = {"decidability": round(curve.decidability(), DIGITS), "tar": curve.tar_at(FAR)}
    best = max(WEIGHTS, key=lambda one: (found[one]["decidability"] or 0.0, -abs(one - 0.5))) if found else 0.5
    return best, found


def _alone(about: dict[str, Any]) -> dict[str, Any]:
    """Return a header without folds, whose networks are not kept."""
    return {name: value for name, value in about.items() if name != "fold_of"}


if __name__ == "__main__":
    run_stage("recognition.fuse_recognizers")
