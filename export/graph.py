"""Exports a trained pair as one ONNX graph: dynamic sizes, optional dials, no local information."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import onnx.numpy_helper
import torch

from hyperguide.model_format.contract import DIALS, ENHANCED, GUIDANCE, IMAGE, KERNEL, OPSET
from hyperguide.model_format.model_file import default_feeds
from hyperguide.padding import next_multiple
from hyperguide.training.model import GuidedModel
from hyperguide.training.networks.unfolded import UnfoldedDeconvolution

from .matrix_deconvolution import MatrixDeconvolution


def export_graph(
    model: GuidedModel, takes_kernel: bool = False, plain: bool = False
) -> onnx.ModelProto:
    """Export both networks and the dials as one graph.

    The dials are inputs with their defaults as initializers: engines that support optional inputs
    offer them, all others see the single input `image`.

    takes_kernel: whether the graph has the input `kernel`, for deblurring.
    plain: leave the graph as the exporter writes it, and do not split Fourier transforms.
    """
    optional = [*DIALS, KERNEL] if takes_kernel else [*DIALS]
    channels = model.channels
    if takes_kernel:
        assert isinstance(model.reconstruction, UnfoldedDeconvolution)
        model = GuidedModel(model.proxy, MatrixDeconvolution(model.reconstruction, not plain))
    multiple = model.size_multiple
    height, width = (next_multiple(least, multiple) for least in (48, 64))
    image = torch.rand(2, channels, height, width, generator=torch.Generator().manual_seed(0))
    # One value per dial: whatever broadcasts in the trace broadcasts in the graph.
    dials = [torch.full((1, 1, 1, 1), value) for value in DIALS.values()]
    kernels = [torch.full((1, 1, 5, 7), 1 / 35)] if takes_kernel else []
    sides = {2: torch.export.Dim("kh", min=1), 3: torch.export.Dim("kw", min=1)}
    with _quiet():
        program = torch.onnx.export(
            model.eval(),
            (image, *dials, *kernels),
            dynamo=True,
            opset_version=OPSET,
            input_names=[IMAGE, *optional],
            output_names=[ENHANCED, GUIDANCE],
            dynamic_shapes=[
                {
                    0: torch.export.Dim("N"),
                    2: multiple * torch.export.Dim("H", min=1),
                    3: multiple * torch.export.Dim("W", min=1),
                },
                *({} for _ in DIALS),
                *(sides for _ in kernels),
            ],
        )
    assert program is not None
    proto = program.model_proto
    if takes_kernel:
        _rename_weights(proto.graph, "reconstruction.network.", "reconstruction.")
    if not plain:
        cancel_differences(proto.graph)
    _name_dimensions(proto.graph, channels, optional)
    _add_defaults(proto.graph, optional)
    _strip(proto)
    onnx.checker.check_model(proto, full_check=True)
    return proto


def _rename_weights(graph: onnx.GraphProto, prefix: str, other: str) -> None:
    """Give weights the names that they have in the pair before it was wrapped for export."""
    names = {t.name: other + t.name.removeprefix(prefix) for t in graph.initializer}
    names = {name: new for name, new in names.items() if name.startswith(prefix)}
    for tensor in graph.initializer:
        tensor.name = names.get(tensor.name, tensor.name)
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = names.get(name, name)


def cancel_differences(graph: onnx.GraphProto) -> None:
    """Replace (a + b) - a by b.

    The networks add their correction to the image, but the strength dial needs it alone.
    """
    sums = {node.output[0]: node for node in graph.node if node.op_type == "Add"}
    aliases: dict[str, str] = {}
    for node in list(graph.node):
        if node.op_type == "Sub" and node.input[0] in sums:
            first, second = sums[node.input[0]].input
            if node.input[1] in (first, second):
                aliases[node.output[0]] = second if node.input[1] == first else first
                graph.node.remove(node)
    for node in graph.node:
        for position, name in enumerate(node.input):
            node.input[position] = aliases.get(name, name)
    _drop_unused(graph)


def widen_convolutions(graph: onnx.GraphProto) -> None:
    """Give convolutions of 6, 9, 15, 18, ... input planes further ones of zeros, up to fours.

    ONNX Runtime's WebGPU provider takes planes in fours or else in threes, and its code for threes
    is right only for three planes in all (https://github.com/microsoft/onnxruntime/issues/29651).
    The npm package does the same. Other engines would be slower by up to a twentieth.
    """
    stored = {tensor.name: tensor for tensor in graph.initializer}
    more = {
        node.input[1]: _lacking_planes(node, stored[node.input[1]].dims)
        for node in graph.node
        if node.op_type == "Conv" and node.input[1] in stored
    }
    for name, count in more.items():
        if count:
            weights = onnx.numpy_helper.to_array(stored[name])
            wide = np.pad(weights, ((0, 0), (0, count), (0, 0), (0, 0)))
            stored[name].CopyFrom(onnx.numpy_helper.from_array(wide, name))
    nodes: list[onnx.NodeProto] = []
    padded: dict[str, str] = {}  # several convolutions may read the same planes
    for node in graph.node:
        count = more.get(node.input[1], 0) if node.op_type == "Conv" else 0
        if count:
            planes = node.input[0]
            if planes not in padded:
                pads, padded[planes] = f"{planes}.pads", f"{planes}.padded"
                sizes = np.array([0, 0, 0, 0, 0, count, 0, 0], np.int64)
                graph.initializer.append(onnx.numpy_helper.from_array(sizes, pads))
                names = [planes, pads], [padded[planes]]
                nodes.append(onnx.helper.make_node("Pad", *names, name=f"{node.name}.planes"))
            node.input[0] = padded[planes]
        nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)


def _lacking_planes(node: onnx.NodeProto, shape: Sequence[int]) -> int:
    """How many planes `widen_convolutions` adds. shape: of the weights."""
    filters, planes, *sides = shape
    groups = next((a.i for a in node.attribute if a.name == "group"), 1)
    is_threes = planes > 3 and planes % 3 == 0 and filters % 4 == 0
    return -planes % 4 if is_threes and groups == 1 and math.prod(sides) > 1 else 0


def _drop_unused(graph: onnx.GraphProto) -> None:
    """Remove nodes that no output depends on."""
    used = {value.name for value in graph.output}
    for node in reversed(list(graph.node)):
        if used.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            used.update(node.input)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter, which prints its steps and warns about internals."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _name_dimensions(graph: onnx.GraphProto, channels: int, optional: Sequence[str]) -> None:
    shapes: dict[str, list[int | str]] = {
        IMAGE: ["N", channels, "H", "W"],
        ENHANCED: ["N", channels, "H", "W"],
        GUIDANCE: ["N", 1, "H", "W"],
    }
    for name in optional:
        shapes[name] = [f"{name}_{axis}" for axis in "NCHW"]
        shapes[name][1] = 1
    for value in (*graph.input, *graph.output):
        dims = value.type.tensor_type.shape.dim
        del dims[:]
        for size in shapes[value.name]:
            dim = dims.add()
            if isinstance(size, int):
                dim.dim_value = size
            else:
                dim.dim_param = size
    # Shapes inferred from the trace would contradict dials of full size.
    del graph.value_info[:]


def _add_defaults(graph: onnx.GraphProto, optional: Sequence[str]) -> None:
    for name, value in default_feeds(optional).items():
        graph.initializer.append(onnx.numpy_helper.from_array(value, name))


def _strip(proto: onnx.ModelProto) -> None:
    """Remove the exporter's information about its source code and this machine."""
    graph = proto.graph
    del graph.metadata_props[:]
    graph.doc_string = proto.doc_string = ""
    graph.name = "hyperguide"
    proto.producer_name = "hyperguide"
    proto.producer_version = ""
    del proto.metadata_props[:]
    for item in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        del item.metadata_props[:]
        item.doc_string = ""
    number_nodes(graph)


def number_nodes(graph: onnx.GraphProto) -> None:
    """Name each node after its operator and position."""
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
