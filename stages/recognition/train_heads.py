"""Train heads that correct a recognizer's embeddings of masked faces; the recognizer stays as it is.

python -m stages.recognition.train_heads --embeddings data/embeddings/dlib.parquet --out models/heads-dlib.safetensors \
    --results metrics/train_heads-dlib
"""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.compute import weights
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.params import Section, StageParams
from stages.recognition import embeddings as stored
from stages.recognition import heads


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

    Args:
        embeddings: what `embed` wrote.
        out: the weights to write.
        params: section `train_heads`.

    Returns:
        By condition: on how many photos of how many people, and how close the corrected embeddings of these come to
        the bare ones (mean cosine): before, and after each head.

    Raises:
        UnmaskError: no face of the train split is there both bare and under a condition.
    """
    table = stored.read(embeddings)
    trained, result = heads.Heads(next(iter(table.values())).embeddings.shape[1], params.unmasking.hidden), {}
    for condition in stored.CONDITIONS[1:]:
        bare, other = stored.both(table["bare"].of("train"), table[condition].of("train"))
        if not len(bare):
            raise UnmaskError(f"{embeddings} has no face in split 'train' that is there bare and {condition}")
        found = {
            "mean_shift": heads.mean_shift(bare.embeddings, other.embeddings),
            "unmasking": heads.unmasking(
                bare.embeddings, other.embeddings, bare.identities, seed=params.seed, **params.unmasking.model_dump()
            ),
        }
        trained.put(condition, found)
        closeness = {heads.NO_HEAD: float((bare.embeddings * other.embeddings).sum(1).mean())}
        for name, head in found.items():
            closeness[name] = float((bare.embeddings * heads.apply(head, other.embeddings)).sum(1).mean())
        result[condition] = {"faces": len(bare), "identities": len(set(bare.identities)), "cosine_to_bare": closeness}
    weights.save(out, trained, {"kind": heads.KIND, "size": trained.size, "hidden": trained.hidden})
    return result


if __name__ == "__main__":
    run_stage("recognition.train_heads")
