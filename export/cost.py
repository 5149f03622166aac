"""What a pair costs to run: work for a pixel, and operators by precision."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx
import torch
from onnx import TensorProto
from torch.utils.flop_counter import FlopCounterMode

from hyperguide.pixels import next_multiple
from hyperguide.training.model import GuidedModel

# Pixels of the picture that work is told for, 720p.
_PIXELS = 1280 * 720

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


def cost(model: GuidedModel, proto: onnx.ModelProto) -> dict[str, Any]:
    """What a model file says of its cost."""
    return {"kilo_macs_per_pixel": round(kilo_macs(model), 2), "operators": operators(proto)}
