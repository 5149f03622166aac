"""Metadata of JPEG files: segments of JFIF, EXIF, XMP, ICC, Photoshop, and comments."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hyperguide.picture_files.containers import jpeg_segment, jpeg_segments

from . import exif, exif_layout, photoshop
from .metadata import C2PA, COMMENT, NOT_SQUARE, Metadata, Text, Texts

_APP0, _APP1, _APP2, _APP11, _APP13, _COM = 0xE0, 0xE1, 0xE2, 0xEB, 0xED, 0xFE
_READ = frozenset({_APP0, _APP1, _APP2, _APP11, _APP13, _COM})
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # frame markers of all processes
_EXIF, _ICC = b"Exif\0\0", b"ICC_PROFILE\0"
_XMP, _LONG_XMP = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
# XMP that some write against the specification: without a head, and with an old one.
_PLAIN_XMP = (b"<?xpacket", b"<x:xmpmeta", b"<x:xapmeta")
_OLD_XMP = b"XMP\0"
_ROOM = 65533  # maximum bytes of data in a segment
_CENTIMETRES = 2.54  # in an inch


def read(content: bytes) -> Metadata:
    """The metadata of a JPEG file, as stored."""
    found: dict[str, Any] = {}
    profile: dict[int, bytes] = {}
    resources, texts, long_xmp, lost = [], Texts(), [], set()
    for marker, (start, stop) in jpeg_segments(content):
        data = content[start:stop] if marker in _READ else b""
        if marker == _APP0 and data.startswith(b"JFIF\0") and len(data) >= 12:
            found["density"] = _density(data)
            lost |= {NOT_SQUARE} if data[7] == 0 and data[8:10] != data[10:12] else set()
        elif marker == _APP1 and data.startswith(_EXIF) and "exif" not in found:
            found["exif"] = exif.read_exif(data[len(_EXIF) :])
            lost |= {"damaged EXIF"} if found["exif"] is None else set()
        elif marker == _APP1 and data.startswith(_LONG_XMP):
            long_xmp.append(data[len(_LONG_XMP) :])
        elif marker == _APP1 and found.get("xmp") is None:
            found["xmp"] = _xmp(data)
        elif marker == _APP2 and data.startswith(_ICC) and len(data) > 14:
            profile[data[12]] = data[14:]  # by the number of the part
        elif marker == _APP11 and data.startswith(b"JP") and b"c2pa" in data[:128]:
            lost.add(C2PA)
        elif marker == _APP13 and data.startswith(photoshop.HEAD):
            resources.append(data[len(photoshop.HEAD) :])
        elif marker == _COM and (comment := data.strip(b"\0")):
            if b"\0" in comment:
                lost.add("damaged comment")
            else:
                texts.add(Text(COMMENT, _text(comment)))
        elif marker in _FRAMES:
            found["sampling"] = _sampling(content[start:stop])
    iptc, others = photoshop.split(b"".join(resources))
    return Metadata(
        **found,
        profile=b"".join(profile[n] for n in sorted(profile)) or None,
        xmp_extension=tuple(long_xmp),
        iptc=iptc,
        photoshop=others,
        texts=texts.kept,
        lost=(*sorted(lost), *texts.lost),
    )


def shortened(metadata: Metadata) -> tuple[Metadata, list[str]]:
    """The metadata that a JPEG file has room for, and the names of what is left out."""
    lost = []
    if metadata.exif is not None:
        whole = exif.with_density(metadata.exif, metadata.density)
        short = exif_layout.shortened(whole, _ROOM - len(_EXIF))
        if short is not whole:
            lost.append("values of EXIF beyond 64 KiB")
            metadata = replace(metadata, exif=short)
    if metadata.xmp is not None and len(metadata.xmp) > _ROOM - len(_XMP):
        lost.append(f"XMP of {len(metadata.xmp)} bytes")
        metadata = replace(metadata, xmp=None, xmp_extension=())
    if metadata.profile is not None and len(metadata.profile) > 255 * (_ROOM - len(_ICC) - 2):
        lost.append(f"colour profile of {len(metadata.profile)} bytes")
        metadata = replace(metadata, profile=None)
    texts = tuple(text for text in metadata.texts if len(text.text.encode()) <= _ROOM)
    if texts != metadata.texts:
        lost.append("comment beyond 64 KiB")
        metadata = replace(metadata, texts=texts)
    return metadata, lost


def write(encoded: bytes, metadata: Metadata) -> bytes:
    """Add metadata, `shortened` before, to a JPEG file that begins with JFIF's segment."""
    _, (start, stop) = next(jpeg_segments(encoded))
    if metadata.density is not None:
        x, y = (max(1, min(round(dots), 65535)) for dots in metadata.density)
        density = struct.pack(">B2H", 1, x, y)
        encoded = b"".join([encoded[: start + 7], density, encoded[start + 12 :]])
    segments = list(_segments(metadata))
    return b"".join([encoded[:stop], *segments, encoded[stop:]]) if segments else encoded


def _segments(metadata: Metadata) -> Iterator[bytes]:
    if metadata.exif is not None:
        found = exif.with_density(metadata.exif, metadata.density)
        yield jpeg_segment(_APP1, _EXIF + exif_layout.to_bytes(found))
    if metadata.xmp is not None:
        yield jpeg_segment(_APP1, _XMP + metadata.xmp)
    for part in metadata.xmp_extension:
        yield jpeg_segment(_APP1, _LONG_XMP + part)
    parts = _parts(metadata.profile or b"", _ROOM - len(_ICC) - 2)
    for number, part in enumerate(parts, 1):
        yield jpeg_segment(_APP2, _ICC + bytes([number, len(parts)]) + part)
    resources = photoshop.join(metadata.iptc, metadata.photoshop)
    for part in _parts(resources, _ROOM - len(photoshop.HEAD)):
        yield jpeg_segment(_APP13, photoshop.HEAD + part)
    for text in metadata.texts:
        yield jpeg_segment(_COM, text.text.encode())


def _parts(data: bytes, room: int) -> list[bytes]:
    return [data[at : at + room] for at in range(0, len(data), room)]


def _density(data: bytes) -> tuple[float, float] | None:
    unit, x, y = struct.unpack_from(">B2H", data, 7)
    scale = {1: 1.0, 2: _CENTIMETRES}.get(unit, 0.0)
    return (x * scale, y * scale) if x * y * scale else None


def _xmp(data: bytes) -> bytes | None:
    for head in (_XMP, _OLD_XMP):
        if data.startswith(head):
            return data[len(head) :]
    return data if data.lstrip().startswith(_PLAIN_XMP) else None


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _sampling(frame: bytes) -> tuple[int, int] | None:
    """The colour sampling in a frame header: depth, height, width, planes, three bytes for each."""
    factors = [(byte >> 4, byte & 15) for byte in frame[7::3]]
    if len(frame) != 15 or factors[1] != factors[2] or 0 in factors[1]:
        return None
    return factors[0][0] // factors[1][0], factors[0][1] // factors[1][1]
