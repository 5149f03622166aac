"""Reads BMP pictures of Windows and OS/2 as their headers say.

Without OpenCV, because it ignores bit-field masks, the short palettes of OS/2, and that levels of
5 and 6 bits must be scaled so that white is 255.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hyperguide.errors import HyperguideError

from .bmp_runs import unpack_runs

_FILE_HEADER, _OS2_HEADER, _HEADER = 14, 12, 40
# Lengths of headers: OS/2 1 and 2 (short or full), Windows 3, with masks, with alpha, 4 and 5.
_LENGTHS = (12, 16, 40, 52, 56, 64, 108, 124)
_OS2_SECOND = (16, 64)
_RGB, _RLE8, _RLE4, _BIT_FIELDS, _JPEG, _PNG, _ALPHA_FIELDS = 0, 1, 2, 3, 4, 5, 6
_OTHER = {_JPEG: "JPEG", _PNG: "PNG", 11: "CMYK", 12: "CMYK", 13: "CMYK"}
_RUN_BITS = {_RLE8: 8, _RLE4: 4}
# Maximum pixels per byte, as runs of two bytes have at most 255, and pixels that may be left unset.
_PIXELS_A_BYTE, _OPEN = 128, 1 << 24
_PIXELS = 1 << 16  # whose channels are extracted at a time
# For 16 and 32 bits per pixel without masks in the file: red, green, blue, alpha.
_MASKS = {16: (0x7C00, 0x3E0, 0x1F, 0), 32: (0xFF0000, 0xFF00, 0xFF, 0)}


@dataclass(frozen=True)
class BmpHeader:
    """The header of a BMP.

    from_top: whether the top row comes first.
    masks: of red, green, blue and alpha for 16 and 32 bits per pixel; 0 without alpha.
    palette: shape (colours, 3), RGB; for 8 bits per pixel and fewer.
    start: offset of the pixels.
    """

    width: int
    height: int
    from_top: bool
    bits: int
    compression: int
    masks: tuple[int, int, int, int]
    palette: np.ndarray
    start: int

    @property
    def planes(self) -> int:
        """Planes of the decoded picture: gray 1, RGB 3, RGBA 4."""
        if self.bits <= 8:
            return 1 if self.is_gray else 3
        return 4 if self.masks[3] else 3

    @property
    def is_gray(self) -> bool:
        """Whether the palette, if there is one, has only grays."""
        return bool((self.palette == self.palette[:, :1]).all())

    @property
    def row_bytes(self) -> int:
        """Bytes of an uncompressed row, a multiple of four."""
        return (self.width * self.bits + 31) // 32 * 4


def read_bmp_header(content: bytes, path: Path) -> BmpHeader:
    """Read the header of a BMP. Raises HyperguideError if it is damaged or not supported."""
    if len(content) < 26:
        raise _truncated(path)
    (start,) = struct.unpack_from("<I", content, 10)
    (length,) = struct.unpack_from("<I", content, _FILE_HEADER)
    if length not in _LENGTHS:
        raise _unsupported(path, f"with a header of {length} bytes")
    if len(content) < _FILE_HEADER + length:
        raise _truncated(path)
    compression, colors = _RGB, 0
    if length == _OS2_HEADER:
        width, height, _, bits = struct.unpack_from("<4H", content, 18)
    else:
        width, height, _, bits = struct.unpack_from("<2i2H", content, 18)
        if length >= _HEADER:
            compression, _, _, _, colors = struct.unpack_from("<I I 2i I", content, 30)
    if length in _OS2_SECOND and compression in (_BIT_FIELDS, _JPEG):
        raise _unsupported(path, "compressed as OS/2 does")
    if compression in _OTHER:
        raise _unsupported(path, f"compressed by {_OTHER[compression]}")
    fields = compression in (_BIT_FIELDS, _ALPHA_FIELDS)
    if (
        compression not in (_RGB, _RLE8, _RLE4, _BIT_FIELDS, _ALPHA_FIELDS)
        or bits not in (1, 4, 8, 16, 24, 32)
        or (fields and bits not in _MASKS)
        or (compression in _RUN_BITS and bits != _RUN_BITS[compression])
    ):
        raise _unsupported(path, f"of {bits} bits and compression {compression}")
    if width < 1 or height == 0:
        raise HyperguideError(f"The picture {path} is damaged: its header gives no size.")
    if compression in _RUN_BITS and width * abs(height) > _PIXELS_A_BYTE * len(content) + _OPEN:
        raise _truncated(path)
    masks, behind = (0, 0, 0, 0), _FILE_HEADER + length
    if fields:
        masks, behind = _read_masks(content, length, compression, path)
    elif bits in _MASKS:
        masks = _MASKS[bits]
    palette = np.zeros((0, 3), np.uint8)
    if bits <= 8:
        entry = 3 if length == _OS2_HEADER else 4
        palette = _read_palette(content, behind, entry, colors or 1 << bits, start, path)
    if start < behind:
        raise HyperguideError(f"The picture {path} is damaged: its pixels start in its header.")
    return BmpHeader(
        width, abs(height), height < 0, bits, compression, masks, palette[: 1 << bits], start
    )


def decode_bmp(content: bytes, header: BmpHeader, path: Path) -> np.ndarray:
    """The pixels of a BMP: gray (H, W), RGB (H, W, 3) or RGBA (H, W, 4), uint8.

    Raises HyperguideError if some are missing or invalid.
    """
    if header.compression in _RUN_BITS:
        try:
            levels = unpack_runs(
                content[header.start :], header.width, header.height, header.bits == 4
            )
        except ValueError as error:
            raise HyperguideError(
                f"The picture {path} is damaged ({error}): copy or download it again."
            ) from None
    else:
        size = header.row_bytes * header.height
        if len(content) - header.start < size:
            raise _truncated(path)
        rows = np.frombuffer(content, np.uint8, size, header.start)
        rows = rows.reshape(header.height, header.row_bytes)
        if header.bits > 8:
            return _channels(rows, header)
        levels = _levels(rows, header)
    if levels.max() >= len(header.palette):
        raise HyperguideError(f"The picture {path} is damaged: a colour is not in its palette.")
    colors = header.palette[:, 0] if header.is_gray else header.palette
    return colors[levels if header.from_top else levels[::-1]]


def _levels(rows: np.ndarray, header: BmpHeader) -> np.ndarray:
    """Palette indices, shape (H, W), from 1, 4 or 8 bits per pixel."""
    if header.bits == 8:
        return rows[:, : header.width]
    if header.bits == 1:
        return np.unpackbits(rows, axis=1, count=header.width)
    return np.stack([rows >> 4, rows & 15], -1).reshape(header.height, -1)[:, : header.width]


def _channels(rows: np.ndarray, header: BmpHeader) -> np.ndarray:
    """RGB or RGBA from 16, 24 or 32 bits per pixel."""
    picture = np.empty((header.height, header.width, header.planes), np.uint8)
    stored = picture if header.from_top else picture[::-1]
    if header.bits == 24:
        stored[...] = rows[:, : 3 * header.width].reshape(stored.shape)[..., ::-1]
        return picture
    pixels = rows.view(f"<u{header.bits // 8}")[:, : header.width]
    step = max(1, _PIXELS // header.width)
    for plane in range(header.planes):
        mask = header.masks[plane]
        low = (mask & -mask).bit_length() - 1
        depth = mask.bit_length() - low
        if depth > 8:  # take the highest 8 bits
            low, depth = low + depth - 8, 8
        steps = (1 << depth) - 1
        spread = np.array([(255 * i + steps // 2) // steps for i in range(steps + 1)], np.uint8)
        for first in range(0, header.height, step):
            part = pixels[first : first + step]
            stored[first : first + step, :, plane] = spread[(part >> low) & steps]
    return picture


def _read_masks(
    content: bytes, length: int, compression: int, path: Path
) -> tuple[tuple[int, int, int, int], int]:
    """The masks of red, green, blue and alpha, and the end of header and masks."""
    at = _FILE_HEADER + _HEADER  # in the header, or after a short one
    count = 4 if compression == _ALPHA_FIELDS or length >= 56 else 3
    if len(content) < at + 4 * count:
        raise _truncated(path)
    masks = struct.unpack_from(f"<{count}I", content, at) + (0,) * (4 - count)
    for mask in masks:
        low = mask & -mask
        if mask and (mask // low + 1) & (mask // low):
            raise _unsupported(path, "whose bit fields have gaps")
    if not all(masks[:3]) or any(
        first & second for i, first in enumerate(masks) for second in masks[:i]
    ):
        raise _unsupported(path, "whose bit fields overlap or are missing")
    (bits,) = struct.unpack_from("<H", content, 28)
    if max(masks) >> bits:
        raise _unsupported(path, "whose bit fields are wider than its pixels")
    return (masks[0], masks[1], masks[2], masks[3]), max(at + 4 * count, _FILE_HEADER + length)


def _read_palette(
    content: bytes, at: int, entry: int, colors: int, start: int, path: Path
) -> np.ndarray:
    """The RGB palette that starts at `at`; OS/2's may be cut short by the pixels."""
    count = min(colors, 256, max(start - at, 0) // entry)
    if count == 0 or len(content) < at + count * entry:
        raise _truncated(path)
    stored = np.frombuffer(content, np.uint8, count * entry, at).reshape(count, entry)
    return np.ascontiguousarray(stored[:, 2::-1])


def _truncated(path: Path) -> HyperguideError:
    return HyperguideError(f"The picture {path} is truncated: copy or download it again.")


def _unsupported(path: Path, kind: str) -> HyperguideError:
    return HyperguideError(f"{path} is a BMP {kind}, which is not supported: save it as PNG.")
