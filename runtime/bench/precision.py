"""In which precision an engine really computes a file's convolutions."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hyperguide.engine_file import EngineFile
from hyperguide.engines import Engine
from hyperguide.model_file import ModelFile
from hyperguide.protobuf import fields

# Fields of ONNX's messages, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
_MODEL_GRAPH, _GRAPH_NODE, _NODE_OP_TYPE = 7, 1, 4

# What ONNX Runtime makes of convolutions.
_FUSED = {
    "Conv": "fp32",
    "FusedConv": "fp32",
    "NhwcFusedConv": "fp16",
    "QLinearConv": "int8",
    "ConvInteger": "int8",
}
_OPENVINO = {"f32": "fp32", "f16": "fp16", "bf16": "bf16", "i8": "int8", "u8": "int8"}


def convolutions(
    file: ModelFile | EngineFile, engine: Engine, precision: str = "fp32"
) -> dict[str, int] | None:
    """How many convolutions run in each precision, after the engine's own fusions.

    precision: that was asked for, `bf16` or the file's.
    Returns None for engines that do not tell.
    """
    if isinstance(file, EngineFile):
        return None
    if engine.name.startswith("OpenVINO"):
        return _of_openvino(file, precision == "bf16")
    if engine.name == "ONNX Runtime, CPU":
        return _of_onnx_runtime(file)
    return None


def _of_openvino(file: ModelFile, bf16: bool) -> dict[str, int]:
    import openvino

    core = openvino.Core()
    options = {"INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32"}
    compiled = core.compile_model(core.read_model(file.content), "CPU", options)
    found: Counter[str] = Counter()
    for step in compiled.get_runtime_model().get_ops():
        about = step.get_rt_info()
        if about["layerType"].astype(str) == "Convolution":
            name = about["runtimePrecision"].astype(str)
            found[_OPENVINO.get(name, name)] += 1
    return dict(sorted(found.items()))


def _of_onnx_runtime(file: ModelFile) -> dict[str, int]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(file.content, options, providers=["CPUExecutionProvider"])
        content = path.read_bytes()
    graph = next(value for number, value in fields(memoryview(content)) if number == _MODEL_GRAPH)
    assert isinstance(graph, memoryview)
    found: Counter[str] = Counter()
    for number, node in fields(graph):
        if number == _GRAPH_NODE:
            assert isinstance(node, memoryview)
            kind = bytes(dict(fields(node))[_NODE_OP_TYPE]).decode()
            if kind in _FUSED:
                found[_FUSED[kind]] += 1
    return dict(sorted(found.items()))
