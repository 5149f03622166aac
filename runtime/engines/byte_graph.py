"""A file's graph between conversions of bytes, for engines that run what a file says.

Without an ONNX library: see `hyperguide.export.byte_pictures` for the same with one.
"""

from __future__ import annotations

from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE
from hyperguide.model_format.model_file import ModelFile
from hyperguide.model_format.onnx_messages import (
    INPUT,
    NODE,
    OUTPUT,
    described,
    graph_of,
    node,
    scalar,
    with_graph,
)
from hyperguide.model_format.protobuf import fields, message, spans, submessage, text, without

_NODE_INPUT, _NODE_OUTPUT = 1, 2

_RENAMED = {IMAGE: "image_planes", ENHANCED: "enhanced_planes", GUIDANCE: "guidance_map"}


def of_bytes(file: ModelFile) -> bytes:
    """The file, but it takes `image` and gives `enhanced` as uint8 of shape (N, H, W, C).

    Its only input, the dials are constants. To the bit what `pixels.to_tensor` and
    `pixels.from_tensor` make of bytes. As NaN is no byte, `guidance` is NaN where any pixel is.
    """
    graph = graph_of(file.content)
    sides = ("N", "H", "W", file.info.channels)

    def is_replaced(number: int, item: memoryview) -> bool:
        return number in (NODE, INPUT) or (number == OUTPUT and _name(item) == ENHANCED)

    parts = [
        scalar("byte_to_share", 1 / 255),
        scalar("share_to_byte", 255),
        scalar("nothing", 0),
        node("Cast", [IMAGE], ["image_levels"], to=1),
        node("Mul", ["image_levels", "byte_to_share"], ["image_shares"]),
        node("Transpose", ["image_shares"], [_RENAMED[IMAGE]], perm=(0, 3, 1, 2)),
        *(
            submessage(NODE, _renamed(message(item)))
            for number, item in fields(graph)
            if number == NODE
        ),
        node("Transpose", [_RENAMED[ENHANCED]], ["enhanced_shares"], perm=(0, 2, 3, 1)),
        node("Mul", ["enhanced_shares", "share_to_byte"], ["unrounded"]),
        node("Round", ["unrounded"], ["levels"]),
        node("Cast", ["levels"], [ENHANCED], to=2),
        node("ReduceSum", [_RENAMED[ENHANCED]], ["sum"]),
        node("Mul", ["sum", "nothing"], ["nothing_or_nan"]),
        node("Add", [_RENAMED[GUIDANCE], "nothing_or_nan"], [GUIDANCE]),
        described(INPUT, IMAGE, "uint8", sides),
        described(OUTPUT, ENHANCED, "uint8", sides),
    ]
    return with_graph(file.content, without(graph, is_replaced) + b"".join(parts))


def _renamed(content: memoryview) -> bytes:
    """A node that reads and writes planes where it had the file's own names."""
    return b"".join(
        submessage(number, _RENAMED.get(text(value), text(value)).encode())
        if number in (_NODE_INPUT, _NODE_OUTPUT)
        else bytes(content[start:end])
        for number, value, start, end in spans(content)
    )


def _name(content: memoryview) -> str:
    return text(dict(fields(content)).get(1, b""))
