"""Masks that people really wear: how well the region agrees with an outline, and whether a mask is seen at all.

python -m benchmarks.real_masks FaceMaskDetection.zip [--half val|test|all] [--models models/released] [--sheet F]

The photos are FaceMaskDetection's, halved as `faces_found` does. Masks are looked for as `remove_masks` does in a
folder of photos. benchmarks/real_masks.json has outlines of 24 masks of each half, drawn by eye on evenly chosen
labeled faces, without straps; hands and microphones before a mask are left out. Of all faces of 40 pixels and more, the
labels say whether a mask is worn. What is found on turned faces is told apart, and all by the tone of the skin in the
photo, as benchmarks/tones.py sees it. `--sheet` draws, as JPEG, the outlined faces: what is found in red, the face
without it, and filled in.

python -m benchmarks.real_masks FaceMaskDetection.zip --table data/landmarks/worn_masks

writes a face table instead, from which `train_parser` learns (`train_parser.scanet.real`): faces of half val that are
not measured, 108 worn masks and the bare faces of 40 pixels and more. benchmarks/learned_masks.json has the outlines of
these masks: what the finder had found, mended by eye. The parts of the face around them are what `--models` say.
"""

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage

from benchmarks.faces_found import LARGE, half_of, labeled, matched, window, write_faces
from benchmarks.tones import by_kind, tone
from stages.core import images, params, tables
from stages.core.drawing import FRACTION_BITS, in_fractions
from stages.core.images import Pixels
from stages.faces import alignment, parts, regions, removal
from stages.faces.alignment import Align
from stages.faces.landmarks import Points, yaw
from stages.figures import sheets
from stages.inpainting import inpaint
from stages.landmarks.search import FaceTypes, Search, all_faces
from stages.parsing import parser as parsing
from stages.removal import released, remove_masks
from stages.removal.finder import Crop, crops_of
from stages.removal.judge import Judge

OUTLINES = Path(__file__).with_suffix(".json")
LEARNED = Path(__file__).with_name("learned_masks.json")
DATASET = "face_mask_detection"  # as data/catalogue.yaml calls it
AROUND = 1.6  # of a face's square: what is cut out of a photo has that margin around its middle
SIDE = 144  # pixels of a tile
FOUND = (255, 0, 0)
BY_POSE, BY_TONE, RIGHT = "IoU by pose", "IoU by the skin's tone", "worn or not is said rightly, by the skin's tone"
TURNED = 0.35  # from which on a face counts as turned: on half val those that show less of one eye and cheek


def painted(outlines: list[Points], shape: tuple[int, ...]) -> Pixels:
    """Return the region inside outlines (n, 2), uint8 (H, W), 0 or 255."""
    region = np.zeros(shape[:2], np.uint8)
    for outline in outlines:
        cv2.fillPoly(region, [in_fractions(outline)], 255, cv2.LINE_8, FRACTION_BITS)
    return region


def outlined(path: Path) -> dict[str, list[list[Points]]]:
    """Return by photo the outlines (n, 2) of each of its masks; a mask may have several."""
    known: dict[str, list[list[Points]]] = {}
    for one in json.loads(path.read_text(encoding="utf-8")):
        known.setdefault(one["photo"], []).append([np.array(outline, np.float32) for outline in one["outlines"]])
    return known


def wearer(outlines: list[Points], faces: list[Points]) -> int | None:
    """Return which of the faces with landmarks (68, 2) wears the mask with these outlines; None if none does."""
    middle = np.concatenate(outlines).mean(0)
    near = [float(np.linalg.norm(points[27:].mean(0) - middle) / np.ptp(points[:, 0])) for points in faces]
    return int(np.argmin(near)) if near and min(near) < 1 else None


def parts_of(image: Pixels, points: Points, parser: parsing.Parser) -> Pixels:
    """Return what a parser says are the parts of a face with landmarks (68, 2), the mask not among them, uint8 (H, W).

    Beyond the aligned face and the crop below it, a pixel is as the nearest that they show.
    """
    whole = alignment.arcface_transform(points, parser.size)
    found = np.full(image.shape[:2], parts.IGNORED, np.uint8)
    for matrix in (alignment.lower(whole, parser.size), whole):
        crop = [alignment.warp(image, matrix, parser.size)]
        labels = np.argmax([parser.likely(crop, of)[0] for of in range(parts.MASK)], 0).astype(np.uint8)
        flags = cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
        laid = cv2.warpAffine(labels, matrix, image.shape[1::-1], flags=flags, borderValue=parts.IGNORED)
        found = np.where(laid == parts.IGNORED, found, laid)
    nearest = ndimage.distance_transform_edt(found == parts.IGNORED, return_distances=False, return_indices=True)
    return found[tuple(nearest)]


def write_table(folder: Path, archive: Path, search: Search, models: Path) -> None:
    """Write faces of half val, each cut out, with landmarks and labels, as a face table."""
    known, kinds = outlined(LEARNED), params.load(FaceTypes, "find_landmarks.face_types")
    parser = parsing.load(models / "parser-scanet.safetensors", "scanet")
    rows: list[tables.Face] = []
    for name, photo, labels in labeled(archive):
        if half_of(name) != "val":
            continue
        faces = [face.points for face in all_faces(photo, search)]
        seen = matched(labels, [tuple(points.mean(0)) for points in faces])
        bare = [face for label, face in seen.items() if labels[label].side >= LARGE and not labels[label].worn]
        worn = {wearer(outlines, faces): outlines for outlines in known.get(name, [])}
        for face in sorted({*bare, *worn} - {None}):
            mask = painted(worn.get(face, []), photo.shape)
            down, across = window(faces[face], AROUND)
            image, mask = photo[down, across], mask[down, across]
            points = faces[face] - np.array([across.start, down.start], np.float32)
            rows.append(
                {
                    "face_id": f"{DATASET}/{name}/{face}",
                    "identity": name,
                    "wears_mask": face in worn,
                    "image": images.encode_png(image),
                    "landmarks": points,
                    "face_type": kinds.of(image, points),
                    "labels": images.encode_png(parts.covered(parts_of(image, points, parser), mask, by=parts.MASK)),
                }
            )
    write_faces(folder, rows)
    masks, outlines = sum(row["wears_mask"] for row in rows), sum(map(len, known.values()))
    print(f"{folder}: {len(rows)} faces, {masks} of them behind masks, of {outlines} that are outlined")


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


def say(
    said: Counter[str],
    n: int,
    found: list[dict[str, float]],
    pieces: list[int],
    by: dict[str, list[tuple[str, float]]],
) -> None:
    """Print what was measured."""
    print("; ".join(f"{what}: {count}" for what, count in sorted(said.items())))
    means = ", ".join(f"{key} {np.mean([one[key] for one in found]):.3f}" for key in ("iou", "recall", "precision"))
    low = sum(one["iou"] < 0.5 for one in found)
    print(f"{n} outlined masks, {n - len(pieces)} without a face: {means}, IoU < 0.5: {low}")
    for how in (BY_POSE, BY_TONE, RIGHT):
        print(f"{how}: {by_kind(by[how])}")
    print(f"pieces of a region: {np.mean(pieces):.2f} on average, none in {pieces.count(0)}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--half", choices=["val", "test", "all"], default="all")
    parser.add_argument("--models", type=Path, default=released.RELEASED)
    parser.add_argument("--sheet", type=Path)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    search, judge = params.load(Search, "find_landmarks.search"), params.load(Judge, "try_photo")
    if options.table:
        write_table(options.table, options.photos, search, options.models)
        return
    find = params.load(remove_masks.Params, "remove_masks").finder(
        options.models / "parser-scanet.safetensors", options.models / "detector.safetensors"
    )
    filler = inpaint.Filler(None, {inpaint.SHARED: options.models / "inpainter-shared.safetensors"})
    filling = filler, params.load(inpaint.Params, "inpaint").dilation
    align = released.settings(Align, "align_faces", options.models)
    known = outlined(OUTLINES)
    said: Counter[str] = Counter()
    by = defaultdict[str, list[tuple[str, float]]](list)
    found, pieces, tiles, n = list[dict[str, float]](), list[int](), [], 0
    for name, photo, labels in labeled(options.photos):
        if options.half not in {"all", half_of(name)}:
            continue
        faces = [face.points for face in all_faces(photo, search)]
        there = crops_of(photo, faces, find.likely, search, align, judge)
        for label, face in matched(labels, [tuple(points.mean(0)) for points in faces]).items():
            crop = there[face]
            if labels[label].side >= LARGE and crop is not None:
                said[f"{'worn' if labels[label].worn else 'bare'}, said {'worn' if crop.worn else 'bare'}"] += 1
                by[RIGHT].append((tone(photo, faces[face]), labels[label].worn == bool(crop.worn)))
        for outlines in known.get(name, []):
            n += 1
            truth = painted(outlines, photo.shape)
            face = wearer(outlines, faces)
            crop = None if face is None else there[face]
            if face is None or crop is None:
                found.append({"iou": 0.0, "recall": 0.0, "precision": 0.0})
                continue
            region = crop.region_in(photo)
            found.append(regions.scores(truth > 0, region > 0))
            turned = "turned" if abs(yaw(faces[face])) >= TURNED else "from the front"
            for how, kind in ((BY_POSE, turned), (BY_TONE, tone(photo, faces[face]))):
                by[how].append((kind, found[-1]["iou"]))
            pieces.append(cv2.connectedComponents(crop.region)[0] - 1)
            tiles.append((tile(photo, crop, region, *filling), f"{name[12:]} IoU {found[-1]['iou']:.2f}"))
    print(f"{options.photos.name}, half {options.half}: faces of {LARGE} pixels and more that are found")
    say(said, n, found, pieces, by)
    if options.sheet:
        pictures, captions = zip(*tiles, strict=True)
        sheet = sheets.contact_sheet(list(pictures), list(captions), columns=3, side=3 * SIDE)
        cv2.imwrite(str(options.sheet), sheet[..., ::-1])  # as JPEG, by the name


if __name__ == "__main__":
    main()
