"""Parses numpy's `.npy` files from untrusted bytes.

The format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. `numpy.load`
would also accept pickles and archives, and allocate memory for any shape that a header claims.
"""

from __future__ import annotations

import ast
import math
import re
from typing import Any

import numpy as np

_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # numpy's limit, since headers are evaluated as Python literals
_NUMBERS = re.compile(r"[<>=|]?(f[248]|[iu][1248])")
_KEYS = {"descr", "fortran_order", "shape"}


def parse_npy(content: bytes) -> np.ndarray:
    """Parse the array of floats or integers in a `.npy` file.

    Raises ValueError, and nothing else, for any other content.
    """
    if not content.startswith(_MAGIC) or len(content) < 12:
        raise ValueError("not a .npy file")
    count = 2 if content[6] == 1 else 4  # bytes of the header's length
    start = 8 + count
    end = start + int.from_bytes(content[8:start], "little")
    if end > min(len(content), start + _LONGEST_HEADER):
        raise ValueError("a header that is too long")
    dtype, shape, by_columns = _parse_header(content[start:end].decode("latin-1"))
    if len(content) - end != dtype.itemsize * math.prod(shape):
        raise ValueError("not as many numbers as the header says")
    array = np.frombuffer(content, dtype, offset=end)
    return array.reshape(shape, order="F" if by_columns else "C")


def _parse_header(text: str) -> tuple[np.dtype[Any], tuple[int, ...], bool]:
    """Parse a header into type, shape and whether the array is in column order."""
    try:
        fields = ast.literal_eval(text.strip())
    except (SyntaxError, TypeError, MemoryError, RecursionError):  # as documented
        fields = None
    if not isinstance(fields, dict) or fields.keys() != _KEYS:
        raise ValueError("a header that is damaged")
    descr, by_columns, shape = fields["descr"], fields["fortran_order"], fields["shape"]
    if not isinstance(descr, str) or not _NUMBERS.fullmatch(descr):
        raise ValueError("not numbers")
    if not isinstance(shape, tuple) or not isinstance(by_columns, bool):
        raise ValueError("a header that is damaged")
    if not all(type(side) is int and side >= 0 for side in shape) or len(shape) > 8:
        raise ValueError("a shape that is none")
    return np.dtype(descr), shape, by_columns
