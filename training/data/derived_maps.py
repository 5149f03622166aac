"""Derives true maps from pairs {y, x} that come without them.

Each function takes the whole degraded and clean picture, y and x, float32 in [0, 1], shape
(H, W, C), and returns a map in the task's unit, float32, shape (H, W).
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from hyperguide.inference.guided_upsampling import fit_lines

_WINDOW_SIGMA = 5.0  # pixels; of the noise level's window
_DEPTH_RADIUS = 7  # pixels; of the boxes over which depth is smoothed
_EDGE = 1e-3  # variance of the picture below which the depth filter treats it as flat
_THICKEST = 0.02  # transmission below which nothing of the scene is left in 8 bits
_THINNEST = 0.05  # optical depth, -log t, below which a picture counts as free of haze


def describe(task: str, threshold: float) -> dict[str, Any]:
    """How the task's maps are derived, for records."""
    rules: dict[str, dict[str, Any]] = {
        "derain": {"rule": "|y - x| > tau in any channel", "tau": threshold},
        "denoise": {
            "rule": "local standard deviation of y - x, Gaussian window",
            "window_sigma": _WINDOW_SIGMA,
        },
        "deblur": {
            "rule": "local standard deviation of y - k * x, Gaussian window",
            "window_sigma": _WINDOW_SIGMA,
        },
        "dehaze": {
            "rule": "-log t / max of y = x t + A (1 - t), filtered along the edges of x",
            "radius": _DEPTH_RADIUS,
            "edge": _EDGE,
        },
    }
    return {"source": "derived", **rules[task]}


def rain_region(degraded: np.ndarray, clean: np.ndarray, threshold: float) -> np.ndarray:
    """1 where any channel changed by more than the threshold, 0 elsewhere."""
    # float32 differences that equal the threshold do not count, as in exact arithmetic.
    changed = np.abs(degraded - clean) > threshold + 1e-6
    return changed.any(2).astype(np.float32)


def noise_level(degraded: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Standard deviation of y - x around its local mean, over a Gaussian window and all channels.

    For blur, give the blurred x.
    """
    residual = degraded - clean

    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(plane, (0, 0), _WINDOW_SIGMA).reshape(residual.shape)

    variance = mean(residual * residual) - mean(residual) ** 2
    return np.sqrt(variance.mean(2).clip(min=0)).astype(np.float32)


def blurred_noise_level(degraded: np.ndarray, clean: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The noise level of y = k * x + n; the border that k spoils repeats the inner edge."""
    rows, columns = (side // 2 for side in kernel.shape)
    height, width = degraded.shape[:2]
    # OpenCV correlates, so the kernel is rotated by 180 degrees.
    turned = np.ascontiguousarray(kernel[::-1, ::-1])
    blurred = cv2.filter2D(clean, -1, turned).reshape(clean.shape)
    if height <= 2 * rows or width <= 2 * columns:
        return noise_level(degraded, blurred)
    inner = slice(rows, height - rows), slice(columns, width - columns)
    level = noise_level(degraded[inner], blurred[inner])
    return np.pad(level, ((rows, rows), (columns, columns)), mode="edge")


def relative_depth(degraded: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Relative depth, farthest = 1, by the scattering model y = x t + A (1 - t), t = exp(-beta d).

    In a small box depth hardly changes, so that y is linear in x with slope t and intercept
    A (1 - t): least squares over all boxes give A. Given A, t = (A - y) / (A - x) is smoothed by a
    guided filter (He et al. 2010) with weights |A - x|^2, the information about t. All zeros if the
    picture has no haze.
    """
    airlight = _airlight(degraded, clean)
    away = airlight - clean
    weight = _dot(away, away) + 1e-6
    raw = (_dot(airlight - degraded, away) / weight).clip(0, 1)
    transmission = _guided(raw, clean.mean(2), weight).clip(_THICKEST, 1)
    depth = -np.log(transmission)
    # The largest mean of a box rather than the largest pixel: pixels overshoot at edges.
    farthest = float(_box(depth).max())
    if farthest < _THINNEST:
        return np.zeros_like(depth)
    return np.minimum(depth / farthest, 1)


def _airlight(degraded: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """A from the linear fits of y over x in all boxes, shape (C,)."""
    mean_x, mean_y = _box(clean), _box(degraded)
    variance = _box(_dot(clean, clean)) - _dot(mean_x, mean_x)
    covariance = _box(_dot(clean, degraded)) - _dot(mean_x, mean_y)
    slope = (covariance / (variance + 1e-6)).clip(0, 1)
    # Weights: the variance of x is the information about the slope.
    haze = 1 - slope
    intercepts = mean_y - mean_x * slope[..., None]
    numerator = np.einsum("hw,hwc->c", variance * haze, intercepts)
    return (numerator / max(float((variance * haze * haze).sum()), 1e-9)).clip(0, 1.2)


def _guided(values: np.ndarray, guide: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted guided filter: in each box the values are linear in the guide."""
    total = _box(weight)

    def mean(plane: np.ndarray) -> np.ndarray:
        return _box(weight * plane) / total

    slope, offset = fit_lines(guide, values, mean, _EDGE)
    return (_box(total * slope) * guide + _box(total * offset)) / _box(total)


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("hwc,hwc->hw", a, b)


def _box(planes: np.ndarray) -> np.ndarray:
    side = 2 * _DEPTH_RADIUS + 1
    return cv2.boxFilter(planes, -1, (side, side)).reshape(planes.shape)
