"""Landmarks of the faces in a photo, from the first backend that has them.

A backend is a module with a function `points(image, face, box)`; to add one, write such a module and name it here.
"""

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from stages.common.images import Pixels
from stages.common.params import Section
from stages.common.tables import Face
from stages.faces.face_type import face_type
from stages.faces.landmarks import Points
from stages.landmarks import boxes, csv, dlib, face_alignment

BACKENDS = {"csv": csv, "dlib": dlib, "face_alignment": face_alignment}


class Search(Section):
    """How faces and their landmarks are searched for; part of the params of `find_landmarks`."""

    backends: list[Literal["csv", "dlib", "face_alignment"]] = Field(min_length=1)
    """Tried in this order; the first that has landmarks for a face gives them."""
    short_side: int = Field(ge=80, le=2000)
    """A photo with a shorter side is enlarged to it, pixels."""
    long_side: int = Field(ge=80, le=10000)
    """A photo with a longer side is shrunk to it, pixels."""
    whole_crop: bool
    """Take a photo in which no detector finds a face for a face that fills it."""


class FaceTypes(Section):
    """When a face is a profile, and when blurred; part of the params of `find_landmarks`."""

    profile_above: float = Field(ge=0, le=1)
    """A head turned by more than this is a profile: 0 is frontal, at 1 the nose tip lies over the end of the cheek."""
    blurred_below: float = Field(ge=0, le=2)
    """A face less sharp than this is blurred; see `stages/faces/face_type.py`."""

    def of(self, image: Pixels, points: Points) -> str:
        """Return the face type of a face in an RGB image (H, W, 3), `0_0` to `1_1`."""
        return face_type(image, points, profile_above=self.profile_above, blurred_below=self.blurred_below)


@dataclass(frozen=True)
class Found:
    """A face's landmarks, float32 (68, 2), and what found them: `csv`, `dlib_hog`, `dlib_cnn`, `dlib_crop`, …."""

    points: Points
    by: str


def main_face(image: Pixels, face: Face, search: Search) -> tuple[Found | None, int]:
    """Return the landmarks of the face that a photo is about, and how many faces were seen in it.

    Args:
        image: RGB uint8 (H, W, 3).
        face: its row, for the landmarks that came with it.
        search: where to look.
    """
    seen: list[boxes.Box] | None = None
    for name in search.backends:
        backend = BACKENDS[name]
        box = None
        if backend.NEEDS_BOX:
            if seen is None:
                seen = boxes.find(image, short_side=search.short_side, long_side=search.long_side)
            box = boxes.main_face(seen, image) if seen else boxes.whole_crop(image) if search.whole_crop else None
            if box is None:
                continue
        points = backend.points(image, face, box)
        if points is not None:
            return Found(points, f"{name}_{box.by}" if box else name), len(seen or [])
    return None, len(seen or [])


def all_faces(image: Pixels, search: Search) -> list[Found]:
    """Return the landmarks of every face that a detector sees in an RGB photo (H, W, 3), the largest first."""
    seen = boxes.find(image, short_side=search.short_side, long_side=search.long_side)
    name = next((name for name in search.backends if BACKENDS[name].NEEDS_BOX), "dlib")
    return [Found(BACKENDS[name].points(image, {}, box), f"{name}_{box.by}") for box in seen]
