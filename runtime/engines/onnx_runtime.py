"""Engines that use ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np

from hyperguide.arrays import GpuArray
from hyperguide.errors import (
    HyperguideError,
    OutOfMemoryError,
    RefusedError,
    UnavailableError,
)
from hyperguide.model_format.contract import ENHANCED, GUIDANCE, IMAGE
from hyperguide.model_format.engine_file import cache_folder, digest
from hyperguide.model_format.model_file import ModelFile
from hyperguide.storage.paths import make_folder

from .byte_graph import FINITE, of_bytes
from .devices import PROVIDERS
from .engine import Times, closed, failure
from .fixed_sizes import FixedSession, FixedSizes, Key
from .libraries import import_library

_CPU = "CPUExecutionProvider"

# Its messages about files that are newer than it.
_TOO_NEW = re.compile(r"IR version|opset|No Op registered|NOT_IMPLEMENTED", re.IGNORECASE)
# The place in its sources that some of its messages begin with.
_PLACE = re.compile(r"^\S+\.(cc|h):\d+ .*?\) (?=\S)")

Options = dict[str, str]
T = TypeVar("T")


class _OnnxRuntime:
    """An ONNX Runtime session with one provider."""

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

        strict: refuse a provider that leaves some operators to the CPU.
        Raises HyperguideError if ONNX Runtime rejects the file, RefusedError if it finds it
        invalid, UnavailableError if a GPU provider does not start.
        """
        onnxruntime = import_library("onnxruntime")
        self.name = name
        self._path = model.path
        self._provider, self._settings = provider, settings
        self._threads, self._strict = threads, strict
        onnxruntime.set_default_logger_severity(4)  # for messages before the session exists
        self._session: Any = self._start(model.with_defaults())

    def _start(
        self,
        content: bytes,
        sides: Mapping[str, int] | None = None,
        settings: Options | None = None,
    ) -> Any:
        """Create a session for a file.

        sides: lengths of the graph's dimensions, by name, for a session of one size only.
        settings: of the provider, in addition.
        """
        onnxruntime = import_library("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # failures become exceptions; print nothing else
        options.intra_op_num_threads = self._threads
        # Otherwise GPUs add in any order and calls differ: by 2.5e-6 in deblurring on an H200.
        options.use_deterministic_compute = True
        if self._provider != _CPU and self._strict:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        for name, length in (sides or {}).items():
            options.add_free_dimension_override_by_name(name, length)
        try:
            session = onnxruntime.InferenceSession(
                # Otherwise it prints why a provider does not start and falls back to the next.
                *(content, options, self.providers_with(settings or {})),
                enable_fallback=0,
            )
        except Exception as error:  # onnxruntime's own classes are private
            reason = _PLACE.sub("", str(error).splitlines()[0].strip())
            if self._provider == _CPU:
                kind = HyperguideError if _TOO_NEW.search(str(error)) else RefusedError
                raise kind(
                    f"ONNX Runtime rejects {self._path}: {reason.rstrip('.')}; export or download "
                    "it again."
                ) from error
            raise UnavailableError(f"{self.name} does not start: {reason}") from error
        if self._provider not in session.get_providers():
            raise UnavailableError(
                f"{self.name} did not start, and ONNX Runtime would silently compute on the CPU: "
                "'hyperguide doctor' says what is missing."
            )
        return session

    def providers_with(self, settings: Options) -> list[Any]:
        """The providers, as passed to ONNX Runtime; the first one with these further settings."""
        first = (self._provider, self._settings | settings)
        is_alone = self._provider == _CPU or self._strict
        return [first] if is_alone else [first, _CPU]  # for operators that it lacks

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        return self._run(feeds)

    def run_image(self, image: np.ndarray, dials: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run once and return the picture alone; see `OmitsMaps.run_image`."""
        return self._run({IMAGE: image, **dials}, outputs=[ENHANCED])[ENHANCED]

    def _run(
        self,
        feeds: Mapping[str, np.ndarray],
        options: Any = None,
        session: Any = None,
        outputs: Sequence[str] = (ENHANCED, GUIDANCE),
    ) -> dict[str, np.ndarray]:
        opened = self._opened() if session is None else session
        values = self._guarded(lambda: opened.run(list(outputs), dict(feeds), options))
        return dict(zip(outputs, values, strict=True))

    def close(self) -> None:
        """Free the session."""
        self._session = None

    def _guarded(self, action: Callable[[], T]) -> T:
        """Run an action of ONNX Runtime; its errors become one sentence."""
        try:
            return action()
        except Exception as error:  # onnxruntime's own classes are private
            raise failure(f"{self.name} failed on this picture", error) from error

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
        """Run and free the memory; see `KeepsMemory.run_once`."""
        return self._run(feeds, self._give_back)


class _OnnxRuntimeGpu(_OnnxRuntime):
    """A provider for NVIDIA GPUs.

    memory: ONNX Runtime's name for the device's memory.
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
        load_cuda()
        super().__init__(model, f"{name} {index}", provider, settings, strict=strict)

    def run_on_gpu(self, image: GpuArray, dials: Mapping[str, np.ndarray]) -> dict[str, GpuArray]:
        """Run once in GPU memory; see `TakesGpuArrays.run_on_gpu`."""
        where = self.memory, self._index

        def bind_image(binding: Any) -> None:
            binding.bind_input(IMAGE, *where, image.dtype.type, image.shape, image.address)

        binding = self._run_bound(self._opened(), bind_image, dials)
        enhanced, guidance = map(_gpu_array, binding.get_outputs())
        return {ENHANCED: enhanced, GUIDANCE: guidance}

    def run_timed(self, feeds: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Times]:
        """Run once, and also return how long each step took in wall-clock time."""
        return self._run_timed(feeds)

    def _run_timed(
        self, feeds: Mapping[str, np.ndarray], session: Any = None
    ) -> tuple[dict[str, np.ndarray], Times]:
        dials = dict(feeds)
        pixels = dials.pop(IMAGE)
        session = self._session_for(pixels, dials) if session is None else session
        began = time.perf_counter()
        image = self._guarded(lambda: _ortvalue(pixels, self.memory, self._index))
        sent = time.perf_counter()
        binding = self._run_bound(session, lambda to: to.bind_ortvalue_input(IMAGE, image), dials)
        computed = time.perf_counter()
        enhanced, guidance = self._guarded(lambda: [v.numpy() for v in binding.get_outputs()])
        fetched = time.perf_counter()
        steps = sent - began, computed - sent, fetched - computed
        return {ENHANCED: enhanced, GUIDANCE: guidance}, Times(*(1000 * step for step in steps))

    def _session_for(self, pixels: np.ndarray, dials: Mapping[str, np.ndarray]) -> Any:
        """The session that takes pictures of this type, with these dials."""
        return self._opened()

    def _run_bound(
        self, session: Any, bind_image: Callable[[Any], None], dials: Mapping[str, np.ndarray]
    ) -> Any:
        """Run once from and to GPU memory. Returns the binding that holds the outputs."""

        def run() -> Any:
            binding = session.io_binding()
            bind_image(binding)
            for name, value in dials.items():  # bind_cpu_input does not know inputs with defaults
                binding.bind_ortvalue_input(name, _ortvalue(value))
            for name in (ENHANCED, GUIDANCE):
                binding.bind_output(name, self.memory, self._index)
            binding.synchronize_inputs()
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()
            return binding

        return self._guarded(run)


class OnnxRuntimeCuda(_OnnxRuntimeGpu):
    """ONNX Runtime's CUDA provider.

    Bytes are converted on the GPU, in further sessions of the file, without dials and with them:
    copying takes longer than most networks do, and bytes are a quarter the size of floats.

    Sizes that were prepared have sessions of their own, see `FixedSizes`.
    """

    def __init__(
        self, model: ModelFile, index: int = 0, strict: bool = False, records: bool = False
    ) -> None:
        """Load a model on a GPU.

        records: whether to record prepared sizes as CUDA graphs, see `FixedSizes`.
        Raises HyperguideError if the provider does not start.
        """
        settings = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
        if model.info.precision == "fp16":
            settings["prefer_nhwc"] = "1"
        super().__init__(model, "ONNX Runtime, CUDA", PROVIDERS["cuda"], index, settings, strict)
        self._model = model
        self._for_bytes: dict[bool, Any] = {}  # by whether dials are turned
        if model.info.io == "uint8":
            self._for_bytes = dict.fromkeys((False, True), self._session)
        self._starting = threading.Lock()
        self._fixed = FixedSizes(self._start_fixed, self.memory, index, records)

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run once; see `Engine.run`."""
        return self._compute(feeds, (ENHANCED, GUIDANCE))

    def run_bytes(
        self, pixels: np.ndarray, dials: Mapping[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Run once on bytes; see `TakesBytes.run_bytes`."""
        return self.run({IMAGE: pixels, **dials})

    def run_once(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Run a part of a picture; see `KeepsMemory.run_once`. Sizes of parts are not prepared."""
        return self._run_any(feeds, (ENHANCED, GUIDANCE))

    def run_image(self, image: np.ndarray, dials: Mapping[str, np.ndarray]) -> np.ndarray:
        """Run once and return the picture alone; see `OmitsMaps.run_image`."""
        feeds = {IMAGE: image, **dials}
        if image.dtype != np.uint8:
            return self._compute(feeds, (ENHANCED,))[ENHANCED]
        check = GUIDANCE if self._model.info.io == "uint8" else FINITE
        outputs = self._compute(feeds, (ENHANCED, check))
        if not np.isfinite(outputs[check]).all():
            raise FloatingPointError
        return outputs[ENHANCED]

    def run_timed(self, feeds: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Times]:
        """Run once, and also return how long each step took in wall-clock time."""
        fixed = self._fixed_for(feeds)
        if fixed is None:
            return self._run_timed(feeds)
        call = fixed.call
        if call is None:
            return self._run_timed(feeds, fixed.session)
        return self._guarded(lambda: call.run(feeds, (ENHANCED, GUIDANCE)))

    def preparing(self) -> AbstractContextManager[None]:
        """Prepare for sizes; see `PreparesSizes.preparing`."""
        return self._fixed.preparing()

    def close(self) -> None:
        """Free the sessions."""
        with self._starting:
            super().close()
            self._for_bytes.clear()
        self._fixed.close()

    def _guarded(self, action: Callable[[], T]) -> T:
        try:
            return super()._guarded(action)
        except OutOfMemoryError:  # prepared sizes hold memory that smaller parts may need
            self._fixed.clear()
            raise

    def _compute(
        self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]
    ) -> dict[str, np.ndarray]:
        fixed = self._fixed_for(feeds)
        if fixed is None:
            return self._run_any(feeds, wanted)
        call = fixed.call
        if call is None:
            return self._run(feeds, session=fixed.session, outputs=wanted)
        return self._guarded(lambda: call.run(feeds, wanted))[0]

    def _run_any(
        self, feeds: Mapping[str, np.ndarray], wanted: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Run in the session for all sizes."""
        dials = {name: value for name, value in feeds.items() if name != IMAGE}
        session = self._session_for(feeds[IMAGE], dials)
        return self._run(feeds, session=session, outputs=wanted)

    def _fixed_for(self, feeds: Mapping[str, np.ndarray]) -> FixedSession | None:
        """The session for this size alone; None if the size is not prepared."""
        self._opened()
        return self._fixed.get(Key.of(feeds))

    def _session_for(self, pixels: np.ndarray, dials: Mapping[str, np.ndarray]) -> Any:
        if pixels.dtype != np.uint8:
            return self._opened()
        turned = bool(dials)
        with self._starting:
            self._opened()
            if turned not in self._for_bytes:
                self._for_bytes[turned] = self._start(of_bytes(self._model, turned))
            return self._for_bytes[turned]

    def _start_fixed(self, key: Key, records: bool) -> Any:
        """A session for one size; see `FixedSizes`. Turned dials have no defaults there."""
        if key.in_bytes and self._model.info.io != "uint8":
            content = of_bytes(self._model, bool(key.turned), key.turned)
        else:
            content = self._model.with_inputs(key.turned)
        settings = {"enable_cuda_graph": "1"} if records else {}
        return self._start(content, key.sides, settings)


class OnnxRuntimeTensorRt(_OnnxRuntimeGpu):
    """ONNX Runtime's TensorRT provider, which builds its own engines and caches them."""

    def __init__(self, model: ModelFile, index: int = 0, strict: bool = False) -> None:
        """Load a model on a GPU. Raises HyperguideError if the provider does not start."""
        folder = cache_folder() / "ort-tensorrt"
        make_folder(folder)
        settings = {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(folder),
            # The default name of an engine is the same for other weights in the same graph.
            "trt_engine_cache_prefix": digest(model.content)[:16],
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(folder),
        }
        super().__init__(
            model, "ONNX Runtime, TensorRT", PROVIDERS["ort-tensorrt"], index, settings, strict
        )


def load_cuda() -> None:
    """Load CUDA's libraries from their packages, where the system's loader does not look."""
    load = getattr(import_library("onnxruntime"), "preload_dlls", None)  # since 1.21
    if load is not None:
        # It prints which libraries are in no package; the loader may still find those.
        with contextlib.redirect_stdout(io.StringIO()):
            load()


def _ortvalue(value: np.ndarray, memory: str = "cpu", index: int = 0) -> Any:
    import onnxruntime

    return onnxruntime.OrtValue.ortvalue_from_numpy(value, memory, index)


def _gpu_array(value: Any) -> GpuArray:
    """Wrap an output that ONNX Runtime holds."""
    kinds = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
    return GpuArray(
        value.data_ptr(), tuple(value.shape()), np.dtype(kinds[value.data_type()]), value
    )
