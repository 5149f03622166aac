"""Random blur kernels: camera shake, straight motion, defocus, and small Gaussians.

All are square with an odd side, non-negative, sum to 1, and have their centroid at the centre, so
that blur does not shift the picture.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator

_POINTS = 400  # of a path; less than half a pixel apart on 37 x 37


def draw_kernel(largest: int, rng: Generator) -> np.ndarray:
    """A kernel of a random kind, float32, shape (side, side), side <= `largest`, which is odd.

    Half are camera shake, a fifth each straight motion and defocus, a tenth Gaussians.
    """
    if largest == 1:
        return np.ones((1, 1), np.float32)
    kind, extent, angle = torch.rand(3, generator=rng).tolist()
    radius = 0.5 + extent * max(largest // 2 - 1.5, 0)
    if kind < 0.5:
        return shake(radius, largest, rng)
    if kind < 0.7:
        return straight_motion(radius, math.pi * angle, largest)
    if kind < 0.9:
        return disc(min(radius, 9.0 * extent + 0.5), largest)
    return gaussian(0.4 + 2.1 * extent, largest)


def shake(radius: float, largest: int, rng: Generator) -> np.ndarray:
    """Camera shake: a smooth path of drifting speed and direction, 1 to 3 pixels wide as measured.

    radius: distance of its farthest point from its mean, in pixels.
    """
    width = 0.3 + 0.7 * float(torch.rand((), generator=rng))
    radius = min(radius, max(largest // 2 - 3, 0.5))  # leaves room for the width
    turns = 2 * math.pi * torch.rand((), generator=rng)
    bends = (torch.randn(6, generator=rng) * 0.9).cumsum(0) + turns
    steps = 0.2 + torch.rand(6, generator=rng)
    corners = torch.stack([steps * bends.cos(), steps * bends.sin()]).cumsum(1)
    smooth = F.interpolate(
        corners[None, :, None], (1, _POINTS), mode="bicubic", align_corners=True
    )[0, :, 0].numpy()
    smooth = smooth - smooth.mean(1, keepdims=True)
    path = smooth * (radius / max(float(np.hypot(*smooth).max()), 1e-6))
    kernel = _exposed(path, largest, rim=3)
    return _normalized(cv2.GaussianBlur(kernel, (5, 5), width, borderType=cv2.BORDER_CONSTANT))


def straight_motion(radius: float, angle: float, largest: int) -> np.ndarray:
    """A line of length 2 `radius` pixels at an angle in radians."""
    along = np.linspace(-radius, radius, _POINTS, dtype=np.float32)
    return _exposed(np.stack([along * math.cos(angle), along * math.sin(angle)]), largest)


def disc(radius: float, largest: int) -> np.ndarray:
    """Defocus: a uniform disc, its edge pixels weighted by about the covered share."""
    distance = np.hypot(*_grid(math.ceil(radius + 0.5), largest))
    return _normalized((radius + 0.5 - distance).clip(0, 1))


def gaussian(deviation: float, largest: int) -> np.ndarray:
    """A Gaussian, cut at three standard deviations."""
    rows, columns = _grid(math.ceil(3 * deviation), largest)
    return _normalized(np.exp(-(rows**2 + columns**2) / (2 * deviation**2)))


def _grid(radius: int, largest: int) -> tuple[np.ndarray, np.ndarray]:
    radius = min(radius, largest // 2)
    offsets = np.arange(-radius, radius + 1, dtype=np.float32)
    return offsets[:, None], offsets[None, :]


def _exposed(path: np.ndarray, largest: int, rim: int = 1) -> np.ndarray:
    """The light that falls on each pixel while a point moves along a path, shape (2, points).

    Each point is split among the four pixels around it, which keeps the centroid.
    rim: dark pixels around the path.
    """
    radius = min(math.ceil(float(np.abs(path).max())) + rim, largest // 2)
    side = 2 * radius + 1
    place = (path + radius).clip(0, side - 1.001)
    corner = place.astype(np.int64)
    share = place - corner
    kernel = np.zeros(side * side, np.float64)
    for down in (0, 1):
        for right in (0, 1):
            weight = (share[0] if down else 1 - share[0]) * (share[1] if right else 1 - share[1])
            index = (corner[0] + down) * side + corner[1] + right
            kernel += np.bincount(index, weight, side * side)
    return _normalized(kernel.reshape(side, side))


def _normalized(kernel: np.ndarray) -> np.ndarray:
    return (kernel / kernel.sum()).astype(np.float32)
