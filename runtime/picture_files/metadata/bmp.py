"""Metadata of BMP files: their resolution, and the colour profile of the fifth version."""

from __future__ import annotations

import struct

from .metadata import Metadata
from .metres import per_inch, per_metre

_HEAD = 14  # bytes of the file's header, from whose end other positions count
_DENSITY, _DENSITY_END = 38, 46
_VERSION_5 = 124  # bytes of its header
_EMBEDDED = b"DEBM"  # "MBED" as a number of 32 bits: the profile is in the file


def read(content: bytes) -> Metadata:
    """What a BMP file carries."""
    if len(content) < _DENSITY_END:
        return Metadata()
    density = per_inch(*struct.unpack_from("<2I", content, _DENSITY))
    return Metadata(density=density, profile=_profile(content))


def write(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    """A BMP file with a resolution, of one as OpenCV writes it. It holds nothing else."""
    if metadata.density is None:
        return encoded
    density = struct.pack("<2I", *per_metre(metadata.density))
    return b"".join([encoded[:_DENSITY], density, encoded[_DENSITY_END:]])


def _profile(content: bytes) -> bytes | None:
    """The profile of a header that tells its kind, 56 bytes behind its start, place and size."""
    header = content[_HEAD : _HEAD + _VERSION_5]
    if len(header) < _VERSION_5 or int.from_bytes(header[:4], "little") != _VERSION_5:
        return None
    if header[56:60] != _EMBEDDED:
        return None
    start, size = struct.unpack_from("<2I", header, 112)
    return content[_HEAD + start : _HEAD + start + size] or None
