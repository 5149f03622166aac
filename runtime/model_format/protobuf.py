"""The part of protocol buffers' wire format that an ONNX file's outline needs.

The runtime depends on no ONNX library, and engines cannot say why they reject a file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

# Maximum fields of one message; in Python an empty one takes a hundred times its two bytes.
_MOST_FIELDS = 100_000


class MalformedError(Exception):
    """The bytes are not a well-formed message, or not an accepted one; the text says why."""


@dataclass(frozen=True)
class Field:
    """What a message may hold under a field number.

    wire: its wire type. many: whether it may be repeated.
    refused: why it is refused although the message's definition has it; empty if it is accepted.
    """

    wire: int
    many: bool = False
    refused: str = ""


def number(many: bool = False) -> Field:
    """A field with an integer."""
    return Field(_VARINT, many)


def single(many: bool = False) -> Field:
    """A field with a 32-bit number."""
    return Field(_FIXED32, many)


def block(many: bool = False) -> Field:
    """A field with a message, a string, or bytes."""
    return Field(_BYTES, many)


def refused(why: str) -> Field:
    """A field that no message may have."""
    return Field(_BYTES, refused=why)


Schema = dict[int, Field]


def read(message: memoryview, schema: Schema, what: str) -> dict[int, list[Any]]:
    """The values of a message by field number, as `fields` yields them.

    what: names the message in errors.
    Raises MalformedError unless the message has only fields of the schema, each of its type and
    repeated only if allowed. Readers of protocol buffers differ in how they treat other messages.
    """
    found: dict[int, list[Any]] = {}
    for count, (key, value, wire) in enumerate(_typed(message)):
        if count == _MOST_FIELDS:
            raise MalformedError(f"{what} has too many fields")
        field = schema.get(key)
        if field is None:
            raise MalformedError(f"{what} has an unknown field {key}")
        if field.refused:
            raise MalformedError(field.refused)
        if wire != field.wire:
            raise MalformedError(f"{what} has a field {key} of another type")
        if key not in found:
            found[key] = [value]
        elif field.many:
            found[key].append(value)
        else:
            raise MalformedError(f"{what} has its field {key} twice")
    return found


def _typed(message: memoryview) -> Iterator[tuple[int, Any, int]]:
    """Like `fields`, with the wire type of each field."""
    position, end = 0, len(message)
    while position < end:
        key = message[position]
        if key < 0x80:
            position += 1
        else:
            key, position = _varint(message, position)
        wire = key & 7
        if wire == _BYTES:
            size = message[position] if position < end else 0x80
            if size < 0x80:
                position += 1
            else:
                size, position = _varint(message, position)
        elif wire == _VARINT:
            value, position = _varint(message, position)
            yield key >> 3, value, wire
            continue
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise MalformedError(f"wire type {wire}")
        if position + size > end:
            raise MalformedError("truncated")
        yield key >> 3, message[position : position + size], wire
        position += size


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value): an int for varints, otherwise the raw bytes.

    Raises MalformedError if the bytes end early or are not a message.
    """
    for number, value, _, _ in spans(message):
        yield number, value


def spans(message: memoryview) -> Iterator[tuple[int, int | memoryview, int, int]]:
    """Like `fields`, with the start and end of each field."""
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if number == 0:
            raise MalformedError("a field without a number")
        if wire == _VARINT:
            value, position = _varint(message, position)
            yield number, value, start, position
            continue
        if wire == _BYTES:
            size, position = _varint(message, position)
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
        else:
            raise MalformedError(f"wire type {wire}")
        if position + size > len(message):
            raise MalformedError("truncated")
        yield number, message[position : position + size], start, position + size
        position += size


def without(message: memoryview, unwanted: Callable[[int, memoryview], bool]) -> bytes:
    """A copy of a message without unwanted sub-messages and strings.

    unwanted: called with the number and bytes of each.
    """
    return b"".join(
        bytes(message[start:end])
        for number, value, start, end in spans(message)
        if isinstance(value, int) or not unwanted(number, value)
    )


def message(value: int | memoryview | bytes) -> memoryview:
    """The bytes of a field that holds a message. Raises MalformedError for a number."""
    if isinstance(value, int):
        raise MalformedError("a number where a message belongs")
    return memoryview(value)


def text(value: int | memoryview | bytes) -> str:
    """The text of a field that holds a string. Raises MalformedError for other bytes."""
    try:
        return str(message(value), "utf-8")
    except UnicodeDecodeError:
        raise MalformedError("text that is not in UTF-8") from None


def submessage(number: int, content: bytes) -> bytes:
    """A sub-message or string as a field of a message."""
    return _encoded(number << 3 | _BYTES) + _encoded(len(content)) + content


def varint_field(number: int, value: int) -> bytes:
    """A non-negative integer as a field of a message."""
    return _encoded(number << 3 | _VARINT) + _encoded(value)


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message) and shift < 64:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                break
            return value, position
        shift += 7
    raise MalformedError("truncated")
