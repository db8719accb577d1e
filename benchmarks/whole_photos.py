"""Masks in whole photos: how well the region agrees with the drawn mask at the photo's resolution.

python -m benchmarks.whole_photos data/landmarks/lfw [photos] [models]

Masks are drawn on photos of split val, as `render_masks:` of params.yaml says, and searched for as `remove_masks` does
in a folder of photos, with models/released or those of another folder. Printed are mean IoU, recall and precision of
the masked face's region, with and without what lies below the aligned crop and the photo's own edge; and IoU and recall
of all of it by the tone of the skin in the photo, as benchmarks/tones.py sees it.
"""

import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.tones import by_kind, tone
from stages.core import images, params, tables
from stages.core.seeding import generator
from stages.faces import regions
from stages.faces.alignment import Align
from stages.landmarks.search import Search
from stages.masks.looks import Looks
from stages.removal import released, remove_masks
from stages.removal.finder import crops
from stages.removal.judge import Judge


def main() -> None:
    """Print how well masks are found."""
    table, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100
    models = Path(sys.argv[3]) if len(sys.argv) > 3 else released.RELEASED
    find = params.load(remove_masks.Params, "remove_masks").finder(
        models / "parser-scanet.safetensors", models / "detector.safetensors"
    )
    search, judge = params.load(Search, "find_landmarks.search"), params.load(Judge, "try_photo")
    align, looks = released.settings(Align, "align_faces", models), params.load(Looks, "render_masks")
    wanted = [
        face
        for face in tables.read(table, ["face_id", "split", "image", "landmarks", "face_type"])
        if face["split"] == "val" and face["landmarks"] is not None
    ]
    found, tones, lost = defaultdict(list), list[str](), 0
    for face in tables.evenly(wanted, n):
        rng = generator("whole_photos", face["face_id"])
        photo, points = images.decode(face["image"]), face["landmarks"]
        _, masked, drawn = looks.draw(photo, points, face["face_type"], rng, {})
        there = [crop for crop in crops(masked, find, search, align, judge) if crop]
        truth = drawn >= 128
        overlaps = [int((crop.region_in(masked)[truth] > 0).sum()) for crop in there]
        if not overlaps or not max(overlaps):
            lost += 1
            continue
        crop = there[int(np.argmax(overlaps))]
        tones.append(tone(photo, points))
        for name, one in (("the crop alone", replace(crop, whole=None)), ("the whole mask", crop)):
            found[name].append(regions.scores(truth, one.region_in(masked) > 0))
    print(f"{len(wanted)} photos, {min(n, len(wanted))} looked at, in {lost} no mask was found")
    for name, scores in found.items():
        means = {key: np.mean([one[key] for one in scores]) for key in ("iou", "recall", "precision")}
        low = np.mean([one["iou"] < 0.5 for one in scores])
        print(f"{name}: " + ", ".join(f"{key} {value:.3f}" for key, value in means.items()) + f", IoU < 0.5: {low:.1%}")
    for key in ("iou", "recall"):
        of_whole = (one[key] for one in found["the whole mask"])
        print(f"the whole mask by the skin's tone, {key}: {by_kind(zip(tones, of_whole, strict=True))}")


if __name__ == "__main__":
    main()
