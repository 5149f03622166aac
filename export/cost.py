"""The cost of running a pair: work and memory per pixel, and operators by precision."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto
from torch.utils.flop_counter import FlopCounterMode

from hyperguide.model_format.contract import IMAGE, KERNEL
from hyperguide.padding import next_multiple
from hyperguide.training.model import GuidedModel

from .tensors import Tensors

# Height and width of the picture for which work is reported, 720p.
_FRAME = (720, 1280)

# Sides of the pictures on which memory is measured; pixels of the one for which it is reported.
_SIDES = (128, 256)
_MEGAPIXEL = 1 << 20

_PRECISIONS = {TensorProto.FLOAT: "fp32", TensorProto.FLOAT16: "fp16"}


def kilo_macs(model: GuidedModel) -> float:
    """Thousands of multiply-accumulates per pixel in convolutions and matrix products of the pair.

    For a picture of 1280x720, extrapolated from small ones: part of the work grows with the number
    of pixels, part with the border padded for deblurring, and part is constant, where a network
    sees the scene at a fixed size. Fourier transforms are not counted.
    """
    sides = [next_multiple(least, model.size_multiple) for least in (64, 128)]
    sizes = [(height, width) for height in sides for width in sides]
    equations = [_terms(*size) for size in sizes]
    terms = np.linalg.solve(equations, [_macs(model, *size) for size in sizes])
    height, width = _FRAME
    return float(terms @ _terms(height, width)) / (height * width) / 1000


def _terms(height: int, width: int) -> list[int]:
    """What parts of the work are proportional to."""
    return [height * width, height, width, 1]


def _macs(model: GuidedModel, height: int, width: int) -> float:
    planes = int(model.reconstruction.channels)  # type: ignore[arg-type]
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.restore(torch.rand(1, planes, height, width))
    return counter.get_total_flops() / 2


def operators(proto: onnx.ModelProto) -> dict[str, dict[str, int]]:
    """The number of occurrences of each floating-point operator, by its precision.

    Convolutions after a DequantizeLinear count as int8, because engines fuse the two.
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


def bytes_per_pixel(proto: onnx.ModelProto) -> float:
    """Peak memory of the tensors in bytes per pixel, for a picture of one megapixel.

    Nodes run in the file's order, and each tensor lives until its last use. Additional memory of an
    engine, or its savings, are not counted. Sizes are measured on two small pictures: not all can
    be inferred from the graph, but all grow with the number of pixels.
    """
    graph = proto.graph
    made = [name for node in graph.node for name in node.output if name]
    between = Tensors(proto, made)
    small, large = ({n: v.nbytes for n, v in between(_feeds(graph, s)).items()} for s in _SIDES)
    pixels = [side**2 for side in _SIDES]

    def size(name: str) -> float:
        if name not in large:  # a constant or an input
            return 0.0
        slope = (large[name] - small[name]) / (pixels[1] - pixels[0])
        return large[name] + slope * (_MEGAPIXEL - pixels[1])

    last = {name: number for number, node in enumerate(graph.node) for name in node.input}
    now, most = 0.0, 0.0
    for number, node in enumerate(graph.node):
        now += sum(map(size, node.output))
        most = max(most, now)
        now -= sum(size(name) for name in set(node.input) if last[name] == number)
    return most / _MEGAPIXEL


def _feeds(graph: onnx.GraphProto, side: int) -> dict[str, np.ndarray]:
    """Inputs for a graph: a picture and, if needed, a kernel; dials have defaults."""
    feeds = {}
    for value in graph.input:
        if value.name == IMAGE:
            planes = value.type.tensor_type.shape.dim[1].dim_value
            feeds[IMAGE] = np.full((1, planes, side, side), 0.5, np.float32)
        elif value.name == KERNEL:
            feeds[KERNEL] = np.full((1, 1, 15, 15), 1 / 225, np.float32)
    return feeds


def cost(model: GuidedModel, proto: onnx.ModelProto) -> dict[str, Any]:
    """The cost entry of a model file."""
    return {
        "kilo_macs_per_pixel": round(kilo_macs(model), 2),
        "bytes_per_pixel": round(bytes_per_pixel(proto)),
        "operators": operators(proto),
    }
