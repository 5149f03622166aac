"""TensorRT engines, without anything between them and the GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from hyperguide.engine_file import EngineFile
from hyperguide.errors import HyperguideError
from hyperguide.model_file import default_feeds

from .cuda import Gpu, Staging
from .engine import failure
from .tensorrt_bindings import Messages, open_tensorrt

T = TypeVar("T")


class TensorRtEngine:
    """An engine that `hyperguide build` made, on one GPU.

    Calls wait for each other. After `close`, or as a context manager, its memory is free.
    """

    def __init__(self, file: EngineFile, index: int = 0) -> None:
        """Load an engine.

        Raises HyperguideError if its TensorRT is not installed, is of another version, or does not
        take it: engines run on the GPUs that they were built for only.
        """
        self._file = file
        self._tensorrt = open_tensorrt(file.sidecar.builder)
        self._messages = Messages(self._tensorrt)
        self._refuse_version()
        self._gpu = Gpu(index)
        targets = file.sidecar.targets
        if targets and self._gpu.capability not in targets:
            raise HyperguideError(
                f"{file.path} was built for GPUs of {', '.join(targets)}, GPU {index} is one of "
                f"{self._gpu.capability}: build it again."
            )
        self._lock = threading.Lock()
        self._staging: dict[str, Staging] = {}
        self._context: Any = None
        with self._gpu.current():
            self._guarded(self._load, f"{self.name} cannot load {file.path}")

    @property
    def name(self) -> str:
        """The engine that really runs it, for people."""
        kinds = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
        return f"{kinds[self._tensorrt.name]} {self._tensorrt.version}"

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        unknown = [name for name in feeds if name not in self._inputs]
        if unknown:
            raise HyperguideError(
                f"{self._file.path} has no input '{unknown[0]}': build it with --steerable."
            )
        values = default_feeds(self._inputs) | dict(feeds)
        with self._lock, self._gpu.current():
            if self._context is None:
                raise HyperguideError(f"{self._file.path} was closed: load it again.")
            return self._guarded(lambda: self._run(values), f"{self.name} failed on this picture")

    def close(self) -> None:
        """Free the memory of the GPU."""
        with self._lock, self._gpu.current():
            self._context = self._engine = None
            for staging in self._staging.values():
                staging.free()

    def __enter__(self) -> TensorRtEngine:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _refuse_version(self) -> None:
        built, here = self._file.sidecar.version, self._tensorrt.version
        if built != here:
            raise HyperguideError(
                f"{self._file.path} was built with {self._tensorrt.name} {built}, here is {here}: "
                "build it again."
            )

    def _load(self) -> None:
        trt = self._tensorrt.module
        runtime = trt.Runtime(self._messages.logger)
        engine = runtime.deserialize_cuda_engine(self._file.content)
        if engine is None:
            raise RuntimeError(self._messages.reason())
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        inputs = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._inputs = tuple(inputs)
        self._outputs = {
            name: np.dtype(trt.nptype(engine.get_tensor_dtype(name)))
            for name in names
            if name not in inputs
        }
        self._staging = {name: self._gpu.staging() for name in names}
        self._stream = self._gpu.stream()
        context = engine.create_execution_context()
        if context is None:
            raise RuntimeError(self._messages.reason())
        self._engine, self._context = engine, context

    def _run(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        context, stream = self._context, self._stream
        for name, value in values.items():
            if not context.set_input_shape(name, value.shape):
                profile = self._file.sidecar.profiles[name]
                raise HyperguideError(
                    f"{self._file.path} takes no {name} of shape {value.shape}, only from "
                    f"{profile.least} to {profile.most}: build it with other --shapes or --batch."
                )
            self._staging[name].send(value, stream)
        shapes = {name: tuple(context.get_tensor_shape(name)) for name in self._outputs}
        for name, kind in self._outputs.items():
            self._staging[name].hold(int(np.prod(shapes[name])) * kind.itemsize)
        for name, staging in self._staging.items():
            context.set_tensor_address(name, staging.address)
        if not context.execute_async_v3(stream.handle):
            raise RuntimeError(self._messages.reason())
        for name, kind in self._outputs.items():
            self._staging[name].fetch(int(np.prod(shapes[name])) * kind.itemsize, stream)
        stream.synchronize()
        return {
            name: self._staging[name].values(shapes[name], kind)
            for name, kind in self._outputs.items()
        }

    def _guarded(self, action: Callable[[], T], sentence: str) -> T:
        """Run an action; what TensorRT and the driver raise becomes one sentence."""
        self._messages.clear()
        try:
            return action()
        except (RuntimeError, self._gpu.errors) as error:
            raise failure(sentence, error) from error
