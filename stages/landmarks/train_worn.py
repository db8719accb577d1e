"""Train the classifier that says whether a face wears a mask; by hand, as its weights are released with the code.

python -m stages.landmarks.train_worn --faces data/landmarks/lfw --real data/landmarks/worn \
    --templates data/mask_templates --out models/released/worn.safetensors --results .scratch/train_worn

benchmarks/faces_found.py writes the table of real masks. `make release` then asks for figures of the classifier in
stages/tools/releasing/by_hand.yaml, and writes its header.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from pydantic import Field
from sklearn.linear_model import LogisticRegression

from stages.compute import weights
from stages.core import images, tables
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import generator
from stages.core.tables import Face
from stages.faces.landmarks import Points, face_size
from stages.landmarks import worn
from stages.masks import beards, looks
from stages.masks.rendering import Template


class Params(StageParams):
    """Section `train_worn:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    faces: int = Field(ge=1)
    """Bare faces, spread evenly over the table, on which masks are drawn, at most."""
    beard_prob: float = Field(ge=0, le=1)
    """Share of these faces with a drawn beard, which is no mask."""
    real_weight: float = Field(gt=0, lt=1)
    """Of the faces whose masks are real, together; the others have the rest. Bare and masked ones weigh alike."""
    regularization: float = Field(gt=0)
    """Inverse strength of the penalty on squared weights, scikit-learn's `C`, for a thousand samples."""


def train_worn(faces: Path, real: Path, templates: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Train on bare faces and on the same with masks drawn, and on faces of whom it is known whether they wear one.

    Args:
        faces: what `find_landmarks` wrote; of split train.
        real: a table of photos with landmarks and `wears_mask`, both bare and masked ones.
        templates: folder of the user's own masks.
        out: the weights to write, as float16.
        results: where the numbers go.
        params: section `train_worn`.

    Returns:
        How many samples there were of either kind, how many of these the classifier says rightly, and its parameters.

    Raises:
        UnmaskError: one of the tables has no such face, or `real` none that is bare, or none that is masked.
    """
    del results
    bare = list(tables.bare(faces, ["face_id", "image", "landmarks", "face_type"], "train"))
    rows = tables.evenly(bare, params.faces)
    known = [
        face
        for face in tables.read(real, ["face_id", "image", "landmarks", "wears_mask"])
        if face["landmarks"] is not None and face["wears_mask"] is not None
    ]
    if len({face["wears_mask"] for face in known}) < 2:
        raise UnmaskError(f"{real} must hold faces that wear masks and faces that don't, with landmarks and wears_mask")
    own = params.render_masks.own_styles(templates)
    samples = [(*one, False) for face in rows for one in _drawn(face, own, params)]
    samples += [(*one, True) for face in known for one in _real(face, params)]
    said, is_worn, is_real = np.array([one[0] for one in samples]), *np.array([one[1:] for one in samples]).T
    weighing = np.zeros(len(samples))
    for kind, total in ((is_real, params.real_weight), (~is_real, 1 - params.real_weight)):
        for answer in (is_worn, ~is_worn):
            weighing[kind & answer] = total / 2 / max((kind & answer).sum(), 1)
    mean, scale = said.mean(0), float(said[:, :-1].std(0).mean())
    mean[-1] = 0  # the landmarker's logit stays as it is
    scales = np.append(np.full(said.shape[1] - 1, scale), 1.0)
    model = LogisticRegression(C=params.regularization, max_iter=1000)
    model.fit((said - mean) / scales, is_worn, sample_weight=1000 * weighing)
    right = model.predict((said - mean) / scales) == is_worn
    linear = worn.empty()
    weight = model.coef_[0] / scales
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(weight)[None])
        linear.bias.fill_(float(model.intercept_[0] - weight @ mean))
    weights.save(out, linear.half(), {"kind": worn.KIND})
    return {
        "drawn": {"samples": int((~is_real).sum()), "right": float(right[~is_real].mean())},
        "real": {"samples": int(is_real.sum()), "right": float(right[is_real].mean())},
        "parameters": weights.parameters(linear),
    }


def _drawn(face: Face, own: Mapping[str, Template], params: Params) -> Iterator[tuple[Pixels, bool]]:
    """Yield what is seen of a face without and with a mask drawn on it, each as two cameras show it."""
    rng = generator(params.seed, "train_worn", face["face_id"])
    photo, points = images.decode(face["image"]), face["landmarks"]
    photo = beards.draw_on_some(photo, points, rng, params.beard_prob)
    masked, region = looks.masked(face, photo, rng, looks=params.render_masks.flattened(), own=own)
    for image, is_worn in ((photo, False), (masked, bool(region.any()))):
        for _ in range(2):
            yield worn.features(*_photographed(image, points, rng))[0], is_worn


def _real(face: Face, params: Params) -> Iterator[tuple[Pixels, bool]]:
    """Yield what is seen of a face as it is and as another camera shows it."""
    rng = generator(params.seed, "train_worn", face["face_id"])
    photo, points = images.decode(face["image"]), face["landmarks"]
    yield worn.features(photo, [points])[0], face["wears_mask"]
    yield worn.features(*_photographed(photo, points, rng))[0], face["wears_mask"]


def _photographed(image: Pixels, points: Points, rng: np.random.Generator) -> tuple[Pixels, list[Points]]:
    """Return a photo as others show it, gray, coarse or cut close to the face, and the landmarks of its face there."""
    if rng.random() < 0.5:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    scale = float(rng.uniform(20, 120)) / face_size(points)
    if rng.random() < 0.4 and scale < 1:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
        points = (points + 0.5) * scale - 0.5
    if rng.random() < 0.4:
        margin = rng.uniform(0, 0.2, (2, 2)) * face_size(points)
        left, top = np.maximum(points.min(0) - margin[0], 0).astype(int)
        right, bottom = (points.max(0) + margin[1]).astype(int) + 2
        image, points = image[top:bottom, left:right], points - np.array([left, top], np.float32)
    return image, [points]


if __name__ == "__main__":
    run_stage("landmarks.train_worn")
