"""Reads the contents of an ONNX file strictly, before any engine sees its bytes.

A file passes if it consists only of the messages that exports write: weights inside it, one graph
of standard operators, no functions, no subgraphs. So it cannot make an engine read another file,
and later readers find its bytes well-formed.

Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .onnx_messages import MODEL_GRAPH, MODEL_METADATA
from .protobuf import MalformedError, Schema, block, number, read, refused, single, text

_ELSEWHERE = "it keeps weights in another file"
_OWN_OPERATORS = "it defines operators of its own"
_SUBGRAPH = "it has a graph within a graph"
_SPARSE = "it has sparse tensors"
_FOREIGN = "it has values of a kind that no export writes"
_NOT_RAW = "it has weights that are not stored as plain bytes"

_MODEL: Schema = {
    **{1: number(), 2: block(), 3: block(), 4: block(), 5: number(), 6: block()},
    **{MODEL_GRAPH: block(), 8: block(many=True), MODEL_METADATA: block(many=True)},
    **{20: refused("it holds what training goes on with"), 25: refused(_OWN_OPERATORS)},
}
_OPSET: Schema = {1: block(), 2: number()}
_ENTRY: Schema = {1: block(), 2: block()}
_GRAPH: Schema = {
    **{1: block(many=True), 2: block(), 5: block(many=True), 10: block()},
    **{11: block(many=True), 12: block(many=True), 13: block(many=True)},
    **{15: refused(_SPARSE), 16: block(many=True)},
}
_NODE: Schema = {
    **{1: block(many=True), 2: block(many=True), 3: block(), 4: block(), 5: block(many=True)},
    **{6: block(), 7: block(), 8: refused(_OWN_OPERATORS), 9: block(many=True)},
}
_ATTRIBUTE: Schema = {
    **{1: block(), 2: single(), 3: number(), 4: block(), 5: block()},
    **{7: single(many=True), 8: number(many=True), 9: block(many=True), 13: block(), 20: number()},
    **{6: refused(_SUBGRAPH), 11: refused(_SUBGRAPH), 21: refused(_OWN_OPERATORS)},
    **{22: refused(_SPARSE), 23: refused(_SPARSE)},
    **{10: refused(_FOREIGN), 14: refused(_FOREIGN), 15: refused(_FOREIGN)},
}
_TENSOR: Schema = {
    **{1: number(many=True), 2: number(), 8: block(), 9: block(), 12: block(), 14: number()},
    **{16: block(many=True), 13: refused(_ELSEWHERE)},
    **dict.fromkeys((3, 4, 5, 6, 7, 10, 11), refused(_NOT_RAW)),
}
_VALUE: Schema = {1: block(), 2: block(), 3: block(), 4: block(many=True)}
_TYPE: Schema = {1: block(), 6: block()} | dict.fromkeys((4, 5, 8, 9), refused(_FOREIGN))
_TENSOR_TYPE: Schema = {1: number(), 2: block()}
_SHAPE: Schema = {1: block(many=True)}
_SIDE: Schema = {1: number(), 2: block(), 3: block()}

# Tensor types and their numpy types.
FLOAT, UINT8 = 1, 2
TYPES = {
    **{FLOAT: "<f4", UINT8: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?"},
    **{10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8"},
}
_MOST_DIMENSIONS = 8
_LATEST = 99  # version of ONNX; OpenVINO counts up to the version in the file


@dataclass(frozen=True)
class Tensor:
    """A tensor in the file. kind: ONNX's type number; raw: its bytes."""

    name: str
    kind: int
    shape: tuple[int, ...]
    raw: memoryview

    def array(self) -> np.ndarray:
        """The values, read-only."""
        return np.frombuffer(self.raw, TYPES[self.kind]).reshape(self.shape)


@dataclass(frozen=True)
class Attribute:
    """An attribute of a node. numbers: integers; word: a string; tensor: of a constant."""

    name: str
    numbers: tuple[int, ...]
    word: bytes
    tensor: Tensor | None


@dataclass(frozen=True)
class Node:
    """A step of the graph."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[Attribute, ...]


@dataclass(frozen=True)
class Value:
    """An input or output of the graph. shape: with 0 for a side that varies; None if unknown."""

    name: str
    kind: int
    shape: tuple[int, ...] | None


@dataclass(frozen=True)
class Outline:
    """The contents of a file; metadata in file order."""

    metadata: tuple[tuple[str, str], ...]
    nodes: tuple[Node, ...]
    tensors: tuple[Tensor, ...]
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]


def read_outline(content: bytes) -> Outline:
    """Read a file's outline. Raises MalformedError with a reason if the file does not pass."""
    model = read(memoryview(content), _MODEL, "the file")
    for part in (2, 3, 4, 6):
        _texts(model, part)
    if MODEL_GRAPH not in model:
        raise MalformedError("it has no graph")
    sets = [read(item, _OPSET, "a set of operators") for item in model.get(8, [])]
    if len(sets) != 1 or _text(sets[0], 1) not in _STANDARD:
        raise MalformedError("it names other operators than the standard ones")
    versions = model.get(1, [0])[0], sets[0].get(2, [0])[0]
    if not all(0 < version <= _LATEST for version in versions):
        raise MalformedError("it names a version of ONNX that there is not")
    graph = read(model[MODEL_GRAPH][0], _GRAPH, "the graph")
    for part in (2, 10):
        _texts(graph, part)
    _entries(graph.get(16, []))
    for item in graph.get(13, []):
        _value(item)
    known: dict[bytes, Attribute] = {}
    return Outline(
        tuple(_entries(model.get(MODEL_METADATA, []))),
        tuple(_node(item, known) for item in graph.get(1, [])),
        tuple(_tensor(item) for item in graph.get(5, [])),
        tuple(map(_value, graph.get(11, []))),
        tuple(map(_value, graph.get(12, []))),
    )


_STANDARD = ("", "ai.onnx")


def _node(item: memoryview, known: dict[bytes, Attribute]) -> Node:
    """Read a node. known: attributes that were read before; most nodes share a few."""
    parts = read(item, _NODE, "a node")
    for part in (3, 6):
        _texts(parts, part)
    _entries(parts.get(9, []))
    operator = _text(parts, 4)
    if _text(parts, 7) not in _STANDARD:
        raise MalformedError(f"the operator {operator} is not a standard one")
    attributes = []
    for one in parts.get(5, []):
        key = bytes(one)
        if key not in known:
            known[key] = _attribute(one)
        attributes.append(known[key])
    return Node(operator, _texts(parts, 1), _texts(parts, 2), tuple(attributes))


def _attribute(item: memoryview) -> Attribute:
    parts = read(item, _ATTRIBUTE, "an attribute")
    _texts(parts, 13)
    numbers = tuple(map(_signed, parts.get(3, []) + parts.get(8, [])))
    tensor = _tensor(parts[5][0]) if 5 in parts else None
    word = bytes(parts[4][0]) if 4 in parts else b""
    return Attribute(_text(parts, 1), numbers, word, tensor)


def _tensor(item: memoryview) -> Tensor:
    """Read a tensor. Raises MalformedError if its values do not match its shape."""
    parts = read(item, _TENSOR, "a tensor")
    name = _text(parts, 8)
    _texts(parts, 12)
    _entries(parts.get(16, []))
    if parts.get(14, [0]) != [0]:
        raise MalformedError(_ELSEWHERE)
    kind = parts.get(2, [0])[0]
    shape = tuple(map(_signed, parts.get(1, [])))
    if kind not in TYPES:
        raise MalformedError(f"the tensor '{name}' is of a type that no export writes")
    if len(shape) > _MOST_DIMENSIONS or any(side < 0 for side in shape):
        raise MalformedError(f"the tensor '{name}' has no valid shape")
    raw = parts[9][0] if 9 in parts else memoryview(b"")
    if len(raw) != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise MalformedError(f"the tensor '{name}' has not as many values as its shape says")
    return Tensor(name, kind, shape, raw)


def _value(item: memoryview) -> Value:
    parts = read(item, _VALUE, "an input or output")
    _texts(parts, 3)
    _entries(parts.get(4, []))
    name = _text(parts, 1)
    if 2 not in parts:
        return Value(name, 0, None)
    outer = read(parts[2][0], _TYPE, "a type")
    _texts(outer, 6)
    if 1 not in outer:
        return Value(name, 0, None)
    tensor = read(outer[1][0], _TENSOR_TYPE, "a type")
    kind = tensor.get(1, [0])[0]
    if 2 not in tensor:
        return Value(name, kind, None)
    sides = [
        read(side, _SIDE, "a side") for side in read(tensor[2][0], _SHAPE, "a shape").get(1, [])
    ]
    for side in sides:
        _texts(side, 2)
        _texts(side, 3)
    return Value(name, kind, tuple(_signed(side.get(1, [0])[0]) for side in sides))


def _entries(items: list[memoryview]) -> list[tuple[str, str]]:
    parts = [read(item, _ENTRY, "an entry of metadata") for item in items]
    return [(_text(part, 1), _text(part, 2)) for part in parts]


def _texts(parts: dict[int, list[memoryview]], part: int) -> tuple[str, ...]:
    return tuple(map(text, parts.get(part, ())))


def _text(parts: dict[int, list[memoryview]], part: int) -> str:
    return text(parts[part][0]) if part in parts else ""


def _signed(value: int) -> int:
    """A signed 64-bit integer, which protocol buffers store as unsigned."""
    return value - (1 << 64) if value >> 63 else value
