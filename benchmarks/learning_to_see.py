"""What a copy needs to learn to see through masks: how many people, and what is drawn on their photos.

python -m benchmarks.learning_to_see TEACHER DATASET STEPS [ROW ...]

TEACHER is a file of weights, models/recognizer-mine.safetensors. Of DATASET it reads data/landmarks, data/aligned and
data/masked/realistic. Each row is a training of `distill_recognizer`, by params.yaml but for STEPS steps, and what
people of split `val` say of the whole copy: masked faces, aligned by landmarks found behind the masks, and bare ones. A
ROW is a number of people of split `train`, drawn by chance so that the fewer are among the more, or one of `VARIANTS`;
without any, all variants are measured. The first row is the teacher.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks import seeing_through_masks
from stages.core import params, tables
from stages.core.results import Results
from stages.recognition import distill_recognizer, distillation

VARIANTS = ("all", "no relations", "no jitter", "no photo effects", "one style")
STYLE, COLOR = "surgical", "#9fc3d9"  # of the one style


def written(faces: Path, people: set[str], folder: Path) -> Path:
    """Write the faces of some people as a table; return its folder."""
    folder.mkdir()
    names = tables.columns(faces)
    for part in tables.parts(faces):
        kept = [face for face in tables.read_part(part) if face["identity"] in people]
        tables.write_part(folder / part.name, kept, names)
    return folder


def chosen(steps: int, variant: str) -> distill_recognizer.Params:
    """Return the section of params.yaml, for so many steps."""
    content = params.load(distill_recognizer.Params, "distill_recognizer").model_dump()
    content["schedule"] |= {"steps": steps, "checkpoint_every": steps}
    if variant == "no relations":
        content["relation_weight"] = 0.0
    if variant == "one style":
        content["render_masks"]["styles"] = {STYLE: 1.0}
        content["render_masks"]["colors"][STYLE] = [COLOR]
    return distill_recognizer.Params.model_validate(content)


def trained(teacher: Path, faces: Path, steps: int, variant: str, work: Path) -> Path:
    """Return the copy that learned from all faces of a table."""
    out = work / f"{variant.replace(' ', '_')}.safetensors"  # which names the checkpoints, too
    with ExitStack() as changed:
        if variant == "no jitter":
            changed.enter_context(mock.patch.object(distillation, "misplaced", lambda points, *_: points))
        if variant == "no photo effects":
            changed.enter_context(mock.patch.object(distillation, "_photographed", lambda image, _: image))
        distill_recognizer.distill_recognizer(
            faces,
            Path("data/mask_templates"),
            teacher,
            out,
            Results(work / "copy"),
            chosen(steps, variant),
        )
    return out


def row(name: str, weights: Path, dataset: str) -> str:
    """Return a row of the table."""
    found = seeing_through_masks.rates(weights, dataset, "val")
    return f"| {name} | {' | '.join(f'{rate:.3f}' for of in ('masked', 'bare') for rate in found[of])} |"


def main(teacher: Path, dataset: str, steps: int, *rows: str) -> None:
    """Measure and print."""
    faces = Path("data/landmarks") / dataset
    known = {face["identity"] for face in tables.bare(faces, ["identity"], "train")}
    people = [str(name) for name in np.random.default_rng(0).permutation(sorted(known))]
    print("| | masked: AUC | TAR at FAR 0.01 | rank-1 | bare: AUC | TAR at FAR 0.01 | rank-1 |")
    print(f"|---|---|---|---|---|---|---|\n{row('teacher', teacher, dataset)}", flush=True)
    for name in rows or VARIANTS:
        count = int(name) if name.isdigit() else len(people)
        with tempfile.TemporaryDirectory() as folder:
            table = written(faces, set(people[:count]), Path(folder) / "faces")
            copy = trained(teacher, table, steps, name, Path(folder))
            print(row(f"{name} people" if name.isdigit() else name, copy, dataset), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), *sys.argv[4:])
