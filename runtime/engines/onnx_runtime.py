"""ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from hyperguide.errors import HyperguideError
from hyperguide.model_file import ENHANCED, GUIDANCE, ModelFile


class OnnxRuntimeCpu:
    """ONNX Runtime's CPU provider."""

    name = "ONNX Runtime, CPU"

    def __init__(self, model: ModelFile, threads: int = 0) -> None:
        """Load a model; `threads` 0 takes one thread per core."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # failures become exceptions; nothing else to print
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(
                model.content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes are private
            reason = str(error).splitlines()[0].strip()
            raise HyperguideError(f"ONNX Runtime rejects {model.path}: {reason}") from error

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        try:
            enhanced, guidance = self._session.run([ENHANCED, GUIDANCE], dict(feeds))
        except Exception as error:
            reason = str(error).splitlines()[0].strip()
            raise HyperguideError(f"{self.name} failed on this picture: {reason}") from error
        return {ENHANCED: enhanced, GUIDANCE: guidance}
