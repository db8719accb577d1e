"""Masks that people really wear: how well the region agrees with an outline, and whether a mask is seen at all.

python -m benchmarks.real_masks FaceMaskDetection.zip [--half val|test|all] [--models models/released] [--sheet F]

The photos are FaceMaskDetection's, halved as `faces_found` does. Masks are looked for as `remove_masks` does in a
folder of photos. benchmarks/real_masks.json has outlines of 24 masks of each half, drawn by eye on evenly chosen
labeled faces, without straps; hands and microphones before a mask are left out. Of all faces of 40 pixels and more, the
labels say whether a mask is worn. `--sheet` draws, as JPEG, the outlined faces: what is found in red, the face without
it, and filled in.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from benchmarks.faces_found import LARGE, half_of, labeled, matched
from stages.core import params
from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.core.images import Pixels
from stages.faces import alignment, regions, removal
from stages.faces.landmarks import Points
from stages.figures import sheets
from stages.inpainting import inpaint
from stages.landmarks.search import Search, all_faces
from stages.removal import released, remove_masks
from stages.removal.finder import Align, Crop, crops_of
from stages.removal.judge import Judge

OUTLINES = Path(__file__).with_suffix(".json")
SIDE = 144  # pixels of a tile
FOUND = (255, 0, 0)


def painted(outlines: list[Points], shape: tuple[int, ...]) -> Pixels:
    """Return the region inside outlines (n, 2), uint8 (H, W), 0 or 255."""
    region = np.zeros(shape[:2], np.uint8)
    for outline in outlines:
        cv2.fillPoly(region, [in_fractions(outline)], 255, cv2.LINE_8, FRACTION_BITS)
    return region


def tile(photo: Pixels, crop: Crop, region: Pixels, filler: inpaint.Filler, dilation: float) -> Pixels:
    """Return the face with a little around it: the region's edge, the mask removed, and filled in."""
    scale = SIDE / (1.4 * crop.region.shape[0])
    move = np.array([[1, 0, 0.2], [0, 1, 0.1]]) * [1, 1, crop.region.shape[0]]
    matrix = scale * np.vstack([move, [0, 0, 1]])[:2] @ np.vstack([crop.matrix, [0, 0, 1]])
    filled = inpaint.filled_in(photo, [crop], filler, dilation)[0]
    face, inside, filled = (alignment.warp(picture, matrix, SIDE) for picture in (photo, region, filled))
    removed = removal.remove(face, np.where(inside >= 128, np.uint8(255), np.uint8(0)))
    edges = cv2.findContours(np.uint8(inside >= 128), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)[0]
    return np.hstack([cv2.drawContours(face, edges, -1, FOUND, 1), removed, filled])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--half", choices=["val", "test", "all"], default="all")
    parser.add_argument("--models", type=Path, default=released.RELEASED)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    find = params.load(remove_masks.Params, "remove_masks").finder(
        options.models / "parser-scanet.safetensors", options.models / "detector.safetensors"
    )
    search, judge = params.load(Search, "find_landmarks.search"), params.load(Judge, "try_photo")
    filler = inpaint.Filler(None, {inpaint.SHARED: options.models / "inpainter-shared.safetensors"})
    filling = filler, params.load(inpaint.Params, "inpaint").dilation
    align = released.settings(Align, "align_faces", options.models)
    known: dict[str, list[list[Points]]] = {}
    for one in json.loads(OUTLINES.read_text(encoding="utf-8")):
        known.setdefault(one["photo"], []).append([np.array(outline, np.float32) for outline in one["outlines"]])
    said: Counter[str] = Counter()
    found, pieces, tiles, n = [], [], [], 0
    for name, photo, labels in labeled(options.photos):
        if options.half not in {"all", half_of(name)}:
            continue
        faces = [face.points for face in all_faces(photo, search)]
        there = crops_of(photo, faces, find.likely, search, align, judge)
        for label, face in matched(labels, [tuple(points.mean(0)) for points in faces]).items():
            crop = there[face]
            if labels[label].side >= LARGE and crop is not None:
                said[f"{'worn' if labels[label].worn else 'bare'}, said {'worn' if crop.worn else 'bare'}"] += 1
        for outlines in known.get(name, []):
            n += 1
            truth = painted(outlines, photo.shape)
            middle = np.concatenate(outlines).mean(0)
            near = [np.linalg.norm(points[27:].mean(0) - middle) / np.ptp(points[:, 0]) for points in faces]
            crop = there[int(np.argmin(near))] if near and min(near) < 1 else None
            if crop is None:
                found.append({"iou": 0.0, "recall": 0.0, "precision": 0.0})
                continue
            region = crop.region_in(photo)
            found.append(regions.scores(truth > 0, region > 0))
            pieces.append(cv2.connectedComponents(crop.region)[0] - 1)
            tiles.append((tile(photo, crop, region, *filling), f"{name[12:]} IoU {found[-1]['iou']:.2f}"))
    print(f"{options.photos.name}, half {options.half}: faces of {LARGE} pixels and more that are found")
    print("; ".join(f"{what}: {count}" for what, count in sorted(said.items())))
    means = ", ".join(f"{key} {np.mean([one[key] for one in found]):.3f}" for key in ("iou", "recall", "precision"))
    low = sum(one["iou"] < 0.5 for one in found)
    print(f"{n} outlined masks, {n - len(pieces)} without a face: {means}, IoU < 0.5: {low}")
    print(f"pieces of a region: {np.mean(pieces):.2f} on average, none in {pieces.count(0)}")
    if options.sheet:
        pictures, captions = zip(*tiles, strict=True)
        sheet = sheets.contact_sheet(list(pictures), list(captions), columns=3, side=3 * SIDE)
        cv2.imwrite(str(options.sheet), sheet[..., ::-1])  # as JPEG, by the name


if __name__ == "__main__":
    main()
