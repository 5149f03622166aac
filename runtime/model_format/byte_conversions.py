"""Wraps a file's graph in byte conversions, for exports and engines alike."""

from __future__ import annotations

from .contract import ENHANCED, IMAGE
from .onnx_messages import (
    INPUT,
    NODE,
    OUTPUT,
    TYPES,
    described,
    graph_of,
    name_of,
    node,
    renamed_nodes,
    scalar,
    with_graph,
)
from .protobuf import fields, message, submessage, without

# Input and output of the file's own graph: float32 (N, C, H, W).
IMAGE_PLANES = "image_planes"
ENHANCED_PLANES = "enhanced_planes"

_PLANES = {IMAGE: IMAGE_PLANES, ENHANCED: ENHANCED_PLANES}


def with_byte_pictures(content: bytes, channels: int) -> bytes:
    """The file with `image` and `enhanced` as uint8 of shape (N, H, W, C).

    content: of a file with float pictures. channels: planes of its image.
    The conversions are bit-identical to `pixels.to_tensor` and `pixels.from_tensor`. The casts are
    at the very ends of the graph, where TensorRT allows bytes.
    """
    graph = graph_of(content)
    rest = without(graph, lambda number, _: number in (NODE, INPUT, OUTPUT))
    ends = (
        _in_bytes(number, message(item), channels)
        for number, item in fields(graph)
        if number in (INPUT, OUTPUT)
    )
    parts = [
        *ends,
        scalar("to_share", 1 / 255),
        scalar("to_level", 255),
        node("Cast", [IMAGE], ["image_levels"], to=TYPES["float32"]),
        node("Mul", ["image_levels", "to_share"], ["image_shares"]),
        node("Transpose", ["image_shares"], [IMAGE_PLANES], perm=(0, 3, 1, 2)),
        renamed_nodes(graph, _PLANES),
        node("Transpose", [ENHANCED_PLANES], ["shares"], perm=(0, 2, 3, 1)),
        node("Mul", ["shares", "to_level"], ["unrounded"]),
        node("Round", ["unrounded"], ["levels"]),
        node("Cast", ["levels"], [ENHANCED], to=TYPES["uint8"]),
    ]
    return with_graph(content, rest + b"".join(parts))


def _in_bytes(number: int, item: memoryview, channels: int) -> bytes:
    """An input or output as a field of the graph; pictures become bytes."""
    name = name_of(item)
    if name in _PLANES:
        return described(number, name, "uint8", ("N", "H", "W", channels))
    return submessage(number, bytes(item))
