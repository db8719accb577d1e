"""SCANet against SCANet without attention and without its edge branch, several seeds each.

python -m benchmarks.parser_ablation [seeds] [steps]

Run it after `dvc repro label_parts render_masks`. It trains each variant as params.yaml says, or for so many steps,
scores it on the test people, and prints a table: mean and, after ±, the largest distance from it over the seeds. What
is done stays in .scratch/parser_ablation, so a run that was stopped goes on.
"""

import json
import sys
from pathlib import Path

import numpy as np

from stages.core import metrics, params
from stages.core.results import Results
from stages.parsing import evaluate_parser, train_parser

VARIANTS = {
    "SCANet": {},
    "without attention": {"attention": False},
    "without edge branch": {"edge": False},
    "without both": {"attention": False, "edge": False},
}
SCORES = {"mean F1, all": ("all", "mean_f1"), "bare": ("bare", "mean_f1"), "masked": ("masked", "mean_f1")}
WORK = Path(".scratch/parser_ablation")


def measure(changes: dict[str, bool], seed: int, steps: int | None, work: Path) -> dict:
    """Return the scores of one training."""
    result = work / "scores.json"
    if result.exists():
        return json.loads(result.read_text())
    work.mkdir(parents=True, exist_ok=True)
    role = params.read_yaml(params.PARAMS_FILE)["roles"]["parsing"]
    chosen = params.load(train_parser.Params, "train_parser")
    schedule = chosen.scanet.schedule.model_copy(update={"steps": steps} if steps else {})
    scanet = chosen.scanet.model_copy(update={**changes, "schedule": schedule})
    chosen = chosen.model_copy(update={"seed": seed, "scanet": scanet})
    inputs = {
        "faces": Path(f"data/labeled/{role}"),
        "templates": Path("data/mask_templates"),
        "occluders": Path("data/occluders"),
    }
    weights = work / "weights.safetensors"
    train_parser.train_parser("scanet", **inputs, out=weights, results=Results(work / "training"), params=chosen)
    scores = evaluate_parser.evaluate_parser(
        "scanet",
        **inputs,
        masked=Path(f"data/masked/oracle/{role}"),
        photos=Path(f"data/clean/{role}"),
        occluded=Path(f"data/clean/{role}"),
        weights=weights,
        results=Results(work / "evaluation"),
        params=params.load(evaluate_parser.Params, "evaluate_parser"),
    )
    metrics.write(result, scores)
    return scores


def main(seeds: int = 3, steps: int | None = None) -> None:
    """Measure and print."""
    print(f"| variant | {' | '.join(SCORES)} | mask |")
    print("|---|" + "---|" * (len(SCORES) + 1))
    for name, changes in VARIANTS.items():
        folder = WORK / f"{name.replace(' ', '_')}-{steps or 'all'}"
        runs = [measure(changes, seed, steps, folder / str(seed)) for seed in range(seeds)]
        columns = [[run[kind][score] for run in runs] for kind, score in SCORES.values()]
        columns.append([run["all"]["f1"]["mask"] for run in runs])
        cells = [f"{np.mean(values):.4f} ± {np.abs(values - np.mean(values)).max():.4f}" for values in columns]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:]))
