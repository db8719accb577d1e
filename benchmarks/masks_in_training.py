"""What masks in training are worth to a recognizer: rank-1 of masked probes in a bare gallery, on the test people.

python -m benchmarks.masks_in_training [loss]

After `dvc repro`. For the interval of the difference people are drawn anew, the same ones for both.
"""

import sys
from pathlib import Path

import numpy as np

from stages.core import intervals
from stages.recognition import embeddings, identification


def hits(recognizer: str) -> tuple[np.ndarray, list[str]]:
    """Return which masked test photos are identified by each person's first bare one, and whom they show."""
    table = embeddings.read(Path(f"data/embeddings/{recognizer}.parquet"))
    bare, masked = embeddings.both(table["bare"].of("test"), table["masked"].of("test"))
    enrolled = identification.first_of_each(bare.identities)
    asked = sorted(set(range(len(bare))) - set(enrolled))
    gallery, probes = bare.at(enrolled), masked.at(asked)
    found = identification.search(gallery.embeddings, gallery.identities, probes.embeddings, probes.identities)
    return found.rank == 1, probes.identities


def main(loss: str) -> None:
    """Measure and print."""
    (with_masks, people), (without, _) = hits(f"{loss}-masked"), hits(f"{loss}-bare")
    difference = with_masks.astype(float) - without
    drawn = intervals.resampled(
        lambda places: float(difference[places].mean()), people, n=10_000, rng=np.random.default_rng(0)
    )
    low, high = intervals.bounds(drawn, len(set(people)))
    print(
        f"rank-1, masked - bare, {len(people)} probes of {len(set(people))} people: "
        f"{loss}-masked {with_masks.mean():.3f}, "
        f"{loss}-bare {without.mean():.3f}, difference {difference.mean():+.3f} ({low:+.3f} to {high:+.3f})"
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "arcface")
