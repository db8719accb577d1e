"""What a copy that sees through masks gives back: bare and masked test people, by the teacher and by the copy.

python -m benchmarks.seeing_through_masks TEACHER COPY DATASET [SPLIT]

TEACHER and COPY are files of weights, models/recognizer-mine.safetensors and models/recognizer-mine-masked.safetensors.
Of DATASET it reads data/aligned and data/masked/realistic, whose masked faces are aligned by landmarks found behind the
masks. Pairs of one photo do not count; a face that was not found is in no pair. Rank-1 asks for each other photo of a
person in a gallery of each person's first bare one.
"""

import sys
from pathlib import Path

import numpy as np

from stages.core import images, tables
from stages.recognition import embedders, identification, verification

FAR, BATCH = 0.01, 64
Rates = dict[str, tuple[float, float, float]]


def embedded(embed: embedders.Embed, table: Path, split: str, *, masked: bool) -> dict[str, np.ndarray]:
    """Return the embeddings of the bare faces of a split, or of those that got a mask, by face_id."""
    columns = ["face_id", "split", "image", "landmarks", *(["mask"] if masked else [])]
    rows = [
        face
        for face in tables.read(table, columns)
        if face["split"] == split and (not masked or face["mask"] is not None)
    ]
    found: dict[str, np.ndarray] = {}
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        said = embed([images.decode(face["image"]) for face in some], [face["landmarks"] for face in some])
        found |= dict(zip([face["face_id"] for face in some], said, strict=True))
    return found


def rates(weights: Path, dataset: str, split: str) -> Rates:
    """Return AUC, TAR at FAR 0.01 and rank-1 of bare and of masked faces against bare ones."""
    embed = embedders.load(weights)
    bare = embedded(embed, Path("data/aligned") / dataset, split, masked=False)
    masked = embedded(embed, Path("data/masked/realistic") / dataset, split, masked=True)
    people = [name.split("/")[1] for name in bare]
    index = {name: place for place, name in enumerate(bare)}
    known = np.stack(list(bare.values()))
    first = identification.first_of_each(people)
    found: Rates = {}
    for condition, some in (("bare", bare), ("masked", masked)):
        names = [name for name in some if name in index]
        asked = known if some is bare else np.stack([some[name] for name in names])
        own = np.array([index[name] if some is masked else -1 for name in names], np.int64)
        whom = [name.split("/")[1] for name in names]
        curve = verification.of_all_pairs(known, asked, (people, whom), own).attempts()
        others = [place for place, name in enumerate(names) if index[name] not in set(first)]
        search = identification.search(
            known[first], [people[place] for place in first], asked[others], [whom[place] for place in others]
        )
        found[condition] = (curve.auc(), curve.tar_at(FAR) or 0.0, float((search.rank == 1).mean()))
    return found


def main(teacher: Path, copy: Path, dataset: str, split: str = "test") -> None:
    """Measure and print."""
    before, after = (rates(weights, dataset, split) for weights in (teacher, copy))
    print("| | AUC | TAR at FAR 0.01 | rank-1 |\n|---|---|---|---|")
    for name, found in (("teacher", before), ("copy", after)):
        for condition, numbers in found.items():
            print(f"| {name}, {condition} | {' | '.join(f'{value:.3f}' for value in numbers)} |")
    for place, what in ((1, "TAR"), (2, "rank-1")):
        cost, gain = before["bare"][place] - before["masked"][place], after["masked"][place] - before["masked"][place]
        lost = before["bare"][place] - after["bare"][place]
        back = f"{gain / cost:.0%}" if cost > 0 else "nothing"
        print(f"{what}: of what a mask costs, {back} is given back; bare faces lose {100 * lost:.1f} points")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
