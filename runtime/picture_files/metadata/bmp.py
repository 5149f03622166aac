"""Metadata of BMP files: their resolution, and the colour profile of version 5."""

from __future__ import annotations

import struct

from .metadata import Metadata
from .metres import per_inch, per_metre

_HEAD = 14  # bytes of the file's header, from whose end profiles are located
_DENSITY, _DENSITY_END = 38, 46
_VERSION_5 = 124  # bytes of its header
_EMBEDDED = b"DEBM"  # "MBED" as a number of 32 bits: the profile is in the file


def read(content: bytes) -> Metadata:
    """The metadata of a BMP file."""
    if len(content) < _DENSITY_END:
        return Metadata()
    density = per_inch(*struct.unpack_from("<2I", content, _DENSITY))
    return Metadata(density=density, profile=_profile(content))


def write(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    """Add the resolution to a BMP file as OpenCV writes it, which holds nothing else."""
    if metadata.density is None:
        return encoded
    density = struct.pack("<2I", *per_metre(metadata.density))
    return b"".join([encoded[:_DENSITY], density, encoded[_DENSITY_END:]])


def _profile(content: bytes) -> bytes | None:
    """The colour profile of a version 5 header, if it is embedded in the file; else None."""
    header = content[_HEAD : _HEAD + _VERSION_5]
    if len(header) < _VERSION_5 or int.from_bytes(header[:4], "little") != _VERSION_5:
        return None
    if header[56:60] != _EMBEDDED:
        return None
    start, size = struct.unpack_from("<2I", header, 112)
    return content[_HEAD + start : _HEAD + start + size] or None
