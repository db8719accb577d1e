"""Landmarks behind masks: dlib against the network that comes with the code, on people that it never saw.

python -m benchmarks.masked_landmarks data/landmarks/lfw [photos]

Masks are drawn on photos of LFW's people who are not in split `train` of preset `lfw`; dlib's landmarks on the bare
photo are the truth. What counts is how far the corners of the aligned face (112 pixels) lie from where they should.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from stages.core import images, params, tables
from stages.core.images import Pixels
from stages.core.seeding import generator
from stages.faces import alignment
from stages.faces.landmarks import Points, face_size
from stages.landmarks import boxes, dlib, landmarker
from stages.masks.looks import Looks

SIZE = 112
CORNERS = np.array([[0, 0], [SIZE - 1, 0], [SIZE - 1, SIZE - 1], [0, SIZE - 1]], np.float32)


def misplaced(found: Points, truth: Points) -> float:
    """Return the mean distance of the aligned face's corners from where they should lie, in pixels."""
    one, other = (np.vstack([alignment.arcface_transform(points, SIZE), [0, 0, 1]]) for points in (found, truth))
    return float(np.hypot(*(alignment.apply((one @ np.linalg.inv(other))[:2], CORNERS) - CORNERS).T).mean())


def ways(photo: Pixels) -> Iterator[tuple[str, list[Points]]]:
    """Yield the name of each way to find faces, and the landmarks of all that it finds."""
    for name, detector in (("dlib, HOG", boxes._hog()), ("dlib, CNN", boxes._cnn())):
        found = [getattr(one, "rect", one) for one in detector(photo, 0) if getattr(one, "confidence", 1) >= 0.2]
        seen = [boxes.Box(one.left(), one.top(), one.right(), one.bottom(), name) for one in found]
        yield name, [dlib.points(photo, box) for box in seen]
    yield "the network", [seen.points for seen in landmarker.find(photo)]


def main() -> None:
    """Print how many faces each way finds, and how well."""
    folder, n = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100
    looks = params.load(Looks, "render_masks")
    rows = [
        face
        for face in tables.read(folder, ["face_id", "split", "image", "landmarks", "landmarks_by", "face_type"])
        if face["split"] != "train" and face["landmarks_by"] == "dlib_hog"
    ]
    found: dict[str, list[float]] = {}
    chosen = tables.evenly(rows, n)
    for face in chosen:
        truth = face["landmarks"]
        rng = generator("masked_landmarks", face["face_id"])
        photo = looks.draw(images.decode(face["image"]), truth, face["face_type"], rng, {})[1]
        for name, faces in ways(photo):
            away = [np.linalg.norm(points.mean(0) - truth.mean(0)) / face_size(truth) for points in faces]
            found.setdefault(name, [])
            if away and min(away) < 0.35:
                found[name].append(misplaced(faces[int(np.argmin(away))], truth))
    print(f"{len(chosen)} masked photos")
    for name, values in found.items():
        print(
            f"{name:12} found {len(values) / len(chosen):.0%}; corners misplaced by {np.median(values):.1f} pixels "
            f"(median), {np.quantile(values, 0.9):.1f} (nine of ten are better)"
        )


if __name__ == "__main__":
    main()
