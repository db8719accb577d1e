"""Backend `face_alignment`: the Face Alignment Network of the package face-alignment (extra `face-alignment`).

A. Bulat and G. Tzimiropoulos, "How far are we from solving the 2D & 3D face alignment problem?", ICCV 2017. The package
downloads the network's weights (96 MB) when it is used for the first time; without a network, put the file where its
error message says.
"""

import functools
from typing import Any

import numpy as np

from stages.compute import device
from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.faces.landmarks import Points
from stages.landmarks.boxes import Box


@functools.cache
def _network() -> Any:
    try:
        import face_alignment  # noqa: PLC0415 -- an extra
    except ImportError:
        raise UnmaskError(
            "find_landmarks.search.backends names face_alignment, which is not installed: "
            "pip install '.[face-alignment]'"
        ) from None
    try:  # boxes are ours; `folder` is the one detector of the package that loads no weights
        return face_alignment.FaceAlignment(
            face_alignment.LandmarksType.TWO_D, device=str(device.chosen()), face_detector="folder", compile=False
        )
    except OSError as error:
        raise UnmaskError(f"the weights of face_alignment could not be loaded: {error}") from None


def points(image: Pixels, box: Box) -> Points:
    """Return the landmarks of the face in a box of an RGB image (H, W, 3), float32 (68, 2), in pixels."""
    found = _network().get_landmarks_from_image(image, detected_faces=[(box.left, box.top, box.right, box.bottom)])
    return np.asarray(found[0], np.float32)
