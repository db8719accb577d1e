"""How close a filled face is to the photo, and how sharp."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional.image import structural_similarity_index_measure

from stages.core.images import Pixels

BEST_PSNR = 100.0  # dB, of equal pixels


def compare(result: Pixels, photo: Pixels, hole: NDArray[np.bool_]) -> dict[str, float]:
    """Return PSNR and SSIM, over the whole image and over the hole, and the sharpness of the hole.

    SSIM is that of Wang et al. 2004 (11x11 Gaussian windows), its map averaged over the pixels of the hole. Sharpness
    is the mean absolute Laplacian of the result, relative to the photo's: 1 is as sharp as the photo, less is blurred.

    Args:
        result: RGB uint8 (H, W, 3).
        photo: RGB uint8 (H, W, 3).
        hole: bool (H, W), not empty.
    """
    squares = np.square(result.astype(np.float64) - photo).mean(2)
    pair = [torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)) for image in (result, photo)]
    _, full = structural_similarity_index_measure(pair[0], pair[1], data_range=255.0, return_full_image=True)
    similar = full[0].mean(0).numpy()
    edges = [np.abs(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F)).mean(2) for image in (result, photo)]
    return {
        "psnr": _psnr(float(squares.mean())),
        "hole_psnr": _psnr(float(squares[hole].mean())),
        "ssim": float(similar.mean()),
        "hole_ssim": float(similar[hole].mean()),
        "sharpness": float(edges[0][hole].mean() / max(float(edges[1][hole].mean()), 1e-6)),
    }


def _psnr(mean_square: float) -> float:
    return BEST_PSNR if mean_square == 0 else min(BEST_PSNR, float(10 * np.log10(255**2 / mean_square)))
