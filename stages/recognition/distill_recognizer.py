"""Teach a copy of a recognizer to give a masked face the embedding of the bare one.

python -m stages.recognition.distill_recognizer --faces data/landmarks/lfw --templates data/mask_templates \
    --teacher models/recognizer-dlib.safetensors --out models/recognizer-dlib-masked.safetensors \
    --results metrics/distill_recognizer-dlib
"""

import contextlib
import functools
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from torch import nn

from stages.compute import weights
from stages.core import tables
from stages.core.errors import UnmaskError
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import derived
from stages.landmarks import align_faces
from stages.masks import looks
from stages.recognition import distillation, teachers
from stages.recognition.verification import Curve
from stages.training import checkpoints, launch, loop
from stages.training.rows import Rows, on_disk

FARS = (0.01, 0.001)  # at which accept rates are compared, by their mean: one alone is too coarse for few people
ENOUGH = 0.95  # of what masked faces can gain
SHARES = tuple(round(0.1 * tenths, 1) for tenths in range(10, 0, -1))  # of the copy's weights, tried


class Params(StageParams):
    """Section `distill_recognizer:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks", "align_faces")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    align_faces: align_faces.Params
    mask_prob: float = Field(gt=0, le=1)
    """Share of the training images with a mask; the others keep it as good on bare faces."""
    bare_weight: float = Field(ge=0)
    """Weight of a bare face in the loss, where a masked one has 1."""
    relation_weight: float = Field(ge=0)
    """Weight of how like other faces a face is, where its own embedding has 1."""
    bare_loss: float = Field(ge=0, le=1)
    """How much of their accept rate bare faces of split `val` may lose: see `_mixed`."""
    schedule: loop.Schedule


def distill_recognizer(
    faces: Path, templates: Path, teacher: Path, out: Path, results: Results, params: Params
) -> dict[str, Any]:
    """Train the copy on the bare faces of a table's train split, masks drawn on a share of the photos.

    Args:
        faces: a table of photos with landmarks; such as wear a real mask are left out.
        templates: folder of the user's own masks.
        teacher: a recognizer of any kind: trained here, dlib's, or an ONNX model.
        out: the weights to write, of the same kind.
        results: where the numbers go, and the curve of the loss.
        params: section `distill_recognizer`.

    Returns:
        On how many faces of how many people it was trained, its parameters and its last loss; and on the people of
        split `val`, how good teacher and copy are, and which share of the copy's weights was taken by that.

    Raises:
        UnmaskError: there is no face to learn from, or the teacher is an ONNX model that becomes no torch network.
    """
    known = teachers.load(teacher)
    rows, val = (_faces(faces, split) for split in ("train", "val"))
    if not rows:
        raise UnmaskError(f"{faces} has no bare face with landmarks in split 'train'")
    drawn = params.render_masks.flattened()
    draw = functools.partial(looks.masked, looks=drawn, own=drawn.own_styles(templates))
    samples = functools.partial(
        distillation.Samples,
        draw=lambda face, photo, rng: draw(face, photo, rng)[0],
        align=params.align_faces.matrix,
        side=params.align_faces.side,
        cut=known.cut,
        mask_prob=params.mask_prob,
        seed=derived(params.seed, "distill_recognizer"),
    )
    learned_from = samples(rows)
    side = learned_from[0]["inputs"].shape[-1]
    trained = loop.train(
        lambda: distillation.Training(known.network, side, params.bare_weight, params.relation_weight),
        learned_from,
        params.schedule,
        name=f"distill_recognizer-{out.stem}",
        key=checkpoints.key_of(params.model_dump(), [faces, templates, teacher], Path(__file__)),
    )
    learned = trained.model.get_submodule("network")
    network, chosen = _mixed(known.network, learned, samples(val), params.bare_loss)
    written = known.written(network)
    result = trained.write(out, {**known.about, "distilled": True}, results, rows, written)
    return {**result, "parameters": weights.parameters(network), **chosen}


def _faces(table: Path, split: str) -> Rows:
    """Return the bare faces of a split that can be aligned."""
    with contextlib.suppress(tables.NoFacesError):
        rows = on_disk(tables.bare(table, ["face_id", "identity", "image", "landmarks", "face_type"], split))
        return rows.where(lambda face: np.ptp(face["landmarks"], axis=0).max() > 1)
    return on_disk([])


def _mixed(
    teacher: nn.Module, learned: nn.Module, samples: distillation.Samples, bare_loss: float
) -> tuple[nn.Module, dict[str, Any]]:
    """Return teacher and copy mixed as the people of split `val` choose, and what they say of it.

    Of the shares of the copy's weights with which the accept rate of bare faces falls by `bare_loss` at most, it is
    the smallest one, as it forgets least, with which masked faces gain `ENOUGH` of what they can gain. Few people
    cannot tell shares apart that are closer. Where there are not two people with two photos, all of the copy is taken.
    """
    people = [face["identity"] for face in samples.faces]
    if len(set(people)) < 2 or len(people) == len(set(people)):
        return learned, {"share": 1.0, "val": {"faces": len(people)}}
    bare, masked = distillation.met(samples)

    def judged(network: nn.Module) -> dict[str, float]:
        of_bare, of_masked = distillation.scores(network, bare, masked, people)
        return {
            "bare": _accepted(of_bare),
            "masked": _accepted(of_masked),
            "decidability": of_masked.decidability(),
        }

    before = judged(teacher)
    found = {share: judged(distillation.mixed(teacher, learned, share)) for share in SHARES}
    allowed = [share for share in SHARES if found[share]["bare"] >= before["bare"] - bare_loss - 1e-9]
    most = max((found[share]["masked"] for share in allowed), default=0.0)
    enough = before["masked"] + ENOUGH * (most - before["masked"])
    share = min((one for one in allowed if found[one]["masked"] >= enough), default=SHARES[-1])
    numbers = {"faces": len(people), "teacher": before, "copy": found[1.0], "mixed": found[share]}
    return distillation.mixed(teacher, learned, share), {"share": share, "val": numbers}


def _accepted(curve: Curve) -> float:
    """Return the mean of the TAR at `FARS`."""
    return float(np.mean([curve.tar_at(far) or 0.0 for far in FARS]))


if __name__ == "__main__":
    launch.run_stage("recognition.distill_recognizer")
