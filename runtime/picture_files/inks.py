"""Converts printing inks (cyan, magenta, yellow and black) to RGB."""

from __future__ import annotations

import numpy as np

from hyperguide.pixels import full_scale

# Pixels that are converted at a time, because products need wider integers.
_PIXELS = 1 << 16


def rgb_of_inks(inks: np.ndarray) -> np.ndarray:
    """Convert inks (H, W, 4), where 0 is no ink, to RGB (H, W, 3); uint8 or uint16.

    Each ink absorbs its share of the light that black leaves.
    """
    full = int(full_scale(inks.dtype))
    light = np.empty((*inks.shape[:2], 3), inks.dtype)
    rows = max(1, _PIXELS // max(1, inks.shape[1]))
    for first in range(0, len(inks), rows):
        left = full - inks[first : first + rows].astype(np.uint32)
        product = left[..., :3] * left[..., 3:]
        light[first : first + rows] = (product + full // 2) // full
    return light
