"""Get a checkpoint that trainings start from, and read it: what cannot be loaded is found before any training.

python -m stages.data.fetch_checkpoint --catalogue models/catalogue.yaml \
    --checksums data/checksums/resnet18_imagenet.csv --out models/checkpoints/resnet18_imagenet \
    --results metrics/fetch_checkpoint-resnet18_imagenet

Files come as those of datasets do, see `fetch`: from the drop folder data/incoming/<checkpoint>/, or from their
publisher.
"""

import shutil
from pathlib import Path
from typing import Any

from stages.compute import weights
from stages.core.command import run_stage
from stages.core.errors import UnmaskError
from stages.data import fetch


class Params(fetch.Params):
    """As those of `fetch`: permission changes no result."""


def fetch_checkpoint(catalogue: Path, checksums: Path, out: Path, params: Params) -> dict[str, Any]:
    """Bring the file of the checkpoint `out.name` to `out`.

    Args:
        catalogue: models/catalogue.yaml.
        checksums: records of files whose checksum nobody published.
        out: the folder to write.
        params: whether its terms were accepted.

    Returns:
        The file's size and sha256, where it came from, and how many tensors and parameters it has.

    Raises:
        UnmaskError: the terms were not accepted, or the file cannot be had, is not what it should be, or holds no
            weights or more than these; then `out` is not there.
    """
    found = fetch.fetch(catalogue, checksums, out, params)
    try:
        states = [weights.load_published(path, f"checkpoints: {out.name}") for path in sorted(out.iterdir())]
    except UnmaskError:
        shutil.rmtree(out)
        raise
    tensors = [tensor for state in states for tensor in state.values()]
    return {**found, "tensors": len(tensors), "parameters": sum(tensor.numel() for tensor in tensors)}


if __name__ == "__main__":
    run_stage("data.fetch_checkpoint")
