"""Train a recognizer on bare faces: those of one person get embeddings close to each other.

python -m stages.recognition.train_recognizer --loss arcface --faces data/aligned/orl \
    --out models/recognizer-arcface-bare.safetensors --results metrics/train_recognizer-arcface
"""

from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import derived
from stages.recognition import recognizer, training
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
        out: the weights to write.
        results: where the numbers go, and the curve of the losses.
        params: section `train_recognizer`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.

    Raises:
        UnmaskError: no such loss, or fewer than two people to train on.
    """
    rows = training.known(loss, faces)
    seed = derived(params.seed, "train_recognizer")  # for all losses, as recognizers are compared with each other
    trained = training.train(
        loss,
        params,
        training.Samples(rows, params.network.side, seed),
        name=f"train_recognizer-{loss}",
        key=checkpoints.key_of({"loss": loss, **params.model_dump()}, [faces], Path(__file__)),
    )
    about = recognizer.header(loss, "bare", params.network)
    return trained.write(out, about, results, rows, trained.model.get_submodule("network"))


if __name__ == "__main__":
    launch.run_stage("recognition.train_recognizer")
