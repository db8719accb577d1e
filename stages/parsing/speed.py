"""How long a parser takes."""

import time
from collections.abc import Sequence

import numpy as np
import torch

from stages.core.images import Pixels
from stages.parsing.parser import Parser

WARM_UP = 5  # images


def measure(parser: Parser, pictures: Sequence[Pixels], n: int) -> dict[str, float]:
    """Return images per second and milliseconds an image, one image at a time, on one thread.

    Args:
        parser: the parser.
        pictures: RGB uint8 (H, W, 3); taken again from the start if there are fewer than `n`.
        n: how many to time.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        times = []
        for index in range(WARM_UP + n):
            start = time.perf_counter()
            parser([pictures[index % len(pictures)]])
            times.append(time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    milliseconds = 1000 * np.array(times[WARM_UP:])
    return {
        "images_per_second": 1000 / float(np.mean(milliseconds)),
        **{f"milliseconds_p{share}": float(np.percentile(milliseconds, share)) for share in (5, 50, 95, 99)},
    }
