"""Blur kernels for training: reads a folder of them and centres them on a canvas."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.picture_files import KERNEL_SUFFIXES, read_kernel
from hyperguide.storage.paths import find_files, is_folder

_PROSE = ("license", "licence", "readme", "copying")  # text files that come with kernels


def read_kernels(folder: Path) -> dict[str, np.ndarray]:
    """Read all kernels of a folder, by file name; skips licences and readmes.

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
    """The kernel padded with zeros to shape (size, size); its sides and `size` are odd.

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
