"""What an adapter says about its publisher's files.

An adapter is a module of `stages/data/adapters` that has the dataset's name and a function

    photos(files: Files) -> Iterator[Photo | Reject]        # Files: stages/data/files.py

which reads names, lists and protocols, but no images. It raises an UnmaskError if the files are not in the publisher's
layout at all; a single photo that cannot be used is a `Reject`.
"""

from dataclasses import dataclass

from stages.faces.landmarks import Points


@dataclass(frozen=True)
class Photo:
    """A photo of one person.

    Attributes:
        file: its name among the dataset's files.
        identity: of the person, unique in the dataset.
        name: of the photo, unique for the person; the face_id is `<dataset>/<identity>/<name>`.
        sex: `female`, `male` or None.
        split: the publisher's own `train`, `val` or `test`, or None.
        wears_mask: whether a real mask is worn, if the publisher says so.
        landmarks: float32 (68, 2), pixels, if the publisher gives them.
        face_type: Face_Mask_Generator's, if the publisher gives it.
        label_files: class id and name of each part's mask, in the order in which they are painted over each other.
        polygons: class id of each, and its corners, pixels, one after the other x and y; painted over these.
    """

    file: str
    identity: str
    name: str
    sex: str | None = None
    split: str | None = None
    wears_mask: bool | None = None
    landmarks: Points | None = None
    face_type: str | None = None
    label_files: tuple[tuple[int, str], ...] = ()
    polygons: tuple[tuple[int, tuple[float, ...]], ...] = ()


@dataclass(frozen=True)
class Reject:
    """A file that is not kept: its name, a short reason to count by, and more words."""

    file: str
    reason: str
    detail: str = ""
    face_id: str = ""
