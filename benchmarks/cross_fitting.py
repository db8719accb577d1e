"""Heads that learned from faces which their recognizer has seen, and cross-fitted ones, on the people of the folds.

python -m benchmarks.cross_fitting arcface-bare

After `dvc repro`. The people of each fold are judged by the fold's network, which never saw them: with heads that
learned from the faces that it did see, and with those of `train_heads`. It prints the decidability of masked faces
against bare ones, all pairs of the folds together.
"""

import sys
from pathlib import Path

import numpy as np

from stages.core import images, params, tables
from stages.recognition import heads, recognizer

CONDITIONS = {"masked": "masked", "zeroed": "unmasked", "inpainted": "inpainted"}


def faces(table: Path) -> dict[str, tables.Face]:
    """Return the training people's faces by face_id."""
    rows = tables.read(table, ["face_id", "identity", "split", "image"])
    return {face["face_id"]: face for face in rows if face["split"] == "train"}


def apart(genuine: list[np.ndarray], impostor: list[np.ndarray]) -> float:
    """Return the decidability of scores."""
    one, other = np.concatenate(genuine), np.concatenate(impostor)
    return float((one.mean() - other.mean()) / np.sqrt((one.var() + other.var()) / 2))


def main(name: str) -> None:
    """Measure and print."""
    options = params.read_yaml(Path("params.yaml"))["train_heads"]["unmasking"]
    fold_of, networks = recognizer.load_folds(Path(f"models/recognizer-{name}.safetensors"))
    crossed = heads.load(Path(f"models/heads-{name}.safetensors"))
    bare = faces(Path("data/aligned/orl"))
    for condition, folder in CONDITIONS.items():
        other = faces(Path("data") / folder / "realistic/orl")
        ids = [face_id for face_id in bare if face_id in other]
        people = np.array([bare[face_id]["identity"] for face_id in ids])
        folds = np.array([fold_of[person] for person in people])
        scores: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
        for fold, network in enumerate(networks):
            known, asked = (network.embed([images.decode(some[n]["image"]) for n in ids]) for some in (bare, other))
            seen, held = folds != fold, folds == fold
            shift = heads.mean_shift(known[seen], asked[seen])
            unmasking = heads.unmasking(known[seen], asked[seen], list(people[seen]), seed=0, **options)
            probes = {
                "none": asked[held],
                "mean shift, seen": heads.apply(shift, asked[held]),
                "mean shift, cross-fitted": crossed.correct(condition, "mean_shift", asked[held], fold),
                "unmasking, seen": heads.apply(unmasking, asked[held]),
                "unmasking, cross-fitted": crossed.correct(condition, "unmasking", asked[held], fold),
            }
            same = people[held][:, None] == people[held]
            for head, some in probes.items():
                cosines = some @ known[held].T
                genuine, impostor = scores.setdefault(head, ([], []))
                genuine.append(cosines[same & ~np.eye(len(same), dtype=bool)])
                impostor.append(cosines[~same])
        print(f"{name}, {condition}: " + "; ".join(f"{head} {apart(*of):.3f}" for head, of in scores.items()))


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["arcface-bare"]))
