"""fp16 inside the networks, fp32 where the values require it.

The types are in the file, with casts to fp16 and back, because TensorRT 11 supports no other way.
The graph and its values on real pictures decide what computes in fp16. A convolution does, unless a
value it reads, writes or holds comes near the limit of fp16. So do elementwise nodes that depend
only on such nodes and lead to a convolution. Every other node that reads an input of the graph,
such as the picture, stays in fp32. So do the path from `image` to `enhanced`, the dials and the
Fourier transforms of deblurring, whose sums do not fit into fp16.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import onnx.numpy_helper
from onnx import TensorProto

from .tensors import Tensors

# Largest finite value of fp16, and the share of it that calibration may reach: other pictures may
# go further.
_LARGEST = 65504.0
_SHARE = 1 / 8

# Operators that have an fp16 kernel in every engine and lose nothing but precision.
_ELEMENTWISE = frozenset(
    {"Relu", "Sigmoid", "Tanh", "Add", "Sub", "Mul", "Concat", "DepthToSpace", "Reshape"}
    | {"Transpose", "Split", "Slice", "Pad", "Squeeze", "Unsqueeze", "Identity"}
)


@dataclass(frozen=True)
class Halves:
    """The nodes that compute in fp16, and the convolutions that cannot.

    nodes: names. islands: name of a convolution in fp32 -> its largest absolute value.
    """

    nodes: frozenset[str]
    islands: dict[str, float]


def largest_values(
    proto: onnx.ModelProto, feeds: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, float]:
    """The largest absolute value of each float tensor on some pictures, by name."""
    names = sorted(_floats(proto) - {value.name for value in proto.graph.input})
    between = Tensors(proto, names)
    largest: dict[str, float] = {}
    for feed in feeds:
        for name, value in {**feed, **between(feed)}.items():
            largest[name] = max(largest.get(name, 0.0), float(np.abs(value).max(initial=0)))
    return largest


def _floats(proto: onnx.ModelProto) -> set[str]:
    """The names of the float tensors that are not constants."""
    graph = onnx.shape_inference.infer_shapes(proto).graph
    return {
        value.name
        for value in (*graph.value_info, *graph.input, *graph.output)
        if value.type.tensor_type.elem_type == TensorProto.FLOAT
    }


def choose(proto: onnx.ModelProto, largest: Mapping[str, float]) -> Halves:
    """Choose the nodes that compute in fp16.

    largest: see `largest_values`.
    """
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    sizes = dict(largest)
    for name, tensor in constants.items():
        if tensor.data_type == TensorProto.FLOAT:
            sizes[name] = float(np.abs(onnx.numpy_helper.to_array(tensor)).max(initial=0))
    given = {value.name for value in proto.graph.input}
    inside: set[str] = set()  # tensors that come from nodes in fp16
    nodes: set[str] = set()
    islands: dict[str, float] = {}
    for node in proto.graph.node:
        floats = [name for name in (*node.input, *node.output) if name in sizes]
        top = max((sizes[name] for name in floats), default=0.0)
        fits = top < _SHARE * _LARGEST
        if node.op_type == "Conv":
            if not fits:
                islands[node.name] = top
                continue
        else:
            sources = [name for name in node.input if name in sizes]
            behind = [name for name in sources if name not in constants or name in given]
            if node.op_type not in _ELEMENTWISE or not fits or not behind:
                continue
            if not inside.issuperset(behind):
                continue
        nodes.add(node.name)
        inside.update(node.output)
    return Halves(frozenset(nodes & _before_convolutions(proto, nodes)), islands)


def _before_convolutions(proto: onnx.ModelProto, nodes: set[str]) -> set[str]:
    """The nodes that are convolutions, or lead to one through other nodes of the set."""
    wanted: set[str] = set()
    kept: set[str] = set()
    for node in reversed(proto.graph.node):
        if node.name not in nodes:
            continue
        if node.op_type == "Conv" or wanted.intersection(node.output):
            kept.add(node.name)
            wanted.update(node.input)
    return kept


def to_half(proto: onnx.ModelProto, halves: Halves) -> onnx.ModelProto:
    """A copy in which the chosen nodes compute in fp16, with casts around them."""
    half = onnx.ModelProto()
    half.CopyFrom(proto)
    graph = half.graph
    floats = _floats(proto)
    constants = {tensor.name: tensor for tensor in graph.initializer}
    constants = {n: t for n, t in constants.items() if t.data_type == TensorProto.FLOAT}
    given = {value.name for value in graph.input}
    outputs = {value.name for value in graph.output}
    in_half = {
        name for node in graph.node if node.name in halves.nodes for name in node.output
    } & floats
    read_in_float = {
        name for node in graph.node if node.name not in halves.nodes for name in node.input
    } | outputs
    made: dict[str, str] = {}
    nodes = list(graph.node)
    del graph.node[:]

    def cast(source: str, result: str, kind: int) -> str:
        name = f"Cast_{result}"
        graph.node.append(onnx.helper.make_node("Cast", [source], [result], name=name, to=kind))
        return result

    def as_half(name: str) -> str:
        if name not in made:
            if name in constants and name not in given:
                values = onnx.numpy_helper.to_array(constants[name]).astype(np.float16)
                made[name] = f"{name}.half"
                graph.initializer.append(onnx.numpy_helper.from_array(values, made[name]))
            else:
                made[name] = cast(name, f"{name}.half", TensorProto.FLOAT16)
        return made[name]

    for node in nodes:
        if node.name in halves.nodes:
            for position, name in enumerate(node.input):
                if name in floats or name in constants:
                    node.input[position] = as_half(name)
            written = [name for name in node.output if name in in_half]
            for position, name in enumerate(node.output):
                if name in in_half:
                    made[name] = node.output[position] = f"{name}.half"
            graph.node.append(node)
            for name in written:
                if name in read_in_float:
                    cast(made[name], name, TensorProto.FLOAT)
        else:
            graph.node.append(node)
    read = {name for node in graph.node for name in node.input} | given
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    onnx.checker.check_model(half, full_check=True)
    return half
