"""Looking at each photo once: can it be kept, and what goes into its row?"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stages.core import images
from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.data import duplicates
from stages.data.files import Files
from stages.data.photo import Photo, Reject
from stages.photos import reading
from stages.photos.reading import UnreadableImageError

# How a copy is written into the list of rejects: the end of its reason, and what stands before the face_id of the photo
# that is kept.
ANOTHER_PERSON, AS = "_as_another_person", "as "


@dataclass(frozen=True)
class Seen:
    """A photo that can be kept."""

    face_id: str
    photo: Photo
    sha256: bytes
    look: bytes  # the perceptual hash
    as_it_is: bool  # the file's own bytes may go into the table; else it is stored anew as PNG
    labels: bytes | None  # the label map as PNG (a few kilobytes), painted here so that its parts are read only once
    label_pixels: Counter[int]  # by class


@dataclass(frozen=True)
class Inspector:
    """What is asked of a photo, by the params of `clean`; `has_face` tells it of an RGB image. Picklable."""

    min_side: int
    max_pixels: int
    has_face: Callable[[Pixels], bool] | None

    def __call__(self, files: Files, face_id: str, photo: Photo) -> Seen | Reject:
        """Return the photo's hashes, or why it cannot be kept."""
        try:
            data = files.read(photo.file)
            image, as_it_is = reading.open_photo(data, self.max_pixels)
        except UnreadableImageError as error:
            return Reject(photo.file, error.reason, str(error), face_id)
        height, width = image.shape[:2]
        if min(height, width) < self.min_side:
            return Reject(photo.file, "too_small", f"{width}x{height} pixels", face_id)
        if self.has_face is not None and not self.has_face(image):
            return Reject(photo.file, "no_face", "neither detector sees one", face_id)
        labels, label_pixels = None, Counter[int]()
        if photo.label_files or photo.polygons:
            try:
                painted = paint_labels(files, photo, height, width)
            except UnreadableImageError as error:
                return Reject(photo.file, "bad_labels", str(error), face_id)
            labels = images.encode_png(painted)
            counts = np.bincount(painted.ravel())
            label_pixels.update({class_id: int(counts[class_id]) for class_id in np.flatnonzero(counts).tolist()})
        look = duplicates.perceptual_hash(image)
        return Seen(face_id, photo, hashlib.sha256(data).digest(), look, as_it_is, labels, label_pixels)


def paint_labels(files: Files, photo: Photo, height: int, width: int) -> Pixels:
    """Return the label map of a photo, uint8 (height, width), its parts and polygons painted over each other in order.

    Raises:
        UnreadableImageError: a part's mask is damaged or no image.
    """
    labels = np.zeros((height, width), np.uint8)
    for class_id, name in photo.label_files:
        try:
            part = images.decode_gray(files.read(name))
        except (UnmaskError, cv2.error):  # OpenCV raises for sizes that it will not hold
            raise UnreadableImageError("bad_labels", f"{name} is no image") from None
        if part.shape != labels.shape:  # the publisher's masks may be smaller than the photo
            part = cv2.resize(part, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        labels[part > (127 if part.max() > 1 else 0)] = class_id  # 0 and 255, or 0 and 1
    for class_id, corners in photo.polygons:
        points = in_fractions(np.reshape(corners, (-1, 2)))
        cv2.fillPoly(labels, [points], class_id, cv2.LINE_8, FRACTION_BITS)
    return labels


def copies(seen: Sequence[Seen], distance: int | None) -> list[Reject]:
    """Return a reject for each photo that is the same as one before it; photos are sorted by face_id.

    Each names the photo that is kept: the first, whoever it is said to show. So many of 256 bits of two perceptual
    hashes may differ as `distance` says; None: only equal bytes count.
    """
    copy_of: dict[int, tuple[int, str]] = {}
    first_of: dict[bytes, int] = {}
    for index, one in enumerate(seen):
        first = first_of.setdefault(one.sha256, index)
        if first != index:
            copy_of[index] = first, "same_bytes"
    if distance is not None:
        for first, index in duplicates.near([one.look for one in seen], distance):
            if first not in copy_of and index not in copy_of:
                copy_of[index] = first, "same_look"
    rejects = []
    for index, (first, how) in sorted(copy_of.items()):
        kept, _ = copy_of.get(first, (first, ""))  # the first of equal bytes may look like a photo before it
        one, other = seen[index], seen[kept]
        reason = how if one.photo.identity == other.photo.identity else how + ANOTHER_PERSON
        rejects.append(Reject(one.photo.file, reason, f"{AS}{other.face_id}", one.face_id))
    return rejects


def row(seen: Seen, files: Files, max_pixels: int, split: str) -> dict[str, object]:
    """Return a photo's row, with every column that a photo can fill."""
    photo = seen.photo
    data = files.read(photo.file)
    if not seen.as_it_is:
        data = images.encode_png(reading.open_photo(data, max_pixels)[0])
    return {
        "face_id": seen.face_id,
        "identity": photo.identity,
        "sex": photo.sex,
        "split": split,
        "wears_mask": photo.wears_mask,
        "image": data,
        "landmarks": photo.landmarks,
        "face_type": photo.face_type,
        "labels": seen.labels,
    }
