"""Runs TensorRT engines directly on the GPU."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from hyperguide.arrays import GpuArray
from hyperguide.engines.engine import CALLS_ON_GPU, Times, closed, failure
from hyperguide.errors import HyperguideError
from hyperguide.model_format.contract import IMAGE
from hyperguide.model_format.engine_file import EngineFile
from hyperguide.model_format.model_file import default_feeds

from .bindings import Messages, open_tensorrt
from .cuda import Gpu
from .lane import Lane

T = TypeVar("T")


class TensorRtEngine:
    """An engine that `hyperguide build` made, on one GPU.

    Up to two calls from different threads overlap. `close` frees its memory.
    """

    def __init__(self, file: EngineFile, index: int = 0) -> None:
        """Load an engine.

        Raises HyperguideError if its TensorRT is not installed, is of another version, or rejects
        it: engines run only on the GPUs that they were built for.
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
        self._room = threading.Condition()
        self._idle: list[Lane] = []
        self._lanes = 0
        self._most_lanes = CALLS_ON_GPU
        self._engine: Any = None
        with self._gpu.current():
            self._guarded(self._load, f"{self.name} cannot load {file.path}")

    @property
    def name(self) -> str:
        """Human-readable name of the engine that actually runs the model."""
        kinds = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}
        return f"{kinds[self._tensorrt.name]} {self._tensorrt.version}"

    @property
    def largest(self) -> tuple[int, int, int]:
        """See `Engine.largest`."""
        count, *sides = self._file.sidecar.profiles[IMAGE].most
        height, width = sides[:2] if self._file.info.io == "uint8" else sides[1:]
        return count, height, width

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        return self._with_lane(feeds, lambda lane, values: lane.run(values))

    def run_timed(self, feeds: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Times]:
        """Run once, and also return how long copies and computation took on the GPU."""
        return self._with_lane(feeds, lambda lane, values: lane.run_timed(values))

    def run_on_gpu(self, image: GpuArray, dials: Mapping[str, np.ndarray]) -> dict[str, GpuArray]:
        """Run once in GPU memory; see `TakesGpuArrays.run_on_gpu`."""
        return self._with_lane(dials, lambda lane, values: lane.run_on_gpu(image, values))

    def close(self) -> None:
        """Wait for running calls, then free the GPU memory."""
        with self._room:
            self._engine, engine = None, self._engine
            while engine is not None and len(self._idle) < self._lanes:
                self._room.wait()
            with self._gpu.current():
                while self._idle:
                    self._idle.pop().free()
                del engine

    def _refuse_version(self) -> None:
        built, here = self._file.sidecar.version, self._tensorrt.version
        if built != here:
            raise HyperguideError(
                f"{self._file.path} was built with {self._tensorrt.name} {built}, here is {here}: "
                "build it again."
            )

    def _load(self) -> None:
        trt = self._tensorrt.module
        self._runtime = trt.Runtime(self._messages.logger)
        engine = self._runtime.deserialize_cuda_engine(self._file.content)
        if engine is None:
            raise RuntimeError
        names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
        kinds = {name: np.dtype(trt.nptype(engine.get_tensor_dtype(name))) for name in names}
        given = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        self._inputs = {name: kinds.pop(name) for name in given}
        self._outputs = kinds
        self._engine = engine
        self._idle.append(self._new_lane())
        self._lanes = 1

    def _new_lane(self) -> Lane:
        context = self._new_context()
        if context is None:
            raise RuntimeError
        # TensorRT-RTX records graphs itself, as its kernels change while it learns the shapes.
        may_record = not self._tensorrt.is_rtx
        return Lane(context, self._gpu, self._inputs, self._outputs, self._refuse_shape, may_record)

    def _new_context(self) -> Any:
        if not self._tensorrt.is_rtx:
            return self._engine.create_execution_context()
        config = self._engine.create_runtime_config()
        config.cuda_graph_strategy = self._tensorrt.module.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        return self._engine.create_execution_context(config)

    def _refuse_shape(self, name: str, shape: tuple[int, ...]) -> None:
        profile = self._file.sidecar.profiles[name]
        raise HyperguideError(
            f"{self._file.path} takes no {name} of shape {shape}, only from {profile.least} to "
            f"{profile.most}: build it with other --shapes or --batch."
        )

    def _with_lane(
        self,
        feeds: Mapping[str, np.ndarray],
        action: Callable[[Lane, dict[str, np.ndarray]], T],
    ) -> T:
        """Run an action with feeds and default dials, in a lane that no other call uses."""
        unknown = [name for name in feeds if name not in self._inputs]
        if unknown:
            raise HyperguideError(
                f"{self._file.path} has no input '{unknown[0]}': build it with --steerable."
            )
        values = default_feeds(self._inputs) | dict(feeds)
        with self._gpu.current(), self._lane() as lane:
            return self._guarded(
                lambda: action(lane, values), f"{self.name} failed on this picture"
            )

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        lane = self._take()
        try:
            yield lane
        finally:
            with self._room:
                self._idle.append(lane)
                self._room.notify_all()

    def _take(self) -> Lane:
        """An idle lane, a new one, or the next that becomes idle."""
        with self._room:
            while True:
                if self._engine is None:
                    raise closed(self._file.path)
                if self._idle:
                    return self._idle.pop()
                if self._lanes < self._most_lanes:
                    try:
                        lane = self._guarded(self._new_lane, "")
                    except HyperguideError:
                        self._most_lanes = self._lanes  # no memory for more
                        continue
                    self._lanes += 1
                    return lane
                self._room.wait()

    def _guarded(self, action: Callable[[], T], sentence: str) -> T:
        """Run an action; errors of TensorRT and the driver become one sentence."""
        self._messages.clear()
        try:
            return action()
        except (RuntimeError, self._gpu.errors) as error:
            told = error if str(error) else RuntimeError(self._messages.reason())
            raise failure(sentence, told) from error
