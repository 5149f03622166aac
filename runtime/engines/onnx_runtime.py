"""ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hyperguide.engine_file import cache_folder, digest
from hyperguide.errors import HyperguideError
from hyperguide.model_file import ENHANCED, GUIDANCE, ModelFile
from hyperguide.paths import make_folder

from .devices import PROVIDERS
from .engine import failure

_CPU = "CPUExecutionProvider"


class _OnnxRuntime:
    """A session of ONNX Runtime with one provider."""

    def __init__(
        self, model: ModelFile, name: str, threads: int, provider: str, settings: dict[str, str]
    ) -> None:
        import onnxruntime

        self.name = name
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # failures become exceptions; nothing else to print
        options.intra_op_num_threads = threads
        providers: list[Any] = [(provider, settings)]
        if provider != _CPU:
            providers.append(_CPU)  # for steps that the provider lacks
        try:
            self._session = onnxruntime.InferenceSession(model.content, options, providers)
        except Exception as error:  # onnxruntime's own classes are private
            reason = str(error).splitlines()[0].strip()
            raise HyperguideError(f"ONNX Runtime rejects {model.path}: {reason}") from error
        if provider not in self._session.get_providers():
            raise HyperguideError(
                f"{name} did not start, and ONNX Runtime would silently compute on the CPU: "
                "'hyperguide doctor' says what is missing."
            )

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        try:
            enhanced, guidance = self._session.run([ENHANCED, GUIDANCE], dict(feeds))
        except Exception as error:
            raise failure(f"{self.name} failed on this picture", error) from error
        return {ENHANCED: enhanced, GUIDANCE: guidance}


class OnnxRuntimeCpu(_OnnxRuntime):
    """ONNX Runtime's CPU provider."""

    def __init__(self, model: ModelFile, threads: int = 0) -> None:
        """Load a model; `threads` 0 takes one thread per core."""
        super().__init__(model, "ONNX Runtime, CPU", threads, _CPU, {})


class OnnxRuntimeCuda(_OnnxRuntime):
    """ONNX Runtime's CUDA provider."""

    def __init__(self, model: ModelFile, index: int = 0) -> None:
        """Load a model on a GPU. Raises HyperguideError if the provider does not start."""
        settings = {"device_id": str(index), "use_tf32": "0"}
        super().__init__(model, f"ONNX Runtime, CUDA {index}", 0, PROVIDERS["cuda"], settings)


class OnnxRuntimeTensorRt(_OnnxRuntime):
    """ONNX Runtime's TensorRT provider, which builds engines by itself and caches them."""

    def __init__(self, model: ModelFile, index: int = 0) -> None:
        """Load a model on a GPU. Raises HyperguideError if the provider does not start."""
        folder = cache_folder() / "ort-tensorrt"
        make_folder(folder)
        settings = {
            "device_id": str(index),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            # Its own name for an engine is the same for other weights in the same graph.
            "trt_engine_cache_prefix": digest(model.content)[:16],
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
        name = f"ONNX Runtime, TensorRT {index}"
        super().__init__(model, name, 0, PROVIDERS["ort-tensorrt"], settings)
