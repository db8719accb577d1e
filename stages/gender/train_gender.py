"""Train a classifier of the sex of a face, bare or masked; and one for each fold of the people, to judge it by.

python -m stages.gender.train_gender --faces data/aligned/orl --templates data/mask_templates \
    --out models/gender.safetensors --results metrics/train_gender
"""

import functools
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from stages.compute import weights
from stages.core.params import StageParams
from stages.core.results import Results
from stages.gender import classifier, training
from stages.masks import looks
from stages.training import checkpoints, launch

NAME = "train_gender"


class Params(training.Training, StageParams):
    """Section `train_gender:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: looks.Looks


def train_gender(faces: Path, templates: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Train on the people of a table's train split; and for each fold on all other people, whatever their split.

    Args:
        faces: a table of bare faces with `sex`; faces of people whose sex nobody said are left out.
        templates: folder of the user's own masks.
        out: the weights to write, of all these networks.
        results: where the numbers go, and the curve of the losses, of the network for new people.
        params: section `train_gender`.

    Returns:
        On how many faces of how many women and men it was trained, its parameters and its last losses.

    Raises:
        UnmaskError: nobody's sex is known, or all people to train on are of one sex.
    """
    rows = training.known(faces)
    fold_of = training.folds(rows, params.folds, params.seed)
    start = params.network.start()
    key = checkpoints.key_of(params.model_dump(), [faces, templates, *start.files], Path(__file__))
    drawn = params.render_masks.in_training()
    change = functools.partial(
        looks.perhaps_masked, share=params.mask_prob, looks=drawn, own=drawn.own_styles(templates)
    )
    of_fold = {fold: rows.outside(fold, fold_of) for fold in range(params.folds)}
    runs = {
        f"fold_{fold}": training.fit(
            others, change, params, name=f"{NAME}-fold_{fold}", seed=params.seed, key=key, start=start
        )
        for fold, others in of_fold.items()
    }
    final = rows.where(lambda face: face["split"] == "train")
    last = training.fit(final, change, params, name=f"{NAME}-all", seed=params.seed, key=key, last=True, start=start)
    networks: dict[str, Any] = {name: run.model.network for name, run in (*runs.items(), ("all", last))}
    about = {"kind": classifier.KIND, "network": params.network.header(), "fold_of": fold_of}
    return {
        **last.write(out, about, results, final, classifier.Networks(networks), list(runs.values())),
        "identities": training.identities(final),
        "folds": params.folds,
        "parameters": weights.parameters(networks["all"]),
        **start.report,
    }


if __name__ == "__main__":
    launch.run_stage("gender.train_gender")
