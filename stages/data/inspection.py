"""Looking at each photo once: can it be kept, and what goes into its row?"""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stages.core import images
from stages.core.images import Pixels
from stages.data import cropping, duplicates, labels, shapes
from stages.data.cropping import Crop
from stages.data.duplicates import Hashes
from stages.data.files import Files
from stages.data.labels import Frame, Painted
from stages.data.on_disk import Pages
from stages.data.photo import Kept, Photo, Reject
from stages.faces.parts import MASK
from stages.photos import reading
from stages.photos.reading import UnreadableImageError

# How a copy is written into the list of rejects: the end of its reason, and what stands before the face_id of the photo
# that is kept.
ANOTHER_PERSON, AS = "_as_another_person", "as "


@dataclass(frozen=True, slots=True)
class Seen:
    """A photo that can be kept."""

    face_id: str
    photo: Photo
    crop: Crop | None  # the part that is shown of a photo of several faces
    sha256: bytes  # of the file, and of the crop if there is one
    look: bytes  # the perceptual hash
    as_it_is: bool  # the file's own bytes may go into the table; else it is stored anew as PNG
    labels: Kept | None  # the label map as PNG, painted once, as it may have many parts
    label_pixels: Counter[int] | None  # by class
    painted: Painted | None  # what else there is to count of them; without the map itself


@dataclass(frozen=True)
class Inspector:
    """What is asked of a photo, by the params of `clean`; `has_face` tells it of an RGB image. Picklable."""

    min_side: int
    max_pixels: int
    has_face: Callable[[Pixels], bool] | None

    def __call__(self, files: Files, face_id: str, photo: Photo) -> Seen | Reject:
        """Return the photo's hashes, or why it cannot be kept."""
        try:
            data = _bytes(files, photo)
            image, as_it_is = reading.open_photo(data, self.max_pixels)
            is_labeled = photo.box or photo.landmarks is not None or photo.label_files or photo.shapes
            frame = labels.frame(data, image) if is_labeled else Frame(image.shape[1], image.shape[0])
            crop = self._crop(photo, frame)
            photo = files.without_landmarks(cropping.with_upright_landmarks(photo, frame))
        except UnreadableImageError as error:
            return Reject(photo.file, error.reason, str(error), face_id)
        sha256 = hashlib.sha256(data)
        if crop is not None:
            sha256.update(repr(crop).encode())
            image = cropping.cut(image, crop)
        if self.has_face is not None and not self.has_face(image):
            return Reject(photo.file, "no_face", "neither detector sees one", face_id)
        png, label_pixels, painted = None, None, None
        if photo.label_files or photo.shapes:
            try:
                painted = labels.paint(files, photo, frame, self.max_pixels)
            except UnreadableImageError as error:
                return Reject(photo.file, error.reason, str(error), face_id)
            painted = painted if crop is None else replace(painted, labels=cropping.cut(painted.labels, crop))
            stated = {class_id for class_id, _ in (*photo.label_files, *photo.shapes)}
            region = painted.labels == MASK if photo.wears_mask and MASK in stated else painted.labels
            if photo.empty_is_bare:
                photo = replace(photo, wears_mask=bool(region.any()))
            elif not region.any():
                return Reject(photo.file, "no_region", painted.holds or "its shapes lie on no pixel of it", face_id)
            png = files.keep(images.encode_png(painted.labels))
            counts = np.bincount(painted.labels.ravel())
            label_pixels = Counter({class_id: int(counts[class_id]) for class_id in np.flatnonzero(counts).tolist()})
            painted = replace(painted, labels=None)
        look = duplicates.perceptual_hash(image)
        as_it_is = as_it_is and crop is None
        return Seen(face_id, photo, crop, sha256.digest(), look, as_it_is, png, label_pixels, painted)

    def _crop(self, photo: Photo, frame: Frame) -> Crop | None:
        """Return which part of a photo is shown; None: all of it.

        Raises:
            UnreadableImageError: `too_small`, or what `cropping.upright_box` raises.
        """
        if photo.box is None:
            if min(frame.upright) < self.min_side:
                raise UnreadableImageError("too_small", f"{frame.width}x{frame.height} pixels")
            return None
        left, top, right, bottom = box = cropping.upright_box(photo, photo.box, frame)
        if min(right - left, bottom - top) < self.min_side:
            raise UnreadableImageError("too_small", f"a face of {right - left:.4g}x{bottom - top:.4g} pixels")
        return cropping.around(box, frame)


def unclear(seen: Pages[Seen]) -> dict[int, Reject]:
    """Return by index a reject for each photo whose label map cannot be read without knowing which index is meant.

    That is one with several indices beside the background, and one whose single index stands beside others elsewhere.
    """
    several: dict[int, str] = {}
    for one in seen:
        if one.painted and len(one.painted.indices) > 1:
            several = dict.fromkeys(one.painted.indices, one.painted.holds) | several
    rejects = {}
    for index, one in enumerate(seen if several else ()):
        if one.painted and (found := several.keys() & one.painted.indices.keys()):
            detail = one.painted.holds
            if len(one.painted.indices) == 1:
                detail += f", and {several[min(found)]}"
            rejects[index] = Reject(one.photo.file, "unclear_labels", f"{detail}: {labels.SAY_WHICH}", one.face_id)
    return rejects


def copies(
    seen: Pages[Seen], places: NDArray[np.int64], sha256: Hashes, looks: Hashes, distance: int | None
) -> dict[int, Reject]:
    """Return by index a reject for each photo that is the same as one before it; photos are sorted by face_id.

    Each names the photo that is kept: the first, whoever it is said to show.

    Args:
        seen: photos.
        places: indices of those among which copies are looked for, ascending, int64 (n,).
        sha256: of these, uint8 (n, 32).
        looks: their perceptual hashes, uint8 (n, 32).
        distance: in so many of 256 bits those of two copies may differ; None: only equal bytes count.
    """
    copy_of: dict[int, tuple[int, str]] = {}
    first_of = duplicates.first_of_same(sha256)
    for index in np.flatnonzero(first_of < np.arange(len(first_of))).tolist():
        copy_of[index] = int(first_of[index]), "same_bytes"
    if distance is not None:
        for first, index in duplicates.near(looks, distance):
            if first not in copy_of and index not in copy_of:
                copy_of[index] = first, "same_look"
    rejects = {}
    for index, (first, how) in sorted(copy_of.items()):
        kept, _ = copy_of.get(first, (first, ""))  # the first of equal bytes may look like a photo before it
        one, other = seen[places[index]], seen[places[kept]]
        reason = how if one.photo.identity == other.photo.identity else how + ANOTHER_PERSON
        rejects[int(places[index])] = Reject(one.photo.file, reason, f"{AS}{other.face_id}", one.face_id)
    return rejects


def _bytes(files: Files, photo: Photo) -> bytes:
    return shapes.embedded(files.json(photo.file)["imageData"]) if photo.embedded else files.read(photo.file)


def row(seen: Seen, files: Files, max_pixels: int, split: str) -> dict[str, object]:
    """Return a photo's row, with every column that a photo can fill."""
    photo, landmarks = seen.photo, seen.photo.points
    data = _bytes(files, photo)
    if not seen.as_it_is:
        image = reading.open_photo(data, max_pixels)[0]
        data = images.encode_png(image if seen.crop is None else cropping.cut(image, seen.crop))
    if landmarks is not None and seen.crop is not None:
        landmarks = landmarks - np.array(seen.crop[:2], landmarks.dtype)
    return {
        "face_id": seen.face_id,
        "identity": photo.identity,
        "sex": photo.sex,
        "split": split,
        "wears_mask": photo.wears_mask,
        "image": data,
        "landmarks": landmarks,
        "face_type": photo.face_type,
        "labels": seen.labels and seen.labels.read(),
    }
