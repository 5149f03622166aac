"""Reads the numeric arrays of MATLAB .mat files, level 5 (v5 to v7).

The format: MathWorks, "MAT-File Format", chapter 1. Cells, structures, text and sparse or complex
arrays are skipped. v7.3 files, which are HDF5, are rejected.

`scipy.io.loadmat` is no substitute: its compiled code does not check the data type of an array, so
one wrong byte in a file crashes the process (scipy 1.17).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.storage.file_content import read_content

_HEADER = 128
_MOST_BYTES = 64 << 20  # of a file, and of its decompressed content; Levin's have 1 MB
_MOST_ARRAYS = 1000
_MATRIX, _COMPRESSED = 14, 15
_COMPLEX = 0x0800

# Code of a data type, and of an array class, -> numpy type. MATLAB stores an array of doubles in a
# smaller type if its values allow, so the two may differ.
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip


def read_mat(path: Path) -> dict[str, np.ndarray]:
    """Read the real numeric arrays of a file, by name, with the type and shape they have in MATLAB.

    Raises HyperguideError if the file is missing, damaged, too large or in another format.
    """
    content = read_content(path, "MATLAB file", _MOST_BYTES)
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None or content[:10] != b"MATLAB 5.0":
        raise HyperguideError(
            f"{path} is no .mat file of level 5: save it with -v7 or older in MATLAB."
        )
    arrays: dict[str, np.ndarray] = {}
    left = _MOST_BYTES
    try:
        for kind, data in _elements(content[_HEADER:], order):
            if kind == _COMPRESSED:
                unpacked = _decompress(data, left)
                left -= len(unpacked)
                kind, data = next(_elements(unpacked, order))
            if kind != _MATRIX or len(arrays) == _MOST_ARRAYS:
                raise ValueError("no array, or too many")
            arrays |= _array(data, order)
    except (struct.error, zlib.error, ValueError, StopIteration, OverflowError):
        raise HyperguideError(f"{path} is damaged: copy or download it again.") from None
    return arrays


def _decompress(data: bytes, most_bytes: int) -> bytes:
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(data, most_bytes)
    if not unpacking.eof:
        raise ValueError("cut, or larger than any test picture")
    return unpacked


def _elements(content: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Yield (data type, data) for each of a sequence of elements."""
    position = 0
    while position < len(content):
        kind, size = struct.unpack_from(order + "II", content, position)
        if kind >> 16:  # small element: size and type share a word, four bytes of data follow
            kind, size, start, end = kind & 0xFFFF, kind >> 16, position + 4, position + 8
        else:
            start = position + 8
            end = start + size
            if kind != _COMPRESSED:
                end += -size % 8
        if start + size > len(content):
            raise ValueError("an element ends behind the file")
        yield kind, content[start : start + size]
        position = end


def _array(matrix: bytes, order: str) -> dict[str, np.ndarray]:
    """{name: array} of a matrix element; empty if its kind is skipped."""
    parts = _elements(matrix, order)
    flags = struct.unpack_from(order + "I", next(parts)[1])[0]
    type_of_class = _CLASSES.get(flags & 0xFF)
    if type_of_class is None or flags & _COMPLEX:
        return {}
    shape = np.frombuffer(next(parts)[1], order + "i4")
    if len(shape) < 2 or (shape < 0).any():
        raise ValueError("no shape")
    name = next(parts)[1].decode("latin-1")
    stored, data = next(parts)
    if stored not in _STORED:
        raise ValueError("numbers of an unknown type")
    values = np.frombuffer(data, order + _STORED[stored])
    with np.errstate(all="ignore"):  # NaN cast to an integer type gives an arbitrary value
        return {name: values.reshape(shape, order="F").astype(type_of_class)}
