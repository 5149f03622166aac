"""A fake GPU: pycuda's driver and TensorRT's runtime, with calls recorded and run on the CPU.

Only attributes that the real TensorRT classes have can be used. The GPU's context must be
current on the thread that touches memory.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from hyperguide.model_format.model_file import ModelFile

# Names that pycuda.driver documents.
PYCUDA = {
    "Context", "Device", "Error", "Event", "Stream", "init", "mem_alloc", "memcpy_dtoh_async",
    "memcpy_htod_async", "pagelocked_empty",
}  # fmt: skip

# Names that cuda.bindings.driver documents.
CUDA_PYTHON = {
    "CUstreamCaptureMode", "cuGraphDestroy", "cuGraphExecDestroy", "cuGraphInstantiate",
    "cuGraphLaunch", "cuStreamBeginCapture", "cuStreamEndCapture",
}  # fmt: skip

# Milliseconds by which the fake's clock advances at each step of a stream.
STEP = 2.0


class FakeGpu:
    """One GPU and its history.

    calls: names of the calls, in order.
    memory: allocations that were not freed, by address.
    fail_at: number of the call that fails, or None.
    recorded: steps enqueued during stream capture; None outside of a capture.
    may_record: whether TensorRT works during stream capture.
    """

    def __init__(self, capability: tuple[int, int] = (8, 9)) -> None:
        self.capability = capability
        self.calls: list[str] = []
        self.memory: dict[int, np.ndarray] = {}
        self.fail_at: int | None = None
        self.recorded: list[Callable[[], None]] | None = None
        self.may_record = True
        self.clock = 0.0
        self.streams = 0
        self.error: type[Exception] = type("Error", (Exception,), {})
        self._stack = threading.local()
        self._next = 4096

    @property
    def depth(self) -> int:
        """The number of contexts that are current on this thread."""
        return getattr(self._stack, "depth", 0)

    def called(self, name: str, needs_context: bool = True) -> None:
        if needs_context:
            assert self.depth > 0, f"{name} outside of the context"
        self.calls.append(name)
        if self.fail_at == len(self.calls) - 1:
            raise self.error(f"{name} failed on purpose")

    def enqueue(self, step: Callable[[], None]) -> None:
        """Run a step of a stream, either now or when the captured graph is launched."""
        if self.recorded is not None:
            self.recorded.append(step)
            return
        self.clock += STEP
        step()

    def allocate(self, size: int) -> int:
        address, self._next = self._next, self._next + size + 512
        self.memory[address] = np.zeros(size, np.uint8)
        return address

    def driver(self) -> ModuleType:
        """The fake pycuda.driver."""
        gpu = self

        class Allocation:
            def __init__(self, size: int) -> None:
                gpu.called("mem_alloc")
                self._address = gpu.allocate(size)

            def __int__(self) -> int:
                return self._address

            def free(self) -> None:
                assert gpu.depth > 0
                del gpu.memory[self._address]

        class Event:
            def __init__(self) -> None:
                gpu.called("Event")

            def record(self, stream: Stream) -> None:
                self._time = gpu.clock

            def time_since(self, other: Event) -> float:
                return self._time - other._time

        class Context:
            def push(self) -> None:
                gpu._stack.depth = gpu.depth + 1

            @staticmethod
            def pop() -> None:
                gpu._stack.depth = gpu.depth - 1

            @staticmethod
            def synchronize() -> None:
                gpu.called("Context.synchronize")

        class Device:
            def __init__(self, index: int) -> None:
                assert index == 0

            @staticmethod
            def count() -> int:
                return 1

            def name(self) -> str:
                return "NVIDIA Fake 4090"

            def compute_capability(self) -> tuple[int, int]:
                return gpu.capability

            def retain_primary_context(self) -> Context:
                gpu.called("retain_primary_context", needs_context=False)
                return Context()

        class Stream:
            def __init__(self) -> None:
                gpu.called("Stream")
                gpu.streams += 1
                self.handle = 76 + gpu.streams

            def synchronize(self) -> None:
                gpu.called("synchronize")

        def send(device: Allocation, host: np.ndarray, stream: Stream) -> None:
            gpu.called("memcpy_htod_async")
            assert isinstance(stream, Stream)

            def copy() -> None:
                gpu.memory[int(device)][: host.nbytes] = host

            gpu.enqueue(copy)

        def fetch(host: np.ndarray, device: Allocation, stream: Stream) -> None:
            gpu.called("memcpy_dtoh_async")
            assert isinstance(stream, Stream)

            def copy() -> None:
                host[:] = gpu.memory[int(device)][: host.nbytes]

            gpu.enqueue(copy)

        def pinned(size: int, kind: Any) -> np.ndarray:
            gpu.called("pagelocked_empty")
            return np.empty(size, kind)

        module = ModuleType("pycuda.driver")
        things = {
            "Context": Context, "Device": Device, "Error": gpu.error, "Event": Event,
            "Stream": Stream, "init": lambda: gpu.called("init", needs_context=False),
            "mem_alloc": Allocation, "memcpy_htod_async": send, "memcpy_dtoh_async": fetch,
            "pagelocked_empty": pinned,
        }  # fmt: skip
        assert things.keys() <= PYCUDA
        vars(module).update(things)
        return module

    def tensorrt(self, real: Any, model: ModelFile, inputs: Mapping[str, Any]) -> SimpleNamespace:
        """A fake TensorRT, whose deserialized engines compute `model`.

        real: the installed TensorRT, whose classes define what may be called.
        inputs: profiles of the engine's inputs, see `EngineInfo`.
        """
        gpu = self
        session = onnxruntime.InferenceSession(model.content)
        kinds = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
        values = {
            value.name: np.dtype(kinds[value.type])
            for value in (*session.get_inputs(), *session.get_outputs())
        }
        values |= {name: np.dtype(np.float32) for name in inputs if name not in values}
        names = [*inputs, "enhanced", "guidance"]

        def only(kind: Any) -> type:
            class Only:
                """Base class that rejects attributes missing from the real class."""

                def __init_subclass__(cls) -> None:
                    unknown = [
                        name for name in vars(cls) if name[0] != "_" and not hasattr(kind, name)
                    ]
                    assert not unknown, f"{kind.__name__} has no {unknown}"

            return Only

        class FakeContext(only(real.IExecutionContext)):  # type: ignore[misc]
            def __init__(self) -> None:
                self._shapes: dict[str, tuple[int, ...]] = {}
                self._addresses: dict[str, int] = {}

            def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
                gpu.called("set_input_shape")
                sides = zip(inputs[name].least, shape, inputs[name].most, strict=True)
                fits = all(low <= side <= high for low, side, high in sides)
                if fits:
                    self._shapes[name] = tuple(shape)
                return fits

            def get_tensor_shape(self, name: str) -> tuple[int, ...]:
                count, *sides = self._shapes["image"]
                if name == "enhanced":
                    return (count, *sides)
                bytes_ = values["image"] == np.uint8
                return (count, 1, *(sides[:2] if bytes_ else sides[1:]))

            def set_tensor_address(self, name: str, address: int) -> bool:
                assert address in gpu.memory
                self._addresses[name] = address
                return True

            def execute_async_v3(self, stream: int) -> bool:
                gpu.called("execute_async_v3")
                assert 77 <= stream < 77 + gpu.streams
                if gpu.recorded is not None and not gpu.may_record:
                    return False
                gpu.enqueue(self._compute)
                return True

            def _compute(self) -> None:
                feeds = {}
                for name in inputs:
                    shape = self._shapes[name]
                    size = int(np.prod(shape)) * values[name].itemsize
                    held = gpu.memory[self._addresses[name]][:size]
                    feeds[name] = held.view(values[name]).reshape(shape).copy()
                results = session.run(["enhanced", "guidance"], feeds)
                for name, result in zip(("enhanced", "guidance"), results, strict=True):
                    held = gpu.memory[self._addresses[name]]
                    held[: result.nbytes] = result.reshape(-1).view(np.uint8)

        class FakeEngine(only(real.ICudaEngine)):  # type: ignore[misc]
            num_io_tensors = len(names)

            def get_tensor_name(self, number: int) -> str:
                return names[number]

            def get_tensor_mode(self, name: str) -> Any:
                mode = real.TensorIOMode
                return mode.INPUT if name in inputs else mode.OUTPUT

            def get_tensor_dtype(self, name: str) -> Any:
                return values[name]

            def create_runtime_config(self) -> Any:
                return only(real.IRuntimeConfig)()

            def create_execution_context(self, config: Any = None) -> FakeContext:
                gpu.called("create_execution_context")
                if config is not None:
                    whole = real.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
                    assert config.cuda_graph_strategy == whole
                return FakeContext()

        class FakeRuntime(only(real.Runtime)):  # type: ignore[misc]
            def __init__(self, logger: Any) -> None:
                assert isinstance(logger, real.ILogger)

            def deserialize_cuda_engine(self, content: bytes) -> FakeEngine | None:
                gpu.called("deserialize_cuda_engine")
                return FakeEngine() if content else None

        assert hasattr(real, "nptype")
        return SimpleNamespace(
            __version__=real.__version__,
            ILogger=real.ILogger,
            CudaGraphStrategy=real.CudaGraphStrategy,
            TensorIOMode=real.TensorIOMode,
            Runtime=FakeRuntime,
            nptype=lambda kind: kind.type,
        )

    def cuda_python(self) -> ModuleType:
        """The fake cuda.bindings.driver, which returns (0, ...) on success."""
        gpu = self

        def begin(handle: int, mode: object) -> tuple[int]:
            gpu.called("cuStreamBeginCapture")
            gpu.recorded = []
            return (0,)

        def end(handle: int) -> tuple[int, object]:
            recorded, gpu.recorded = gpu.recorded, None
            gpu.calls.append("cuStreamEndCapture")
            return 0, recorded

        def launch(graph: list[Callable[[], None]], handle: int) -> tuple[int]:
            gpu.called("cuGraphLaunch")
            for step in graph:
                gpu.enqueue(step)
            return (0,)

        def destroy(graph: object) -> tuple[int]:
            assert gpu.depth > 0
            return (0,)

        module = ModuleType("cuda.bindings.driver")
        things: dict[str, Any] = {
            "CUstreamCaptureMode": SimpleNamespace(CU_STREAM_CAPTURE_MODE_THREAD_LOCAL=1),
            "cuStreamBeginCapture": begin, "cuStreamEndCapture": end, "cuGraphLaunch": launch,
            "cuGraphInstantiate": lambda graph, flags: (0, graph), "cuGraphDestroy": destroy,
            "cuGraphExecDestroy": destroy,
        }  # fmt: skip
        assert things.keys() == CUDA_PYTHON
        vars(module).update(things)
        return module

    def tools(self) -> ModuleType:
        """The fake pycuda.tools."""
        gpu = self

        class Pooled:
            def __init__(self, size: int) -> None:
                self._address = gpu.allocate(size)

            def __int__(self) -> int:
                return self._address

            def __del__(self) -> None:
                del gpu.memory[self._address]

        class DeviceMemoryPool:
            def allocate(self, size: int) -> Pooled:
                gpu.called("DeviceMemoryPool.allocate")
                return Pooled(size)

        module = ModuleType("pycuda.tools")
        module.DeviceMemoryPool = DeviceMemoryPool  # type: ignore[attr-defined]
        return module

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Install the fakes as the modules to import."""
        package = ModuleType("pycuda")
        package.driver = self.driver()  # type: ignore[attr-defined]
        package.tools = self.tools()  # type: ignore[attr-defined]
        patch.setitem(sys.modules, "pycuda", package)
        patch.setitem(sys.modules, "pycuda.driver", package.driver)
        patch.setitem(sys.modules, "pycuda.tools", package.tools)
        patch.setitem(sys.modules, "cuda", ModuleType("cuda"))
        patch.setitem(sys.modules, "cuda.bindings", ModuleType("cuda.bindings"))
        patch.setitem(sys.modules, "cuda.bindings.driver", self.cuda_python())
