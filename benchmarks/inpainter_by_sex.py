"""One inpainter for all against one a sex, several seeds each.

python -m benchmarks.inpainter_by_sex [seeds] [steps of the shared training]

Run it after `dvc repro inpaint`. For each seed it trains the shared GAN as params.yaml says, fine-tunes it for women
and for men, fills in the test people's true mask regions with both, each face by the known sex, and prints a table:
mean and, after ±, the largest distance from it over the seeds. What is done stays in .scratch/inpainter_by_sex, so a
run that was stopped goes on.
"""

import json
import sys
from pathlib import Path

import numpy as np

from stages.core import metrics, params
from stages.core.results import Results
from stages.core.tables import SEXES
from stages.inpainting import evaluate_inpainting, inpaint, pretrain_inpainter, train_inpainter, train_shared_inpainter

WORK = Path(".scratch/inpainter_by_sex")
WAYS = {"shared": "shared_gan", "one a sex": evaluate_inpainting.OURS}
SCORES = {"hole PSNR": "hole_psnr", "hole SSIM": "hole_ssim", "identity": "identity", "rank-1": "rank_1"}


def measure(seed: int, steps: int | None, work: Path) -> dict:
    """Return what `evaluate_inpainting` says of one seed's trainings."""
    result = work / "scores.json"
    if result.exists():
        return json.loads(result.read_text())
    work.mkdir(parents=True, exist_ok=True)
    role = params.read_yaml(params.PARAMS_FILE)["roles"]["inpainting"]
    models = {name: work / f"{name}.safetensors" for name in ("pretrained", "shared", *SEXES)}
    common = {
        "faces": Path(f"data/aligned/{role}"),
        "templates": Path("data/mask_templates"),
    }
    recognizer = Path("models/recognizer-norm_softmax-bare.safetensors")
    written = {"results": Results(work / "training")}
    of_all = {}
    for stage in (pretrain_inpainter, train_shared_inpainter):
        name = stage.__name__.rsplit(".", 1)[1]
        chosen = params.load(stage.Params, name).model_copy(update={"seed": seed})
        if steps:
            chosen = chosen.model_copy(update={"schedule": chosen.schedule.model_copy(update={"steps": steps})})
        of_all[name] = chosen
    pretrain_inpainter.pretrain_inpainter(
        **common, **written, out=models["pretrained"], params=of_all["pretrain_inpainter"]
    )
    train_shared_inpainter.train_shared_inpainter(
        **common,
        **written,
        pretrained=models["pretrained"],
        recognizer=recognizer,
        out=models["shared"],
        params=of_all["train_shared_inpainter"],
    )
    of_sex = params.load(train_inpainter.Params, "train_inpainter").model_copy(update={"seed": seed})
    for sex in SEXES:
        train_inpainter.train_inpainter(
            sex, **common, **written, shared=models["shared"], recognizer=recognizer, out=models[sex], params=of_sex
        )
    masked, none = Path(f"data/masked/oracle/{role}"), Path("none")
    fill = params.load(inpaint.Params, "inpaint").model_copy(update={"region_from": "truth", "sex_from": "known"})
    inpaint.inpaint(
        masked,
        none,
        none,
        none,
        out=work / "inpainted",
        results=Results(work / "filling"),
        params=fill,
        **{name: models[name] for name in ("shared", *SEXES)},
    )
    found = evaluate_inpainting.evaluate_inpainting(
        common["faces"],
        masked,
        work / "inpainted",
        models["shared"],
        models["pretrained"],
        Results(work / "evaluation"),
        params.load(evaluate_inpainting.Params, "evaluate_inpainting"),
    )
    metrics.write(result, found)
    return found


def main(seeds: int = 3, steps: int | None = None) -> None:
    """Measure and print."""
    runs = [measure(seed, steps, WORK / f"{steps or 'all'}-{seed}") for seed in range(seeds)]
    columns = [*SCORES, *(f"hole PSNR, {sex}" for sex in SEXES)]
    print(f"| inpainter | {' | '.join(columns)} |")
    print("|---|" + "---|" * len(columns))
    for name, way in WAYS.items():
        values = [[run["ways"][way][score] for run in runs] for score in SCORES.values()]
        values += [[run["hole_psnr_by_sex"][way][sex] for run in runs] for sex in SEXES]
        cells = [f"{np.mean(some):.3f} ± {np.abs(some - np.mean(some)).max():.3f}" for some in values]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main(*(int(number) for number in sys.argv[1:]))
