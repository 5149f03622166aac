"""Finds several pictures in a JPEG file, as listed by CIPA's Multi-Picture Format (DC-007)."""

from __future__ import annotations

import struct
from itertools import islice

from .containers import JPEG, START_OF_SCAN, jpeg_segments
from .tiff import read_directories

_APP2 = 0xE2
_HEAD = b"MPF\0"
_ENTRIES = 0xB002  # field of 16 bytes per picture: attributes, length, offset, two dependencies
# Maximum pictures and segments to look at: untrusted files may list any number.
_MOST = 64
_PREVIEW = 0x010000  # class of types in the attributes
_FRAMES = (0xC0, 0xC1, 0xC2)
# Names in the gain maps and depth maps that phones append.
_MAPS = (b"hdrgm", b"HDRGainMap", b"hdrgainmap", b"iso:ts:21496", b"uxiliaryImageType", b"GDepth")


def count_pictures(content: bytes) -> int:
    """The number of whole pictures in a JPEG file.

    Previews, reduced pictures, and maps that belong to the first picture do not count.
    """
    size = _size(content)
    return 1 + sum(
        _size(content, at) == size and not _is_map(content, at) for at in _others(content)
    )


def _others(content: bytes) -> list[int]:
    """Where the pictures after the first one start, without previews."""
    base, stop = next(
        (
            (start + len(_HEAD), stop)
            for marker, (start, stop) in jpeg_segments(content)
            if marker == _APP2 and content.startswith(_HEAD, start)
        ),
        (0, 0),
    )
    pages = read_directories(content[base:stop])
    entries = pages[0].data(_ENTRIES) if pages else b""
    found = []
    for entry in range(16, min(len(entries), 16 * _MOST) - 15, 16):
        attributes, _, offset = struct.unpack_from(pages[0].order + "3I", entries, entry)
        if attributes & 0xFF0000 != _PREVIEW and content.startswith(JPEG, base + offset):
            found.append(base + offset)
    return found


def _size(content: bytes, at: int = 0) -> bytes:
    """Height and width as stored; empty if there is no frame."""
    for marker, (start, _) in islice(jpeg_segments(content, at), _MOST):
        if marker in _FRAMES:
            return content[start + 1 : start + 5]
    return b""


def _is_map(content: bytes, at: int) -> bool:
    return any(
        marker != START_OF_SCAN and any(content.find(name, start, stop) >= 0 for name in _MAPS)
        for marker, (start, stop) in islice(jpeg_segments(content, at), _MOST)
    )
