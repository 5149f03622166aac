"""Guided upsampling: applies a network's changes of a small copy to the full picture."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from .tiles import Range, sample

# Radius, in pixels of the copy, over which a gain and an offset are fitted.
_RADIUS = 4
# Variance below which a region counts as flat and gets only an offset, full scale = 1.
_FLAT = 1e-5


class Transfer:
    """Gains and offsets, enhanced = gain * picture + offset, that vary slowly over a picture.

    They are fitted to the copy, each plane separately, as in the fast guided filter (K. He, J. Sun,
    2015, https://arxiv.org/abs/1505.00996). They can describe haze, but not noise.

    small, enhanced: the copy and its enhanced version, shape (N, h, w, C), float32.
    guidance: its maps, shape (N, h, w).
    size: height and width of the picture.
    """

    def __init__(
        self, small: np.ndarray, enhanced: np.ndarray, guidance: np.ndarray, size: tuple[int, int]
    ) -> None:
        self._size = size
        self._guidance = guidance[:, None]
        fitted = [
            [
                [_mean(plane) for plane in fit_lines(before[..., c], after[..., c], _mean, _FLAT)]
                for c in range(small.shape[3])
            ]
            for before, after in zip(small, enhanced, strict=True)
        ]
        self._gain, self._offset = np.asarray(fitted).transpose(2, 0, 1, 3, 4)

    def __call__(
        self, part: np.ndarray, rows: Range, columns: Range
    ) -> tuple[np.ndarray, np.ndarray]:
        """Enhance a part of the picture, shape (N, C, rows, columns).

        Returns it in [0, 1], and its maps, shape (N, rows, columns).
        """
        gain, offset, guidance = (
            sample(grid, rows, columns, self._size)
            for grid in (self._gain, self._offset, self._guidance)
        )
        return (gain * part + offset).clip(0, 1), np.ascontiguousarray(guidance[:, 0])


def fit_lines(
    guide: np.ndarray, values: np.ndarray, mean: Callable[[np.ndarray], np.ndarray], flat: float
) -> tuple[np.ndarray, np.ndarray]:
    """Gain and offset of each pixel: values = gain * guide + offset, by least squares around it.

    guide, values: planes, shape (H, W).
    mean: returns the mean, weighted or not, of each pixel's neighbourhood in a plane.
    flat: variance of the guide at which the gain is halved.
    """
    mean_guide, mean_values = mean(guide), mean(values)
    variance = mean(guide * guide) - mean_guide * mean_guide
    covariance = mean(guide * values) - mean_guide * mean_values
    gain = covariance / (np.maximum(variance, 0) + flat)
    return gain, mean_values - gain * mean_guide


def _mean(plane: np.ndarray) -> np.ndarray:
    """The mean of each pixel's neighbourhood."""
    side = 2 * _RADIUS + 1
    return cv2.boxFilter(plane, cv2.CV_32F, (side, side), borderType=cv2.BORDER_REFLECT)
