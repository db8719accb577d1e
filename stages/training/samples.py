"""What a training learns from: faces, changed by chance in each round through them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from stages.core.seeding import generator
from stages.core.tables import Face


class FaceSamples(Dataset[Any]):
    """Faces that are changed by chance.

    Sample `round * n + index` is always the same, so a training that is continued sees what it would have seen.

    Args:
        faces: rows with `face_id` and `image`; see `rows.on_disk`.
        seed: of this training's chance, from `seeding.derived`. Trainings that are compared with each other share one.
    """

    def __init__(self, faces: Sequence[Face], seed: int) -> None:
        self.faces, self.seed = faces, seed

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.faces)

    def __getitem__(self, key: int) -> dict[str, Any]:
        """Return sample `round * len + index`."""
        turn, index = divmod(key, len(self.faces))
        face = self.faces[index]
        return self.sample(face, generator(self.seed, "sample", turn, face["face_id"]))

    @abstractmethod
    def sample(self, face: Face, rng: np.random.Generator) -> dict[str, Any]:
        """Return `inputs` and `data_samples`, made of a face by chance."""
