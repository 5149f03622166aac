"""Reads the numeric arrays of MATLAB .mat files, level 5 (v5 to v7).

The format: MathWorks, "MAT-File Format", chapter 1. Text and sparse or complex arrays are skipped,
and so are cells and structures unless asked for. v7.3 files, which are HDF5, are rejected.

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
_LONGEST_NAME = 63  # MATLAB's own limit
_MOST_DEPTH = 8  # of cells and structures in each other
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCTURE = 1, 2
_COMPLEX = 0x0800
_Element = tuple[int, memoryview]  # data type, data

# Code of a data type, and of an array class, -> numpy type. MATLAB stores an array of doubles in a
# smaller type if its values allow, so the two may differ.
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_CLASSES = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip


def read_mat(path: Path, nested: bool = False) -> dict[str, np.ndarray]:
    """Read the real numeric arrays of a file, by name, with the type and shape they have in MATLAB.

    nested: also those in cells and structures, under names like `model.f[3]`. Elements are counted
        from 0 in MATLAB's order, column by column; a structure of a single element has no number.
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
        for kind, data in _elements(memoryview(content)[_HEADER:], order):
            if kind == _COMPRESSED:
                unpacked = _decompress(data, left)
                left -= len(unpacked)
                kind, data = _next(_elements(memoryview(unpacked), order))
            if kind != _MATRIX:
                raise ValueError("no array")
            for name, values in _arrays(data, order, _MOST_DEPTH if nested else 0):
                if len(arrays) == _MOST_ARRAYS:
                    raise ValueError("too many arrays")
                arrays[name] = values
    except (struct.error, zlib.error, ValueError, OverflowError):
        raise HyperguideError(f"{path} is damaged: copy or download it again.") from None
    return arrays


def _decompress(data: memoryview, most_bytes: int) -> bytes:
    unpacking = zlib.decompressobj()
    unpacked = unpacking.decompress(data, most_bytes)
    if not unpacking.eof:
        raise ValueError("cut, or larger than any test picture")
    return unpacked


def _elements(content: memoryview, order: str) -> Iterator[_Element]:
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


def _next(elements: Iterator[_Element]) -> _Element:
    """The next element. Raises ValueError if there is none."""
    found = next(elements, None)
    if found is None:
        raise ValueError("an element is missing")
    return found


def _arrays(matrix: memoryview, order: str, depth: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, array) of a matrix element and of those in it; nothing if its kind is skipped.

    depth: how far to go into cells and structures.
    """
    parts = _elements(matrix, order)
    flags = struct.unpack_from(order + "I", _next(parts)[1])[0]
    kind = flags & 0xFF
    if flags & _COMPLEX or kind not in (_CELL, _STRUCTURE, *_CLASSES):
        return
    shape = np.frombuffer(_next(parts)[1], order + "i4")
    if len(shape) < 2 or (shape < 0).any():
        raise ValueError("no shape")
    name = bytes(_next(parts)[1]).decode("latin-1")
    if len(name) > _LONGEST_NAME:
        raise ValueError("a name that is too long")
    if kind in _CLASSES:
        yield name, _numbers(*_next(parts), shape, kind, order)
    elif depth:
        fields = [""] if kind == _CELL else [f".{field}" for field in _fields(parts, order)]
        many = kind == _CELL or (shape != 1).any()
        for place, (_, data) in enumerate(parts):
            if not data:  # how MATLAB writes an empty one
                continue
            index, field = divmod(place, len(fields))
            prefix = name + (f"[{index}]" if many else "") + fields[field]
            for inner, values in _arrays(data, order, depth - 1):
                yield prefix + inner, values


def _fields(parts: Iterator[_Element], order: str) -> list[str]:
    """The names of a structure's fields, of equal length and padded with zeros."""
    (length,) = struct.unpack_from(order + "i", _next(parts)[1])
    names = bytes(_next(parts)[1])
    if length <= 0 or not names or len(names) > _MOST_ARRAYS * length:
        raise ValueError("no names of fields")
    starts = range(0, len(names), length)
    return [names[at : at + length].partition(b"\0")[0].decode("latin-1") for at in starts]


def _numbers(stored: int, data: memoryview, shape: np.ndarray, kind: int, order: str) -> np.ndarray:
    """The array of numbers that are stored as one type and belong to another."""
    if stored not in _STORED:
        raise ValueError("numbers of an unknown type")
    values = np.frombuffer(data, order + _STORED[stored])
    with np.errstate(all="ignore"):  # NaN cast to an integer type gives an arbitrary value
        return values.reshape(shape, order="F").astype(_CLASSES[kind])
