"""Rewrites graphs for OpenVINO: bytes in and out, and the precision of the operations.

ops: OpenVINO's operations, `openvino.opset13`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE

_LOWEST = np.finfo(np.float32).min


def take_bytes(model: Any, ops: Any, merge_rounding: bool = True) -> Any:
    """Make a graph take and return pictures as planes of bytes, shape (N, C, H, W).

    OpenVINO converts them while it reads and writes them.

    merge_rounding: round in a form that OpenVINO fuses with the preceding operation.
    """
    (image,) = (p for p in model.get_parameters() if IMAGE in p.output(0).get_names())
    result = _result(model, ENHANCED)
    levels = ops.parameter(image.partial_shape, np.uint8)
    enhanced = result.input_value(0)
    rounded = (_quantized if merge_rounding else _rounded)(ops, enhanced)
    result.input(0).replace_source_output(rounded.output(0))
    image.output(0).replace(_to_floats(ops, levels).output(0))
    _move_names(image.output(0), levels.output(0))
    _move_names(enhanced, rounded.output(0))
    model.remove_parameter(image)
    model.add_parameters([levels])
    model.validate_nodes_and_infer_types()
    return model


def mix_maps_flat(model: Any, ops: Any) -> Any:
    """Make a graph mix its map, a * b + c * d, from arrays without the axis of planes.

    With it, OpenVINO (2026.4.1) computes the mixture in a layout whose innermost axis is that of
    planes, of length 1: 8 ms for 1280x720 rather than 1 ms. Graphs that end in something else stay
    as they are.
    """
    result = _result(model, GUIDANCE)
    total = result.input_value(0)
    products = [value.get_node() for value in total.get_node().input_values()]
    factors = [value for product in products for value in product.input_values()]
    kinds = [node.get_type_name() for node in (total.get_node(), *products)]
    if kinds != ["Add", "Multiply", "Multiply"] or not all(map(_is_one_plane, factors)):
        return model
    planes = ops.constant(np.array([1]))
    a, b, c, d = (ops.squeeze(_unguarded(value), planes) for value in factors)
    mixed = ops.add(ops.multiply(a, b), ops.multiply(c, d))
    flat = ops.unsqueeze(mixed, planes)
    total.replace(flat.output(0))
    _move_names(total, flat.output(0))
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


def _result(model: Any, name: str) -> Any:
    """The output of a graph that has this name."""
    return next(r for r in model.get_results() if name in r.input_value(0).get_names())


def _move_names(before: Any, after: Any) -> None:
    """Give the names of one value to another."""
    names = before.get_names()
    before.set_names(set())
    after.set_names(names)


def _unguarded(value: Any) -> Any:
    """A given map itself where the graph takes 0 in its place wherever its share is 0.

    That is for maps with NaN or infinity, which the runtime refuses.
    """
    node = value.get_node()
    is_guarded = node.get_type_name() == "Select"
    if is_guarded and node.input_value(1).get_node().get_type_name() == "Parameter":
        return node.input_value(1)
    return value


def _is_one_plane(value: Any) -> bool:
    """Whether a value has the shape (N, 1, H, W)."""
    shape = value.get_partial_shape()
    return shape.rank.is_static and len(shape) == 4 and shape[1] == 1
