"""Whether a picture was blurred at all."""

from __future__ import annotations

import numpy as np

from .coarse_to_fine import contrast_gain
from .latent_image import latent_image
from .periodic import Canvas, differences

_SPARSITY = 1e-3
_MARGIN = 20  # pixels in which the ends of the canvas show
_STIFFEST_SHARE = 4e-5  # of the sparsity: squared gradients above are not rounding
# Of eight blurred photos, the kernel left 0.92 to 0.97 times the edges; of four sharp ones, 1.00 to
# 1.04 times.
_FEWER = 0.985
_NO_BLUR = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)


def is_explained(window: np.ndarray, kernel: np.ndarray) -> bool:
    """Whether a picture with fewer edges explains a window if this kernel blurred it.

    An edge that was blurred is many pixels wide, and one pixel in the sharp picture. A kernel that
    fits to a sharp picture leaves as many edges as there are.

    window: gray, (H, W), float32, full scale = 1.
    """
    return _edges(window, kernel) < _FEWER * _edges(window, _NO_BLUR)


def _edges(window: np.ndarray, kernel: np.ndarray) -> float:
    """The share of pixels with a gradient in the latent image."""
    canvas = Canvas.around(window, _MARGIN)
    blurred = canvas.placed(contrast_gain(window) * window)
    dx, dy = differences(latent_image(blurred, kernel, _SPARSITY))
    inner = canvas.inner(dx * dx + dy * dy)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return float((inner > _STIFFEST_SHARE * _SPARSITY).mean())
