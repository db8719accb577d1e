"""What a flat black polygon, the mask of Face_Mask_Generator, costs dlib's embedding on all photos of ORL, all pairs.

python -m benchmarks.flat_polygon

After `dvc repro align_faces@orl import_recognizer@dlib`. No part of this was trained on ORL, so all 40 people count.
"""

from pathlib import Path

import numpy as np

from stages.core import images, params, tables
from stages.core.seeding import generator
from stages.masks import looks
from stages.recognition import embedders, verification

BATCH = 32


def main() -> None:
    """Measure and print."""
    chosen = params.load(looks.Looks, "render_masks")
    flat = chosen.model_copy(
        update={"styles": {"polygon": 1.0}, "positions": looks.Positions(proper=1, below_nose=0, chin=0)}
    )
    embed = embedders.load(Path("models/recognizer-dlib.safetensors"))
    wanted = ["face_id", "identity", "image", "landmarks", "face_type"]
    faces = list(tables.read(Path("data/aligned/orl"), wanted))
    bare = [images.decode(face["image"]) for face in faces]
    masked = [
        looks.masked(face, image, generator(0, face["face_id"]), looks=flat, own={})[0]
        for face, image in zip(faces, bare, strict=True)
    ]
    points, people = [face["landmarks"] for face in faces], [face["identity"] for face in faces]
    found = {
        name: np.concatenate([embed(some[i : i + BATCH], points[i : i + BATCH]) for i in range(0, len(some), BATCH)])
        for name, some in (("bare", bare), ("masked", masked))
    }
    same = np.arange(len(people))
    for one, other in (("bare", "bare"), ("masked", "bare"), ("masked", "masked")):
        curve = verification.of_all_pairs(found[other], found[one], (people, people), same).attempts()
        print(f"{one} - {other}: AUC {curve.auc():.4f}, TAR at FAR 1e-2 {curve.tar_at(0.01):.3f}")


if __name__ == "__main__":
    main()
