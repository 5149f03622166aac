"""Decodes TIFF's LZW strictly: damage is an error, where other decoders fill in black.

TIFF 6.0, section 13: codes of 9 to 12 bits, highest bit first. Each code except the first after a
Clear adds the previous code's text, plus one byte, to the table. That text is already in the
output, so a code means: copy from there. All codes between two Clears are decoded at once.
"""

from __future__ import annotations

import numpy as np

_CLEAR, _END, _FIRST = 256, 257, 258
# Maximum codes between two Clears: the table has 4096 entries, and some encoders clear late.
_MOST = 4096 - _FIRST + 1024
_FEW = 64  # codes that are tried first, for streams that clear early
# Encoders clear when the table is full. Many more Clears would take disproportionate time.
_BYTES_A_CLEAR = 64


def _widths() -> np.ndarray:
    """Bits of the codes after a Clear: one more from entries 511, 1023 and 2047 of the table on."""
    place = _FIRST + np.maximum(np.arange(_MOST) - 1, 0)
    return 9 + (place >= 511) + (place >= 1023) + (place >= 2047)


_WIDTHS = _widths().astype(np.int32)
_ENDS = np.cumsum(_WIDTHS)
_STARTS = _ENDS - _WIDTHS


def decode_lzw(data: bytes, size: int) -> bytes:
    """The first `size` bytes of an LZW stream; fewer if it ends earlier.

    Raises ValueError if it holds undefined codes, or too many codes or Clears.
    """
    padded = np.frombuffer(data + bytes(4), np.uint8)
    bits = 8 * len(data)
    found: list[bytes] = []
    length = position = clears = 0
    while length < size and position + 9 <= bits:
        codes, ended, used = _codes(padded, position, bits)
        position += used
        if len(codes):
            text = _texts(codes)
            found.append(text)
            length += len(text)
        clears += 1
        if clears > 16 + len(data) // _BYTES_A_CLEAR:
            raise ValueError("LZW codes are cleared too often")
        if ended:
            break
    return b"".join(found)[:size]


def _codes(padded: np.ndarray, position: int, bits: int) -> tuple[np.ndarray, bool, int]:
    """The codes up to the next Clear or End, whether the stream ended, and the bits used."""
    for most in (_FEW, _MOST):
        count = min(most, int(np.searchsorted(_ENDS, bits - position, "right")))
        at = position + _STARTS[:count]
        byte = at >> 3
        window = padded[byte].astype(np.int32) << 16
        window |= padded[byte + 1].astype(np.int32) << 8
        window |= padded[byte + 2]
        codes = (window >> (24 - _WIDTHS[:count] - (at & 7).astype(np.int32))) & (
            (1 << _WIDTHS[:count]) - 1
        )
        stops = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        if len(stops):
            stop = int(stops[0])
            used = int(_STARTS[stop] + _WIDTHS[stop])
            return codes[:stop], bool(codes[stop] == _END), used
        if count < most:
            break
    if count == _MOST:
        raise ValueError("LZW codes without end")
    return codes, True, bits - position


def _texts(codes: np.ndarray) -> bytes:
    """The bytes that the codes between two Clears stand for."""
    count = len(codes)
    order = np.arange(count)
    copies = codes >= _FIRST
    # Entry 258 holds the text of code 0 and the first byte of code 1's, and so on.
    origin = np.where(copies, codes - _FIRST, order)
    if (origin[copies] >= order[copies]).any() or copies[:1].any():
        raise ValueError("an LZW code that stands for nothing")
    lengths = 1 + _depths(origin, copies)
    ends = np.cumsum(lengths, dtype=np.int32)
    starts = ends - lengths
    text = np.empty(int(ends[-1]), np.uint8)
    text[starts[~copies]] = codes[~copies]
    # Each byte's source is the same distance back for all bytes of a code. Sources are followed
    # two steps back, four, and so on, until all are literal bytes.
    source = np.arange(len(text), dtype=np.int32)
    source -= np.repeat(starts - starts[origin], lengths)
    further = source.take(source)
    while (further != source).any():
        source, further = further, further.take(further)
    return text.take(source).tobytes()


def _depths(origin: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """The number of steps from each code to a single byte, going from origin to origin."""
    depth = copies.astype(np.int32)
    while True:
        further = depth[origin]
        if not further.any():
            return depth
        depth = depth + further
        origin = origin[origin]
