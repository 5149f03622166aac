"""Metadata of WebP files: https://developers.google.com/speed/webp/docs/riff_container."""

from __future__ import annotations

import struct
from dataclasses import replace

from hyperguide.picture_files.containers import webp_chunk, webp_chunks

from . import exif, exif_layout
from .metadata import C2PA, Metadata

_HEAD = b"Exif\0\0"  # which some programs write, though only JPEG needs it
_PROFILE_FLAG, _ALPHA_FLAG, _EXIF_FLAG, _XMP_FLAG = 1 << 5, 1 << 4, 1 << 3, 1 << 2


def read(content: bytes) -> Metadata:
    """The metadata of a WebP file, as stored."""
    pieces: dict[bytes, bytes] = {}
    for name, (start, stop) in webp_chunks(content):
        if name in (b"ICCP", b"EXIF", b"XMP ", b"C2PA"):
            pieces.setdefault(name, content[start:stop])
    found = Metadata(profile=pieces.get(b"ICCP"), xmp=pieces.get(b"XMP ") or None)
    if b"EXIF" in pieces:
        found = replace(found, exif=exif.read_exif(pieces[b"EXIF"].removeprefix(_HEAD)))
        found = found if found.exif is not None else replace(found, lost=("damaged EXIF",))
    if b"C2PA" in pieces:
        found = replace(found, lost=(*found.lost, C2PA))
    return found


def write(encoded: bytes, metadata: Metadata, shape: tuple[int, ...]) -> bytes:
    """Add metadata to a WebP file; the resolution is written in EXIF."""
    found = exif.with_density(metadata.exif or exif.Exif({}), metadata.density)
    pieces: dict[bytes, bytes | None] = {
        b"ICCP": metadata.profile,
        b"EXIF": exif_layout.to_bytes(found) if found.fields else None,
        b"XMP ": metadata.xmp,
    }
    if not any(pieces.values()):
        return encoded
    alpha = len(shape) == 3 and shape[2] == 4
    flags = alpha * _ALPHA_FLAG
    for flag, data in zip((_PROFILE_FLAG, _EXIF_FLAG, _XMP_FLAG), pieces.values(), strict=True):
        flags |= flag if data else 0
    width, height = (side - 1 for side in (shape[1], shape[0]))
    size = width.to_bytes(3, "little") + height.to_bytes(3, "little")
    content = [b"WEBP", webp_chunk(b"VP8X", bytes([flags, 0, 0, 0]) + size)]
    content += _chunk(b"ICCP", pieces)
    for name, (start, stop) in webp_chunks(encoded):
        if name != b"VP8X":
            content.append(webp_chunk(name, encoded[start:stop]))
    content += _chunk(b"EXIF", pieces) + _chunk(b"XMP ", pieces)
    body = b"".join(content)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunk(name: bytes, pieces: dict[bytes, bytes | None]) -> list[bytes]:
    data = pieces[name]
    return [webp_chunk(name, data)] if data else []
