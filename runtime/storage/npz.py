"""Reads numpy's .npz format strictly.

numpy's own reader evaluates headers as Python, and unpacks any size that an archive claims.
"""

from __future__ import annotations

import io
import zipfile
import zlib

import numpy as np

from .npy import parse_npy

_MOST_ARRAYS = 64
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npz(content: bytes, most: int) -> dict[str, np.ndarray]:
    """The arrays of an archive by name, read-only.

    most: maximum bytes of all arrays, unpacked.
    Raises ValueError, and nothing else, with a reason.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            if len(entries) > _MOST_ARRAYS or sum(entry.file_size for entry in entries) > most:
                raise ValueError("too many or too large arrays")
            if len({entry.filename for entry in entries}) < len(entries):
                raise ValueError("an array twice")
            if any(entry.compress_type not in _METHODS for entry in entries):
                raise ValueError("an array that is packed in an unusual way")
            return {
                e.filename.removesuffix(".npy"): parse_npy(_unpacked(archive, e)) for e in entries
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
        raise ValueError("no archive of arrays") from None


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes, unpacked up to its declared size."""
    with archive.open(entry) as file:
        return file.read(entry.file_size)
