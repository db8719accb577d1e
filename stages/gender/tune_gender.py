"""Search for better numbers for `train_gender`, by hand; copy what it finds into params.yaml.

python -m stages.gender.tune_gender --faces data/aligned/orl --masked data/masked/oracle/orl \
    --templates data/mask_templates --history metrics/curves/tune_gender.csv

It takes no look at the test people: networks are judged by folds of the others. It needs Optuna: pip install '.[tune]'.
A search that was killed goes on with the trials that are left. Several machines search together if
`tune_gender.storage` is the address of a database that all of them reach. `dvc plots show
metrics/curves/tune_gender.csv` draws the history.
"""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.outputs import write_csv
from stages.core.params import Section, StageParams, spelling
from stages.gender import classifier, training
from stages.masks import looks
from stages.training import checkpoints

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

SQLITE = "sqlite:///"


class Range(Section):
    """Where a number is searched."""

    low: float
    high: float
    log: bool
    """Whether factors count and not differences."""

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 where log is true")
        return self


class Params(StageParams):
    """Section `tune_gender:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks", "train_gender")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    train_gender: training.Training
    trials: int = Field(ge=1)
    """In all, those of earlier runs included."""
    storage: str
    """Address of the database of trials, as SQLAlchemy writes it."""
    space: dict[str, Range]
    """Dotted keys of section `train_gender`, and where to search."""


def tune_gender(faces: Path, masked: Path, templates: Path, history: Path, params: Params) -> dict[str, Any]:
    """Search for the numbers of `train_gender` with the best balanced accuracy, bare and masked faces together.

    Args:
        faces: a table of bare faces with `sex`.
        masked: the same faces with masks.
        templates: folder of the user's own masks.
        history: the trials to write, CSV: number, balanced accuracy, the best so far, and the numbers tried.
        params: section `tune_gender`.

    Returns:
        The best trial's number, balanced accuracy and numbers, and how many trials there were.

    Raises:
        UnmaskError: Optuna is not installed, or the space has a key that `train_gender` does not have, or a value that
            it does not allow.
    """
    try:
        import optuna  # noqa: PLC0415 -- an extra
    except ImportError:
        raise UnmaskError("a search needs Optuna: pip install '.[tune]'") from None
    rows = training.known(faces).where(lambda face: face["split"] != "test")
    n = min(params.train_gender.folds, *training.identities(rows).values())
    fold_of = training.folds(rows, n, params.seed)
    for bound in ("low", "high"):  # an error now, and not in the middle of the search
        _changed(params.train_gender, {key: getattr(where, bound) for key, where in params.space.items()})
    pairs = list(training.pairs(faces, masked, fold_of))
    drawn = params.render_masks.in_training()
    own = drawn.own_styles(templates)
    of_study = checkpoints.key_of(
        params.model_dump(exclude={"trials", "storage"}), [faces, masked, templates], Path(__file__)
    )

    def objective(trial: "Trial") -> float:
        numbers = {key: trial.suggest_float(key, at.low, at.high, log=at.log) for key, at in params.space.items()}
        chosen = _changed(params.train_gender, numbers)
        change = functools.partial(looks.perhaps_masked, share=chosen.mask_prob, looks=drawn, own=own)
        sexes, right = [], []
        for fold in sorted(set(fold_of.values())):
            others = rows.outside(fold, fold_of)
            # The trial's number would not do: another search would go on with what a killed one left.
            key = checkpoints.key_of({"study": of_study, "fold": fold, "numbers": numbers}, [], Path(__file__))
            run = training.fit(others, change, chosen, name=f"tune_gender-fold_{fold}", seed=params.seed, key=key)
            run.forget()
            network: Any = run.model.network
            held_out = [(face, data) for face, data in pairs if fold_of[face["identity"]] == fold]
            images = [(face, image) for face, data in held_out for image in data.values()]
            sexes += [face["sex"] for face, _ in images]
            right += training.judge(classifier.Classifier(network, chosen.network.side), images)
        return training.balanced_accuracy(sexes, right)

    if params.storage.startswith(SQLITE):
        Path(params.storage.removeprefix(SQLITE)).parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=params.storage,
        study_name=f"gender-{of_study}",
        sampler=optuna.samplers.TPESampler(seed=params.seed),
        direction="maximize",
        load_if_exists=True,
    )
    while len(_finished(study)) < params.trials:
        study.optimize(objective, n_trials=1)
        _write(history, _finished(study), list(params.space))
    best = study.best_trial
    return {
        "trials": len(_finished(study)),
        "best": {"trial": best.number, "balanced_accuracy": best.value, **best.params},
    }


def _finished(study: "Study") -> list["FrozenTrial"]:
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]


def _changed(section: training.Training, values: dict[str, float]) -> training.Training:
    content = section.model_dump()
    for key, value in values.items():
        *steps, name = key.split(".")
        place: Any = content
        for step in steps:
            place = place.get(step) if isinstance(place, dict) else None
        if not isinstance(place, dict) or not isinstance(place.get(name), float):
            hint = spelling(f"train_gender.{key}")
            raise UnmaskError(f"tune_gender.space: {key!r} is no number with a point in section train_gender; {hint}")
        place[name] = value
    try:
        return training.Training(**content)
    except ValidationError as error:
        reason = error.errors()[0]
        key = ".".join(str(step) for step in reason["loc"])
        raise UnmaskError(
            f"tune_gender.space.{key}: train_gender does not allow {reason['input']}: {reason['msg']}"
        ) from None


def _write(history: Path, trials: list["FrozenTrial"], keys: list[str]) -> None:
    rows, best = [], 0.0
    for trial in trials:
        value = float(trial.value or 0.0)
        best = max(best, value)
        rows.append([trial.number, f"{value:.4f}", f"{best:.4f}", *(f"{trial.params[key]:.4g}" for key in keys)])
    write_csv(history, ["trial", "balanced_accuracy", "best", *keys], rows)


if __name__ == "__main__":
    run_stage("gender.tune_gender")
