"""Loads a file on a given device."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from hyperguide.errors import HyperguideError
from hyperguide.model_format.engine_file import EngineFile
from hyperguide.model_format.model_file import ModelFile

from .devices import Device, why_absent
from .engine import Engine
from .onnx_runtime import OnnxRuntimeCpu, OnnxRuntimeCuda, OnnxRuntimeTensorRt
from .openvino import OpenVino
from .proof import compare_golden, refuse_changed
from .tensorrt import CachedTensorRt, TensorRtEngine

# How much bf16 may change a golden sample's picture, full scale = 1; the same as for int8 files.
_BF16_TOLERANCE = 0.05

# Called with a phase of an engine's build, the steps done in it, and its number of steps.
BuildProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How to run an engine.

    threads: CPU threads of one call; 0 shares the cores among the concurrent calls.
    at_once: calls that are computed at the same time on a CPU. One call on all cores has the
        lowest latency; as many calls as cores have the highest throughput.
    strict: refuse a GPU that leaves some operators to the CPU.
    bf16: compute the file's fp32 in bf16, which OpenVINO does on processors that support it.
    cuda_graph: record the sizes that ONNX Runtime's CUDA provider was prepared for.
    report: called while TensorRT builds an engine.
    """

    threads: int = 0
    at_once: int = 1
    strict: bool = False
    bf16: bool = False
    cuda_graph: bool = False
    report: BuildProgress = lambda phase, done, steps: None

    def __post_init__(self) -> None:
        if self.threads < 0 or self.at_once < 1:
            raise HyperguideError(
                "The threads of an engine must be at least 0, and its calls at once at least 1."
            )

    @property
    def threads_of_call(self) -> int:
        """Threads of one call; 0 means one per core."""
        if self.threads or self.at_once == 1:
            return self.threads
        return max((os.cpu_count() or 1) // self.at_once, 1)


def open_device(model: ModelFile | EngineFile, device: Device, settings: Settings) -> Engine:
    """Load a file on a device.

    Raises HyperguideError if the file was changed since its export, cannot run there (see
    `why_not`), or the engine rejects it.
    """
    refuse_changed(model)
    reason = why_not(device.kind, model, settings)
    if reason is not None:
        raise HyperguideError(f"No engine for --device {device}: {reason}.")
    if isinstance(model, EngineFile):
        return TensorRtEngine(model, device.index)
    match device.kind:
        case "tensorrt":
            return CachedTensorRt(model, device.index, settings.report)
        case "ort-tensorrt":
            return OnnxRuntimeTensorRt(model, device.index, settings.strict)
        case "cuda":
            return OnnxRuntimeCuda(model, device.index, settings.strict, settings.cuda_graph)
        case "openvino":
            engine = OpenVino(model, settings.threads_of_call, settings.at_once, settings.bf16)
            if settings.bf16:
                _refuse_wrong_in_bf16(engine, model)
            return engine
        case _:
            return OnnxRuntimeCpu(model, settings.threads_of_call)


def why_not(
    kind: str, model: ModelFile | EngineFile, settings: Settings | None = None
) -> str | None:
    """Why a kind of device cannot run a file here and how to fix it; None if it can."""
    if isinstance(model, EngineFile) and kind != "tensorrt":
        return f"{model.path} is an engine of TensorRT"
    if settings is not None and settings.bf16 and kind != "openvino":
        return "only openvino computes fp32 files in bf16"
    return why_absent(kind)


def _refuse_wrong_in_bf16(engine: Engine, model: ModelFile) -> None:
    """Close the engine and raise HyperguideError if bf16 is too inexact for this network."""
    try:
        picture, _ = compare_golden(model, engine)
        if not picture.worst <= _BF16_TOLERANCE:
            raise HyperguideError(
                f"{engine.name} computes {model.path} wrong, its golden samples are off by "
                f"{picture.worst:.2f} of full scale: leave out --precision bf16."
            )
    except BaseException:
        engine.close()
        raise
