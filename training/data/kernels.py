"""Blur kernels as files: read, checked, and put on the canvas that a batch shares."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.guidance_files import gray_plane
from hyperguide.paths import find_files, is_folder
from hyperguide.pictures import read_picture

_SUM_TOLERANCE = 1e-3
_PROSE = ("license", "licence", "readme", "copying")  # text files that come with kernels


def read_kernel(path: Path) -> np.ndarray:
    """Read a kernel, float32, shape (kh, kw), odd sides, not negative, sum 1.

    `.dlm` and `.txt` are matrices of numbers, `.npy` arrays; `.png` gray pictures, which are
    divided by their sum. Raises HyperguideError for any other file.
    """
    kernel = _READERS[path.suffix.lower()](path).astype(np.float64)
    if kernel.ndim != 2 or not kernel.size:
        raise HyperguideError(f"The kernel {path} is not a matrix: give rows and columns.")
    if not np.isfinite(kernel).all() or (kernel < 0).any():
        raise HyperguideError(
            f"The kernel {path} has values that are negative, NaN or infinite: mend or remove it."
        )
    rows, columns = kernel.shape
    if rows % 2 == 0 or columns % 2 == 0:
        raise HyperguideError(
            f"The kernel {path} is {rows}x{columns}, but its centre must be an element: "
            "pad it with zeros to odd sides."
        )
    total = float(kernel.sum())
    if abs(total - 1) > _SUM_TOLERANCE:
        raise HyperguideError(
            f"The kernel {path} sums up to {total:g} instead of 1: divide it by its sum."
        )
    return (kernel / total).astype(np.float32)


def read_kernels(folder: Path) -> dict[str, np.ndarray]:
    """Read all kernels of a folder by their files' names; licences and readmes are left out.

    Raises HyperguideError if one cannot be used, or if there are fewer than two.
    """
    found = find_files(folder, KERNEL_SUFFIXES) if is_folder(folder) else []
    paths = [path for path in found if not path.stem.lower().startswith(_PROSE)]
    if len(paths) < 2:
        raise HyperguideError(
            f"The folder {folder} holds {len(paths)} kernels, but two are needed, one to validate "
            "with: give other --kernels."
        )
    return {path.relative_to(folder).as_posix(): read_kernel(path) for path in paths}


def on_canvas(kernel: np.ndarray, size: int, where: str) -> np.ndarray:
    """The kernel centred on zeros, shape (size, size); both sizes are odd.

    Raises HyperguideError, naming `where` the kernel is from, if it is larger.
    """
    rows, columns = kernel.shape
    if max(rows, columns) > size:
        raise HyperguideError(
            f"The kernel {where} is {rows}x{columns}, larger than {size} pixels: "
            "leave it out, or enlarge the preset's degradation `size` (up to its smallest crop)."
        )
    down, right = (size - rows) // 2, (size - columns) // 2
    return np.pad(kernel, ((down, down), (right, right)))


def _read_matrix(path: Path) -> np.ndarray:
    try:
        rows = [line.replace(",", " ").replace(";", " ").split() for line in _lines(path)]
        return np.array([[float(value) for value in row] for row in rows if row])
    except ValueError:  # words among the numbers, or rows of different lengths
        raise HyperguideError(
            f"The kernel {path} is not a matrix of numbers: mend or remove it."
        ) from None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError as error:
        raise HyperguideError(f"Cannot read the kernel {path}: {error.strerror}.") from None


def _read_array(path: Path) -> np.ndarray:
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        reason = error.strerror or "it is truncated"
        raise HyperguideError(f"Cannot read the kernel {path}: {reason}.") from None
    except (ValueError, EOFError):
        array = None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise HyperguideError(f"The kernel {path} is not a numeric array: mend or remove it.")
    return array


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
