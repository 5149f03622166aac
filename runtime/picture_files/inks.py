"""From printing inks to light: cyan, magenta, yellow and black to RGB."""

from __future__ import annotations

import numpy as np

from hyperguide.pixels import full_scale

# Rows are converted in so many pixels at a time, because products need wider integers.
_PIXELS = 1 << 16


def rgb_of_inks(inks: np.ndarray) -> np.ndarray:
    """RGB, shape (H, W, 3), of inks (H, W, 4) with 0 as no ink; uint8 or uint16.

    Each ink takes away its share of the light that black leaves.
    """
    full = int(full_scale(inks.dtype))
    light = np.empty((*inks.shape[:2], 3), inks.dtype)
    rows = max(1, _PIXELS // max(1, inks.shape[1]))
    for first in range(0, len(inks), rows):
        left = full - inks[first : first + rows].astype(np.uint32)
        product = left[..., :3] * left[..., 3:]
        light[first : first + rows] = (product + full // 2) // full
    return light
