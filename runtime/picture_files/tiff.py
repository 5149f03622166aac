"""The structure of TIFF files, and of EXIF: directories of numbered fields.

Numbers of fields and types are those of Adobe's TIFF 6.0 specification; BigTIFF, with offsets of
64 bits, is read too.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

ORIENTATION = 274
X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 282, 283, 296
SAMPLES, EXTRA_SAMPLES = 277, 338
ICC_PROFILE = 34675

SHORT, RATIONAL, UNDEFINED = 3, 5, 7
_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 5: "I", 13: "I", 16: "Q"}
_ORDERS = {b"II": "<", b"MM": ">"}
_ENTRY = 12  # bytes of a field's entry, 20 in BigTIFF


@dataclass(frozen=True)
class Field:
    """Where the value of a field is.

    type: its number in the specification.
    count: number of values.
    start: position of the first.
    """

    type: int
    count: int
    start: int


@dataclass(frozen=True)
class Directory:
    """One directory, which describes one picture.

    order: of bytes, "<" or ">".
    fields: by number.
    link: position of the next directory's offset.
    """

    content: bytes
    order: str
    fields: Mapping[int, Field]
    link: int

    def numbers(self, field: int) -> tuple[int, ...]:
        """The integers of a field, two for each RATIONAL; empty if it is missing or invalid."""
        found = self.fields.get(field)
        code = None if found is None else _INTEGERS.get(found.type)
        if found is None or code is None:
            return ()
        size = found.count * _BYTES[found.type]
        if found.start + size > len(self.content):
            return ()
        codes = f"{self.order}{size // struct.calcsize(self.order + code)}{code}"
        return struct.unpack_from(codes, self.content, found.start)

    def number(self, field: int, default: int) -> int:
        """The first integer of a field, or the default."""
        return next(iter(self.numbers(field)), default)

    def data(self, field: int) -> bytes:
        """The bytes of a field; empty if it is missing."""
        found = self.fields.get(field)
        if found is None:
            return b""
        return self.content[found.start : found.start + found.count * _BYTES[found.type]]


def is_tiff(content: bytes) -> bool:
    """Whether the content is a TIFF structure."""
    return content[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def read_directories(content: bytes) -> list[Directory]:
    """The directories of a TIFF structure, in order, up to the first damaged one.

    Directories that overlap each other count as damaged: together they have no more entries than
    there is room for, so that the time is proportional to the content.
    """
    found: list[Directory] = []
    if not is_tiff(content):
        return found
    order = _ORDERS[content[:2]]
    big = b"+" in content[2:4]
    link = 8 if big else 4
    room = len(content) // _ENTRY
    seen = {0}
    try:
        while room > 0:
            (at,) = struct.unpack_from(order + ("Q" if big else "I"), content, link)
            if at in seen:
                break
            seen.add(at)
            found.append(_read_directory(content, order, big, at, room))
            link = found[-1].link
            room -= 1 + (link - at) // _ENTRY
    except (struct.error, OverflowError):  # the content ends before the structure does
        pass
    return found


def ends_well(directories: list[Directory]) -> bool:
    """Whether the last directory says that it is the last; otherwise the rest is damaged."""
    last = directories[-1]
    return not any(last.content[last.link : last.link + (8 if b"+" in last.content[2:4] else 4)])


def with_fields(content: bytes, fields: Mapping[int, tuple[int, int, bytes]]) -> bytes:
    """Add fields to a TIFF file of one picture: type, number of values, bytes of each.

    content: with offsets of 32 bits, little-endian. A new directory is appended, because there is
    no room in the old one.
    """
    (at,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, at)
    old = [content[at + 2 + 12 * i : at + 14 + 12 * i] for i in range(count)]
    entries = {int.from_bytes(entry[:2], "little"): entry for entry in old}
    tail = bytes(len(content) % 2)
    for field, (type_, values, data) in fields.items():
        if len(data) > 4:
            place = struct.pack("<I", len(content) + len(tail))
            tail += data + bytes(len(data) % 2)
        else:
            place = data.ljust(4, b"\0")
        entries[field] = struct.pack("<HHI", field, type_, values) + place
    start = len(content) + len(tail)
    tail += struct.pack("<H", len(entries))
    tail += b"".join(entries[field] for field in sorted(entries)) + bytes(4)
    return b"".join([content[:4], struct.pack("<I", start), memoryview(content)[8:], tail])


def _read_directory(
    content: bytes, order: str, big: bool, at: int, room: int = 1 << 16
) -> Directory:
    """Read a directory of at most `room` entries. Raises struct.error if it is damaged."""
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), content, at)
    entry, layout, inside = (20, "HHQ", 8) if big else (_ENTRY, "HHI", 4)
    first = at + (8 if big else 2)
    link = first + count * entry
    struct.unpack_from(order + ("Q" if big else "I"), content, link)  # is it there?
    if count > room:
        raise struct.error("directories overlap")
    fields: dict[int, Field] = {}
    for position in range(first, link, entry):
        number, type_, values = struct.unpack_from(order + layout, content, position)
        start = position + entry - inside
        if values * _BYTES.get(type_, 1) > inside:
            (start,) = struct.unpack_from(order + ("Q" if big else "I"), content, start)
        if type_ in _BYTES:
            fields.setdefault(number, Field(type_, values, start))
    return Directory(content, order, fields, link)


def read_directory(content: bytes, at: int) -> Directory | None:
    """The directory at a position of a TIFF structure; None if it is damaged."""
    big = b"+" in content[2:4]
    try:
        return _read_directory(content, _ORDERS[content[:2]], big, at)
    except (struct.error, OverflowError):  # the content ends before the directory does
        return None


def first_directory(content: bytes) -> Directory | None:
    """The first directory of a TIFF structure; None if there is none, or it is damaged."""
    if not is_tiff(content):
        return None
    order, big = _ORDERS[content[:2]], b"+" in content[2:4]
    place = content[8:16] if big else content[4:8]
    if len(place) != (8 if big else 4):
        return None
    return read_directory(content, int.from_bytes(place, "little" if order == "<" else "big"))
