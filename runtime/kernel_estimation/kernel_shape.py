"""Kernels as shapes: tidied, centred, resized, compared."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

NO_BLUR = np.array([[0, 0, 0], [0, 1, 0], [0, 0, 0]], np.float32)


@dataclass(frozen=True)
class Tidiness:
    """What counts as noise in a kernel.

    least_value: smaller ones, as shares of the largest, become zero.
    least_part: separate parts with a smaller share of the sum do, too.
    """

    least_value: float = 0.05
    least_part: float = 0.1


TIDY = Tidiness()


def line_kernel(size: int) -> np.ndarray:
    """The kernel to begin with: two equal values side by side."""
    kernel = np.zeros((size, size), np.float32)
    kernel[size // 2, size // 2 - 1 : size // 2 + 1] = 0.5
    return kernel


def tidied(kernel: np.ndarray, tidiness: Tidiness = TIDY) -> np.ndarray:
    """Without small and negative values and small separate parts; the sum is 1."""
    kernel = np.maximum(kernel, 0)
    if not kernel.any():
        return line_kernel(len(kernel))
    kernel[kernel < tidiness.least_value * kernel.max()] = 0
    count, labels = cv2.connectedComponents((kernel > 0).astype(np.uint8), connectivity=8)
    sums = np.bincount(labels.ravel(), kernel.ravel(), count)
    small = np.flatnonzero(sums < min(tidiness.least_part * sums.sum(), sums.max()))
    kernel[np.isin(labels, small)] = 0
    return normalised(kernel)


def normalised(kernel: np.ndarray) -> np.ndarray:
    """Scaled to the sum 1, float32."""
    return (kernel / kernel.sum(dtype=np.float64)).astype(np.float32)


def centred(kernel: np.ndarray) -> np.ndarray:
    """With the centroid in the middle element, as well as whole pixels allow.

    What would leave the kernel on one side is cut off.
    """
    rows, columns = kernel.shape
    y, x = _centroid(kernel)
    move = np.array([[1, 0, round(columns // 2 - x)], [0, 1, round(rows // 2 - y)]], np.float32)
    return normalised(cv2.warpAffine(kernel, move, (columns, rows), flags=cv2.INTER_NEAREST))


def resized(kernel: np.ndarray, size: int) -> np.ndarray:
    """Of another size, with the values spread over it."""
    larger = cv2.resize(kernel, (size, size), interpolation=cv2.INTER_LINEAR)
    return centred(normalised(np.maximum(larger, 0)))


def padded(kernel: np.ndarray, size: int) -> np.ndarray:
    """In the middle of a square of zeros, or cut to it; the sum becomes 1."""
    whole = np.zeros((size, size), np.float32)
    short = min(size, len(kernel))
    begin, first = (size - short) // 2, (len(kernel) - short) // 2
    whole[begin : begin + short, begin : begin + short] = kernel[
        first : first + short, first : first + short
    ]
    return normalised(whole)


def reach(kernel: np.ndarray) -> int:
    """How far values lie from the middle element, in pixels, rows or columns."""
    places = np.argwhere(kernel > 0) - len(kernel) // 2
    return int(np.abs(places).max())


def spread(kernel: np.ndarray) -> float:
    """The standard deviation of places along the longest axis of a kernel, in pixels."""
    y, x = _centroid(kernel)
    rows, columns = np.mgrid[: kernel.shape[0], : kernel.shape[1]]
    dy, dx = rows - y, columns - x
    covariance = np.array(
        [[(kernel * a * b).sum() for a in (dy, dx)] for b in (dy, dx)], np.float64
    )
    return float(np.sqrt(max(np.linalg.eigvalsh(covariance)[-1], 0)))


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """The largest correlation of two kernels over all shifts, in [0, 1]; 1 for equal ones."""
    side = 2 * max(len(one), len(other))
    spectra = [np.fft.rfft2(kernel, (side, side)) for kernel in (one, other)]
    correlation = np.fft.irfft2(spectra[0] * np.conj(spectra[1]), (side, side))
    return float(correlation.max() / np.sqrt((one**2).sum() * (other**2).sum()))


def _centroid(kernel: np.ndarray) -> tuple[float, float]:
    rows, columns = np.mgrid[: kernel.shape[0], : kernel.shape[1]]
    total = float(kernel.sum())
    return float((kernel * rows).sum()) / total, float((kernel * columns).sum()) / total
