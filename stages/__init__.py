"""What every program of the project does first: is this its environment? An old Python must understand this file."""

import importlib.util
import os
import sys

PACKAGES = ("cv2", "mmengine", "pydantic", "torch")  # which no other environment has by chance


def _check_the_environment():
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if sys.version_info < (3, 11) or missing:
        sys.exit(
            f"{sys.executable} (Python {sys.version_info[0]}.{sys.version_info[1]}) is not the environment of this "
            f"project{': it has no ' + ', '.join(missing) if missing else ''}. `make repro` makes it and runs the "
            "pipeline in it; if it is there, `source .venv/bin/activate` and run this again."
        )


def _say_interrupted(kind, error, trace):
    """Spare who presses Ctrl-C the traceback, while modules are imported, too."""
    if not issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    elif "TORCHELASTIC_RUN_ID" not in os.environ:  # else the program that started this one says it
        print("stopped by Ctrl-C", file=sys.stderr)


if sys.argv[:1] == ["-m"]:  # `python -m stages.…`; who imports a module looks after itself
    _check_the_environment()
    sys.excepthook = _say_interrupted

from stages.core import reproducible  # noqa: E402 -- an old Python has been told by now

reproducible.pin()  # before any library is loaded that computes
