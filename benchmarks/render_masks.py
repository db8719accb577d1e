"""Faces masked a second on one core, 112x112, landmarks given.

python -m benchmarks.render_masks

Prints, for each style and texture, the median of several runs: drawing alone, and drawing with the PNG decoding and
encoding that the stage does around it. The last line is the slowest textured style over the plain polygon.
"""

import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.orl import photos
from stages.core import params
from stages.core.images import decode, encode_png
from stages.faces import alignment
from stages.landmarks.search import Search, main_face
from stages.masks import rendering
from stages.masks.rendering import Look
from stages.masks.styles import STYLES

RUNS, FACES = 7, 100


def faces_a_second(draw: Callable[[int], object]) -> float:
    """Return the median over several runs."""
    rates = []
    for _ in range(RUNS):
        start = time.perf_counter()
        for index in range(FACES):
            draw(index)
        rates.append(FACES / (time.perf_counter() - start))
    return statistics.median(rates)


def main() -> None:
    """Measure and print."""
    search = params.load(Search, "find_landmarks.search")
    faces = []
    for data in list(photos().values())[::4]:
        image = decode(data)
        found, _ = main_face(image, {}, search)
        assert found is not None
        matrix = alignment.arcface_transform(found.points, 112)
        gray = alignment.warp(image, matrix, 112)
        color = np.clip(gray * np.array([1.05, 0.9, 0.8]), 0, 255).astype(np.uint8)  # three unequal channels cost more
        faces.append((color, alignment.apply(matrix, found.points), encode_png(color)))
    print(f"{'style':24}{'drawing':>12}{'with PNG':>12}   faces a second, median of {RUNS} runs of {FACES}")
    rates = {}
    looks = [("polygon", "plain"), *((style, texture) for style in STYLES for texture in STYLES[style].textures)]
    for style, texture in looks:
        look = Look(style, "proper", (150, 190, 220), texture)

        def draw(index: int, look: Look = look) -> tuple[np.ndarray, np.ndarray]:
            image, points, _ = faces[index]
            return rendering.draw(image, points, look, "0_0", np.random.default_rng(index))

        def draw_and_encode(index: int, look: Look = look) -> None:
            _, points, data = faces[index]
            masked, region = rendering.draw(decode(data), points, look, "0_0", np.random.default_rng(index))
            encode_png(masked)
            encode_png(region)

        rates[style, texture] = faces_a_second(draw)
        print(f"{style + ' ' + texture:24}{rates[style, texture]:12.0f}{faces_a_second(draw_and_encode):12.0f}")
    slowest = min((rate, name) for name, rate in rates.items() if name[0] != "polygon")
    print(
        f"slowest textured: {' '.join(slowest[1])}, {slowest[0] / rates['polygon', 'plain']:.2f} of the polygon's rate"
    )


if __name__ == "__main__":
    cv2.setNumThreads(1)
    with threadpool_limits(1):
        main()
