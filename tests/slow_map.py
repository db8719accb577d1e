"""A stage that begins to write, and waits: `python -m tests.slow_map`, to be interrupted."""

import time
from pathlib import Path

from stages.core import parallel
from stages.core.command import errors_in_words
from stages.core.outputs import whole_file, whole_folder


def write(path: Path) -> None:
    """Write half of a file, and wait before the other half."""
    with whole_file(path, in_whole_folder=True) as staging:
        staging.write_text("half")
        Path("begun").touch()
        time.sleep(100)


def main() -> None:
    """Run it over more files than two workers take at once."""
    with errors_in_words("slow_map"), whole_folder(Path("out")) as staging:
        parallel.run(write, [(staging / str(i)).absolute() for i in range(20)], sizes=[1] * 20, label="slow_map")


if __name__ == "__main__":
    from tests import slow_map  # noqa: PLW0406 -- under its own name, so that workers find it

    slow_map.main()
