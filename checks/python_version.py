"""Is the Python that runs this one that the project runs on? An old one must understand this file.

python3 checks/python_version.py
"""

import re
import sys
from pathlib import Path

PYPROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def wrong(version):
    """Return in words what is wrong with a version (major, minor), or None."""
    stated = re.search(r'requires-python = ">=3\.(\d+),<3\.(\d+)"', PYPROJECT.read_text(encoding="utf-8"))
    low, high = (int(text) for text in stated.groups())
    if (3, low) <= version < (3, high):
        return None
    return (
        f"{sys.executable} is Python {version[0]}.{version[1]}, and this project runs on 3.{low} to 3.{high - 1}. "
        f"Install one of these; if make does not find it, say where it is: make repro PYTHON=/path/to/python3.{low}"
    )


if __name__ == "__main__":
    sys.exit(wrong(tuple(sys.version_info[:2])))
