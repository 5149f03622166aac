"""EXIF: what a camera records, in nested directories of fields.

Numbers of fields are those of CIPA's Exif 3.0 specification. EXIF is parsed into values and
rewritten, not copied: the result can then be read again, whatever the file's structure was like.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from hyperguide.picture_files.tiff import (
    ORIENTATION,
    RATIONAL,
    RESOLUTION_UNIT,
    SHORT,
    X_RESOLUTION,
    Y_RESOLUTION,
    Directory,
    first_directory,
    read_directory,
)

LONG = 4
PHOTO, GPS, INTEROPERABILITY = 34665, 34853, 40965
MAKER_NOTE = 37500
WIDTH, HEIGHT = 256, 257
_SUBJECT = (37396, 41492)  # in PHOTO: a point, circle or rectangle of the stored picture
_PIXELS = {40962: 0, 40963: 1}  # in the directory PHOTO: width and height
_POINTERS = (PHOTO, GPS, INTEROPERABILITY)
_INSIDE = {0: (PHOTO, GPS), PHOTO: (INTEROPERABILITY,)}  # directories within directories
_CHROMA_POSITION, _CENTRED = 531, 1
# Fields of the first directory, by number in TIFF 6.0 and its supplements, that say how pixels are
# stored, that hold what is kept separately (XMP, IPTC, Photoshop's resources, the colour profile),
# or that point to other parts of a TIFF file (layers, MetaMorph's and Zeiss').
_OF_THE_FILE = frozenset(
    {254, 255, *range(258, 260), *range(262, 267), 273, *range(277, 282), 284, *range(288, 294)}
    | {297, 301, 317, *range(320, 331), *range(332, 348), *range(400, 404), *range(433, 436), 437}
    | {*range(512, 522), 529, 530, 532, 559, *range(32995, 32999), 33421, 33422, 50674}
    | {700, 33723, 34377, 34675, 37724, *range(33628, 33632), 34412}
)
_RESOLUTION = (X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT)
# Types of TIFF 6.0, with the bytes of the words that byte order applies to.
_WORDS = {1: 1, 2: 1, 3: 2, 4: 4, 5: 4, 6: 1, 7: 1, 8: 2, 9: 4, 10: 4, 11: 4, 12: 8}
_SIZES = {type_: size * (2 if type_ in (5, 10) else 1) for type_, size in _WORDS.items()}
_CENTIMETRES = 2.54  # in an inch
_MOST_FIELDS = 4096  # of a directory; more are an attack


@dataclass(frozen=True)
class Value:
    """The value of a field.

    type: its number in TIFF 6.0.
    count: of numbers or characters.
    data: their bytes, little-endian.
    """

    type: int
    count: int
    data: bytes


Fields = Mapping[int, "Value | Fields"]


@dataclass(frozen=True)
class Exif:
    """EXIF's fields by number; the value of a directory's number is its fields.

    order: of bytes, "<" or ">", for writing: maker notes use it too.
    note_start: where the maker note was. Many makers use offsets from the start of EXIF, so it is
        put there again if possible.
    """

    fields: Fields
    order: str = field(default="<", compare=False)
    note_start: int = field(default=0, compare=False)


def read_exif(content: bytes) -> Exif | None:
    """The fields of a TIFF structure; None if there are no fields.

    Fields that are damaged, or would be wrong in another file, are left out. Only the first
    directory and those within it are read, so no thumbnail is.
    """
    first = first_directory(content)
    if first is None:
        return None
    room = len(content)  # overlapping values are an attack
    fields, room = _values(first, room, _OF_THE_FILE)
    note_start = 0
    for outer, numbers in _INSIDE.items():
        directory = first if outer == 0 else _directory(first, outer)
        for number in numbers if directory is not None else ():
            inner = _directory(directory, number)
            if inner is None:
                continue
            values, room = _values(inner, room, frozenset())
            if number == PHOTO and MAKER_NOTE in values:
                note_start = inner.fields[MAKER_NOTE].start
            if values and outer == 0:
                fields[number] = values
            elif values and outer in fields:
                fields[outer] = {**fields[outer], number: values}  # type: ignore[dict-item]
    return Exif(fields, first.order, note_start) if fields else None


def orientation_of(exif: Exif) -> int | None:
    """The orientation of the stored picture, 1 to 8; None if EXIF does not say."""
    found = _numbers(exif.fields.get(ORIENTATION))
    return found[0] if found and found[0] in range(1, 9) else None


def density_of(exif: Exif) -> tuple[float, float] | None:
    """Dots per inch along the width and the height; None if EXIF does not say."""
    x, y, unit = (_numbers(exif.fields.get(number)) for number in _RESOLUTION)
    scale = {2: 1.0, 3: _CENTIMETRES}.get(unit[0] if unit else 2, 0.0)
    if len(x) != 2 or len(y) != 2 or not x[0] * x[1] * y[0] * y[1] * scale:
        return None
    return x[0] / x[1] * scale, y[0] / y[1] * scale


def upright(exif: Exif, density: tuple[float, float] | None) -> Exif | None:
    """EXIF for a picture after its orientation was applied; None if no field is left.

    density: of the picture. If it is known, EXIF's own is left out: see `with_density`.
    """
    fields = dict(exif.fields)
    turn = orientation_of(exif)
    fields |= {ORIENTATION: _short(1)}
    if turn is None:
        del fields[ORIENTATION]
    if _CHROMA_POSITION in fields:
        fields[_CHROMA_POSITION] = _short(_CENTRED)  # as libjpeg writes
    if turn is not None and turn > 1:
        fields = _subject_turned(fields, turn)
    resolution = [fields.pop(number, None) for number in _RESOLUTION]
    lengths = [len(_numbers(value)) for value in resolution]
    if density is None and lengths == [2, 2, 1] and _numbers(resolution[2]) == (1,):
        # Without a unit, or in that of ImageJ's description.
        x, y = _RESOLUTION[:2] if (turn or 1) < 5 else _RESOLUTION[1::-1]
        for number, value in zip((x, y, RESOLUTION_UNIT), resolution, strict=True):
            fields |= {} if value is None else {number: value}
    return replace(exif, fields=fields) if fields else None


def _subject_turned(fields: dict[int, Value | Fields], turn: int) -> dict[int, Value | Fields]:
    """Fields with the subject's place in the turned picture; without it if that is unknown."""
    photo = fields.get(PHOTO)
    if not isinstance(photo, Mapping):
        return fields
    size = [next(iter(_numbers(photo.get(number))), 0) for number in _PIXELS]
    turned = dict(photo)
    for number in _SUBJECT:
        value = turned.pop(number, None)
        place = list(_numbers(value))
        if not isinstance(value, Value) or value.type != SHORT or len(place) not in (2, 3, 4):
            continue
        wide, high = size if turn < 5 else size[::-1]
        x, y, *extent = place if turn < 5 else [*place[1::-1], *place[:1:-1]]
        x = wide - 1 - x if turn in (2, 3, 6, 7) else x
        y = high - 1 - y if turn in (3, 4, 7, 8) else y
        if 0 <= x < wide and 0 <= y < high:
            data = struct.pack(f"<{len(place)}H", x, y, *extent)
            turned[number] = Value(SHORT, len(place), data)
    others = {number: value for number, value in fields.items() if number != PHOTO}
    return {**others, PHOTO: turned} if turned else others


def sized(exif: Exif, width: int, height: int) -> Exif:
    """EXIF with this size in those fields of the picture's size that it has."""
    fields = dict(exif.fields)
    size = (width, height)
    fields |= {n: _long(size[n - WIDTH]) for n in (WIDTH, HEIGHT) if n in fields}
    photo = fields.get(PHOTO)
    if isinstance(photo, Mapping):
        told = {n: _long(size[axis]) for n, axis in _PIXELS.items() if n in photo}
        fields[PHOTO] = {**photo, **told}
    return replace(exif, fields=fields)


def with_density(exif: Exif, density: tuple[float, float] | None) -> Exif:
    """EXIF with a resolution in dots per inch; unchanged if that is None."""
    if density is None:
        return exif
    x, y = (Value(RATIONAL, 1, struct.pack("<2I", *_ratio(dots))) for dots in density)
    told = {X_RESOLUTION: x, Y_RESOLUTION: y, RESOLUTION_UNIT: _short(2)}
    return replace(exif, fields={**exif.fields, **told})


def tells_more(exif: Exif) -> bool:
    """Whether EXIF has more than an applied orientation and a resolution."""
    return bool(exif.fields.keys() - {ORIENTATION, *_RESOLUTION})


def without(exif: Exif, numbers: Collection[int]) -> Exif | None:
    """EXIF without these fields of the first directory; None if no field is left."""
    fields = {number: value for number, value in exif.fields.items() if number not in numbers}
    return replace(exif, fields=fields) if fields else None


def swapped(data: bytes, type_: int) -> bytes:
    """The bytes of a value in the other byte order."""
    return np.frombuffer(data, f"u{_WORDS[type_]}").byteswap().tobytes()


def _ratio(dots: float) -> tuple[int, int]:
    """A number as a fraction of two 32-bit integers."""
    most = (1 << 32) - 1
    for scale in (1, 1000):
        whole = round(dots * scale)
        if 0 < whole <= most and abs(dots * scale - whole) < 1e-6:
            return whole, scale
    scale = 10_000 if dots < 100_000 else 1
    return max(1, min(round(dots * scale), most)), scale


def _directory(outer: Directory | None, number: int) -> Directory | None:
    at = 0 if outer is None else outer.number(number, 0)
    return read_directory(outer.content, at) if outer is not None and at else None


def _values(
    directory: Directory, room: int, left_out: Collection[int]
) -> tuple[dict[int, Value | Fields], int]:
    """The fields of a directory, of at most `room` bytes, and the bytes left."""
    found: dict[int, Value | Fields] = {}
    for number, place in directory.fields.items():
        size = place.count * _SIZES.get(place.type, 0)
        if len(found) == _MOST_FIELDS:
            break
        if number in _POINTERS or number in left_out or not 0 < size <= room:
            continue
        data = directory.data(number)
        if len(data) == size:
            found[number] = Value(place.type, place.count, _turned(data, place.type, directory))
            room -= size
    return found, room


def _turned(data: bytes, type_: int, directory: Directory) -> bytes:
    return data if directory.order == "<" else swapped(data, type_)


def _numbers(value: Value | Fields | None) -> tuple[int, ...]:
    """The integers of a value, two for each RATIONAL; empty if it is of another type."""
    if not isinstance(value, Value) or value.type not in (1, SHORT, LONG, RATIONAL):
        return ()
    return tuple(np.frombuffer(value.data, f"<u{_WORDS[value.type]}").tolist())


def _short(number: int) -> Value:
    return Value(SHORT, 1, struct.pack("<H", number))


def _long(number: int) -> Value:
    return Value(LONG, 1, struct.pack("<I", number))
