"""Computes how much memory and work a graph takes for a small picture, before it runs.

A graph is a program. One of twenty steps that each concatenate a tensor with itself takes a million
times the picture's memory, and engines compute constants while they load. So all shapes are
computed for one small picture. In exported files they are all known; unknown ones are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from graphlib import TopologicalSorter

import numpy as np

from .graph_shapes import RULES, Known, Shape, Step, asked_sides
from .graph_values import MOST, computed
from .onnx_outline import Node, Outline
from .protobuf import MalformedError

# For one picture of 64x65 pixels or slightly more. The largest network here, the paper's for
# deblurring, computes 2^28 numbers in all, far fewer of them alive at once, with 2^35 products.
_MOST_AT_ONCE = 1 << 27
_MOST_NUMBERS = 1 << 31
_MOST_PRODUCTS = 1 << 38


def check_size(outline: Outline, inputs: Mapping[str, Shape]) -> None:
    """Raise MalformedError with a reason if a graph takes too much memory or work.

    inputs: shapes of the inputs without a default.
    """
    shapes(outline, inputs)


def shapes(outline: Outline, inputs: Mapping[str, Shape]) -> dict[str, Shape]:
    """The shape of every tensor in a graph. Raises as `check_size` does."""
    known = {tensor.name: Known(tensor.shape, _small(tensor.array())) for tensor in outline.tensors}
    # A dial may have any size up to the picture's, and the caller chooses its values.
    known |= {v.name: Known(known[v.name].shape) for v in outline.inputs if v.name in known}
    known |= {name: Known(shape) for name, shape in inputs.items()}
    steps = _in_order(outline.nodes)
    last_use = {name: place for place, node in enumerate(steps) for name in node.inputs}
    made = {name for node in steps for name in node.outputs}
    at_once = numbers = products = 0
    for place, node in enumerate(steps):
        found = _results(node, known)
        for name, result in zip(node.outputs, found, strict=False):
            known[name] = result
            numbers += result.size
            at_once += result.size
        if at_once > _MOST_AT_ONCE:
            raise MalformedError(f"a {node.operator} in its graph makes too large a result")
        done = {name for name in node.inputs if name in made and last_use[name] == place}
        at_once -= sum(known[name].size for name in done)
        products += _products(node, known) if found else 0
        if numbers > _MOST_NUMBERS or products > _MOST_PRODUCTS:
            raise MalformedError("its graph takes too much memory or work")
    return {name: result.shape for name, result in known.items()}


def _in_order(nodes: tuple[Node, ...]) -> list[Node]:
    """The steps, each after those that it needs; `check_graph` has excluded cycles."""
    makers = {name: place for place, node in enumerate(nodes) for name in node.outputs if name}
    needed = {
        place: {makers[name] for name in node.inputs if name in makers}
        for place, node in enumerate(nodes)
    }
    if all(max(needs, default=-1) < place for place, needs in needed.items()):
        return list(nodes)
    return [nodes[place] for place in TopologicalSorter(needed).static_order()]


def _results(node: Node, known: Mapping[str, Known]) -> list[Known]:
    """What is known of a node's results."""
    if node.operator not in RULES:
        raise MalformedError(f"it uses the operator '{node.operator}', which no export writes")
    inputs = [known.get(name) for name in node.inputs]
    if any(name and value is None for name, value in zip(node.inputs, inputs, strict=True)):
        raise MalformedError(f"a {node.operator} in its graph needs a result of unknown size")
    step = Step(node, inputs)
    try:
        shapes = RULES[node.operator](step)
        if any(side < 0 for shape in shapes for side in shape):
            raise ValueError("a negative side")
        if len(shapes) == 1 and math.prod(shapes[0]) <= MOST:
            value = _value(node, inputs, shapes[0])
            if value is not None and value.shape != shapes[0]:
                raise ValueError("a shape that differs from that of its values")
            return [Known(shapes[0], value)]
    except (ValueError, IndexError, TypeError, OverflowError):
        raise MalformedError(f"a {node.operator} in its graph has no known size") from None
    return [Known(shape) for shape in shapes]


def _value(node: Node, inputs: list[Known | None], shape: Shape) -> np.ndarray | None:
    """A small result's values, if those of its inputs are known."""
    if node.operator == "Constant":
        return next(a.tensor.array() for a in node.attributes if a.tensor is not None)
    if node.operator == "Shape" and inputs[0] is not None:
        return np.array(asked_sides(node, inputs[0].shape), np.int64)
    if node.operator == "Size" and inputs[0] is not None:
        return np.array(inputs[0].size, np.int64)
    values = [known.value for known in inputs if known is not None]
    if len(values) < len(inputs) or any(value is None for value in values):
        return None
    whole = [value for value in values if value is not None]
    if node.operator == "ConstantOfShape":
        fill = next((a.tensor.array() for a in node.attributes if a.tensor is not None), None)
        return np.full(shape, 0 if fill is None else fill.ravel()[0])
    if node.operator in ("Reshape", "Expand", "Range", "Transpose"):
        return _arranged(node, whole, shape)
    return computed(node, whole)


def _arranged(node: Node, values: list[np.ndarray], shape: Shape) -> np.ndarray | None:
    match node.operator:
        case "Reshape":
            return values[0].reshape(shape)
        case "Expand":
            return np.broadcast_to(values[0], shape)
        case "Range":
            first, _, delta = (value.ravel()[0] for value in values)
            return first + delta * np.arange(shape[0], dtype=values[0].dtype)
        case _:
            return None


def _products(node: Node, known: Mapping[str, Known]) -> int:
    """Number of multiplications of the costly operators; of others the size of the result."""
    size = known[node.outputs[0]].size
    if node.operator == "Conv":
        return size * math.prod(known[node.inputs[1]].shape[1:])
    if node.operator == "ConvTranspose":
        return known[node.inputs[0]].size * math.prod(known[node.inputs[1]].shape[1:])
    if node.operator in ("MatMul", "Gemm"):
        return size * max(known[node.inputs[0]].shape)
    return size


def _small(value: np.ndarray) -> np.ndarray | None:
    return value if value.size <= MOST else None
