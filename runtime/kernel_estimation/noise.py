"""The noise of a picture, without a network."""

from __future__ import annotations

import numpy as np

_MEDIAN_OF_GAUSSIAN = 0.6745  # of its absolute value, in standard deviations


def noise_level(picture: np.ndarray) -> float:
    """The standard deviation of noise, by the median of diagonal differences.

    Donoho, Johnstone, "Ideal spatial adaptation by wavelet shrinkage" (1994), with the finest
    diagonal Haar wavelet.

    picture: gray, (H, W). Returns the level in its unit.
    """
    across = np.diff(picture, axis=1)
    diagonal = np.diff(across, axis=0) / 2
    return float(np.median(np.abs(diagonal))) / _MEDIAN_OF_GAUSSIAN
