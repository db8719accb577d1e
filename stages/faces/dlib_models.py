"""dlib's models, which the package face_recognition_models ships."""

import importlib.util
from pathlib import Path

from stages.core.errors import UnmaskError


def model_file(name: str) -> str:
    """Return the path of one of dlib's models in the package face_recognition_models.

    The package is not imported: it asks for pkg_resources to find its own files.

    Raises:
        UnmaskError: the package is not installed.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise UnmaskError("dlib's models are not installed: pip install face_recognition_models")
    return str(Path(spec.submodule_search_locations[0]) / "models" / name)
