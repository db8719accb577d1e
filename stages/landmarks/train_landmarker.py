"""Train the network that finds landmarks behind masks; by hand, as its weights are released with the code.

python -m stages.landmarks.train_landmarker --faces data/landmarks/lfw --templates data/mask_templates \
    --out models/released/landmarker.safetensors --results .scratch/train_landmarker

`make release` then asks for figures of it in stages/tools/releasing/by_hand.yaml, and writes its header.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from pydantic import Field
from torch import Tensor, nn

from stages.core import images, tables
from stages.core.params import StageParams
from stages.core.results import Results
from stages.core.seeding import derived
from stages.core.tables import Face
from stages.faces import alignment
from stages.faces.augmentation import relight
from stages.faces.landmarks import flip
from stages.landmarks.landmarker import KIND, SIZE, Network, Square, crop
from stages.masks import looks
from stages.masks.rendering import Template
from stages.training import checkpoints, launch, loop
from stages.training.rows import on_disk
from stages.training.samples import FaceSamples


class Params(StageParams):
    """Section `train_landmarker:` of params.yaml."""

    top_level: ClassVar = ("seed", "render_masks")

    seed: int = Field(ge=0)
    render_masks: looks.Looks
    mask_prob: float = Field(ge=0, le=1)
    """Share of the training faces with a mask."""
    background_prob: float = Field(ge=0, lt=1)
    """Share of the training crops that show no face, or next to nothing of one."""
    schedule: loop.Schedule


def train_landmarker(faces: Path, templates: Path, out: Path, results: Results, params: Params) -> dict[str, Any]:
    """Train on the bare photos of a table's train split, with dlib's landmarks for truth and masks drawn on them.

    Args:
        faces: what `find_landmarks` wrote; photos in which HOG saw a face are taken, as dlib is right on these.
        templates: folder of the user's own masks.
        out: the weights to write, as float16.
        results: where the numbers go, and the curve of the losses.
        params: section `train_landmarker`.

    Returns:
        On how many photos of how many people it was trained, its parameters and its last losses.

    Raises:
        UnmaskError: there is no such photo.
    """
    wanted = ["face_id", "identity", "image", "landmarks", "landmarks_by", "face_type"]
    rows = on_disk(face for face in tables.bare(faces, wanted, "train") if face["landmarks_by"] == "dlib_hog")
    key = checkpoints.key_of(params.model_dump(), [faces, templates], Path(__file__))
    own = params.render_masks.own_styles(templates)
    trained = loop.train(
        lambda: Training(Network()),
        Samples(rows, own, params),
        params.schedule,
        name="train_landmarker",
        key=key,
    )
    return trained.write(out, {"kind": KIND}, results, rows, trained.model.get_submodule("network").half())


class Training(BaseModel):  # type: ignore[misc] -- mmengine has no types
    """The network and its losses."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: list[Tensor], data_samples: list[Any], mode: str = "loss") -> dict[str, Tensor]:
        """Return the losses: of the landmarks where there is a face, and of both logits."""
        del mode
        device = next(self.network.parameters()).device
        found, logits = self.network(torch.stack(list(inputs)).to(device).float())
        truth = torch.stack([sample.points for sample in data_samples]).to(device)
        said = torch.stack([sample.says for sample in data_samples]).to(device)
        face = said[:, 0]
        distance = nn.functional.smooth_l1_loss(found, truth, reduction="none", beta=0.02).mean((1, 2))
        logistic = nn.functional.binary_cross_entropy_with_logits(logits, said, reduction="none")
        return {
            "loss_points": 10 * (distance * face).sum() / face.sum().clamp(min=1),
            "loss_face": 0.2 * logistic[:, 0].mean(),
            "loss_mask": 0.2 * (logistic[:, 1] * face).sum() / face.sum().clamp(min=1),
        }


class Samples(FaceSamples):
    """Crops of photos, masks drawn on some of the faces, and crops beside the faces."""

    def __init__(self, faces: Sequence[Face], own: Mapping[str, Template], params: Params) -> None:
        super().__init__(faces, derived(params.seed, "train_landmarker"))
        self.own, self.params, self.looks = own, params, params.render_masks.flattened()

    def sample(self, face: Face, rng: np.random.Generator) -> dict[str, Any]:
        """Return a crop and what it shows."""
        photo, points = images.decode(face["image"]), face["landmarks"]
        is_face = rng.random() >= self.params.background_prob
        square = _near(Square.around(points), rng) if is_face else _elsewhere(Square.around(points), photo, rng)
        matrix = square.matrix(float(rng.normal(0, 10)))
        image, points = crop(photo, matrix), alignment.apply(matrix, points)
        masked = False
        if rng.random() < self.params.mask_prob:
            image, region = looks.masked({**face, "landmarks": points}, image, rng, looks=self.looks, own=self.own)
            masked = bool(region.any())
        if rng.random() < 0.5:
            image, points = np.ascontiguousarray(image[:, ::-1]), flip(points, SIZE)
        says = torch.tensor([float(is_face), float(masked)])
        data = BaseDataElement(metainfo={"face_id": face["face_id"]})
        data.set_data({"points": torch.from_numpy((points + 0.5) * (2 / SIZE) - 1).float(), "says": says})
        return {"inputs": torch.from_numpy(_photographed(image, rng).transpose(2, 0, 1).copy()), "data_samples": data}


def _near(square: Square, rng: np.random.Generator) -> Square:
    """Return a square that is a little off, as a detector's box or a tight crop of a face is."""
    x, y = rng.normal(0, 0.08, 2) * square.side
    return Square(square.x + x, square.y + y, square.side * float(np.exp(rng.normal(0, 0.2))))


def _elsewhere(square: Square, photo: np.ndarray[Any, Any], rng: np.random.Generator) -> Square:
    """Return a square that no face fills: beside it, a detail of it, or so large that it is lost."""
    height, width = photo.shape[:2]
    kind = rng.integers(3)
    if kind == 0:
        return Square(square.x, square.y, square.side * float(rng.uniform(3.0, 4.5)))
    side = square.side * float(rng.uniform(0.2, 0.4) if kind == 1 else rng.uniform(0.3, 1.0))
    for _ in range(20):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        if kind == 1 or max(abs(x - square.x), abs(y - square.y)) > 0.35 * (square.side + side):
            return Square(float(x), float(y), side)
    return Square(square.x, square.y, square.side * 4)


def _photographed(image: np.ndarray[Any, Any], rng: np.random.Generator) -> Any:
    """Return a crop as other cameras would show it: gray, coarse, blurred, in other light."""
    if rng.random() < 0.25:
        image = np.repeat(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    if rng.random() < 0.3:
        side = int(rng.integers(32, SIZE))
        image = cv2.resize(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), (SIZE, SIZE))
    return relight(np.asarray(image, np.uint8), rng, contrast=0.25, brightness=20)


if __name__ == "__main__":
    launch.run_stage("landmarks.train_landmarker")
