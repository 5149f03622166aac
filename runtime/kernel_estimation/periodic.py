"""Pictures on a canvas that wraps around, where convolutions are products of spectra."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Canvas:
    """A canvas with a picture in it, and how to place others of the same size.

    shape: of the canvas. top, left: where the picture begins. rows, columns: of the picture.
    """

    shape: tuple[int, int]
    top: int
    left: int
    rows: int
    columns: int

    @staticmethod
    def around(picture: np.ndarray, margin: int) -> Canvas:
        """A canvas with a margin around a picture, (H, W); transforms are fast on its size."""
        rows, columns = picture.shape
        height, width = (cv2.getOptimalDFTSize(side + 2 * margin) for side in (rows, columns))
        width += width % 2
        return Canvas((height, width), (height - rows) // 2, (width - columns) // 2, rows, columns)

    def placed(self, picture: np.ndarray) -> np.ndarray:
        """The canvas with a picture; the margin leads evenly from each edge to the opposite one."""
        canvas = np.zeros(self.shape, np.float32)
        self.inner(canvas)[:] = picture
        _bridge(canvas, self.top, self.rows)
        _bridge(canvas.T, self.left, self.columns)
        return canvas

    def inner(self, canvas: np.ndarray) -> np.ndarray:
        """The part of a canvas in which the picture is; a view."""
        bottom, right = self.top + self.rows, self.left + self.columns
        return canvas[self.top : bottom, self.left : right]


def _bridge(canvas: np.ndarray, first: int, count: int) -> None:
    """Fill the rows behind the last row of a picture up to its first row, around the end."""
    gap = len(canvas) - count
    share = (np.arange(gap, dtype=np.float32)[:, None] + 1) / (gap + 1)
    places = np.arange(first + count, first + count + gap) % len(canvas)
    canvas[places] = canvas[first + count - 1] * (1 - share) + canvas[first] * share


def spectrum(canvas: np.ndarray) -> np.ndarray:
    """The discrete Fourier transform of a real canvas."""
    return np.fft.rfft2(canvas)


def canvas_of(transformed: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The canvas that has this spectrum, float32."""
    return np.fft.irfft2(transformed, tuple(shape)).astype(np.float32, copy=False)


def transfer_function(kernel: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The spectrum by which a convolution with a kernel of odd sides multiplies."""
    canvas = np.zeros(shape, np.float32)
    rows, columns = kernel.shape
    canvas[:rows, :columns] = kernel
    return spectrum(np.roll(canvas, (-(rows // 2), -(columns // 2)), (0, 1)))


def differences(canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forward differences across and down, around the ends."""
    return np.roll(canvas, -1, 1) - canvas, np.roll(canvas, -1, 0) - canvas


def difference_spectra(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """The spectra by which `differences` multiply."""
    height, width = shape
    across = np.exp(2j * np.pi * np.arange(width // 2 + 1) / width) - 1
    down = np.exp(2j * np.pi * np.arange(height) / height) - 1
    return across[None, :].astype(np.complex64), down[:, None].astype(np.complex64)
