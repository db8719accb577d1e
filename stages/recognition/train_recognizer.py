"""Train a recognizer on bare faces: those of one person get embeddings close to each other.

And one for each fold of the people that never sees these, to choose by.

python -m stages.recognition.train_recognizer --loss arcface --faces data/aligned/orl \
    --out models/recognizer-arcface-bare.safetensors --results metrics/train_recognizer-arcface
"""

import functools
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import derived
from stages.recognition import training
from stages.training import checkpoints, launch


class Params(training.Recipe, StageParams):
    """Section `train_recognizer:` of params.yaml."""

    top_level: ClassVar = ("seed",)

    seed: int = Field(ge=0)


def train_recognizer(loss: str, faces: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Train a recognizer on the people of a table's train split.

    Args:
        loss: `norm_softmax`, `sphereface`, `cosface` or `arcface`.
        faces: a table of faces; such as wear a real mask are left out.
        out: the weights to write, of all these networks.
        results: where the numbers go, and the curve of the losses, of the network for new people.
        params: section `train_recognizer`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.

    Raises:
        UnmaskError: no such loss, fewer than two people to train on, or too few for the folds.
    """
    seed = derived(params.seed, "train_recognizer")  # for all losses, as recognizers are compared with each other
    start = params.start()
    return training.train(
        loss,
        "bare",
        params,
        training.known(loss, faces),
        functools.partial(training.Samples, side=params.network.side, seed=seed),
        start=start,
        name=f"train_recognizer-{loss}",
        key=checkpoints.key_of({"loss": loss, **params.model_dump()}, [*start.files, faces], Path(__file__)),
        out=out,
        results=results,
    )


if __name__ == "__main__":
    launch.run_stage("recognition.train_recognizer")
