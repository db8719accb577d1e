"""Photos of several faces, each labeled by a box: a row for each face.

A box that lies within another one may be of the same person: a mask in a face, a face in a head.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Unpack

from stages.data.formats import classes, layout
from stages.data.photo import Photo, Photos, Reject
from stages.data.shapes import Shape, Size
from stages.faces.parts import MASK

WITHIN = 0.8  # of its area, from which on a box lies within another one

Box = tuple[float, float, float, float]  # left, top, right and bottom edge


@dataclass(frozen=True)
class Face:
    """A face, or its mask, that a label file names, by a box or a region; neither where they are no such numbers."""

    label: str
    where: str  # in the label file, for a word to the user
    box: Box | None = None
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
    **names: Unpack[classes.Names],
) -> Photos:
    """Yield each face with a box as the photo of a person of its own, `<photo>-<n>`, n from 1 in the order of the file.

    Whether it wears a mask is what its label says, or that of a box within it (see `_holders`); one that is just a
    `face` says nothing. A photo with regions stays whole, and those of masks are painted into its label map.

    Args:
        labeled: all photos with a label file.
        reader: whose files these are, for the error.
        splits: of photos whose folders say none, see `layout.listed_splits`.
        labels_upright: see `Photo`.
        names: see `classes.read`.

    Raises:
        UnmaskError: nobody says what a label means.
    """
    meanings = classes.read(Counter(face.label for one in labeled for face in one.faces), reader, names)
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
            holders = _holders(one.faces, meanings)
            for number, face in enumerate(one.faces):
                where, meaning = f"{one.source}, {face.where}", meanings[face.label]
                if meaning == classes.OTHER:
                    yield Reject(file, "other_label", f"{where}: {face.label!r} is no face")
                elif face.box is None:
                    yield Reject(file, "bad_box", f"{where}: it has no box with an area")
                elif holders[number] == number:
                    labels = [other.label for other, holder in zip(one.faces, holders, strict=True) if holder == number]
                    said = {meanings[label] for label in labels} - {classes.FACE}
                    yield replace(
                        known,
                        identity=f"{known.identity}-{number + 1}",
                        name=f"{name}-{number + 1}",
                        wears_mask=classes.MASK in said if len(said) == 1 else None,
                        classes=classes.counted(labels, meanings),
                        box=face.box,
                    )


def _holders(found: Sequence[Face], meanings: Mapping[str, str]) -> list[int]:
    """Return the place of the box that each one is a part of; its own, if it is a person's.

    A box is a part of the smallest one of a higher rank (see `classes.rank`) in which it lies; a mask within a face
    that is labeled as bare is another person's. Where two faces lie in one box, that is neither's.
    """
    ranks = [classes.rank(face.label, meanings[face.label]) for face in found]
    boxes = [face.box if rank >= 0 else None for face, rank in zip(found, ranks, strict=True)]
    holders = []
    for place, inner in enumerate(boxes):
        around = [
            (_area(outer), other)
            for other, outer in enumerate(boxes)
            if inner and outer and ranks[other] > ranks[place] and meanings[found[other].label] != classes.BARE
            if _area(_common(inner, outer)) >= WITHIN * _area(inner)
        ]
        holders.append(min(around)[1] if around else place)
    inside = Counter((holder, ranks[place]) for place, holder in enumerate(holders) if holder != place)
    for place, holder in enumerate(holders):
        if ranks[place] > 0 and inside[holder, ranks[place]] > 1:
            holders[place] = place
    for _ in range(max(ranks, default=0)):  # a mask in a face in a head
        holders = [holders[holder] for holder in holders]
    return holders


def _common(one: Box, other: Box) -> Box:
    return max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])


def _area(box: Box) -> float:
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])
