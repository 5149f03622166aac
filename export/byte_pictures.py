"""A graph whose pictures are bytes, as cameras and screens have them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import onnx.numpy_helper
from onnx import TensorProto, helper

from hyperguide.engines import Engine
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import ENHANCED, IMAGE
from hyperguide.model_format.golden import Golden
from hyperguide.pixels import from_tensor, planes_to_pixels, to_tensor

_PLANES = {IMAGE: "image_planes", ENHANCED: "enhanced_planes"}
_FULL_SCALE = 255


def take_bytes(proto: onnx.ModelProto) -> onnx.ModelProto:
    """A copy that takes and gives pictures of bytes, uint8 of shape (N, H, W, C).

    Conversion, clipping and rounding are the runtime's own, `pixels.to_tensor` and
    `pixels.from_tensor`. The casts stand at the very ends, where TensorRT allows bytes.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    graph = copy.graph
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                names[position] = _PLANES.get(name, name)
    for value in (*graph.input, *graph.output):
        if value.name in _PLANES:
            channels = value.type.tensor_type.shape.dim[1].dim_value
            shape = ["N", "H", "W", channels]
            value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.UINT8, shape))
    for name, factor in (("to_share", 1 / _FULL_SCALE), ("to_level", _FULL_SCALE)):
        graph.initializer.append(onnx.numpy_helper.from_array(np.array(factor, np.float32), name))
    before = [
        helper.make_node("Cast", [IMAGE], ["image_levels"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["image_levels", "to_share"], ["image_shares"]),
        helper.make_node("Transpose", ["image_shares"], [_PLANES[IMAGE]], perm=[0, 3, 1, 2]),
    ]
    behind = [
        helper.make_node("Transpose", [_PLANES[ENHANCED]], ["shares"], perm=[0, 2, 3, 1]),
        helper.make_node("Mul", ["shares", "to_level"], ["unrounded"]),
        helper.make_node("Round", ["unrounded"], ["levels"]),
        helper.make_node("Cast", ["levels"], [ENHANCED], to=TensorProto.UINT8),
    ]
    nodes = [*before, *graph.node, *behind]
    for number, node in enumerate(nodes):
        node.name = f"{node.op_type}_{number}"
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(copy, full_check=True)
    return copy


def sample_of_bytes(sample: Golden) -> Golden:
    """A golden sample as the graph of bytes takes it; its outputs stay what they are."""
    pixels = planes_to_pixels(sample.feeds[IMAGE])
    accepted = max(sample.tolerance[ENHANCED], 1 / _FULL_SCALE)  # a value near a half
    return replace(
        sample,
        feeds={**sample.feeds, IMAGE: pixels},
        tolerance={**sample.tolerance, ENHANCED: accepted},
    )


def prove_bytes(planes: Engine, pixels: Engine, sample: Golden) -> None:
    """Raise HyperguideError unless both graphs give the same bytes for a picture of bytes."""
    picture = sample_of_bytes(sample).feeds[IMAGE]
    tensor, layout = to_tensor(picture, picture.shape[3])
    dials = {name: value for name, value in sample.feeds.items() if name != IMAGE}
    expected = from_tensor(planes.run({IMAGE: tensor, **dials})[ENHANCED], picture, layout)
    actual = pixels.run({IMAGE: picture, **dials})[ENHANCED]
    if not np.array_equal(actual, expected):
        raise HyperguideError(
            "The graph of bytes does not give the bytes that the runtime's conversion gives: "
            "nothing was written; export with --io float."
        )
