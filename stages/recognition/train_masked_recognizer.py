"""Train a recognizer with masks among its training images, each drawn anew in every round.

python -m stages.recognition.train_masked_recognizer --loss arcface --faces data/aligned/orl \
    --templates data/mask_templates --out models/recognizer-arcface-masked.safetensors \
    --results metrics/train_masked_recognizer-arcface
"""

import functools
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import derived
from stages.masks import looks
from stages.recognition import training
from stages.training import checkpoints, launch


class Params(StageParams):
    """Section `train_masked_recognizer:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks", "train_recognizer")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    train_recognizer: training.Recipe
    """All else is as in the training with bare faces, so that the two can be compared."""
    mask_prob: float = Field(ge=0, le=1)
    """Share of the training images with a mask."""


def train_masked_recognizer(
    loss: str, faces: Path, templates: Path, out: Path, results: Results, params: Params
) -> dict[str, Any]:
    """Train a recognizer on the people of a table's train split, with masks on a share of the images.

    Args:
        loss: `norm_softmax`, `sphereface`, `cosface` or `arcface`.
        faces: a table of faces; such as wear a real mask are left out, on such without landmarks no mask is drawn.
        templates: folder of the user's own masks.
        out: the weights to write, as `train_recognizer` does.
        results: where the numbers go, and the curve of the losses, of the network for new people.
        params: section `train_masked_recognizer`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last losses.

    Raises:
        UnmaskError: no such loss, fewer than two people to train on, or too few for the folds.
    """
    recipe = params.train_recognizer
    start = recipe.start()
    seed = derived(params.seed, "train_recognizer")  # the bare training's: with it this one is compared
    drawn = params.render_masks.in_training()
    draw = functools.partial(looks.masked, looks=drawn, own=drawn.own_styles(templates))
    return training.train(
        loss,
        "masked",
        recipe,
        training.known(loss, faces),
        functools.partial(training.Samples, side=recipe.network.side, seed=seed, draw=draw, mask_prob=params.mask_prob),
        start=start,
        name=f"train_masked_recognizer-{loss}",
        key=checkpoints.key_of({"loss": loss, **params.model_dump()}, [*start.files, faces, templates], Path(__file__)),
        out=out,
        results=results,
    )


if __name__ == "__main__":
    launch.run_stage("recognition.train_masked_recognizer")
