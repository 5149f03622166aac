"""Grain: noise correlated over pixels and channels, as in film, scans and chroma noise."""

from __future__ import annotations

import cv2
import numpy as np


def draw_grain(height: int, width: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance, float32, shape (height, width, channels).

    Luma and chroma differ in grain size and share of the variance: film grain is mostly luma of
    about a pixel, that of cheap sensors and old video mostly chroma of several pixels.
    """
    luma = _plane(height, width, rng.uniform(0, 1.5), rng)
    if channels == 1:
        return luma[..., None]
    share = rng.uniform(0, 1) ** 0.5  # of the luma
    size = rng.uniform(0, 4)
    # Three independent planes minus their mean are pure chroma.
    chroma = np.dstack([_plane(height, width, size, rng) for _ in range(3)])
    chroma = (chroma - chroma.mean(2, keepdims=True)) * np.float32(np.sqrt(1.5))
    grain: np.ndarray = share * luma[..., None] + np.sqrt(1 - share**2) * chroma
    return grain.astype(np.float32)


def _plane(height: int, width: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """White noise blurred by a Gaussian with standard deviation `size` pixels, of unit variance."""
    if size < 0.3:
        return rng.standard_normal((height, width), np.float32)
    reach = int(np.ceil(3 * size))
    # One axis of the Gaussian; the result's variance is the square of its sum of squares.
    kernel = cv2.getGaussianKernel(2 * reach + 1, size, cv2.CV_32F)
    noise = rng.standard_normal((height + 2 * reach, width + 2 * reach), np.float32)
    blurred = cv2.sepFilter2D(noise, -1, kernel, kernel)[reach:-reach, reach:-reach]
    return blurred / np.float32((kernel**2).sum())
