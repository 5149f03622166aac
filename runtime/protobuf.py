"""Protocol buffers' wire format, as much of it as an ONNX file's outline needs.

The runtime depends on no ONNX library, and an engine cannot tell why it rejects a file. Two
dozen lines are enough to walk over a message's fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class MalformedError(Exception):
    """The bytes are not a well-formed message."""


def fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield (field number, value): an int for varints, the raw bytes for all else.

    Raises MalformedError where the bytes end early or are no message.
    """
    for number, value, _, _ in spans(message):
        yield number, value


def spans(message: memoryview) -> Iterator[tuple[int, int | memoryview, int, int]]:
    """As `fields`, with where each field starts and ends."""
    position = 0
    while position < len(message):
        start = position
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
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
        if number == 0 or position + size > len(message):
            raise MalformedError("truncated")
        yield number, message[position : position + size], start, position + size
        position += size


def without(message: memoryview, unwanted: Callable[[int, memoryview], bool]) -> bytes:
    """A copy of a message without the sub-messages and strings that are unwanted.

    unwanted: called with number and bytes of each.
    """
    return b"".join(
        bytes(message[start:end])
        for number, value, start, end in spans(message)
        if isinstance(value, int) or not unwanted(number, value)
    )


def message(value: int | memoryview | bytes) -> memoryview:
    """A field that holds a message. Raises MalformedError for a number."""
    if isinstance(value, int):
        raise MalformedError("a number where a message belongs")
    return memoryview(value)


def text(value: int | memoryview | bytes) -> str:
    """A field that holds a string."""
    return bytes(message(value)).decode("utf-8")


def submessage(number: int, content: bytes) -> bytes:
    """A sub-message or string as a field of a message."""
    return _encoded(number << 3 | _BYTES) + _encoded(len(content)) + content


def varint_field(number: int, value: int) -> bytes:
    """A number from 0 on as a field of a message."""
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
            return value, position
        shift += 7
    raise MalformedError("truncated")
