"""What does not belong into Git: large files, and data and weights, which DVC keeps.

python -m checks.files [file …]

Ends with an error that names them. Run by `make hooks` before each commit, on the files in it.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

LARGEST = 2**20  # bytes
RELEASED = "models/released/"  # photos need these before any stage; `make release` says how large they may be in all
LARGEST_RELEASED = 25 * 10**6
TEXTS = (".csv", ".gitignore", ".md", ".yaml")  # below data/: curation, checksums, the catalogue, what is where
DATA = re.compile(r"\.(parquet|zip|tar|tgz|gz|7z|mat|npy|npz|pkl|pth|pt|h5|onnx|safetensors|jpe?g|pgm|bmp|webp)$", re.I)


def wrong(name: str, size: int) -> str | None:
    """Return what is wrong with a file of this name and size in bytes, or None."""
    if name.startswith(RELEASED) and name.endswith((".safetensors", ".yaml")) and size <= LARGEST_RELEASED:
        return None
    if size > LARGEST:
        return f"{name} has {size / 2**20:.1f} MB: large files are kept by DVC (dvc add)"
    below_data = name.startswith(("data/", "models/"))
    if DATA.search(name) or (below_data and not name.endswith(TEXTS)):
        return f"{name} is data: DVC keeps it (dvc add), and photos of people have terms of their own"
    return None


def main(names: Sequence[str]) -> None:
    """Look at files and end with an error if one does not belong into Git."""
    found = [trouble for name in names if (trouble := wrong(name, Path(name).stat().st_size))]
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main(sys.argv[1:])
