"""Photoshop's image resources, in which JPEG and TIFF files hold IPTC's captions and credits.

Numbers are those of Adobe's Photoshop File Formats Specification, "Image Resources Section".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

HEAD = b"Photoshop 3.0\0"  # of a JPEG's segment
_IPTC = 1028
# What is held elsewhere (resolution, colour profile, EXIF, XMP), and thumbnails, which show the
# old picture.
_LEFT_OUT = {1005, 1033, 1036, 1039, 1058, 1059, 1060, _IPTC}


def split(resources: bytes) -> tuple[bytes | None, bytes | None]:
    """IPTC's bytes, and the other resources worth keeping; None for each that is missing.

    Everything from the first damaged resource on is left out.
    """
    iptc, kept = None, []
    for number, whole, data in _resources(resources):
        if number == _IPTC and iptc is None:
            iptc = data or None
        elif number not in _LEFT_OUT:
            kept.append(whole)
    return iptc, b"".join(kept) or None


def join(iptc: bytes | None, others: bytes | None) -> bytes:
    """Join the resources of IPTC and others, as `split` returns them."""
    if iptc is None:
        return others or b""
    head = b"8BIM" + struct.pack(">H2xI", _IPTC, len(iptc))
    return head + iptc + bytes(len(iptc) % 2) + (others or b"")


def _resources(content: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, padded bytes and data of each resource: signature, number, name, size, data."""
    at = 0
    while at + 12 <= len(content) and content[at : at + 4] in (b"8BIM", b"MeSa", b"AgHg", b"PHUT"):
        number = int.from_bytes(content[at + 4 : at + 6], "big")
        name = content[at + 6] + 1
        size = at + 6 + name + name % 2
        start = size + 4
        stop = start + int.from_bytes(content[size:start], "big")
        if stop > len(content):
            return
        pad = (stop - start) % 2
        yield number, content[at:stop] + bytes(pad), content[start:stop]
        at = stop + pad
