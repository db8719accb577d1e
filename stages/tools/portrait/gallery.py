"""The people of a dataset, and who of them is nearest to a face."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow.dataset as pads

from stages.core import images, tables
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.recognition import embeddings, protocol, similarity
from stages.recognition.embedders import Embed

Compared = Literal["masked", "zeroed", "inpainted", "upper"]
"""What of a masked face is compared: the face as it is, with the mask at 0, filled in, or its upper half."""


@dataclass(frozen=True)
class Neighbor:
    """A person of the gallery.

    Attributes:
        identity: who.
        face_id: of the person's photo that is the most similar.
        cosine: how similar it is, -1 to 1.
    """

    identity: str
    face_id: str
    cosine: float


class Gallery:
    """Bare faces whose embeddings are known.

    Args:
        embed: the recognizer that made them.
        faces: by condition, see `stages.recognition.embeddings`; at least `bare` and `bare_upper`.
        aligned: the folder with a table of aligned faces for each dataset.
    """

    def __init__(self, embed: Embed, faces: Mapping[str, embeddings.Faces], aligned: Path) -> None:
        self.embed, self.faces, self.aligned = embed, faces, aligned

    def nearest(self, face: Pixels, points: Points, *, upper: bool, n: int) -> list[Neighbor]:
        """Return the n people nearest to a face, the nearest first; of equally near ones, the first of the table.

        Args:
            face: aligned as the gallery's are, RGB uint8 (H, W, 3).
            points: its landmarks, float32 (68, 2), pixels of it.
            upper: whether only its upper half is there, to be compared with upper halves.
            n: how many; fewer if the gallery has fewer.
        """
        known = self.faces[protocol.BARE_UPPER if upper else "bare"]
        cosines = similarity.cosines(known.embeddings, self.embed([face], [points]))[:, 0]
        found: dict[str, Neighbor] = {}
        for index in np.argsort(-cosines, kind="stable").tolist():
            identity = known.identities[index]
            if identity not in found:
                found[identity] = Neighbor(identity, known.face_ids[index], float(cosines[index]))
                if len(found) == n:
                    break
        return list(found.values())

    def photos(self, face_ids: Sequence[str]) -> dict[str, Pixels]:
        """Return the aligned faces, RGB uint8 (H, W, 3), by face_id; one that no table has any more is left out."""
        found = {}
        for dataset in sorted({face_id.split("/")[0] for face_id in face_ids}):
            paths = [str(path) for path in tables.parts(self.aligned / dataset, ["image"])]
            wanted = pads.field("face_id").isin(list(face_ids))
            rows = pads.dataset(paths).to_table(columns=["face_id", "image"], filter=wanted).to_pylist()
            found |= {row["face_id"]: images.decode(row["image"]) for row in rows}
        return found


def load(embed: Embed, table: Path, aligned: Path) -> Gallery:
    """Return the gallery of a table of embeddings.

    Raises:
        UnmaskError: no such table, or it has no bare faces.
    """
    faces = {condition: some.there() for condition, some in embeddings.read(table).items()}
    for condition in ("bare", protocol.BARE_UPPER):
        if condition not in faces:
            raise UnmaskError(f"{table} has no faces under the condition {condition!r}: run `dvc repro`")
    return Gallery(embed, faces, aligned)
