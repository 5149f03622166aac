"""Arrays in numpy's .npz format, read strictly.

numpy's own reader evaluates headers as Python, and unpacks whatever size an archive says.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
import zlib

import numpy as np

_MAGIC = b"\x93NUMPY\x01\x00"  # version 1.0, which numpy writes for plain arrays
_HEADER = re.compile(
    r"\{'descr': '([<|][fiub]\d)', 'fortran_order': (True|False), "
    r"'shape': \(((?:\d{1,9}, ?)*\d{0,9})\), \}"
    r" *\n?"
)
_MOST_ARRAYS = 64
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def read_npz(content: bytes, most: int) -> dict[str, np.ndarray]:
    """The arrays of an archive by name, read-only.

    most: bytes that they may take, unpacked.
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
            return {e.filename.removesuffix(".npy"): _array(_unpacked(archive, e)) for e in entries}
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError):
        raise ValueError("no archive of arrays") from None


def _unpacked(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes; what is packed behind its size is left packed."""
    with archive.open(entry) as file:
        return file.read(entry.file_size)


def _array(content: bytes) -> np.ndarray:
    size = int.from_bytes(content[8:10], "little")
    header = _HEADER.fullmatch(content[10 : 10 + size].decode("latin-1"))
    if content[:8] != _MAGIC or header is None:
        raise ValueError("no plain array")
    layout, is_fortran, sides = header.groups()
    try:
        kind = np.dtype(layout)
    except TypeError:
        raise ValueError(f"an array of the unknown type {layout}") from None
    shape = tuple(int(side) for side in re.findall(r"\d+", sides))
    values = memoryview(content)[10 + size :]
    if len(shape) > 8 or len(values) != math.prod(shape) * kind.itemsize:
        raise ValueError("an array that is not as large as its shape says")
    return np.frombuffer(values, kind).reshape(shape, order="F" if is_fortran == "True" else "C")
