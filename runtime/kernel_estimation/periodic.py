"""Pictures on a canvas that wraps around, where convolutions are products of spectra.

Spectra are OpenCV's packed ones: as large as the canvas, real and imaginary parts side by side (see
`cv2.dft`). Sums of them and products with numbers are the same as of other spectra.
"""

from __future__ import annotations

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
        height, width = (_fast_side(side + 2 * margin) for side in (rows, columns))
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


def _fast_side(least: int) -> int:
    """The next even length of which transforms are fast."""
    return 2 * cv2.getOptimalDFTSize((least + 1) // 2)


def spectrum(canvas: np.ndarray) -> np.ndarray:
    """The discrete Fourier transform of a canvas, float32, sides even, packed."""
    return cv2.dft(canvas)


def canvas_of(transformed: np.ndarray) -> np.ndarray:
    """The canvas that has this spectrum."""
    return cv2.dft(transformed, flags=cv2.DFT_INVERSE | cv2.DFT_SCALE)


def convolved(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The product of two spectra."""
    return cv2.mulSpectrums(one, other, 0)


def correlated(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The product of the conjugate of one spectrum with another."""
    return cv2.mulSpectrums(other, one, 0, conjB=True)


def power(transformed: np.ndarray) -> np.ndarray:
    """The squared magnitudes of a spectrum, where its real and where its imaginary parts are."""
    return _real_everywhere(correlated(transformed, transformed))


def roughness(shape: tuple[int, int]) -> np.ndarray:
    """By what `differences` multiply the power of a canvas of this shape, laid out as `power`."""
    canvas = np.zeros(shape, np.float32)
    for neighbour in (0, 1), (0, -1), (1, 0), (-1, 0):
        canvas[neighbour] -= 1
        canvas[0, 0] += 1
    return _real_everywhere(spectrum(canvas))


def _real_everywhere(packed: np.ndarray) -> np.ndarray:
    """A packed spectrum with the real parts also in place of the imaginary ones."""
    packed[:, 2:-1:2] = packed[:, 1:-1:2]
    for column in 0, -1:
        packed[2:-1:2, column] = packed[1:-1:2, column]
    return packed


def transfer_function(kernel: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The spectrum by which a convolution with a kernel of odd sides multiplies."""
    canvas = np.zeros(shape, np.float32)
    rows, columns = kernel.shape
    canvas[:rows, :columns] = kernel
    return spectrum(np.roll(canvas, (-(rows // 2), -(columns // 2)), (0, 1)))


def differences(canvas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forward differences across and down, around the ends."""
    return np.roll(canvas, -1, 1) - canvas, np.roll(canvas, -1, 0) - canvas


def against_differences(across: np.ndarray, down: np.ndarray) -> np.ndarray:
    """The adjoint of `differences`: backward differences of both, negated."""
    return np.roll(across, 1, 1) - across + np.roll(down, 1, 0) - down
