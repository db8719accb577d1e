r"""How well inpainters fill faces of whole photos, whatever crop and side each has learned from.

python -m benchmarks.filled_photos data/landmarks/celebamask_hq models/released/inpainter-shared.safetensors [...] \
    [--dark 0.25]

Masks are drawn, as `render_masks:` of params.yaml says, on 60 photos of split val of a table of landmarks; with --dark,
on photos that are made dark, so many times as bright and with the noise of a camera.
Prints for each inpainter PSNR, SSIM and sharpness within the region, at the photos' own pixels.
"""

import argparse
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stages.core import images, params, tables
from stages.core.images import Pixels
from stages.core.seeding import generator
from stages.faces import alignment
from stages.faces.alignment import Align
from stages.inpainting import inpaint, scores
from stages.inpainting.inpaint import SHARED, Filler, filled_in
from stages.masks.looks import Looks
from stages.removal.finder import Crop

PHOTOS = 60
NOISE = 3  # levels, on dark photos
SHOWN = {"hole_psnr": "PSNR, dB", "hole_ssim": "SSIM", "sharpness": "sharpness, the photo's is 1"}


def masked(table: Path, chance: str) -> Iterator[tuple[str, Pixels, Pixels, Crop]]:
    """Yield who is on photos of split val, the photo (H, W, 3), the same with a mask, and the face in it.

    Args:
        table: of landmarks.
        chance: the name of that by which masks are drawn.
    """
    looks, align = params.load(Looks, "render_masks"), params.load(Align, "align_faces")
    for face in tables.read(table, ["face_id", "identity", "split", "image", "landmarks", "face_type"]):
        if face["split"] != "val" or face["landmarks"] is None:
            continue
        photo, points = images.decode(face["image"]), face["landmarks"]
        _, drawn, region = looks.draw(photo, points, face["face_type"], generator(chance, face["face_id"]), {})
        matrix = align.matrix(points)
        of_crop = np.where(alignment.warp(region, matrix, align.side) >= 128, np.uint8(255), np.uint8(0))
        yield face["identity"], photo, drawn, Crop(alignment.warp(drawn, matrix, align.side), of_crop, matrix, points)


def darkened(photo: Pixels, share: float, chance: str) -> Pixels:
    """Return a photo `share` times as bright, with noise."""
    noise = generator("filled_photos", chance).normal(0, NOISE, photo.shape)
    return np.clip(np.rint(share * photo + noise), 0, 255).astype(np.uint8)


def main() -> None:
    """Fill, and print how close it comes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("weights", type=Path, nargs="+")
    parser.add_argument("--dark", type=float, metavar="SHARE", help="of their brightness that photos keep")
    options = parser.parse_args()
    dilation = params.load(inpaint.Params, "inpaint").dilation
    for weights in options.weights:
        filler, found = Filler(None, {SHARED: weights}), []
        for who, photo, drawn, crop in itertools.islice(masked(options.table, "filled_photos"), PHOTOS):
            dark = options.dark is not None
            truth, covered = (darkened(one, options.dark, who) if dark else one for one in (photo, drawn))
            filled, region, _ = filled_in(covered, [crop], filler, dilation)
            found.append(scores.compare(filled, truth, region > 0))
        means = (f"{name} {np.mean([one[key] for one in found]):.3f}" for key, name in SHOWN.items())
        print(f"{weights}: {len(found)} photos, {', '.join(means)}", flush=True)


if __name__ == "__main__":
    main()
