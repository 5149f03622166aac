"""Reads the arrays of HDF5 files with the optional package h5py."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.storage.file_content import read_content

_MOST_BYTES = 64 << 20  # of a file, and of its unpacked content; FDN's have 2 MB
_MOST_ARRAYS = 10_000


def read_hdf5(path: Path) -> dict[str, np.ndarray]:
    """Read the numeric arrays of a file by their path in it, like `group/array`.

    Links are not followed, arrays kept in other files are refused, and attributes are not read.

    Raises HyperguideError if h5py is not installed, or if the file is missing, damaged, too large,
    or holds arrays of anything but numbers.
    """
    try:
        import h5py
    except ImportError:
        raise HyperguideError(
            f"Reading {path} needs the package h5py: pip install 'hyperguide[hdf5]'."
        ) from None
    content = read_content(path, "HDF5 file", _MOST_BYTES)
    arrays: dict[str, np.ndarray] = {}

    def collect(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group):
            return
        size = item.size * item.dtype.itemsize + sum(array.nbytes for array in arrays.values())
        plain = item.dtype.kind in "fiu" and not item.is_virtual and item.external is None
        # A chunk is unpacked as a whole.
        chunk = math.prod(item.chunks or ()) * item.dtype.itemsize
        if not plain or max(size, chunk) > _MOST_BYTES or len(arrays) == _MOST_ARRAYS:
            raise ValueError("no numbers, numbers of another file, or too many")
        arrays[name] = item[()]

    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            file.visititems(collect)  # each object once, without following links
    except Exception:  # damaged files raise almost any type
        raise HyperguideError(f"{path} is damaged or no HDF5 file: download it again.") from None
    return arrays
