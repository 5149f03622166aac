"""What a machine is and what it can do at most: the other half of every figure."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide import __version__
from hyperguide.protobuf import submessage

_PACKAGES = (
    *("numpy", "opencv-python", "onnxruntime", "onnxruntime-gpu", "openvino"),
    *("tensorrt", "tensorrt-rtx-cu13", "pycuda", "cuda-bindings"),
)
# What is asked of NVIDIA's tool: present and largest clocks of the processors and the memory, MHz.
_GPU = (
    *("name", "driver_version", "memory.total", "temperature.gpu", "power.limit"),
    *("clocks.sm", "clocks.max.sm", "clocks.mem", "clocks.max.mem"),
)
_SIDE = 1024  # of the matrices whose product is timed


def describe() -> dict[str, Any]:
    """The processor, the system, the packages and the GPU, for a record to be repeated by."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "hyperguide": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": _cores(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "packages": versions,
        "gpu": _gpu(),
    }


def peaks(seconds: float = 0.5) -> dict[str, float]:
    """Giga-operations per second that the processor reaches in large matrix products.

    A multiply-accumulate counts as two. By ONNX Runtime on all cores, in `fp32` and in `int8`;
    without it by numpy, in `fp32`.
    """
    rng = np.random.default_rng(0)
    floats = rng.random((2, _SIDE, _SIDE), np.float32)
    rounded = (
        rng.integers(0, 256, (_SIDE, _SIDE), np.uint8),
        rng.integers(-128, 128, (_SIDE, _SIDE), np.int8),
    )
    try:
        return {
            "fp32": _rate(_product("MatMul", *floats), seconds),
            "int8": _rate(_product("MatMulInteger", *rounded), seconds),
        }
    except ImportError:
        return {"fp32": _rate(lambda: floats[0] @ floats[1], seconds)}


def _rate(product: Callable[[], object], seconds: float) -> float:
    """The best of several products, in 10^9 operations per second."""
    product()
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        began = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - began)
    return 2 * _SIDE**3 / best / 1e9


def _product(operator: str, one: np.ndarray, other: np.ndarray) -> Callable[[], object]:
    """ONNX Runtime's product of two matrices. Raises ImportError without it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    content = _product_model(operator, one.dtype, other.dtype)
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"a": one, "b": other})


def _product_model(operator: str, one: np.dtype, other: np.dtype) -> bytes:
    """An ONNX file with one operator: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto"""
    kinds = {"float32": 1, "uint8": 2, "int8": 3}
    result = kinds["float32"] if operator == "MatMul" else 6  # int32

    def text(number: int, value: str) -> bytes:
        return submessage(number, value.encode())

    def varint(number: int, value: int) -> bytes:
        return bytes([number << 3, value])

    def tensor(number: int, name: str, kind: int) -> bytes:
        sides = submessage(1, text(2, "n")) + submessage(1, text(2, "n"))
        of_kind = submessage(1, varint(1, kind) + submessage(2, sides))
        return submessage(number, text(1, name) + submessage(2, of_kind))

    node = text(1, "a") + text(1, "b") + text(2, "c") + text(4, operator)
    inputs = tensor(11, "a", kinds[one.name]) + tensor(11, "b", kinds[other.name])
    graph = submessage(1, node) + text(2, "product") + inputs + tensor(12, "c", result)
    return varint(1, 8) + submessage(7, graph) + submessage(8, varint(2, 13))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((line for line in lines if line.startswith("model name")), "")
    return name.partition(":")[2].strip() or platform.machine()


def _cores() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _gpu() -> dict[str, str] | None:
    """The first NVIDIA GPU; None without one."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    words = [tool, f"--query-gpu={','.join(_GPU)}", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    values = [value.strip() for value in answer.stdout.splitlines()[0].split(",")]
    return dict(zip(_GPU, values, strict=False))
