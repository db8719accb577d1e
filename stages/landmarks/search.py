"""Landmarks of the faces in a photo, from the first backend that has them.

A backend is a module with a function `points(image, box)`; to add one, write such a module and name it here. `csv` is
none: it stands for the landmarks that came with the photos, which an adapter has read into the face table.
"""

from dataclasses import replace
from typing import Literal

import numpy as np
from pydantic import Field

from stages.core import images
from stages.core.images import Pixels
from stages.core.params import Section
from stages.core.tables import Face
from stages.faces.face_type import face_type
from stages.faces.landmarks import Points, face_size
from stages.landmarks import behind_masks, boxes, centerface, dlib, face_alignment
from stages.landmarks.behind_masks import Found, apart

BACKENDS = {"dlib": dlib, "face_alignment": face_alignment}


class Search(Section):
    """How faces and their landmarks are searched for; part of the params of `find_landmarks`."""

    backends: list[Literal["csv", "dlib", "face_alignment"]] = Field(min_length=1)
    """Tried in this order; the first that has landmarks for a face gives them."""
    short_side: int = Field(ge=80, le=2000)
    """A photo with a shorter side is enlarged to it, pixels."""
    long_side: int = Field(ge=80, le=10000)
    """A photo with a longer side is shrunk to it, pixels."""
    masked: bool
    """Look for faces behind masks with our own network, where a mask is worn or nobody knows."""
    whole_crop: bool
    """Take a bare photo in which no detector finds a face for a face that fills it."""

    @property
    def with_box(self) -> list[str]:
        """Return the backends that ask for the box of a face."""
        return [name for name in self.backends if name in BACKENDS]


class FaceTypes(Section):
    """When a face is a profile, and when blurred; part of the params of `find_landmarks`."""

    profile_above: float = Field(ge=0, le=1)
    """A head turned by more than this is a profile: 0 is frontal, at 1 the nose tip lies over the end of the cheek."""
    blurred_below: float = Field(ge=0, le=2)
    """A face less sharp than this is blurred; see `stages/faces/face_type.py`."""

    def of(self, image: Pixels, points: Points) -> str:
        """Return the face type of a face in an RGB image (H, W, 3), `0_0` to `1_1`."""
        return face_type(image, points, profile_above=self.profile_above, blurred_below=self.blurred_below)


def main_face(image: Pixels, face: Face, search: Search, *, masks: bool = True) -> tuple[Found | None, int]:
    """Return the landmarks of the face that a photo is about, and how many faces were seen in it.

    Where a mask is worn or nobody said, it is one of `all_faces`. Only where these are none, and where no mask is worn,
    dlib's detectors are asked: of masked faces they miss many, and take another person's face then.

    Args:
        image: RGB uint8 (H, W, 3).
        face: its row, for the landmarks that came with it, and whether it is known to wear a mask.
        search: where to look.
        masks: whether a mask may be seen where nobody said; if not, such a face is looked at as a bare one.
    """
    if "csv" in search.backends and (given := face.get("landmarks")) is not None:
        return Found(given, "csv"), 0
    if not search.with_box:
        return None, 0
    wears_mask = face.get("wears_mask") if search.masked else False
    doubtful = masks and wears_mask is None
    everyone = all_faces(image, search, masked=wears_mask) if wears_mask or doubtful else []
    main = behind_masks.main_face(everyone, image)
    if main is not None and main.masked:
        return main, len(everyone)
    seen = [] if wears_mask else boxes.find(image, short_side=search.short_side, long_side=search.long_side)
    if main is not None:  # a bare face gets the landmarks that it would have if somebody had said that it is bare
        box = next((box for box in seen if box.holds(main.points)), boxes.around(main.points))
        return by_backend(image, box, search), len(everyone)
    box = boxes.main_face(seen, image) if seen else None
    if box is None and wears_mask is not False:
        everyone = [replace(one, masked=one.masked and masks) for one in behind_masks.everywhere(image)]
        return behind_masks.main_face(everyone, image), len(everyone)
    if box is None and search.whole_crop:
        box = boxes.whole_crop(image)
    found = None if box is None else by_backend(image, box, search)
    return behind_masks.if_worn(image, found) if found is not None and doubtful else found, len(seen)


def all_faces(image: Pixels, search: Search, *, masked: bool | None = None) -> list[Found]:
    """Return the landmarks of every face that is seen in an RGB photo (H, W, 3), masked or not, the largest first.

    CenterFace finds them, and the landmarker must agree. Of several finds in one place the surest counts.

    Args:
        image: RGB uint8 (H, W, 3).
        search: where to look.
        masked: whether all of them wear a mask, where somebody said that.
    """
    from stages.landmarks import second_look, worn  # noqa: PLC0415 -- torch takes seconds to load

    copy = images.shrunk(image, search.long_side)
    places: list[Points] = []
    for points, _ in sorted(second_look.believed(copy, centerface.find(copy)), key=lambda one: -one[1]):
        if all(apart(points, other) for other in places):
            places.append(points)
    if masked is None and search.masked:
        wearing = [probability >= worn.WORN for probability in worn.probabilities(copy, places)]
    else:
        wearing = [bool(masked)] * len(places)
    found = [
        Found(points, "landmarker_centerface", masked=True)
        if wears_mask
        else by_backend(copy, boxes.around(points), search)
        for points, wears_mask in zip(places, wearing, strict=True)
    ]
    factors = np.array(image.shape[1::-1]) / np.array(copy.shape[1::-1])
    found = [replace(one, points=((one.points + 0.5) * factors - 0.5).astype(np.float32)) for one in found]
    return sorted(found, key=lambda one: -face_size(one.points))


def by_backend(image: Pixels, box: boxes.Box, search: Search) -> Found:
    """Return the landmarks that the first backend which asks for a box gives an RGB photo's (H, W, 3) face in it."""
    name = search.with_box[0] if search.with_box else "dlib"
    return Found(BACKENDS[name].points(image, box), f"{name}_{box.by}")
