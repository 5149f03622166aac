"""Protocol buffers, with the lengths around a change kept valid."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from . import values

# Field number, kind (0 varint, 1 eight bytes, 2 bytes, 5 four bytes), value.
_Item = tuple[int, int, "int | bytes"]
_NUMBERS = (0, 1, 2, 3, 7, 127, 128, 255, 1 << 20, (1 << 31) - 1, 1 << 31, 1 << 40, (1 << 64) - 1)
_DEEPEST = 7


def message(data: bytes, rng: Random, inner: Callable[[bytes], bytes], depth: int = 0) -> bytes:
    """A message with one field, possibly nested, changed, removed, repeated or moved."""
    items = parsed(data)
    if not items:
        raise ValueError("no message")
    at = rng.randrange(len(items))
    number, kind, value = items[at]
    match rng.randrange(14):
        case 0:
            del items[at]
        case 1:
            items.insert(rng.randrange(len(items) + 1), items[at])
        case 2:
            other = rng.randrange(len(items))
            items[at], items[other] = items[other], items[at]
        case 3:
            items[at] = (rng.choice([1, 2, 5, 7, 8, 9, 11, 12, 13, 14, 20, 300]), kind, value)
        case 4:
            items[at] = (number, 0, rng.choice(_NUMBERS))
        case _:
            items[at] = (number, kind, _changed(value, rng, inner, depth))
    return joined(items)


def _changed(
    value: int | bytes, rng: Random, inner: Callable[[bytes], bytes], depth: int
) -> int | bytes:
    if isinstance(value, int):
        return rng.choice([*_NUMBERS, value + 1, max(value - 1, 0)])
    if value[:1] in (b"{", b"[") and rng.random() < 0.8:
        try:
            return values.json_text(value, rng, inner)
        except (ValueError, RecursionError):
            pass
    if depth < _DEEPEST and rng.random() < 0.85:
        try:
            return message(value, rng, inner, depth + 1)
        except ValueError:
            pass
    return inner(value)


def parsed(data: bytes) -> list[_Item]:
    """The fields of a message. Raises ValueError if the bytes are not a message."""
    items: list[_Item] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            items.append((number, kind, value))
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("no message")
        if number == 0 or at + size > len(data):
            raise ValueError("no message")
        items.append((number, kind, data[at : at + size]))
        at += size
    return items


def joined(items: list[_Item]) -> bytes:
    """A message made of the fields."""
    found = bytearray()
    for number, kind, value in items:
        if isinstance(value, int):
            found += _encoded(number << 3) + _encoded(value)
            continue
        kind = kind if (kind, len(value)) in ((1, 8), (5, 4)) else 2
        found += _encoded(number << 3 | kind)
        found += (_encoded(len(value)) if kind == 2 else b"") + value
    return bytes(found)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 64, 7):
        if at >= len(data):
            break
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("no message")


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
