"""The engines that run a model file, behind one small interface."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

from hyperguide.errors import HyperguideError
from hyperguide.model_file import ModelFile

from .engine import Engine, TakesBytes
from .onnx_runtime import OnnxRuntimeCpu
from .openvino import OpenVino

__all__ = [
    "DEVICES",
    "Engine",
    "OnnxRuntimeCpu",
    "OpenVino",
    "TakesBytes",
    "open_engine",
    "why_not",
]

# Device -> (package, extra that installs it, engine).
_ENGINES: dict[str, tuple[str, str, Callable[[ModelFile, int], Engine]]] = {
    "cpu": ("onnxruntime", "cpu", OnnxRuntimeCpu),
    "openvino": ("openvino", "openvino", OpenVino),
}

DEVICES = ("auto", *_ENGINES)


def open_engine(model: ModelFile, device: str = "auto", threads: int = 0) -> Engine:
    """Load a model on a device.

    device: `cpu` is ONNX Runtime's CPU provider, `openvino` is OpenVINO on the CPU. `auto` takes
        OpenVINO for int8 files where it is installed, which it runs about twice as fast, and
        ONNX Runtime else.
    threads: of the CPU; 0 takes one per core.
    Raises HyperguideError if the device is unknown, its engine is not installed, or the engine
    rejects the file.
    """
    if device not in DEVICES:
        raise HyperguideError(
            f"Unknown device '{device}': this version runs on {', '.join(DEVICES)}."
        )
    if device == "auto":
        quantized = model.info.precision == "int8"
        device = "openvino" if quantized and _is_installed("openvino") else "cpu"
    reason = why_not(device)
    if reason is not None:
        raise HyperguideError(f"No engine for --device {device}: {reason}.")
    return _ENGINES[device][2](model, threads)


def why_not(device: str) -> str | None:
    """Why a device other than `auto` cannot run here, with the mend; None if it can."""
    package, extra, _ = _ENGINES[device]
    if not _is_installed(package):
        return f"{package} is not installed, pip install 'hyperguide[{extra}]'"
    return None


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None
