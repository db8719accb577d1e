"""Networks that are stood in for: they see masks where pictures are pure green, and fill them in with gray."""

from pathlib import Path

import numpy as np

from stages.core import params
from stages.core.images import Pixels
from stages.faces import parts
from stages.landmarks.search import Search
from stages.recognition import embeddings
from stages.removal.finder import Align
from stages.tools.portrait import gallery
from stages.tools.portrait.portrait import Tools
from tests.conftest import ROOT

SEARCH = params.load(Search, "find_landmarks.search", ROOT / "params.yaml")
FILLED = 77  # gray


def green(face: Pixels) -> Pixels:
    """Return the region that is pure green, as the stand-in for the parser sees masks."""
    found = (face[..., 1] > 180) & (face[..., 0] < 90) & (face[..., 2] < 90)
    return np.where(found, np.uint8(255), np.uint8(0))


def brightness(faces: list[Pixels], _: object) -> np.ndarray:
    """Embed faces by the brightness of their upper and lower halves."""
    halves = np.array([[face[:56].mean(), face[56:].mean()] for face in faces], np.float32)
    return halves / np.linalg.norm(halves, axis=1, keepdims=True)


def known(aligned: Path) -> gallery.Gallery:
    angles = np.radians([10, 12, 44, 80])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    ids = ["drawn/p0/000", "drawn/p0/001", "drawn/p1/004", "drawn/p2/008"]
    some = embeddings.Faces(ids, ["p0", "p0", "p1", "p2"], ["test"] * 4, [None] * 4, vectors)
    return gallery.Gallery(brightness, {"bare": some, "bare_upper": some.with_embeddings(vectors[::-1])}, aligned)


def stand_ins(aligned: Path) -> Tools:
    """Return what looks at faces, and a gallery of three drawn people, whose table is `drawn` in a folder."""
    return Tools(
        search=SEARCH,
        align=params.load(Align, "align_faces", ROOT / "params.yaml"),
        find=green,
        parse=lambda face: np.where(green(face) > 0, np.uint8(parts.MASK), np.uint8(1)),
        female=lambda _: 0.9,
        fill=lambda face, region, sex: (np.where((region > 0)[..., None], np.uint8(FILLED), face), sex),
        dilation=1.0,
        gallery=known(aligned),
        compared="upper",
        n_nearest=2,
        worn_threshold=0.8,
        possible_threshold=0.2,
        min_share=0.1,
    )
