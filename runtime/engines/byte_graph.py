"""The graph that an engine runs on bytes: the file's graph wrapped in byte conversions."""

from __future__ import annotations

from collections.abc import Collection

from hyperguide.model_format.byte_conversions import ENHANCED_PLANES, with_byte_pictures
from hyperguide.model_format.contract import GUIDANCE, IMAGE
from hyperguide.model_format.model_file import ModelFile
from hyperguide.model_format.onnx_messages import (
    INPUT,
    NODE,
    OUTPUT,
    described,
    graph_of,
    name_of,
    node,
    renamed_nodes,
    scalar,
    with_graph,
)
from hyperguide.model_format.protobuf import without

# A further output, shape (1, 1, 1, 1): 0, or NaN if any enhanced value is NaN or infinite.
FINITE = "finite"

_MAP = "guidance_map"


def of_bytes(file: ModelFile, dials: bool = False, required: Collection[str] = ()) -> bytes:
    """The file with `image` and `enhanced` as uint8 of shape (N, H, W, C).

    dials: keep them as inputs with defaults; otherwise they are constants, and `image` is the only
        input.
    required: dials without defaults.
    Bytes cannot hold NaN, so `guidance` is NaN if any enhanced value is NaN or infinite.
    """
    content = file.with_inputs(required) if required else file.with_defaults()
    content = with_byte_pictures(content, file.info.channels)
    graph = graph_of(content)

    def is_replaced(number: int, item: memoryview) -> bool:
        is_constant = number == INPUT and name_of(item) != IMAGE and not dials
        return number == NODE or is_constant

    parts = [
        renamed_nodes(graph, {GUIDANCE: _MAP}),
        scalar("nothing", 0),
        node("ReduceSum", [ENHANCED_PLANES], ["sum"]),
        node("Mul", ["sum", "nothing"], [FINITE]),
        node("Add", [_MAP, FINITE], [GUIDANCE]),
        described(OUTPUT, FINITE, "float32", (1, 1, 1, 1)),
    ]
    return with_graph(content, without(graph, is_replaced) + b"".join(parts))
