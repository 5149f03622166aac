"""Describes the machine and its peak performance, which every figure depends on."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hyperguide import __version__
from hyperguide.engines.devices import PROVIDERS
from hyperguide.engines.onnx_runtime import load_cuda
from hyperguide.model_format.onnx_messages import INPUT, OUTPUT, described, model, node
from hyperguide.model_format.protobuf import submessage

from .clock import timed

_PACKAGES = (
    *("numpy", "opencv-python", "onnxruntime", "onnxruntime-gpu", "openvino"),
    *("tensorrt", "tensorrt-rtx-cu13", "pycuda", "cuda-bindings"),
)
# Queries for nvidia-smi; clocks are the current and maximum ones of processors and memory, in MHz.
_GPU = (
    *("name", "driver_version", "memory.total", "temperature.gpu", "power.limit"),
    *("clocks.sm", "clocks.max.sm", "clocks.mem", "clocks.max.mem"),
)
_SIDE, _SIDE_ON_GPU = 1024, 4096  # of the matrices whose product is timed

Product = Callable[[], object]


def describe() -> dict[str, Any]:
    """The processor, system, packages and GPU, so that a record can be reproduced."""
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


def peaks(seconds: float = 0.5, gpu: int | None = None) -> dict[str, float]:
    """Giga-operations per second that the machine reaches in large matrix products.

    A multiply-accumulate counts as two. Measured with ONNX Runtime on all cores, in `fp32` and
    `int8`; without it with numpy, in `fp32`.

    gpu: the index N of a GPU, to add `gpu N fp32` and `gpu N fp16`, measured with ONNX Runtime's
        CUDA provider in GPU memory and without TF32; left out if that fails.
    """
    rng = np.random.default_rng(0)
    floats = rng.random((2, _SIDE, _SIDE), np.float32)
    rounded = (
        rng.integers(0, 256, (_SIDE, _SIDE), np.uint8),
        rng.integers(-128, 128, (_SIDE, _SIDE), np.int8),
    )
    try:
        found = {
            "fp32": _rate(_product("MatMul", *floats), _SIDE, seconds),
            "int8": _rate(_product("MatMulInteger", *rounded), _SIDE, seconds),
        }
    except ImportError:
        found = {"fp32": _rate(lambda: floats[0] @ floats[1], _SIDE, seconds)}
    if gpu is not None:
        with contextlib.suppress(Exception):  # keep what was measured before
            found |= _peaks_of_gpu(gpu, seconds)
    return found


def _peaks_of_gpu(index: int, seconds: float) -> dict[str, float]:
    rng = np.random.default_rng(0)
    large = rng.random((2, _SIDE_ON_GPU, _SIDE_ON_GPU), np.float32)
    found = {}
    for name, kind in (("fp32", np.float32), ("fp16", np.float16)):
        product = _product_on_gpu(index, *large.astype(kind))
        found[f"gpu {index} {name}"] = _rate(product, _SIDE_ON_GPU, seconds)
    return found


def _rate(product: Product, side: int, seconds: float) -> float:
    """The rate of the fastest of several products, in 10^9 operations per second."""
    product()
    best = float("inf")
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        best = min(best, timed(product)[1])
    return 2 * side**3 / best / 1e9


def _product(operator: str, one: np.ndarray, other: np.ndarray) -> Product:
    """A call that multiplies matrices in ONNX Runtime. Raises ImportError without it."""
    session = _session(_product_model(operator, one.dtype, other.dtype), "CPUExecutionProvider")
    return lambda: session.run(None, {"a": one, "b": other})


def _product_on_gpu(index: int, one: np.ndarray, other: np.ndarray) -> Product:
    """The same in GPU memory."""
    import onnxruntime

    load_cuda()
    settings = {"device_id": str(index), "use_tf32": "0"}
    provider = (PROVIDERS["cuda"], settings)
    session = _session(_product_model("MatMul", one.dtype, other.dtype), provider)
    binding = session.io_binding()
    for name, value in (("a", one), ("b", other)):
        held = onnxruntime.OrtValue.ortvalue_from_numpy(value, "cuda", index)
        binding.bind_ortvalue_input(name, held)
    binding.bind_output("c", "cuda", index)

    def product() -> None:
        session.run_with_iobinding(binding)
        binding.synchronize_outputs()

    return product


def _session(content: bytes, provider: Any) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options, providers=[provider])


def _product_model(operator: str, one: np.dtype, other: np.dtype) -> bytes:
    """An ONNX file with one operator."""
    result = one.name if operator == "MatMul" else "int32"
    return model(
        node(operator, ["a", "b"], ["c"])
        + submessage(2, b"product")
        + described(INPUT, "a", one.name, "nn")
        + described(INPUT, "b", other.name, "nn")
        + described(OUTPUT, "c", result, "nn"),
        opset=13,
    )


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    name = next((line for line in lines if line.startswith("model name")), "")
    return name.partition(":")[2].strip() or platform.machine()


def _cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def gpu_clock(index: int) -> float | None:
    """The current clock of a GPU's processors in MHz; None if unknown."""
    return _asked("clocks.sm", index)


def gpu_memory(index: int) -> float | None:
    """Bytes of GPU memory in use, by any process; None if unknown."""
    mebibytes = _asked("memory.used", index)
    return None if mebibytes is None else mebibytes * (1 << 20)


def _asked(name: str, index: int) -> float | None:
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return None  # which numbers GPUs differently from the driver
    values = _query((name,), index)
    try:
        return None if values is None else float(values[0])
    except ValueError:  # "[N/A]"
        return None


def _gpu() -> dict[str, str] | None:
    """The first NVIDIA GPU; None without one."""
    values = _query(_GPU, 0)
    return None if values is None else dict(zip(_GPU, values, strict=False))


def _query(names: Sequence[str], index: int) -> list[str] | None:
    """What nvidia-smi reports about a GPU; None without either."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    words = [tool, f"--id={index}", f"--query-gpu={','.join(names)}"]
    words.append("--format=csv,noheader,nounits")
    try:
        answer = subprocess.run(words, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    lines = answer.stdout.splitlines()
    return [value.strip() for value in lines[0].split(",")] if lines else None
