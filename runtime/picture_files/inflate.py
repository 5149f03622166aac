"""Unpacking what is compressed in picture files, within bounds."""

from __future__ import annotations

import zlib

# Bytes of all that is unpacked of one file: profiles, texts. What grows further is an attack.
_MOST = 1 << 26


class Inflater:
    """Unpacks the deflated pieces of one file."""

    def __init__(self) -> None:
        self._room = _MOST

    def inflate(self, packed: bytes) -> bytes | None:
        """The bytes of a zlib stream; None if it is damaged, cut or too long."""
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(packed, self._room) if self._room else b""
        except zlib.error:
            return None
        self._room -= len(plain)
        return plain if stream.eof else None
