"""Blur kernels: read from files and checked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.storage.file_content import read_content
from hyperguide.storage.npy import parse_npy

from .maps import gray_plane
from .pictures import read_picture

_SUM_TOLERANCE = 1e-3
# A thousand by a thousand doubles. Texts take forty times as much while they are read.
_MOST_BYTES = 8 << 20


def read_kernel(path: Path) -> np.ndarray:
    """Read a kernel, float32, shape (kh, kw), odd sides, not negative, sum 1.

    `.dlm` and `.txt` are matrices of numbers, `.npy` arrays; `.png` gray pictures, which are
    divided by their sum. Raises HyperguideError for any other file.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise HyperguideError(f"The kernel {path} is no kernel file: give one of {known}.")
    return check_kernel(reader(path), f"kernel {path}")


def check_kernel(kernel: np.ndarray, what: str) -> np.ndarray:
    """Make a kernel float32, shape (kh, kw), and its sum exactly 1.

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


def _read_matrix(path: Path) -> np.ndarray:
    try:
        text = read_content(path, "kernel", _MOST_BYTES).decode("utf-8-sig")
        lines = text.replace(",", " ").replace(";", " ").splitlines()
        rows = [np.array([float(value) for value in line.split()]) for line in lines]
        return np.array([row for row in rows if row.size])
    except ValueError:  # words among the numbers, or rows of different lengths
        raise HyperguideError(
            f"The kernel {path} is not a matrix of numbers: mend or remove it."
        ) from None


def _read_array(path: Path) -> np.ndarray:
    try:
        return parse_npy(read_content(path, "kernel", _MOST_BYTES))
    except ValueError as error:
        raise HyperguideError(
            f"The kernel {path} is not a numeric array ({error}): mend or remove it."
        ) from None


def _read_gray(path: Path) -> np.ndarray:
    plane = gray_plane(read_picture(path), f"The kernel {path}").astype(np.float64)
    if not plane.any():
        raise HyperguideError(f"The kernel {path} is black: mend or remove it.")
    return plane / plane.sum()


_READERS: dict[str, Callable[[Path], np.ndarray]] = {
    ".dlm": _read_matrix,
    ".txt": _read_matrix,
    ".npy": _read_array,
    ".png": _read_gray,
}
KERNEL_SUFFIXES = frozenset(_READERS)
