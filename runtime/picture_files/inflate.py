"""Unpacks compressed parts of picture files, within limits."""

from __future__ import annotations

import zlib

# Maximum bytes unpacked from one file: profiles, texts. Anything larger is an attack.
_MOST = 1 << 26


class Inflater:
    """Unpacks the deflated pieces of one file."""

    def __init__(self) -> None:
        self._room = _MOST

    def inflate(self, packed: bytes) -> bytes | None:
        """The bytes of a zlib stream; None if it is damaged, truncated or too long."""
        stream = zlib.decompressobj()
        try:
            plain = stream.decompress(packed, self._room) if self._room else b""
        except zlib.error:
            return None
        self._room -= len(plain)
        return plain if stream.eof else None
