"""Networks that are stood in for: they see masks where pictures are pure green, and fill them in with gray."""

from collections.abc import Sequence

import numpy as np

from stages.core import images, params
from stages.core.images import Pixels
from stages.faces import parts
from stages.faces.alignment import Align
from stages.inpainting.filled import Filled
from stages.landmarks.search import Search
from stages.recognition.embedders import Embed
from stages.removal.judge import Judge
from stages.tools.evaluating.photos import Aligned
from stages.tools.portrait import gallery
from stages.tools.portrait.portrait import Tools
from tests.conftest import ROOT, drawn_face

SEARCH = params.load(Search, "find_landmarks.search", ROOT / "params.yaml")
FILLED = 77  # gray


def green(face: Pixels) -> Pixels:
    """Return the region that is pure green, as the stand-in for the parser sees masks."""
    found = (face[..., 1] > 180) & (face[..., 0] < 90) & (face[..., 2] < 90)
    return np.where(found, np.uint8(255), np.uint8(0))


class Shade:
    """A generator that makes whole faces of one shade."""

    def __init__(self, shade: int, align: Align | None = None) -> None:
        self.shade, self.align = shade, align or Align(template="arcface", side=112)

    def __call__(self, faces: Sequence[Pixels], holes: Sequence[Pixels]) -> list[Pixels]:
        """Return what the faces would be; they and their holes are of the side that was asked for."""
        assert {one.shape[:2] for one in (*faces, *holes)} == {(self.align.side, self.align.side)}
        return [np.full_like(face, self.shade) for face in faces]


def brightness(faces: list[Pixels], _: object) -> np.ndarray:
    """Embed faces by the brightness of their upper and lower halves."""
    halves = np.array([[face[:56].mean(), face[56:].mean()] for face in faces], np.float32)
    return halves / np.linalg.norm(halves, axis=1, keepdims=True)


def known(recognize: Embed = brightness) -> gallery.Gallery:
    """Return a gallery of three people whose faces have other shades above and below, by their angles in degrees.

    Their upper halves are compared by the same in reverse, as all halves are alike to `brightness`.
    """
    faces = []
    for angle in np.radians([10, 12, 44, 80]):
        picture = np.full((112, 112, 3), 220 * np.cos(angle), np.uint8)
        picture[56:] = 220 * np.sin(angle)
        faces.append(Aligned(images.encode_png(picture), drawn_face()[1], False))
    names = ["p0/000.png", "p0/001.png", "p1/004.png", "p2/008.png"]
    thresholds = dict.fromkeys(("bare", "masked", "zeroed", "inpainted", "upper"), 0.1)
    found = gallery.Gallery(recognize, [name[:2] for name in names], names, faces, thresholds, {"masked": 1})
    found.upper = found.bare[::-1]
    return found


def stand_ins() -> Tools:
    """Return what looks at faces, and a gallery of three people."""
    judge = Judge(worn_threshold=0.8, possible_threshold=0.2, min_share=0.1, certain_sex=0.8)
    return Tools(
        search=SEARCH,
        align=params.load(Align, "align_faces", ROOT / "params.yaml"),
        find=lambda faces: [np.float32(green(face) > 0) for face in faces],
        parse=lambda face: np.where(green(face) > 0, np.uint8(parts.MASK), np.uint8(1)),
        female=lambda _: 0.9,
        fill=lambda _, crop, region, sex: Filled(
            np.full_like(crop.image, FILLED), crop.matrix, region, sex or "shared"
        ),
        dilation=1.0,
        gallery=known(),
        compared="upper",
        n_nearest=2,
        judge=judge,
    )
