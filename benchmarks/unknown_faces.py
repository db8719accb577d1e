"""From where on something is said of a face: that two faces show one person, and which sex a face has.

python -m benchmarks.unknown_faces data/landmarks/lfw [models/gender.safetensors data/aligned/orl]

Prints the cosine of `try_photo.recognizer` that 1 in 1000 pairs of strangers exceeds, by what of a face is compared
with bare faces (upper halves with upper halves), for the people of split val; and how often the same person is above
it. Masks are drawn as `render_masks:` of params.yaml says, and what is filled in is the drawn region, by the released
inpainter.

Given a classifier and a table of faces whose sex is known, it also prints by threshold how many faces of women and of
men are above it, and how many of these are right. People of split train are judged by the network of their fold, which
never saw them.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks import filled_photos
from stages.core import images, params, tables
from stages.core.images import Pixels
from stages.faces import alignment, removal
from stages.faces.landmarks import Points
from stages.gender import classifier
from stages.inpainting import inpaint
from stages.inpainting.inpaint import SHARED, Filler
from stages.recognition import similarity
from stages.removal import released
from stages.tools import try_photo

FAR = 1e-3
SURE = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
Aligned = tuple[Pixels, Pixels, Pixels, Pixels, Points]
"""A face, the same masked, that filled in, the mask's region, and landmarks, all aligned."""


def aligned(folder: Path) -> Iterator[tuple[str, Aligned]]:
    """Yield the faces of split val, and who each is."""
    filler = Filler(None, {SHARED: released.weights("inpainter-shared")})
    dilation = params.load(inpaint.Params, "inpaint").dilation
    for who, photo, masked, crop in filled_photos.masked(folder, "unknown_faces"):
        filled = filler.in_photo(masked, crop, crop.to_fill(masked, dilation)).laid_into(masked)
        bare, inpainted = (alignment.warp(some, crop.matrix, crop.image.shape[0]) for some in (photo, filled))
        yield who, (bare, crop.image, inpainted, crop.region, alignment.apply(crop.matrix, crop.points))


def probes(faces: Sequence[Aligned]) -> Iterator[tuple[str, list[Pixels]]]:
    """Yield what of faces is compared, and these pictures."""
    yield "bare", [bare for bare, *_ in faces]
    yield "masked", [masked for _, masked, *_ in faces]
    yield "zeroed", [removal.remove(masked, region) for _, masked, _, region, _ in faces]
    yield "inpainted", [filled for _, _, filled, *_ in faces]
    yield "upper", [removal.upper_half(masked) for _, masked, *_ in faces]


def print_matches(folder: Path) -> None:
    """Print the cosines of strangers."""
    found = list(aligned(folder))
    people, faces = np.array([who for who, _ in found]), [face for _, face in found]
    points = [face[-1] for face in faces]
    embed = try_photo.recognizer(params.load(try_photo.Params, "try_photo").recognizer, released.RELEASED)
    bare = embed([face[0] for face in faces], points)
    upper = embed([removal.upper_half(face[0]) for face in faces], points)
    same, itself = people[:, None] == people, np.eye(len(people), dtype=bool)
    print(
        f"{len(faces)} faces of {len(set(people))} people; of the pairs, {FAR:g} of strangers are above the threshold"
    )
    for name, pictures in probes(faces):
        cosines = similarity.cosines(embed(pictures, points), upper if name == "upper" else bare)
        threshold = float(np.quantile(cosines[~same], 1 - FAR))
        print(f"{name:10} from {threshold:.4f}: {(cosines[same & ~itself] >= threshold).mean():.1%} of one person's")


def print_sexes(weights: Path, table: Path) -> None:
    """Print how often a classifier is right about whom it is sure."""
    every, fold_of = classifier.load_all(weights)
    rows = [face for face in tables.read(table, ["identity", "image", "sex", "split"]) if face["sex"]]
    likely = np.zeros(len(rows))
    names = [f"fold_{fold_of[face['identity']]}" if face["identity"] in fold_of else "all" for face in rows]
    for name in set(names):
        there = [index for index, one in enumerate(names) if one == name]
        likely[there] = every[name].female([images.decode(rows[index]["image"]) for index in there])
    woman = np.array([face["sex"] == "female" for face in rows])
    for sure in SURE:
        said, right = np.maximum(likely, 1 - likely) >= sure, (likely >= 0.5) == woman
        parts = []
        for name, of in (("women", woman), ("men", ~woman)):
            parts.append(
                f"{name}: {(said & of).sum()} of {of.sum()} said, {(said & of & right).sum()} of these rightly"
            )
        called = said & (likely >= 0.5)
        parts.append(f"called a woman: {called.sum()}, rightly {(called & woman).sum()}")
        print(f"from {sure:g}: {'; '.join(parts)}")


if __name__ == "__main__":
    print_matches(Path(sys.argv[1]))
    if len(sys.argv) > 3:
        print_sexes(Path(sys.argv[2]), Path(sys.argv[3]))
