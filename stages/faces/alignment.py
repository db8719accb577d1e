"""Similarity transforms that bring a face to a known place: the ArcFace template and FFHQ's crop."""

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from stages.core.params import Section
from stages.faces.landmarks import MOUTH_LEFT, MOUTH_RIGHT, Points, eye_centers, five_points

Matrix = NDArray[np.float64]  # (2, 3): [x', y'] = M @ [x, y, 1]

# Eye centers, nose tip and mouth corners in a 112x112 image, pixels. J. Deng et al., "ArcFace", CVPR 2019; the
# numbers as the InsightFace project publishes them.
ARCFACE_112 = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)

LOWER = 0.25  # of a crop's side by which a second one lies lower: an aligned face ends at the chin, a mask below it


class DegenerateLandmarksError(ValueError):
    """The landmarks coincide, so no transform can be found."""


def similarity(source: Points, target: Points) -> Matrix:
    """Return the similarity transform (2, 3) that best maps `source` onto `target`, both (n, 2), in least squares.

    S. Umeyama, "Least-squares estimation of transformation parameters between two point patterns", PAMI 1991.

    Raises:
        DegenerateLandmarksError: the source points coincide.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    source_mean, target_mean = source.mean(0), target.mean(0)
    source_0, target_0 = source - source_mean, target - target_mean
    spread = (source_0**2).sum()
    if spread < 1e-6:
        raise DegenerateLandmarksError("the landmarks coincide")
    u, singular, vt = np.linalg.svd(target_0.T @ source_0)
    sign = np.array([1, np.sign(np.linalg.det(u @ vt))])  # a rotation, never a mirror image
    rotation = (u * sign) @ vt
    linear = (singular * sign).sum() / spread * rotation
    return np.column_stack([linear, target_mean - linear @ source_mean])


def arcface_transform(points: Points, size: int) -> Matrix:
    """Return the transform (2, 3) of a face with 68 landmarks to the ArcFace template in a `size` x `size` image.

    Raises:
        DegenerateLandmarksError: the landmarks coincide.
    """
    # Pixel centers lie at whole numbers, so scaling is about (-0.5, -0.5).
    template = (ARCFACE_112 + 0.5) * (size / 112) - 0.5
    return similarity(five_points(points), template.astype(np.float32))


def ffhq_transform(points: Points, size: int) -> Matrix:
    """Return the transform (2, 3) of a face with 68 landmarks to the crop of CelebA-HQ and FFHQ, `size` x `size`.

    The crop is a square centered a tenth of the way from the eyes to the mouth; its half side is the larger of twice
    the distance of the eyes and 1.8 times that of eyes and mouth; it is as tilted as the mean of the line through the
    eyes and the normal to the line from eyes to mouth. T. Karras et al., "Progressive Growing of GANs", ICLR 2018,
    appendix C.

    Raises:
        DegenerateLandmarksError: the landmarks coincide.
    """
    left, right = eye_centers(points).astype(np.float64)
    eyes = (left + right) / 2
    across = right - left
    down = (points[MOUTH_LEFT].astype(np.float64) + points[MOUTH_RIGHT]) / 2 - eyes
    x_axis = across + np.array([down[1], -down[0]])
    length = np.linalg.norm(x_axis)
    if length < 1e-6:
        raise DegenerateLandmarksError("the landmarks coincide")
    x_axis *= max(np.linalg.norm(across) * 2, np.linalg.norm(down) * 1.8) / length
    y_axis = np.array([-x_axis[1], x_axis[0]])
    center = eyes + 0.1 * down
    corners = np.stack([center - x_axis - y_axis, center - x_axis + y_axis, center + x_axis + y_axis])
    low, high = -0.5, size - 0.5
    return similarity(corners, np.array([[low, low], [low, high], [high, high]]))


def apply(matrix: Matrix, points: Points) -> Points:
    """Return points (n, 2) moved by a transform (2, 3); they may leave the image."""
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def lower(matrix: Matrix, side: int) -> Matrix:
    """Return the transform (2, 3) to the crop that lies `LOWER` of its side below that of a transform."""
    return matrix - np.array([[0, 0, 0], [0, 0, LOWER * side]])


def scale_of(matrix: Matrix) -> float:
    """Return the factor by which a similarity transform enlarges."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def warp(image: NDArray[np.uint8], matrix: Matrix, size: int, *, nearest: bool = False) -> NDArray[np.uint8]:
    """Return the image (H, W) or (H, W, 3) moved by a transform to it, `size` x `size`; what lies outside becomes 0.

    Take the `nearest` pixel, for label maps; else interpolate, and average where the image shrinks.
    """
    scale = scale_of(matrix)
    interpolation = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR if scale > 1 else cv2.INTER_CUBIC
    if not nearest:
        image, matrix = _averaged(image, matrix)
    return np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=interpolation), np.uint8)


def _averaged(image: NDArray[np.uint8], matrix: Matrix) -> tuple[NDArray[np.uint8], Matrix]:
    """Return an image that a transform shrinks, shrunk by averaging, and the transform from there.

    Interpolation looks at 2 to 4 pixels only.
    """
    scale = scale_of(matrix)
    if scale >= 0.7:
        return image, matrix
    height, width = image.shape[:2]
    small = (max(1, round(width * scale)), max(1, round(height * scale)))
    factors = np.array([width / small[0], height / small[1]])
    image = np.asarray(cv2.resize(image, small, interpolation=cv2.INTER_AREA), np.uint8)
    return image, np.column_stack([matrix[:, :2] * factors, matrix[:, 2] + matrix[:, :2] @ (factors - 1) / 2])


def laid_back(
    picture: NDArray[np.uint8], matrix: Matrix, shape: Sequence[int], border: int = cv2.BORDER_CONSTANT
) -> NDArray[np.uint8]:
    """Return an aligned picture (h, w) or (h, w, 3) where it lies in a photo, (H, W) or (H, W, 3).

    Args:
        picture: uint8.
        matrix: (2, 3), from the photo's pixels to the picture's.
        shape: of the photo; its height and width count.
        border: OpenCV's name of what lies around the picture, by default 0.
    """
    picture, back = _averaged(picture, np.asarray(cv2.invertAffineTransform(matrix), np.float64))
    size = shape[1::-1]
    return np.asarray(cv2.warpAffine(picture, back, size, flags=cv2.INTER_LINEAR, borderMode=border), np.uint8)


TRANSFORMS = {"arcface": arcface_transform, "ffhq": ffhq_transform}


class Align(Section):
    """Section `align_faces:` of params.yaml: how faces are aligned, and were, on which networks have learned."""

    template: Literal["arcface", "ffhq"]
    side: int = Field(ge=16, le=2048)
    """Side of the aligned image, pixels."""

    def matrix(self, points: Points) -> Matrix:
        """Return the transform (2, 3) of a face with 68 landmarks.

        Raises:
            DegenerateLandmarksError: the landmarks coincide.
        """
        return TRANSFORMS[self.template](points, self.side)
