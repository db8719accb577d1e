"""What a mask is made of: the cut, folds, seams and patterns of each style, in fabric coordinates.

A style is drawn by formulas over fabric coordinates (see `shapes`), so it has no resolution of its own and needs no
picture of a mask.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.masks.shapes import ROUNDNESS, Cut

Plane = NDArray[np.floating]  # float32 (h, w)
Rgb = NDArray[np.floating]  # float32 (3,) or (h, w, 3), 0 to 255

# A fabric coordinate times this is a length in units of the face's size, so that dots come out round.
WIDTH, HEIGHT = 0.55, 0.62


@dataclass(frozen=True)
class Style:
    """A kind of mask.

    Attributes:
        cut: its outline.
        relief: height of the fabric above the face at (u, v), in units of the face's size: folds and seams.
        paint: albedo of the fabric at (u, v), (h, w, 3) or (3,), from its color and a random generator.
        textures: names of the patterns it can have.
    """

    cut: Cut
    relief: Callable[[Plane, Plane], Plane]
    paint: Callable[[Plane, Plane, Rgb, str, np.random.Generator], Rgb]
    textures: tuple[str, ...] = ("plain",)


def _bump(distance: Plane, width: float) -> Plane:
    """Return a smooth bump of height 1 where `distance` is 0, gone at `width`."""
    return np.square(np.maximum(0, 1 - np.square(distance / width)))


def _edge(u: Plane, v: Plane) -> Plane:
    """Return the distance to the edge of the fabric, in units of the face's size."""
    return np.minimum(np.minimum(v, 1 - v) * HEIGHT, (1 - np.abs(u)) * WIDTH)


def _dome(u: Plane, v: Plane) -> Plane:
    """Return the height of fabric that lies over nose and chin and falls off to the cheeks."""
    return 0.26 * np.sqrt(np.maximum(0.02, 1 - np.square(0.93 * u))) + 0.10 * np.sqrt(
        np.maximum(0.02, 1 - np.square(1.7 * (v - 0.45)))
    )


def _surgical_relief(u: Plane, v: Plane) -> Plane:
    relief = _dome(u, v)
    for crease in (0.3, 0.5, 0.7):
        # Pleats are sewn together at the sides and open towards the middle.
        depth = 0.016 * (1 - 0.55 * np.square(u))
        below = v - crease
        relief -= depth * np.exp(-np.maximum(below, 0) / 0.07) * (below >= 0)
    relief += 0.010 * _bump(v - 0.07, 0.05)  # the nose wire
    return relief + 0.006 * _bump(_edge(u, v), 0.03)  # the binding


def _surgical_paint(u: Plane, v: Plane, color: Rgb, *_: object) -> Rgb:
    hem = 0.25 * _bump(_edge(u, v), 0.028)
    return color + (250 - color) * hem[..., None]


def _cloth_relief(u: Plane, v: Plane) -> Plane:
    relief = _dome(u, v) + 0.05 * np.maximum(0, 1 - np.abs(u) * 1.6)  # two panels, sewn
    relief -= 0.004 * _bump(u, 0.035)
    # Loose fabric wrinkles where it hangs from the ears.
    relief += 0.006 * np.square(u) * np.sin(v * 17 + np.abs(u) * 5)
    return relief - 0.004 * _bump(_edge(u, v) - 0.045, 0.018)  # the hem's stitches


def _second_color(color: Rgb, rng: np.random.Generator) -> Rgb:
    """Return a lighter or darker companion of a color."""
    light = float(color.mean()) < 110 if rng.random() < 0.8 else float(color.mean()) < 160
    towards = 245 if light else 25
    return color + (towards - color) * rng.uniform(0.45, 0.75)


def _cloth_paint(u: Plane, v: Plane, color: Rgb, texture: str, rng: np.random.Generator) -> Rgb:
    if texture == "plain":
        return color
    x, y = u * WIDTH, v * HEIGHT
    period = 2 * np.pi / rng.uniform(0.07, 0.13)
    if texture == "stripes":
        share = _step(np.sin(period * (x if rng.random() < 0.5 else y)))
    elif texture == "checks":
        share = (_step(np.sin(period * x)) + _step(np.sin(period * y))) / 2
    elif texture == "dots":
        share = _step(np.cos(period * x) * np.cos(period * y) * 3 - 1.6)
    else:  # camouflage
        waves = np.zeros_like(x)
        for _ in range(3):
            a, b = rng.normal(0, 22), rng.normal(0, 22)
            waves += np.sin(a * x + b * y + rng.uniform(0, 6.3))
        share = (_step(waves * 2 - 1) + _step(waves * 2 + 1)) / 2
    return color + (_second_color(color, rng) - color) * share[..., None]


def _step(wave: Plane) -> Plane:
    """Return 0 below 0 and 1 above, with a soft step between."""
    return np.clip(wave * 2.5 + 0.5, 0, 1)


def _kn95_relief(u: Plane, v: Plane) -> Plane:
    # Two flat panels that meet in a ridge from nose to chin.
    away = np.abs(u)
    ridge = 0.34 * (1 - away) - 0.025 * _bump(u, 0.06)
    across = 0.06 * (1 - np.square(2 * v - 1))
    welds = _bump(away - 0.84, 0.02) + _bump(_edge(u, v) - 0.03, 0.016)
    return ridge + across - 0.005 * welds


def _kn95_paint(u: Plane, v: Plane, color: Rgb, _: str, rng: np.random.Generator) -> Rgb:
    seam = 0.10 * _bump(u, 0.035)
    if rng.random() < 0.5:  # the outer nose clip, a gray strip
        seam = seam + 0.30 * (np.abs(v - 0.14) < 0.03) * (np.abs(u) < 0.42)
    return color * (1 - seam[..., None])


def _n95_relief(u: Plane, v: Plane) -> Plane:
    # 0 in the middle of the cup and 1 on its outline, the superellipse of a rounded `Cut`.
    radius = (np.abs(u) ** ROUNDNESS + np.abs(2 * v - 1) ** ROUNDNESS) ** (1 / ROUNDNESS)
    cup = 0.30 * np.sqrt(np.maximum(0.15, 1.12 - np.square(radius)))
    cup -= 0.6 * np.maximum(0, radius - 0.985)  # goes on where the outline strays from radius 1
    cup += 0.007 * _bump(radius - 0.88, 0.06)  # the pressed rim
    return cup + 0.006 * _bump(radius - 0.55, 0.05)  # a stiffening ring


def _n95_paint(u: Plane, v: Plane, color: Rgb, texture: str, _: np.random.Generator) -> Rgb:
    shade = np.ones_like(u)
    shade[(np.abs(v - 0.10) < 0.028) & (np.abs(u) < 0.34)] = 0.72  # the nose clip
    if texture == "valve":
        x, y = u * 0.42, (v - 0.62) * HEIGHT
        radius = np.sqrt(np.square(x) + np.square(y))
        shade[radius < 0.085] = 0.95
        shade[(radius < 0.085) & (np.sin(y * 150) > 0.2)] = 0.72  # its slats
        shade[np.abs(radius - 0.085) < 0.010] = 0.6  # its rim
    return color * shade[..., None]


STYLES: dict[str, Style] = {
    "surgical": Style(
        Cut(side=1.4, corner=4.5, inset=0.08, below_chin=0.025, bulge=0.02, nose=0.16, sag=0.04),
        _surgical_relief,
        _surgical_paint,
    ),
    "cloth": Style(
        Cut(side=1.5, corner=4.3, inset=0.04, below_chin=0.06, bulge=0.03, nose=0.24, sag=0.055),
        _cloth_relief,
        _cloth_paint,
        ("plain", "stripes", "checks", "dots", "camouflage"),
    ),
    "kn95": Style(
        Cut(side=2.1, corner=4.2, inset=0.06, below_chin=0.05, bulge=0.0, nose=0.32, sag=0.0),
        _kn95_relief,
        _kn95_paint,
    ),
    "n95": Style(
        Cut(2.2, 5.2, inset=0.16, below_chin=0.025, bulge=0.0, nose=0.24, sag=0.0, rounded=True, strap_ends=(0.0, 1.9)),
        _n95_relief,
        _n95_paint,
        ("plain", "valve"),
    ),
}
