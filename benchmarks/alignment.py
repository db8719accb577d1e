"""What it costs to find a masked face: dlib's figures by landmarks found behind the mask, and by an oracle's.

python -m benchmarks.alignment lfw test

After `find_landmarks`, `align_faces`, `render_masks` and `mask_photos` of that dataset, and `import_recognizer@dlib`.
No network that removes masks or fills them in is needed. A face that is not found is rejected (docs/protocol.md).
"""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from stages.core import images, tables
from stages.core.images import Pixels
from stages.faces.removal import upper_half
from stages.recognition import embedders, identification, protocol, verification
from stages.recognition.embeddings import Faces

BATCH = 32
FAR = 0.01


def embedded(
    embed: embedders.Embed, table: Path, photos: list[tables.Face], change: Callable[[Pixels], Pixels]
) -> Faces:
    """Return all photos' embeddings, NaN of those that the table of aligned faces does not have."""
    place = {face["face_id"]: number for number, face in enumerate(photos)}
    columns = ["face_id", "image", "landmarks"]
    rows = [face for face in tables.read(table, columns) if face["face_id"] in place]
    found = np.full((len(photos), 0), np.nan, np.float32)
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        vectors = embed([change(images.decode(face["image"])) for face in some], [face["landmarks"] for face in some])
        if not found.shape[1]:
            found = np.full((len(photos), vectors.shape[1]), np.nan, np.float32)
        found[[place[face["face_id"]] for face in some]] = vectors
    ids, people, splits = ([face[name] for face in photos] for name in ("face_id", "identity", "split"))
    return Faces(ids, people, splits, [None] * len(photos), found)


def rank_1(one: protocol.Series) -> float:
    """Return the share of probes whose person is first, each person's first photo with a face being enrolled."""
    known = one.references.there()
    gallery = known.at(identification.first_of_each(known.identities))
    asked = [n for n, face_id in enumerate(one.probes.face_ids) if face_id not in set(gallery.face_ids)]
    probes = one.probes.at(asked)
    there = probes.there()
    found = identification.search(gallery.embeddings, gallery.identities, there.embeddings, there.identities)
    return float((found.rank == 1).sum() / len(probes))


def main(dataset: str, split: str) -> None:
    """Measure and print."""
    embed = embedders.load(Path("models/recognizer-dlib.safetensors"))
    columns = ["face_id", "identity", "split", "wears_mask"]
    photos = [face for face in tables.read(Path("data/landmarks") / dataset, columns) if face["split"] == split]
    photos = [face for face in photos if not face["wears_mask"]]
    aligned, masked = Path("data/aligned") / dataset, Path("data/masked")
    print(f"{dataset}, {split}: {len(photos)} photos of {len({face['identity'] for face in photos})} people")
    for half, change in (("", lambda image: image), ("upper half, ", upper_half)):
        bare = embedded(embed, aligned, photos, change)
        compared = {"bare": bare}
        for alignment in ("oracle", "realistic"):
            compared[f"masked, {alignment}"] = embedded(embed, masked / alignment / dataset, photos, change)
        for name, probes in compared.items():
            one = protocol.Series(name, protocol.NO_HEAD, bare, probes)
            identities = bare.identities, probes.identities
            curve = verification.of_all_pairs(bare.embeddings, probes.embeddings, identities, one.own).attempts()
            print(
                f"{half}{name}: not found {1 - probes.found.mean():.4f}, AUC {curve.auc():.4f}, "
                f"TAR at FAR 1 % {curve.tar_at(FAR):.3f}, rank-1 {rank_1(one):.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["orl", "test"]))
