"""Measures of the difference of two pictures, computed in float64."""

from __future__ import annotations

import numpy as np

from .errors import HyperguideError


def psnr(one: np.ndarray, other: np.ndarray, peak: float) -> float:
    """Peak signal-to-noise ratio in dB over all planes together; infinite for equal pictures.

    one, other: of the same shape, otherwise HyperguideError is raised. peak: full intensity.
    """
    error = mean_square_error(one, other)
    return float("inf") if error == 0 else float(-10 * np.log10(error / peak**2))


def mean_square_error(one: np.ndarray, other: np.ndarray) -> float:
    """The mean squared difference. Raises HyperguideError if the shapes differ."""
    if one.shape != other.shape:  # numpy would broadcast them
        raise HyperguideError(
            f"Pictures of shapes {one.shape} and {other.shape} cannot be compared: "
            "bring them to one."
        )
    return float(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2))
