"""The engines that run a model file, behind one small interface."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from .errors import HyperguideError
from .model_file import ENHANCED, GUIDANCE, ModelFile

DEVICES = ("auto", "cpu")


class Engine(Protocol):
    """A loaded model."""

    @property
    def name(self) -> str:
        """The engine that really runs it, for people."""
        ...

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once.

        feeds: `image` and any dials, float32, rank 4.
        Returns `enhanced` and `guidance`.
        """
        ...


def open_engine(model: ModelFile, device: str = "auto", threads: int = 0) -> Engine:
    """Load a model on a device; `threads` of the CPU engine, 0 for one per core.

    Raises HyperguideError if the device is unknown, its engine is not installed, or the engine
    rejects the file.
    """
    if device not in DEVICES:
        raise HyperguideError(
            f"Unknown device '{device}': this version runs on {' or '.join(DEVICES)}."
        )
    return OnnxRuntimeCpu(model, threads)


class OnnxRuntimeCpu:
    """ONNX Runtime's CPU provider."""

    name = "ONNX Runtime, CPU"

    def __init__(self, model: ModelFile, threads: int = 0) -> None:
        """Load a model; `threads` 0 takes one thread per core."""
        if importlib.util.find_spec("onnxruntime") is None:
            raise HyperguideError(
                "No engine is installed to run models: pip install 'hyperguide[cpu]'."
            )
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
