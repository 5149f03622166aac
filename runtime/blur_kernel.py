"""Checks blur kernels given as arrays."""

from __future__ import annotations

import numpy as np

from .errors import HyperguideError

_SUM_TOLERANCE = 1e-3


def check_kernel(kernel: np.ndarray, what: str) -> np.ndarray:
    """Check a kernel, and return it as float32, shape (kh, kw), with its sum scaled to 1.

    what: names it in errors. Raises HyperguideError unless it has odd sides, no negative value, and
    the sum 1 within a thousandth.
    """
    if kernel.ndim != 2 or not kernel.size or kernel.dtype.kind not in "fiu":
        raise HyperguideError(f"The {what} is not a matrix of numbers: give rows and columns.")
    kernel = kernel.astype(np.float64)
    if not np.isfinite(kernel).all() or (kernel < 0).any():
        raise HyperguideError(
            f"The {what} has values that are negative, NaN or infinite: mend or remove it."
        )
    rows, columns = kernel.shape
    if rows % 2 == 0 or columns % 2 == 0:
        raise HyperguideError(
            f"The {what} is {rows}x{columns}, but its centre must be an element: "
            "pad it with zeros to odd sides."
        )
    with np.errstate(over="ignore"):
        total = float(kernel.sum())
    if abs(total - 1) > _SUM_TOLERANCE:
        raise HyperguideError(
            f"The {what} sums up to {total:g} instead of 1: divide it by its sum."
        )
    return (kernel / total).astype(np.float32)
