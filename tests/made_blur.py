"""Pictures with few edges, kernels of shaken hands, and what they make together."""

from __future__ import annotations

import cv2
import numpy as np
import scipy.ndimage

from hyperguide.kernel_estimation.kernel_shape import centred


def boxes(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture of overlapping boxes and discs, with few edges."""
    rng = np.random.default_rng(seed)
    picture = np.full((height, width), 0.4, np.float32)
    for _ in range(height * width // 2500):
        y, x = rng.integers(0, (height, width))
        rows, columns = rng.integers(8, 50, 2)
        value = float(rng.uniform(0.05, 0.9))
        if rng.random() < 0.5:
            picture[y : y + rows, x : x + columns] = value
        else:
            cv2.circle(picture, (int(x), int(y)), int(rows) // 2, value, -1)
    return picture


def shaken(size: int, seed: int) -> np.ndarray:
    """The kernel of a hand that shook: a smooth path."""
    rng = np.random.default_rng(seed)
    path = np.cumsum(np.cumsum(rng.normal(size=(200, 2)), 0), 0)
    path -= path.min(0)
    path *= (size - 1) / path.max()
    kernel = np.zeros((size, size), np.float32)
    for y, x in np.round(path).astype(int):
        kernel[y, x] += 1
    kernel = cv2.GaussianBlur(kernel, (3, 3), 0.6)
    return centred(kernel / kernel.sum())


def blurred_bytes(picture: np.ndarray, kernel: np.ndarray, noise: float = 0.002) -> np.ndarray:
    """Bytes of a picture that a kernel blurred."""
    rng = np.random.default_rng(1)
    result = scipy.ndimage.convolve(picture, kernel, mode="nearest")
    result = result + rng.normal(0, noise, result.shape)
    return np.round(255 * np.clip(result, 0, 1)).astype(np.uint8)
