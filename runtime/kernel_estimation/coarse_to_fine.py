"""Estimates the kernel of one window of a picture, from small copies of it to itself."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np

from .clipping import filled, unclipped
from .contrast import contrast_gain
from .kernel_shape import NO_BLUR, TIDY, Tidiness, centred, line_kernel, resized, tidied
from .latent_image import latent_image
from .least_squares import fitted_kernel
from .periodic import Canvas

# Restores a gray picture, (H, W) in [0, 1], that was blurred by a kernel.
Restore = Callable[[np.ndarray, np.ndarray], np.ndarray]

_SHRINKING = math.sqrt(0.5)
_SMALLEST = 3
_ITERATIONS = 5  # at each size
# Of the latent image, from the first iteration to the last. With 1e-4 at the end, large kernels
# fit what is no edge.
_SPARSITY, _LAST_SPARSITY = 4e-3, 6e-4
_DAMPING = 2.0
_ROUNDS = 3


def coarse_to_fine(
    window: np.ndarray, size: int, tidiness: Tidiness = TIDY, finest: float = 1
) -> np.ndarray:
    """The kernel that blurred a window, by latent images with few edges.

    window: gray, (H, W), float32, full scale = 1, larger than the kernel. size: odd.
    finest: the scale of the last copy; 1 for the window itself. The kernel is then enlarged.
    Returns a kernel of size x size, tidied and centred.
    """
    usable = unclipped(window)
    window = contrast_gain(window) * filled(window, usable)
    kernel, levels = line_kernel(_SMALLEST), _levels(size)
    sparsities = iter(np.geomspace(_SPARSITY, _LAST_SPARSITY, _ITERATIONS * len(levels)))
    for scale, kernel_size in levels:
        if scale > finest + 1e-6:
            kernel = resized(kernel, size)
            break
        shrunk = _shrunk(window, scale)
        weights = (_shrunk(usable, scale) > 0.9).astype(np.float32)
        kernel = resized(kernel, kernel_size)
        canvas = Canvas.around(shrunk, kernel_size)
        blurred, trusted = canvas.placed(shrunk), _inside(canvas, weights)
        for _ in range(_ITERATIONS):
            latent = latent_image(blurred, kernel, float(next(sparsities)))
            fitted = fitted_kernel(latent, blurred, trusted, kernel, _DAMPING)
            kernel = tidied(fitted, tidiness)
    return centred(kernel)


def polished(kernel: np.ndarray, window: np.ndarray, restore: Restore) -> np.ndarray:
    """The kernel fitted again to what `restore` makes of the window, a few times.

    A network's picture has the fine edges that latent images with few edges lack. Its texture is
    smoothed away again: what the network left out of it would sharpen the kernel. Where it is
    restored badly, at the window's edges, it has no weight.
    """
    canvas = Canvas.around(window, 0)
    margin = len(kernel) // 2 + 3
    weights = np.zeros_like(window)
    inner = (slice(margin, -margin),) * 2
    weights[inner] = unclipped(window)[inner]
    gain = contrast_gain(window)
    blurred, trusted = canvas.placed(gain * window), _inside(canvas, weights)
    for _ in range(_ROUNDS):
        restored = canvas.placed(gain * restore(window, kernel))
        sharp = latent_image(restored, NO_BLUR, _LAST_SPARSITY)
        kernel = tidied(fitted_kernel(sharp, blurred, trusted, kernel, _DAMPING))
    return centred(kernel)


def _levels(size: int) -> list[tuple[float, int]]:
    """Scales of the picture and sizes of the kernel, the smallest first."""
    levels = [(1.0, size)]
    while levels[-1][1] > _SMALLEST:
        scale = levels[-1][0] * _SHRINKING
        levels.append((scale, max(_SMALLEST, 2 * round(size * scale / 2) + 1)))
    return levels[::-1]


def _shrunk(picture: np.ndarray, scale: float) -> np.ndarray:
    if scale == 1:
        return picture
    return cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _inside(canvas: Canvas, weights: np.ndarray) -> np.ndarray:
    """A canvas with the weights of a picture, but for its border, and zeros around it."""
    whole = np.zeros(canvas.shape, np.float32)
    canvas.inner(whole)[1:-1, 1:-1] = weights[1:-1, 1:-1]
    return whole
