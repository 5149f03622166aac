"""Finds the precision in which an engine actually computes a file's convolutions."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from hyperguide.engines import Engine
from hyperguide.engines.onnx_runtime import OnnxRuntimeCpu, OnnxRuntimeCuda
from hyperguide.engines.openvino_core import openvino_core
from hyperguide.model_format.engine_file import EngineFile
from hyperguide.model_format.model_file import ModelFile
from hyperguide.model_format.onnx_messages import INITIALIZER, NODE, graph_of
from hyperguide.model_format.protobuf import fields, text

# Fields of ONNX's messages, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_NODE_INPUT, _NODE_OUTPUT, _NODE_OP_TYPE = 1, 2, 4
_TENSOR_TYPE, _TENSOR_NAME = 2, 8

# ONNX Runtime's operators for convolutions -> precision; None is the type of the weights.
_FUSED = {
    "Conv": None,
    "FusedConv": None,
    "NhwcConv": None,
    "NhwcFusedConv": "fp16",
    "QLinearConv": "int8",
    "ConvInteger": "int8",
}
_TYPES = {1: "fp32", 10: "fp16", 16: "bf16"}
_OPENVINO = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}


def convolutions(
    file: ModelFile | EngineFile, engine: Engine, precision: str = "fp32"
) -> dict[str, int] | None:
    """The number of convolutions that run in each precision, after the engine's own fusions.

    precision: the requested one, `bf16` or the file's.
    Returns None for engines that do not report it.
    """
    if isinstance(file, EngineFile):
        return None
    if engine.name.startswith("OpenVINO"):
        return _of_openvino(file, precision == "bf16")
    if isinstance(engine, OnnxRuntimeCpu | OnnxRuntimeCuda):
        try:
            return _of_onnx_runtime(file, engine.providers_with({}))
        except Exception:  # no memory for a second session, or nowhere to write
            return None
    return None


def _of_openvino(file: ModelFile, bf16: bool) -> dict[str, int]:
    core = openvino_core()
    options = {"INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
    compiled = core.compile_model(core.read_model(file.content), "CPU", options)
    found: Counter[str] = Counter()
    for step in compiled.get_runtime_model().get_ops():
        about = step.get_rt_info()
        if about["layerType"].astype(str) == "Convolution":
            name = about["runtimePrecision"].astype(str)
            found[_OPENVINO.get(name, name)] += 1
    return dict(sorted(found.items()))


def _of_onnx_runtime(file: ModelFile, providers: list[Any]) -> dict[str, int]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(file.content, options, providers=providers)
        content = path.read_bytes()
    return census(graph_of(content))


def census(graph: Any) -> dict[str, int]:
    """The number of convolutions in each precision, in a graph that ONNX Runtime optimised.

    graph: ONNX's message of that name.
    """
    types: dict[str, int] = {}
    nodes: list[list[tuple[int, Any]]] = []
    message: Any
    for number, message in fields(graph):
        if number == INITIALIZER:
            told: dict[int, Any] = dict(fields(message))
            types[text(told[_TENSOR_NAME])] = told[_TENSOR_TYPE]
        elif number == NODE:
            nodes.append(list(fields(message)))
    found: Counter[str] = Counter()
    for node in nodes:
        kind = next(text(value) for number, value in node if number == _NODE_OP_TYPE)
        inputs = [text(value) for number, value in node if number == _NODE_INPUT]
        if kind == "DequantizeLinear":  # its output has the type of its scale
            output = next(text(value) for number, value in node if number == _NODE_OUTPUT)
            types[output] = types.get(inputs[1], 1)
        elif kind in _FUSED:
            found[_FUSED[kind] or _TYPES.get(types.get(inputs[1], 0), "unknown")] += 1
    return dict(sorted(found.items()))
