"""The engines that run a model file, behind one small interface."""

from __future__ import annotations

from hyperguide.engine_file import EngineFile
from hyperguide.errors import HyperguideError
from hyperguide.model_file import ModelFile

from .devices import DEVICES, KINDS, Device, is_installed, parse_device, why_absent
from .engine import Engine, TakesBytes
from .onnx_runtime import OnnxRuntimeCpu, OnnxRuntimeCuda, OnnxRuntimeTensorRt
from .openvino import OpenVino
from .tensorrt import TensorRtEngine

__all__ = [
    "DEVICES",
    "KINDS",
    "Device",
    "Engine",
    "OnnxRuntimeCpu",
    "OpenVino",
    "TakesBytes",
    "TensorRtEngine",
    "open_engine",
    "parse_device",
    "why_absent",
    "why_not",
]


def open_engine(
    model: ModelFile | EngineFile, device: str | Device = "auto", threads: int = 0
) -> Engine:
    """Load a model on a device.

    device: `cpu` is ONNX Runtime's CPU provider, `openvino` is OpenVINO on the CPU, `cuda` and
        `ort-tensorrt` are ONNX Runtime's providers for NVIDIA GPUs, `tensorrt` runs TensorRT
        engines; `cuda:1` is the second GPU. `auto` takes OpenVINO for int8 files where it is
        installed, which it runs about twice as fast, TensorRT for engines, and ONNX Runtime on the
        CPU else.
    threads: of the CPU; 0 takes one per core.
    Raises HyperguideError if the device is unknown, its engine is not installed or finds no GPU,
    or rejects the file.
    """
    where = parse_device(device) if isinstance(device, str) else device
    if where.kind == "auto":
        where = _choose(model)
    reason = why_not(where.kind, model)
    if reason is not None:
        raise HyperguideError(f"No engine for --device {where}: {reason}.")
    if isinstance(model, EngineFile):
        return TensorRtEngine(model, where.index)
    if where.kind == "cuda":
        return OnnxRuntimeCuda(model, where.index)
    if where.kind == "ort-tensorrt":
        return OnnxRuntimeTensorRt(model, where.index)
    return OpenVino(model, threads) if where.kind == "openvino" else OnnxRuntimeCpu(model, threads)


def _choose(model: ModelFile | EngineFile) -> Device:
    if isinstance(model, EngineFile):
        return Device("tensorrt")
    quantized = model.info.precision == "int8"
    return Device("openvino" if quantized and is_installed("openvino") else "cpu")


def why_not(kind: str, model: ModelFile | EngineFile) -> str | None:
    """Why a kind of device does not run a file on this machine, with the mend; None if it does."""
    is_engine = isinstance(model, EngineFile)
    if is_engine and kind != "tensorrt":
        return f"{model.path} is an engine of TensorRT"
    reason = why_absent(kind)
    if reason is None and kind == "tensorrt" and not is_engine:
        return f"make an engine of {model.path} with 'hyperguide build' and give that"
    return reason
