"""EXIF as bytes: directories and their values, one after the other."""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from .exif import LONG, MAKER_NOTE, PHOTO, Exif, Fields, Value, swapped

_STAYS = 1 << 16  # limit for putting maker notes back; EXIF of a JPEG ends before


def to_bytes(exif: Exif) -> bytes:
    """EXIF as a TIFF structure."""
    head = (b"II*\0" if exif.order == "<" else b"MM\0*") + struct.pack(exif.order + "I", 8)
    return head + _Layout(exif, len(head)).bytes_of(exif.fields)


def directory_bytes(fields: Fields, start: int) -> bytes:
    """A directory and everything in it, little-endian, for position `start` of a TIFF file."""
    return _Layout(Exif(fields), start).bytes_of(fields)


def shortened(exif: Exif, most: int) -> Exif:
    """EXIF of at most `most` bytes, with the longest values left out."""
    if len(to_bytes(exif)) <= most:
        return exif
    loose = replace(exif, note_start=0)
    excess = len(to_bytes(loose)) - most
    left_out: set[tuple[int, ...]] = set()
    for size, path in sorted(_sizes(exif.fields, ()), reverse=True):
        if excess <= 0:
            break
        left_out.add(path)
        excess -= size
    return replace(loose, fields=_without(exif.fields, (), left_out))


def _sizes(fields: Fields, path: tuple[int, ...]) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield the minimum bytes of each field, and the numbers that lead to it."""
    for number, value in fields.items():
        if isinstance(value, Value):
            yield 12 + (len(value.data) if len(value.data) > 4 else 0), (*path, number)
        else:
            yield from _sizes(value, (*path, number))


def _without(fields: Fields, path: tuple[int, ...], paths: Collection[tuple[int, ...]]) -> Fields:
    return {
        number: value if isinstance(value, Value) else _without(value, (*path, number), paths)
        for number, value in fields.items()
        if (*path, number) not in paths
    }


class _Layout:
    """Places directories and their values one after the other.

    start: position of the first byte in the file.
    """

    def __init__(self, exif: Exif, start: int) -> None:
        self._order, self._start = exif.order, start
        self._content = bytearray()
        photo = exif.fields.get(PHOTO)
        self._note_value = photo.get(MAKER_NOTE) if isinstance(photo, Mapping) else None
        self._note = b""
        if isinstance(self._note_value, Value) and len(self._note_value.data) > 4:
            self._note = self._stored(self._note_value)
        self._note_at = exif.note_start if exif.note_start + len(self._note) < _STAYS else 0

    def bytes_of(self, fields: Fields) -> bytes:
        """The directory of fields, followed by its values."""
        self._put_directory(fields)
        return bytes(self._content)

    def _put_directory(self, fields: Fields) -> int:
        size = 2 + 12 * len(fields) + 4
        at = self._put(bytes(size))
        content = struct.pack(self._order + "H", len(fields))
        for number in sorted(fields):
            content += self._entry(number, fields[number])
        self._content[at - self._start : at - self._start + size] = content + bytes(4)
        return at

    def _entry(self, number: int, value: Value | Fields) -> bytes:
        if not isinstance(value, Value):
            layout = self._order + "HHII"
            return struct.pack(layout, number, LONG, 1, self._put_directory(value))
        data = self._stored(value)
        if len(data) <= 4:
            place = data.ljust(4, b"\0")
        else:
            at = self._put_note() if value is self._note_value else self._put(data)
            place = struct.pack(self._order + "I", at)
        return struct.pack(self._order + "HHI", number, value.type, value.count) + place

    def _put(self, data: bytes) -> int:
        """Append data at an even position, after the maker note if they would overlap."""
        self._content += bytes(self._end % 2)
        if self._note and self._end <= self._note_at < self._end + len(data):
            self._put_note()
            self._content += bytes(self._end % 2)
        at = self._end
        self._content += data
        return at

    def _put_note(self) -> int:
        """Append the maker note once, where it was if there is room. Returns its position."""
        if self._note:
            self._content += bytes(max(self._note_at - self._end, self._end % 2))
            self._note_at = self._end
            self._content += self._note
            self._note = b""
        return self._note_at

    def _stored(self, value: Value) -> bytes:
        return value.data if self._order == "<" else swapped(value.data, value.type)

    @property
    def _end(self) -> int:
        return self._start + len(self._content)
