"""The parts of picture files: chunks of PNG and WebP, segments of JPEG."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"
START_OF_SCAN = 0xDA
# A marker followed by data: not a stuffed byte, TEM, RST0 to RST7, SOI, EOI or a fill byte.
_JPEG_MARKER = re.compile(rb"\xff[\x02-\xcf\xda-\xfe]")

# Start and stop of a part's data: the data of large pictures is not copied.
Span = tuple[int, int]


def is_webp(content: bytes) -> bool:
    """Whether the content is that of a WebP file."""
    return content.startswith(b"RIFF") and content[8:12] == b"WEBP"


def png_chunks(content: bytes) -> Iterator[tuple[bytes, Span]]:
    """Yield the name and span of each chunk of a PNG, in order; stop at an incomplete chunk."""
    position = len(PNG)
    while position + 12 <= len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        start, stop = position + 8, position + 8 + length
        if stop + 4 > len(content):
            return
        yield content[position + 4 : start], (start, stop)
        position = stop + 4  # after the checksum


def png_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def webp_chunks(content: bytes) -> Iterator[tuple[bytes, Span]]:
    """Yield the name and span of each chunk of a WebP, in order; stop at an incomplete chunk."""
    position = 12
    while position + 8 <= len(content):
        length = int.from_bytes(content[position + 4 : position + 8], "little")
        start, stop = position + 8, position + 8 + length
        if stop > len(content):
            return
        yield content[position : position + 4], (start, stop)
        position = stop + length % 2


def webp_chunk(name: bytes, data: bytes) -> bytes:
    """A chunk of a WebP."""
    return name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def jpeg_segments(content: bytes, at: int = 0) -> Iterator[tuple[int, Span]]:
    """Yield the marker and span of each segment of a JPEG's header, in order.

    at: where the JPEG starts.
    The last one is the first scan, START_OF_SCAN, whose span is the rest of the file. Stray bytes
    between segments are skipped, as decoders do. Stops at an incomplete segment.
    """
    found = _JPEG_MARKER.search(content, at + len(JPEG))
    while found is not None:
        position = found.start()
        marker = content[position + 1]
        if marker == START_OF_SCAN:
            yield marker, (position, len(content))
            return
        stop = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        if stop > len(content):
            return
        yield marker, (position + 4, stop)
        found = _JPEG_MARKER.search(content, max(stop, position + 4))


def jpeg_segment(marker: int, data: bytes) -> bytes:
    """A segment of a JPEG's header; its data has at most 65533 bytes."""
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
