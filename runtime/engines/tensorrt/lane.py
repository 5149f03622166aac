"""One of an engine's concurrent calls: a context, a stream, and memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hyperguide.arrays import GpuArray
from hyperguide.engines.engine import Times
from hyperguide.model_format.contract import IMAGE

from .cuda import Gpu
from .replay import Replay

Shapes = dict[str, tuple[int, ...]]

# Called with an input's name and the shape that the engine refuses; raises.
Refuse = Callable[[str, tuple[int, ...]], None]


class Lane:
    """An execution context of an engine, with its own stream and memory.

    inputs, outputs: types of the tensors. The GPU must be current in all calls.
    """

    def __init__(
        self,
        context: Any,
        gpu: Gpu,
        inputs: Mapping[str, np.dtype],
        outputs: Mapping[str, np.dtype],
        refuse: Refuse,
        may_record: bool,
    ) -> None:
        self._context = context
        self._gpu = gpu
        self._inputs = inputs
        self._outputs = outputs
        self._refuse = refuse
        self._staging = {name: gpu.staging() for name in (*inputs, *outputs)}
        self._stream = gpu.stream()
        self._replay = Replay(self._stream.handle, may_record)
        self._shapes: Shapes = {}

    def run(self, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once, from and to host memory."""
        self._prepare(values)
        self._replay.run(self._enqueue)
        self._stream.synchronize()
        return self._results()

    def run_timed(self, values: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Times]:
        """Run once, and also return how long each step took, measured by GPU events."""
        self._prepare(values)
        start, sent, computed, fetched = (self._gpu.event() for _ in range(4))
        start.record(self._stream)
        self._send(self._inputs)
        sent.record(self._stream)
        self._execute()
        computed.record(self._stream)
        self._fetch()
        fetched.record(self._stream)
        self._stream.synchronize()
        times = Times(
            sent.time_since(start), computed.time_since(sent), fetched.time_since(computed)
        )
        return self._results(), times

    def run_on_gpu(self, image: GpuArray, dials: Mapping[str, np.ndarray]) -> dict[str, GpuArray]:
        """Run once on a picture in GPU memory, where the results stay.

        dials: in host memory.
        """
        self._replay.forget()  # the addresses change each time
        self._shapes = {}
        shapes = self._set_shapes({IMAGE: image.shape} | _shapes(dials))
        if image.pending:
            self._gpu.synchronize()  # another stream may still be computing it
        self._context.set_tensor_address(IMAGE, image.address)
        for dial, value in dials.items():
            staging = self._staging[dial]
            staging.hold(value.nbytes)
            staging.fill(value)
            staging.send(value.nbytes, self._stream)
            self._context.set_tensor_address(dial, staging.address)
        results = {}
        for output, kind in self._outputs.items():
            memory = self._gpu.allocate(_size(shapes[output], kind))
            results[output] = GpuArray(int(memory), shapes[output], kind, memory)
            self._context.set_tensor_address(output, results[output].address)
        self._execute()
        self._stream.synchronize()
        return results

    def free(self) -> None:
        """Free the memory and the context."""
        self._replay.forget()
        self._context = None
        for staging in self._staging.values():
            staging.free()

    def _prepare(self, values: Mapping[str, np.ndarray]) -> None:
        """Set shapes, addresses and host memory as the call needs them."""
        if not _shapes(values).items() <= self._shapes.items():
            self._replay.forget()
            self._shapes = {}
            shapes = self._set_shapes(_shapes(values))
            for name, kind in (*self._inputs.items(), *self._outputs.items()):
                self._staging[name].hold(_size(shapes[name], kind))
                self._context.set_tensor_address(name, self._staging[name].address)
            self._shapes = shapes
        for name, value in values.items():
            self._staging[name].fill(value)

    def _set_shapes(self, given: Shapes) -> Shapes:
        """Set the context's input shapes. Returns the shapes of all tensors."""
        for name, shape in given.items():
            if not self._context.set_input_shape(name, shape):
                self._refuse(name, shape)
        return given | {name: tuple(self._context.get_tensor_shape(name)) for name in self._outputs}

    def _enqueue(self) -> None:
        self._send(self._inputs)
        self._execute()
        self._fetch()

    def _send(self, inputs: Mapping[str, np.dtype]) -> None:
        for name, kind in inputs.items():
            self._staging[name].send(_size(self._shapes[name], kind), self._stream)

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._stream.handle):
            raise RuntimeError  # TensorRT logs why

    def _fetch(self) -> None:
        for name, kind in self._outputs.items():
            self._staging[name].fetch(_size(self._shapes[name], kind), self._stream)

    def _results(self) -> dict[str, np.ndarray]:
        return {
            name: self._staging[name].values(self._shapes[name], kind)
            for name, kind in self._outputs.items()
        }


def _shapes(values: Mapping[str, np.ndarray]) -> Shapes:
    return {name: value.shape for name, value in values.items()}


def _size(shape: tuple[int, ...], kind: np.dtype) -> int:
    return int(np.prod(shape)) * kind.itemsize
