"""Reads and writes parts of an ONNX file as protocol buffers, without an ONNX library.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from .protobuf import fields, message, spans, submessage, text, varint_field, without

MODEL_GRAPH, MODEL_METADATA = 7, 14  # fields of a file

# Fields of a graph.
NODE, INITIALIZER, INPUT, OUTPUT = 1, 5, 11, 12

# ONNX's type numbers.
TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "float16": 10}

_NODE_INPUT, _NODE_OUTPUT = 1, 2  # fields of a node
_END_NAME = 1  # field of an input or output

_INT, _INTS = 2, 7  # attribute types


def node(
    operator: str,
    inputs: Iterable[str],
    outputs: Iterable[str],
    **attributes: int | Sequence[int],
) -> bytes:
    """A node as a field of a graph."""
    content = b"".join(_text(_NODE_INPUT, name) for name in inputs)
    content += b"".join(_text(_NODE_OUTPUT, name) for name in outputs)
    content += _text(4, operator)
    content += b"".join(_attribute(name, value) for name, value in attributes.items())
    return submessage(NODE, content)


def renamed_nodes(graph: memoryview, names: Mapping[str, str]) -> bytes:
    """The nodes of a graph as its fields, with values renamed as in `names`."""
    return b"".join(
        submessage(NODE, _renamed(message(item), names))
        for number, item in fields(graph)
        if number == NODE
    )


def described(field: int, name: str, kind: str, sides: Iterable[str | int]) -> bytes:
    """An input or output as a field of a graph; sides are numbers, or names if they vary."""
    shape = b"".join(
        submessage(1, varint_field(1, side) if isinstance(side, int) else _text(2, side))
        for side in sides
    )
    tensor = varint_field(1, TYPES[kind]) + submessage(2, shape)
    return submessage(field, _text(_END_NAME, name) + submessage(2, submessage(1, tensor)))


def name_of(end: memoryview) -> str:
    """The name of an input or output; empty if it has none."""
    return text(dict(fields(end)).get(_END_NAME, b""))


def scalar(name: str, value: float, rank: int = 0) -> bytes:
    """An fp32 number as a field of a graph, each of its dimensions being 1."""
    content = rank * varint_field(1, 1) + varint_field(2, TYPES["float32"]) + _text(8, name)
    return submessage(INITIALIZER, content + submessage(9, np.array(value, "<f4").tobytes()))


def model(graph: bytes, opset: int = 18) -> bytes:
    """A file with a graph, given as its fields."""
    return (
        varint_field(1, 8) + submessage(MODEL_GRAPH, graph) + submessage(8, varint_field(2, opset))
    )


def graph_of(content: bytes) -> memoryview:
    """The graph of a file."""
    found = fields(memoryview(content))
    return message(next(value for number, value in found if number == MODEL_GRAPH))


def with_graph(content: bytes, graph: bytes) -> bytes:
    """The file with another graph."""
    rest = without(memoryview(content), lambda number, _: number == MODEL_GRAPH)
    return rest + submessage(MODEL_GRAPH, graph)


def _renamed(content: memoryview, names: Mapping[str, str]) -> bytes:
    """A node with its inputs and outputs renamed."""
    return b"".join(
        _text(number, names.get(text(value), text(value)))
        if number in (_NODE_INPUT, _NODE_OUTPUT)
        else bytes(content[start:end])
        for number, value, start, end in spans(content)
    )


def _attribute(name: str, value: int | Sequence[int]) -> bytes:
    if isinstance(value, int):
        return submessage(5, _text(1, name) + varint_field(3, value) + varint_field(20, _INT))
    items = b"".join(varint_field(8, item) for item in value)
    return submessage(5, _text(1, name) + items + varint_field(20, _INTS))


def _text(number: int, value: str) -> bytes:
    return submessage(number, value.encode())
