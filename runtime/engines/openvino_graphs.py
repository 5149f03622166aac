"""Rewrites graphs for OpenVINO: bytes in and out, and the precision of the operations.

ops: OpenVINO's operations, `openvino.opset13`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperguide.model_format.contract import ENHANCED, IMAGE

_LOWEST = np.finfo(np.float32).min


def take_bytes(model: Any, ops: Any, in_blocks: bool = True, merge_rounding: bool = True) -> Any:
    """Make a graph take and return pictures as planes of bytes, shape (N, C, H, W).

    OpenVINO converts them while it reads and writes them.

    in_blocks: add and round before a final DepthToSpace rather than after it, which is faster.
    merge_rounding: round in a form that OpenVINO fuses with the preceding convolution.
    """
    (image,) = (p for p in model.get_parameters() if IMAGE in p.output(0).get_names())
    (result,) = (r for r in model.get_results() if ENHANCED in r.input_value(0).get_names())
    to_bytes = _quantized if merge_rounding else _rounded
    levels = ops.parameter(image.partial_shape, np.uint8)
    enhanced = result.input_value(0)
    found = _last_shuffle(result) if in_blocks else None
    if found:
        strength, shuffle = found
        block, mode = (shuffle.get_attributes()[name] for name in ("block_size", "mode"))
        blocks = _to_floats(ops, ops.space_to_depth(levels, mode, block))
        total = ops.add(blocks, ops.multiply(shuffle.input_value(0), strength))
        rounded = ops.depth_to_space(to_bytes(ops, ops.clamp(total, 0, 1)), mode, block)
    else:
        rounded = to_bytes(ops, enhanced)
    result.input(0).replace_source_output(rounded.output(0))
    image.output(0).replace(_to_floats(ops, levels).output(0))
    for before, after in ((image.output(0), levels.output(0)), (enhanced, result.input_value(0))):
        names = before.get_names()
        before.set_names(set())
        after.set_names(names)
    model.remove_parameter(image)
    model.add_parameters([levels])
    model.validate_nodes_and_infer_types()
    return model


def without_int8(model: Any, ops: Any) -> Any:
    """Make the convolutions of an int8 graph compute in floats; values are rounded as before."""
    for convolution in _convolutions(model):
        # OpenVINO moves the conversion to floats past a convolution, but not past a maximum.
        held = ops.maximum(convolution.input_value(0), ops.constant(_LOWEST))
        convolution.input(0).replace_source_output(held.output(0))
    model.validate_nodes_and_infer_types()
    return model


def convolutions_in_bf16(model: Any, ops: Any) -> Any:
    """Make the convolutions of a graph compute in bf16, and everything else in floats."""
    for convolution in _convolutions(model):
        readers = list(convolution.output(0).get_target_inputs())
        for place in (0, 1):
            rounded = ops.convert(convolution.input_value(place), "bf16")
            convolution.input(place).replace_source_output(rounded.output(0))
        convolution.validate_and_infer_types()
        floats = ops.convert(convolution, "f32")
        for reader in readers:
            reader.replace_source_output(floats.output(0))
    model.validate_nodes_and_infer_types()
    return model


def _convolutions(model: Any) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]


def _to_floats(ops: Any, levels: Any) -> Any:
    """Bytes times 1/255, bit-identical to `pixels.to_tensor`.

    The maximum changes no value. Without it, OpenVINO takes bytes for quantised values and
    continues in bytes: means are rounded to bytes, and maps are off by up to a half. It also keeps
    the factor here, where it is applied once, rather than at every reader of the picture.
    """
    floats = ops.multiply(ops.convert(levels, "f32"), ops.constant(np.float32(1 / 255)))
    return ops.maximum(floats, ops.constant(_LOWEST))


def _quantized(ops: Any, values: Any) -> Any:
    """Round(255 x), in the form that OpenVINO fuses with the preceding operation."""
    low, high, most = (ops.constant(np.float32(v)) for v in (0, 1, 255))
    return ops.convert(ops.fake_quantize(values, low, high, low, most, 256), "u8")


def _rounded(ops: Any, values: Any) -> Any:
    """Round(255 x), step by step."""
    levels = ops.multiply(values, ops.constant(np.float32(255)))
    return ops.convert(ops.round(levels, "half_to_even"), "u8")


def _last_shuffle(result: Any) -> tuple[Any, Any] | None:
    """`strength` and DepthToSpace of graphs ending in clip(image + strength * DepthToSpace(x))."""

    def source(node: Any, kind: str) -> Any:
        inputs = (value.get_node() for value in node.input_values()) if node else ()
        return next((n for n in inputs if n.get_type_name() == kind), None)

    least = source(result, "Minimum")  # ONNX's Clip
    total = source(source(least, "Maximum"), "Add")
    image, scaled = source(total, "Parameter"), source(total, "Multiply")
    strength, shuffle = source(scaled, "Constant"), source(scaled, "DepthToSpace")
    if image is None or strength is None or shuffle is None or any(n != 1 for n in strength.shape):
        return None
    return strength, shuffle
