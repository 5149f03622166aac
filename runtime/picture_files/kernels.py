"""Reads blur kernels from files, and encodes them as pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hyperguide.blur_kernel import check_kernel
from hyperguide.errors import HyperguideError
from hyperguide.storage.file_content import read_content
from hyperguide.storage.npy import parse_npy

from .maps import gray_plane
from .pictures import read_picture

# A thousand by a thousand doubles. Texts take forty times as much memory while they are read.
_MOST_BYTES = 8 << 20


def read_kernel(path: Path) -> np.ndarray:
    """Read a kernel, float32, shape (kh, kw), odd sides, not negative, sum 1.

    `.dlm` and `.txt` hold matrices of numbers, `.npy` arrays, `.png` gray pictures, which are
    divided by their sum. Raises HyperguideError for any other file.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join(sorted(_READERS))
        raise HyperguideError(f"The kernel {path} is no kernel file: give one of {known}.")
    return check_kernel(reader(path), f"kernel {path}")


def encode_kernel(kernel: np.ndarray) -> np.ndarray:
    """A kernel as a gray 16-bit picture, (kh, kw), that `read_kernel` reads; the peak is white."""
    return np.rint(65535 * (kernel / kernel.max())).astype(np.uint16)


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
