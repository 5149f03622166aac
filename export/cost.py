"""What a pair costs to run: work for a pixel, and operators by precision."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import onnx
import torch
from onnx import TensorProto
from torch.utils.flop_counter import FlopCounterMode

from hyperguide.model_file import IMAGE
from hyperguide.pixels import next_multiple
from hyperguide.training.model import GuidedModel

# Pixels of the picture that work is told for, 720p.
_PIXELS = 1280 * 720

# Of the picture that memory is told for.
_SIDE = 1024

_PRECISIONS = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16"}


def kilo_macs(model: GuidedModel) -> float:
    """Multiply-accumulates per pixel in thousands: convolutions and matrix products, both networks.

    For a picture of 1280x720: a hyper-network that sees the whole scene costs the same for every
    picture. Counted on two small ones, because the rest grows with the pixels. Fourier transforms
    are not counted.
    """
    multiple = model.size_multiple
    sides = [next_multiple(least, multiple) for least in (64, 128)]
    small, large = (_macs(model, side) for side in sides)
    slope = (large - small) / (sides[1] ** 2 - sides[0] ** 2)
    return (small + slope * (_PIXELS - sides[0] ** 2)) / _PIXELS / 1000


def _macs(model: GuidedModel, side: int) -> float:
    planes = int(model.reconstruction.channels)  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.restore(torch.rand(1, planes, side, side))
    return counter.get_total_flops() / 2


def operators(proto: onnx.ModelProto) -> dict[str, dict[str, int]]:
    """How often each operator with numbers in it occurs, by the precision that it computes in.

    Convolutions behind a DequantizeLinear count as int8: engines merge the two.
    """
    graph = onnx.shape_inference.infer_shapes(proto).graph
    types = {
        value.name: value.type.tensor_type.elem_type
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    makers = {name: node.op_type for node in proto.graph.node for name in node.output}
    found: dict[str, Counter[str]] = {}
    for node in proto.graph.node:
        precision = _PRECISIONS.get(types.get(node.output[0], 0))
        if precision is None or node.op_type == "Cast":
            continue
        if node.op_type == "Conv" and makers.get(node.input[0]) == "DequantizeLinear":
            precision = "int8"
        found.setdefault(precision, Counter())[node.op_type] += 1
    return {precision: dict(sorted(counts.items())) for precision, counts in found.items()}


def bytes_per_pixel(proto: onnx.ModelProto) -> float | None:
    """The most memory that tensors take at once, for a pixel of a large picture.

    Nodes run in the file's order and every tensor lives until it was last read. What an engine
    takes beyond that, and what it saves, is not counted.
    Returns None where sizes depend on other things than the picture's, as on a blur kernel.
    """
    sized = onnx.ModelProto()
    sized.CopyFrom(proto)
    for value in sized.graph.input:
        sides = value.type.tensor_type.shape.dim
        shape = [1, sides[1].dim_value, _SIDE, _SIDE] if value.name == IMAGE else [1, 1, 1, 1]
        for side, length in zip(sides, shape, strict=True):
            side.dim_value = length
    for value in sized.graph.output:
        value.type.tensor_type.ClearField("shape")
    graph = onnx.shape_inference.infer_shapes(sized, data_prop=True).graph
    sizes = {value.name: _bytes(value) for value in (*graph.value_info, *graph.output)}
    if not all(sizes.get(node.output[0]) for node in graph.node if node.op_type == "Conv"):
        return None
    last = {name: number for number, node in enumerate(graph.node) for name in node.input}
    now, most = 0, 0
    for number, node in enumerate(graph.node):
        now += sum(sizes.get(name, 0) for name in node.output)
        most = max(most, now)
        read = {name for name in node.input if last[name] == number}
        now -= sum(sizes.get(name, 0) for name in read)
    return most / _SIDE**2


def _bytes(value: onnx.ValueInfoProto) -> int:
    tensor = value.type.tensor_type
    sides = [side.dim_value for side in tensor.shape.dim]
    if not tensor.HasField("shape") or 0 in sides:
        return 0
    return math.prod(sides) * onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize


def cost(model: GuidedModel, proto: onnx.ModelProto) -> dict[str, Any]:
    """What a model file says of its cost."""
    memory = bytes_per_pixel(proto)
    return {
        "kilo_macs_per_pixel": round(kilo_macs(model), 2),
        **({} if memory is None else {"bytes_per_pixel": round(memory)}),
        "operators": operators(proto),
    }
