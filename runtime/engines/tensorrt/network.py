"""Parses a model file with TensorRT, and checks the precision it will actually compute in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hyperguide.errors import HyperguideError

from .bindings import Messages, TensorRt


def parse(tensorrt: TensorRt, builder: Any, messages: Messages, content: bytes, path: Path) -> Any:
    """Parse a model's bytes into a strongly typed network.

    Raises HyperguideError naming the node that TensorRT rejects.
    """
    trt = tensorrt.module
    typed = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(typed)
    parser = trt.OnnxParser(network, messages.logger)
    if not parser.parse(content):
        error = parser.get_error(0) if parser.num_errors else None
        node = f" at {error.node_operator()} '{error.node_name()}'" if error else ""
        reason = " ".join(error.desc().split()) if error else messages.reason()
        raise HyperguideError(
            f"{tensorrt.name} {tensorrt.version} does not take {path}{node}: {reason}; export the "
            "model again, or use another engine."
        )
    return network


def layers(network: Any) -> Iterator[Any]:
    """The network's layers in order."""
    for number in range(network.num_layers):
        yield network.get_layer(number)


def inputs(network: Any) -> list[Any]:
    """The network's inputs."""
    return [network.get_input(number) for number in range(network.num_inputs)]


def census(tensorrt: TensorRt, network: Any) -> Counter[str]:
    """Number of convolutions per precision."""
    trt = tensorrt.module
    makers = {
        layer.get_output(number).name: layer
        for layer in layers(network)
        for number in range(layer.num_outputs)
    }
    names = {trt.DataType.FLOAT: "fp32", trt.DataType.HALF: "fp16", trt.DataType.BF16: "bf16"}
    found: Counter[str] = Counter()
    for layer in layers(network):
        if layer.type == trt.LayerType.CONVOLUTION:
            source = layer.get_input(0)
            maker = makers.get(source.name)
            quantized = maker is not None and maker.type == trt.LayerType.DEQUANTIZE
            found["int8" if quantized else names.get(source.dtype, str(source.dtype))] += 1
    return found


def check_precision(found: Counter[str], precision: str, path: Path) -> None:
    """Raise HyperguideError if the convolutions do not compute in the precision asked for.

    In a strongly typed network the file decides; TensorRT cannot be asked for another precision.
    """
    others = found.total() - found[precision] if precision == "fp32" else 0
    if not found[precision] or others:
        have = ", ".join(f"{count} in {name}" for name, count in found.most_common())
        raise HyperguideError(
            f"{path} does not compute in {precision} (its convolutions: {have}): export the run "
            f"with --precision {precision} first."
        )
