"""ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from hyperguide.arrays import GpuArray
from hyperguide.engine_file import cache_folder, digest
from hyperguide.errors import HyperguideError, UnavailableError
from hyperguide.model_file import ENHANCED, GUIDANCE, IMAGE, ModelFile
from hyperguide.paths import make_folder

from .devices import PROVIDERS
from .engine import closed, failure
from .libraries import import_library

_CPU = "CPUExecutionProvider"

# Where in its sources something failed, which some of its messages begin with.
_PLACE = re.compile(r"^\S+\.(cc|h):\d+ .*?\) (?=\S)")

Options = dict[str, str]


class _OnnxRuntime:
    """A session of ONNX Runtime with one provider."""

    largest = None

    def __init__(
        self,
        model: ModelFile,
        name: str,
        provider: str,
        settings: Options,
        threads: int = 0,
        strict: bool = False,
    ) -> None:
        """Load a model.

        strict: refuse a provider that leaves some of the steps to the CPU.
        Raises HyperguideError if ONNX Runtime rejects the file, UnavailableError if a provider for
        GPUs does not start.
        """
        onnxruntime = import_library("onnxruntime")
        self.name = name
        self._path = model.path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # failures become exceptions; nothing else to print
        options.intra_op_num_threads = threads
        # Else a GPU adds in any order, and two calls differ: by 2.5e-6 in deblurring on an H200.
        options.use_deterministic_compute = True
        providers: list[Any] = [(provider, settings)]
        if provider != _CPU and not strict:
            providers.append(_CPU)  # for steps that the provider lacks
        if provider != _CPU and strict:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        try:
            onnxruntime.set_default_logger_severity(4)  # of what it says before there is a session
            self._session: Any = onnxruntime.InferenceSession(
                # Else it prints why a provider does not start, and takes the next one.
                *(model.content, options, providers),
                enable_fallback=0,
            )
        except Exception as error:  # onnxruntime's own classes are private
            reason = _PLACE.sub("", str(error).splitlines()[0].strip())
            if provider == _CPU:
                raise HyperguideError(f"ONNX Runtime rejects {model.path}: {reason}") from error
            raise UnavailableError(f"{name} does not start: {reason}") from error
        if provider not in self._session.get_providers():
            raise UnavailableError(
                f"{name} did not start, and ONNX Runtime would silently compute on the CPU: "
                "'hyperguide doctor' says what is missing."
            )

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        return self._run(feeds)

    def _run(self, feeds: Mapping[str, np.ndarray], options: Any = None) -> dict[str, np.ndarray]:
        session = self._opened()
        try:
            enhanced, guidance = session.run([ENHANCED, GUIDANCE], dict(feeds), options)
        except Exception as error:
            raise failure(f"{self.name} failed on this picture", error) from error
        return {ENHANCED: enhanced, GUIDANCE: guidance}

    def close(self) -> None:
        """Free the session."""
        self._session = None

    def _opened(self) -> Any:
        session = self._session
        if session is None:
            raise closed(self._path)
        return session


class OnnxRuntimeCpu(_OnnxRuntime):
    """ONNX Runtime's CPU provider."""

    def __init__(self, model: ModelFile, threads: int = 0) -> None:
        """Load a model; `threads` 0 takes one thread per core."""
        super().__init__(model, "ONNX Runtime, CPU", _CPU, {}, threads)
        self._give_back: Any = import_library("onnxruntime").RunOptions()
        self._give_back.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")

    def run_once(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run and give memory back; see `KeepsMemory.run_once`."""
        return self._run(feeds, self._give_back)


class _OnnxRuntimeGpu(_OnnxRuntime):
    """A provider for NVIDIA GPUs.

    memory: what ONNX Runtime calls the device's.
    """

    memory = "cuda"

    def __init__(
        self,
        model: ModelFile,
        name: str,
        provider: str,
        index: int,
        settings: Options,
        strict: bool,
    ) -> None:
        self._index = index
        settings = {"device_id": str(index)} | settings
        _load_cuda()
        super().__init__(model, f"{name} {index}", provider, settings, strict=strict)

    def run_on_gpu(self, image: GpuArray, dials: Mapping[str, np.ndarray]) -> dict[str, GpuArray]:
        """Run once on the GPU's memory; see `TakesGpuArrays.run_on_gpu`."""
        session = self._opened()
        try:
            binding = session.io_binding()
            where = self.memory, self._index
            binding.bind_input(IMAGE, *where, image.dtype.type, image.shape, image.address)
            for name, value in dials.items():  # bind_cpu_input knows no inputs with defaults
                binding.bind_ortvalue_input(name, _ortvalue(value))
            for name in (ENHANCED, GUIDANCE):
                binding.bind_output(name, *where)
            binding.synchronize_inputs()
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            enhanced, guidance = map(_gpu_array, binding.get_outputs())
        except Exception as error:
            raise failure(f"{self.name} failed on this picture", error) from error
        return {ENHANCED: enhanced, GUIDANCE: guidance}


class OnnxRuntimeCuda(_OnnxRuntimeGpu):
    """ONNX Runtime's CUDA provider."""

    def __init__(self, model: ModelFile, index: int = 0, strict: bool = False) -> None:
        """Load a model on a GPU. Raises HyperguideError if the provider does not start."""
        settings = {"use_tf32": "0"}
        super().__init__(model, "ONNX Runtime, CUDA", PROVIDERS["cuda"], index, settings, strict)


class OnnxRuntimeTensorRt(_OnnxRuntimeGpu):
    """ONNX Runtime's TensorRT provider, which builds engines by itself and caches them."""

    def __init__(self, model: ModelFile, index: int = 0, strict: bool = False) -> None:
        """Load a model on a GPU. Raises HyperguideError if the provider does not start."""
        folder = cache_folder() / "ort-tensorrt"
        make_folder(folder)
        settings = {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            # Its own name for an engine is the same for other weights in the same graph.
            "trt_engine_cache_prefix": digest(model.content)[:16],
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
        super().__init__(
            model, "ONNX Runtime, TensorRT", PROVIDERS["ort-tensorrt"], index, settings, strict
        )


def _load_cuda() -> None:
    """Load CUDA's libraries out of their packages, where the system's loader does not look."""
    load = getattr(import_library("onnxruntime"), "preload_dlls", None)  # from 1.21 on
    if load is not None:
        # Of a library that is in no package it prints so; the loader may find that one.
        with contextlib.redirect_stdout(io.StringIO()):
            load()


def _ortvalue(value: np.ndarray) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(value)


def _gpu_array(value: Any) -> GpuArray:
    """An output that ONNX Runtime holds."""
    kinds = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
    return GpuArray(
        value.data_ptr(), tuple(value.shape()), np.dtype(kinds[value.data_type()]), value
    )
