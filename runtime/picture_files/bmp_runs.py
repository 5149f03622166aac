"""Run-length encoding of BMP, 8 and 4 bits per pixel: Microsoft's BI_RLE8 and BI_RLE4."""

from __future__ import annotations

import numpy as np

_END_OF_ROW, _END, _MOVE = 0, 1, 2


def unpack_runs(data: bytes, width: int, height: int, halves: bool) -> np.ndarray:
    """Decode to palette indices, uint8, shape (H, W), with rows in stored order.

    halves: two pixels per byte, BI_RLE4. Skipped pixels have the first colour.
    Raises ValueError if the data ends before the picture, or writes outside of it.
    """
    levels = bytearray(width * height)
    x = y = position = 0
    while position + 2 <= len(data):
        count, value = data[position], data[position + 1]
        position += 2
        if count:
            run = bytes((value >> 4, value & 15) if halves else (value,)) * count
        elif value == _END_OF_ROW:
            x, y = 0, y + 1
            continue
        elif value == _END:
            y = height
            break
        elif value == _MOVE:
            if position + 2 > len(data):
                break
            x, y = x + data[position], y + data[position + 1]
            position += 2
            continue
        else:  # literal pixels, padded to a multiple of two bytes
            count = value
            size = (count + 1) // 2 if halves else count
            run = data[position : position + size]
            if halves:
                run = bytes(half for byte in run for half in (byte >> 4, byte & 15))
            position += size + size % 2
        if y >= height or x + count > width:
            raise ValueError("its runs leave the picture")
        if len(run) < count:
            break
        levels[y * width + x : y * width + x + count] = run[:count]
        x += count
    if y < height - 1 or (y == height - 1 and x < width):
        raise ValueError("its runs end before the picture")
    return np.frombuffer(levels, np.uint8).reshape(height, width)
