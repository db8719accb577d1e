"""How many wrong names does `review_identities` find? Photos are given to other people by chance, then looked for.

python -m benchmarks.planted_errors data/aligned/lfw [seeds]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np

from stages.core import tables
from stages.data import review_identities
from stages.recognition import identity_errors, import_recognizer

PLANTED, PROPOSED = 0.02, 0.05  # of all photos


def main() -> None:
    """Print the share of planted errors among the first photos proposed, for each seed."""
    folder, seeds = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    rows = tables.read(folder, ["identity", "landmarks"])
    identities = np.array([face["identity"] for face in rows if face["landmarks"] is not None])
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "dlib.safetensors"
        described = import_recognizer.Params.model_validate({"dlib": {"kind": "dlib"}})
        import_recognizer.import_recognizer("dlib", Path(temporary), weights, described)
        embeddings = review_identities.embedded(folder, weights)
    people = np.unique(identities)
    print(f"{len(identities)} photos of {len(people)} people, {PLANTED:.0%} planted")
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        planted = rng.permutation(len(identities))[: round(PLANTED * len(identities))]
        wrong = identities.copy()
        for place in planted:
            wrong[place] = rng.choice(people[people != identities[place]])
        doubt = identity_errors.doubts(embeddings, wrong.tolist()).doubt
        order = np.argsort(-doubt, kind="stable")
        shares = [np.isin(planted, order[: round(share * len(order))]).mean() for share in (PROPOSED, PLANTED)]
        print(
            f"seed {seed}: {shares[0]:.1%} among the first {PROPOSED:.0%} proposed, {shares[1]:.1%} among {PLANTED:.0%}"
        )


if __name__ == "__main__":
    main()
