"""Which of several kernels blurred a window: the one that explains it by the sparsest picture."""

from __future__ import annotations

import cv2
import numpy as np

from .clipping import unclipped
from .contrast import contrast_gain
from .latent_image import latent_image
from .periodic import Canvas

# Of kernels of 15x15 to 101x101 for each of nine photos, the sum then chose those that resemble the
# true ones most.
_WEIGHT = 1.5
# The true kernels of twenty blurred photos, of 3x3 to 31x31, then cost at most 0.91 times as much
# as no blur, and such kernels at least 0.95 times for the sharp ones.
_SPARSITY = 1e-3
_MARGIN = 6  # pixels besides half a kernel in which the window's border shows


def cost(window: np.ndarray, kernel: np.ndarray) -> float:
    """How unlikely it is that a kernel blurred a window.

    The cost is |x'|_1 / |x'|_2 (Krishnan, Tay, Fergus, "Blind deconvolution using a normalized
    sparsity measure", 2011), which blur increases, plus a multiple of what the kernel leaves
    unexplained, |(x * k - y)'|^2 / |y'|^2, for the window y and its latent image x. Here ' stands
    for differences across and down.

    window: gray, (H, W), float32, full scale = 1. kernel: square.
    """
    canvas, gain = Canvas.around(window, len(kernel)), contrast_gain(window)
    blurred = canvas.placed(gain * window)
    sharp = canvas.inner(latent_image(blurred, kernel, _SPARSITY)) / gain
    again = cv2.filter2D(sharp, -1, kernel[::-1, ::-1].copy(), borderType=cv2.BORDER_REFLECT)
    margin = min(len(kernel) // 2 + _MARGIN, min(window.shape) // 4)
    usable = unclipped(window)
    of_sharp, of_rest, of_window = (
        _gradients(picture, usable, margin) for picture in (sharp, again - window, window)
    )
    sparsity = np.abs(of_sharp).mean() / max(float(np.sqrt((of_sharp**2).mean())), 1e-6)
    unexplained = float((of_rest**2).mean()) / max(float((of_window**2).mean()), 1e-9)
    return float(sparsity) + _WEIGHT * unexplained


def _gradients(picture: np.ndarray, usable: np.ndarray, margin: int) -> np.ndarray:
    """Differences across and down between usable pixels away from the border."""
    inner = slice(margin, -margin or None)
    picture, usable = picture[inner, inner], usable[inner, inner] > 0
    across, down = np.diff(picture, axis=1), np.diff(picture, axis=0)
    values = np.concatenate([across[usable[:, 1:]], down[usable[1:]]])
    return values if values.size else np.zeros(1, np.float32)
