"""The engines that run a model file, behind one small interface."""

from __future__ import annotations

from hyperguide.model_format.engine_file import EngineFile
from hyperguide.model_format.model_file import ModelFile

from .auto import fastest
from .devices import DEVICES, KINDS, Device, parse_device, why_absent
from .engine import (
    CALLS_ON_GPU,
    Engine,
    KeepsMemory,
    OmitsMaps,
    PreparesSizes,
    TakesBytes,
    TakesGpuArrays,
    TellsTimes,
    closed,
)
from .onnx_runtime import OnnxRuntimeCpu
from .opening import BuildProgress, Settings, open_device, why_not
from .openvino import OpenVino

__all__ = [
    "CALLS_ON_GPU",
    "DEVICES",
    "KINDS",
    "BuildProgress",
    "Device",
    "Engine",
    "KeepsMemory",
    "OmitsMaps",
    "OnnxRuntimeCpu",
    "OpenVino",
    "PreparesSizes",
    "Settings",
    "TakesBytes",
    "TakesGpuArrays",
    "TellsTimes",
    "closed",
    "fastest",
    "open_device",
    "open_engine",
    "parse_device",
    "why_absent",
    "why_not",
]


def open_engine(
    model: ModelFile | EngineFile, device: str | Device = "auto", settings: Settings | None = None
) -> Engine:
    """Load a model on a device.

    device: `cpu` is ONNX Runtime's CPU provider, `openvino` is OpenVINO on the CPU, `cuda` and
        `ort-tensorrt` are ONNX Runtime's providers for NVIDIA GPUs, `tensorrt` is TensorRT itself,
        which builds an engine from a model file once; `cuda:1` is the second GPU. `auto` takes the
        fastest that works.
    Raises HyperguideError if the device is unknown, or its engine is not installed, finds no GPU
    or rejects the file.
    """
    where = parse_device(device) if isinstance(device, str) else device
    if where.kind == "auto":
        return fastest(model, settings or Settings())[0]
    return open_device(model, where, settings or Settings())
