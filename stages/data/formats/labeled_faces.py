"""Photos of several faces, each labeled by a box: a row for each face."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from stages.data.formats import classes, layout
from stages.data.photo import Photo, Photos, Reject
from stages.data.shapes import Shape, Size
from stages.faces.parts import MASK


@dataclass(frozen=True)
class Face:
    """A face that a label file names, by a box or a region; neither where they are no such numbers."""

    label: str
    where: str  # in the label file, for a word to the user
    box: tuple[float, float, float, float] | None = None  # left, top, right and bottom edge
    region: Shape | None = None  # of its mask


@dataclass(frozen=True)
class Labeled:
    """A photo, its label file, the photo's width and height in that file, if it states them, and its faces."""

    photo: PurePosixPath
    source: str
    size: Size | None
    faces: tuple[Face, ...]


def faces(
    labeled: Collection[Labeled],
    reader: str,
    splits: Mapping[str, str],
    *,
    labels_upright: bool | None,
    **names: Iterable[str],
) -> Photos:
    """Yield each face with a box as the photo of a person of its own, `<photo>-<n>`, n from 1 in the order of the file.

    Whether it wears a mask is what its label says; one that is just a `face` says nothing. A photo with regions stays
    whole, and those of masks are painted into its label map.

    Args:
        labeled: all photos with a label file.
        reader: whose files these are, for the error.
        splits: of photos whose folders say none, see `layout.listed_splits`.
        labels_upright: see `Photo`.
        names: `mask_labels`, `bare_labels` and `other_labels`, see `classes.read`.

    Raises:
        UnmaskError: nobody says what a label means.
    """
    meanings = classes.read(Counter(face.label for one in labeled for face in one.faces), reader, **names)
    for one in labeled:
        file, name = one.photo.as_posix(), "-".join(layout.key(one.photo))
        split = layout.split_of(one.photo) or splits.get(file)
        known = Photo(file, f"photo-{name}", name, split=split, shapes_size=one.size, labels_upright=labels_upright)
        regions = [face for face in one.faces if face.region]
        if not one.faces:
            yield Reject(file, "no_face_labeled", f"{one.source} names no face")
        elif regions and len(regions) < len(one.faces):
            yield Reject(file, "mixed_labels", f"{one.source} has regions and lines that are none")
        elif regions:
            labels = [face.label for face in regions]
            yield replace(
                known,
                wears_mask=classes.wears_mask(labels, meanings),
                classes=classes.counted(labels, meanings),
                shapes=tuple((MASK, face.region) for face in regions if meanings[face.label] == classes.MASK),
            )
        else:
            for number, face in enumerate(one.faces, 1):
                where, meaning = f"{one.source}, {face.where}", meanings[face.label]
                if meaning == classes.OTHER:
                    yield Reject(file, "other_label", f"{where}: {face.label!r} is no face")
                elif face.box is None:
                    yield Reject(file, "bad_box", f"{where}: it has no box with an area")
                else:
                    yield replace(
                        known,
                        identity=f"{known.identity}-{number}",
                        name=f"{name}-{number}",
                        wears_mask=None if layout.plain(face.label) in classes.FACE_LABELS else meaning == classes.MASK,
                        classes=((face.label, meaning),),
                        box=face.box,
                    )
