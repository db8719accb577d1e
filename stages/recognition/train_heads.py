"""Train heads that correct a recognizer's embeddings of masked faces; the recognizer stays as it is.

python -m stages.recognition.train_heads --embeddings data/embeddings/dlib.parquet --out models/heads-dlib.safetensors \
    --results metrics/train_heads-dlib
"""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field
from torch import nn

from stages.compute import weights
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import Section, StageParams
from stages.recognition import embeddings as stored
from stages.recognition import heads, protocol


class Unmasking(Section):
    """The unmasking network and its training."""

    hidden: int = Field(ge=1)
    """Numbers between its two layers."""
    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    margin: float = Field(ge=0)
    """By how much an embedding must be closer to its own person, squared distance."""


class Params(StageParams):
    """Section `train_heads:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)
    unmasking: Unmasking


def train_heads(embeddings: Path, out: Path, params: Params) -> dict[str, Any]:
    """Train a mean shift and an unmasking network for each condition, on the people of the train split.

    If these are divided into folds, further heads are trained for each fold, on the people of all others: with them a
    fold's people are judged as if they were new.

    Args:
        embeddings: what `embed` wrote.
        out: the weights to write, of all these heads.
        params: section `train_heads`.

    Returns:
        By condition: on how many photos of how many people, whether by networks that never saw these, and how close
        the corrected embeddings of these come to the bare ones (mean cosine): before, and after each head.

    Raises:
        UnmaskError: no face of the train split is there both bare and under a condition, or two people are not.
    """
    table, folds = protocol.of_split(embeddings, "train"), 1 + max(stored.read_folds(embeddings), default=-1)
    every = table["bare"]
    size = every.embeddings.shape[1]
    trained, result = heads.Heads(size, params.unmasking.hidden, folds), {}
    for condition in protocol.CONDITIONS[1:]:
        both = stored.both(every, table[condition])
        if not len(both[0]):
            raise UnmaskError(f"{embeddings} has no face in split 'train' that is there bare and {condition}")
        result[condition] = _learned(trained, condition, both, params)
        del both  # or it would be in memory beside the next one
    about = {"kind": heads.KIND, "size": size, "hidden": trained.hidden, "folds": folds}
    weights.save(out, trained, about)
    return result


def _learned(
    trained: heads.Heads, condition: str, both: tuple[stored.Faces, stored.Faces], params: Params
) -> dict[str, Any]:
    """Train the heads of a condition, and return what `train_heads` says of it; `both`: faces bare, and under it."""
    bare, other = both
    found = _fitted(bare, other, params)
    trained.put(condition, found)
    for number in range(trained.folds):
        some = [faces.where(lambda _, fold, n=number: fold != n) for faces in both]
        trained.put(condition, _fitted(*some, params), number)
    corrected = {name: heads.closeness(bare.embeddings, other.embeddings, head) for name, head in found.items()}
    return {
        "faces": len(bare),
        "identities": len(set(bare.identities)),
        "cross_fitted": trained.folds > 0,
        "cosine_to_bare": {protocol.NO_HEAD: heads.closeness(bare.embeddings, other.embeddings), **corrected},
    }


def _fitted(bare: stored.Faces, other: stored.Faces, params: Params) -> dict[str, nn.Module]:
    """Return the heads of `HEADS` by name, trained on photos that are there bare and under another condition."""
    options = params.unmasking.model_dump()
    return {
        "mean_shift": heads.mean_shift(bare.embeddings, other.embeddings),
        "unmasking": heads.unmasking(bare.embeddings, other.embeddings, bare.identities, seed=params.seed, **options),
    }


if __name__ == "__main__":
    run_stage("recognition.train_heads")
