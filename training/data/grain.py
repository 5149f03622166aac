"""Grain: noise that is correlated over pixels and channels, as of film, scans and chroma."""

from __future__ import annotations

import cv2
import numpy as np


def draw_grain(height: int, width: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Noise of unit variance, float32, shape (height, width, channels).

    Luma and chroma have grains of their own size and share of the variance: film is mostly luma of
    about a pixel, cheap sensors and old video are mostly chroma of several pixels.
    """
    luma = _plane(height, width, rng.uniform(0, 1.5), rng)
    if channels == 1:
        return luma[..., None]
    share = rng.uniform(0, 1) ** 0.5  # of the luma
    size = rng.uniform(0, 4)
    # Three independent planes without their mean are chroma alone.
    chroma = np.dstack([_plane(height, width, size, rng) for _ in range(3)])
    chroma = (chroma - chroma.mean(2, keepdims=True)) * np.float32(np.sqrt(1.5))
    grain: np.ndarray = share * luma[..., None] + np.sqrt(1 - share**2) * chroma
    return grain.astype(np.float32)


def _plane(height: int, width: int, size: float, rng: np.random.Generator) -> np.ndarray:
    """White noise blurred by a Gaussian of a standard deviation in pixels, of unit variance."""
    if size < 0.3:
        return rng.standard_normal((height, width), np.float32)
    reach = int(np.ceil(3 * size))
    # One axis of the Gaussian; the variance of the result is the sum of its squares, squared.
    kernel = cv2.getGaussianKernel(2 * reach + 1, size, cv2.CV_32F)
    noise = rng.standard_normal((height + 2 * reach, width + 2 * reach), np.float32)
    blurred = cv2.sepFilter2D(noise, -1, kernel, kernel)[reach:-reach, reach:-reach]
    return blurred / np.float32((kernel**2).sum())
