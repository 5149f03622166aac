"""The kernel that turns one picture into another, by least squares on their differences."""

from __future__ import annotations

import numpy as np

from .periodic import (
    against_differences,
    canvas_of,
    convolved,
    correlated,
    differences,
    spectrum,
    transfer_function,
)

_ITERATIONS = 20
_CLOSE = 1e-10  # of the squared length of the right side


def fitted_kernel(
    sharp: np.ndarray,
    blurred: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
    damping: float,
) -> np.ndarray:
    """Minimise sum of weights * (sharp' * k - blurred')^2 + damping * |k|^2.

    Here ' stands for differences across and down. By conjugate gradients from `start`, so that
    pixels without weight count exactly nothing.

    sharp, blurred, weights: canvases, (H, W). start: kernel, square, odd. Returns a kernel of its
    size, which may have negative values and any sum.
    """
    size, shape = len(start), blurred.shape
    of_sharp = spectrum(sharp)

    def adjoint(across: np.ndarray, down: np.ndarray) -> np.ndarray:
        residual = spectrum(against_differences(weights * across, weights * down))
        correlation = canvas_of(correlated(of_sharp, residual))
        return np.roll(correlation, (size // 2, size // 2), (0, 1))[:size, :size]

    def applied(kernel: np.ndarray) -> np.ndarray:
        again = canvas_of(convolved(of_sharp, transfer_function(kernel, shape)))
        return adjoint(*differences(again)) + damping * kernel

    aim = adjoint(*differences(blurred))
    kernel = start.astype(np.float32)
    residual = aim - applied(kernel)
    direction, error = residual, _squared(residual)
    close = _CLOSE * _squared(aim)
    for _ in range(_ITERATIONS):
        if error <= close:
            break
        step = applied(direction)
        length = error / float((direction * step).sum())
        kernel = kernel + length * direction
        residual = residual - length * step
        before, error = error, _squared(residual)
        direction = residual + error / before * direction
    return kernel


def _squared(values: np.ndarray) -> float:
    return float((values * values).sum())
