"""People whose photos a person has put into a folder, and who of them is nearest to a face."""

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from stages.core import images, parallel
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces import removal
from stages.faces.alignment import Align
from stages.faces.landmarks import Points
from stages.landmarks.search import Search
from stages.recognition import similarity
from stages.recognition.embedders import Embed
from stages.tools.evaluating import photos
from stages.tools.evaluating.photos import Aligned, File, Looked

Compared = Literal["masked", "zeroed", "inpainted", "upper"]
"""What of a masked face is compared: the face as it is, with the mask at 0, filled in, or its upper half."""
MASKED = "masked"  # why a photo is left out


@dataclass(frozen=True)
class Neighbor:
    """A person of the gallery.

    Attributes:
        identity: who.
        photo: path below the gallery's folder of the person's photo that is the most similar.
        cosine: how similar it is, -1 to 1.
        match: whether that is similar enough to be the same person.
    """

    identity: str
    photo: str
    cosine: float
    match: bool


class Gallery:
    """Bare faces of known people, aligned.

    Args:
        embed: the recognizer.
        people: whom each face shows.
        names: the path of each face's photo below the gallery's folder.
        faces: the faces.
        thresholds: by what of a face is compared, `bare` or one of `Compared`, the cosine from which on it is a match.
        left_out: how many photos were left out, by why.
    """

    def __init__(
        self,
        embed: Embed,
        people: Sequence[str],
        names: Sequence[str],
        faces: Sequence[Aligned],
        thresholds: Mapping[str, float],
        left_out: Mapping[str, int],
    ) -> None:
        self.embed, self.people, self.names, self.faces = embed, people, names, faces
        self.thresholds, self.left_out = thresholds, left_out
        pictures, points = [images.decode(face.image) for face in faces], [face.landmarks for face in faces]
        self.bare: NDArray[np.float32] = embed(pictures, points)
        self.upper: NDArray[np.float32] = embed([removal.upper_half(picture) for picture in pictures], points)

    def nearest(self, face: Pixels, points: Points, *, compared: str, n: int) -> list[Neighbor]:
        """Return the n people nearest to a face, the nearest first; of equally near ones, the first by name.

        Args:
            face: aligned as the gallery's are, RGB uint8 (H, W, 3).
            points: its landmarks, float32 (68, 2), pixels of it.
            compared: what of it is there, a key of the thresholds; an `upper` half is compared with upper halves.
            n: how many; fewer if the gallery has fewer.
        """
        known = self.upper if compared == "upper" else self.bare
        cosines = similarity.cosines(known, self.embed([face], [points]))[:, 0]
        found: dict[str, Neighbor] = {}
        for index in np.argsort(-cosines, kind="stable").tolist():
            cosine, who = float(cosines[index]), self.people[index]
            if who not in found:
                found[who] = Neighbor(who, self.names[index], cosine, cosine >= self.thresholds[compared])
                if len(found) == n:
                    break
        return list(found.values())

    def picture(self, name: str) -> Pixels:
        """Return the aligned face of a photo of the gallery, RGB uint8 (H, W, 3)."""
        return images.decode(self.faces[self.names.index(name)].image)


def load(folder: Path, embed: Embed, search: Search, align: Align, thresholds: Mapping[str, float]) -> Gallery:
    """Return the people in a folder: `<name>/<photo>`, or `<name>.jpg` where there is one photo of a person.

    Photos without a face, or behind a mask, are left out and counted.

    Raises:
        UnmaskError: there is no such folder, or no bare face in it.
    """
    files = [_named(file) for file in photos.listed(folder)]
    search = search.model_copy(update={"backends": search.with_box or ["dlib"], "masked": True})
    look = functools.partial(photos.look, folder=folder.absolute(), search=search, align=align)
    looked = parallel.run(look, files, sizes=[1] * len(files), label="known people", unit="photos")
    bare = [(file, one.face) for file, one in zip(files, looked, strict=True) if one.face and not one.face.masked]
    left_out = Counter(why for one in looked if (why := _why_not(one)))
    if not bare:
        why = ", ".join(f"{n} {name}" for name, n in left_out.items())
        raise UnmaskError(f"{folder} has no photo of a bare face to compare with ({why})")
    return Gallery(
        embed,
        [file.person_shown for file, _ in bare],
        [file.shown for file, _ in bare],
        [face for _, face in bare],
        thresholds,
        left_out,
    )


def _named(file: File) -> File:
    """Return a file; one that lies in no person's folder shows the person that it is called by."""
    if file.person is not None:
        return file
    return replace(file, person=PurePosixPath(file.path).with_suffix("").as_posix())


def _why_not(one: Looked) -> str:
    if one.face is not None:
        return MASKED if one.face.masked else ""
    return one.outcome
