"""Device names such as `cpu` and `cuda:1`, and whether each device can run here."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache

from hyperguide.errors import HyperguideError, UnavailableError

from .libraries import import_library

# Numbered kinds run on one of the machine's NVIDIA GPUs.
KINDS = ("cpu", "openvino", "cuda", "ort-tensorrt", "tensorrt")
NUMBERED = ("cuda", "ort-tensorrt", "tensorrt")

DEVICES = " | ".join(["auto", *(f"{kind}[:N]" if kind in NUMBERED else kind for kind in KINDS)])

# ONNX Runtime's provider names.
PROVIDERS = {"cuda": "CUDAExecutionProvider", "ort-tensorrt": "TensorrtExecutionProvider"}


@dataclass(frozen=True)
class Device:
    """Where to run.

    kind: `auto` or one of KINDS.
    index: number of the GPU.
    """

    kind: str
    index: int = 0

    def __str__(self) -> str:
        return f"{self.kind}:{self.index}" if self.index else self.kind


def parse_device(text: str) -> Device:
    """Parse a device name. Raises HyperguideError if the device is unknown."""
    kind, colon, number = text.partition(":")
    known = kind in KINDS or text == "auto"
    if not known or (colon and not (kind in NUMBERED and number.isdecimal())):
        raise HyperguideError(f"Unknown device '{text}': this version runs on {DEVICES}.")
    return Device(kind, int(number or 0))


def why_absent(kind: str) -> str | None:
    """Why a kind of device cannot run on this machine and how to fix it; None if it can."""
    if kind == "openvino":
        return _missing("openvino", "openvino")
    if kind == "cpu":
        return _missing("onnxruntime", "cpu")
    if (reason := _why_no_driver()) is not None:
        return reason
    if kind in PROVIDERS:
        return _missing("onnxruntime", "gpu") or _why_no_provider(kind)
    if not (is_installed("tensorrt") or is_installed("tensorrt_rtx")):
        return "no TensorRT is installed, pip install 'hyperguide[tensorrt]'"
    return None if is_installed("pycuda") else "pycuda is not installed, pip install pycuda"


def is_installed(package: str) -> bool:
    """Whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def _missing(package: str, extra: str) -> str | None:
    if is_installed(package):
        return None
    return f"{package} is not installed, pip install 'hyperguide[{extra}]'"


def _why_no_provider(kind: str) -> str | None:
    try:
        if PROVIDERS[kind] in import_library("onnxruntime").get_available_providers():
            return None
    except UnavailableError as error:
        return str(error).rstrip(".")
    return (
        "this onnxruntime is built without it, pip uninstall onnxruntime and "
        "pip install 'hyperguide[gpu]'"
    )


@cache
def _why_no_driver() -> str | None:
    """Why there is no NVIDIA driver or GPU, from the driver itself; None if there are both."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return "there is no NVIDIA driver on this machine"
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the NVIDIA driver finds no GPU"
    return None
