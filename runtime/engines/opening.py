"""Loading a file on a device that was named."""

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

# So much, in parts of full scale, bf16 may change a golden sample's picture; as int8 files may.
_BF16_TOLERANCE = 0.05

# A phase of an engine's build, how many of its steps are done, and how many there are.
BuildProgress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How an engine is to run.

    threads: of the CPU for one call; 0 shares the cores among the calls at once.
    at_once: calls that are computed at the same time on a CPU. One call on all cores answers
        sooner; as many calls as cores get more done in all.
    strict: refuse a GPU that leaves some of the steps to the CPU.
    bf16: compute in bf16 what is fp32 in the file, which OpenVINO does on processors that have it.
    report: called while TensorRT builds an engine.
    """

    threads: int = 0
    at_once: int = 1
    strict: bool = False
    bf16: bool = False
    report: BuildProgress = lambda phase, done, steps: None

    def __post_init__(self) -> None:
        if self.threads < 0 or self.at_once < 1:
            raise HyperguideError(
                "The threads of an engine and its calls at once are no less than 1."
            )

    @property
    def threads_of_call(self) -> int:
        """Threads of one call; 0 takes one per core."""
        if self.threads or self.at_once == 1:
            return self.threads
        return max((os.cpu_count() or 1) // self.at_once, 1)


def open_device(model: ModelFile | EngineFile, device: Device, settings: Settings) -> Engine:
    """Load a file on a device.

    Raises HyperguideError if the file was changed since its export, or cannot run there: see
    `why_not`, or the engine rejects it.
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
            return OnnxRuntimeCuda(model, device.index, settings.strict)
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
    """Why a kind of device does not run a file on this machine, with the mend; None if it does."""
    if isinstance(model, EngineFile) and kind != "tensorrt":
        return f"{model.path} is an engine of TensorRT"
    if settings is not None and settings.bf16 and kind != "openvino":
        return "only openvino computes fp32 files in bf16"
    return why_absent(kind)


def _refuse_wrong_in_bf16(engine: Engine, model: ModelFile) -> None:
    """Raise HyperguideError, and close the engine, if bf16 spoils the picture of this network."""
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
